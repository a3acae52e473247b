"""The report of a run: one HTML file with its figures inside, readable without a network for years.

    neurolm report RUN

What a run has not reached yet is left out.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.config import STAGES
from neurolm.core.decode import load_json
from neurolm.core.errors import CheckpointError
from neurolm.core.files import write_text
from neurolm.report.drawings import answers, training
from neurolm.report.drawings.tokenizer import codebook, reconstruction
from neurolm.report.evaluation import quality_section, results_section, robustness_section
from neurolm.report.page import CSS, PAGE, picture
from neurolm.train.figures.history import LOG, read_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neurolm.api import Answer
    from neurolm.batches.loader import Sample
    from neurolm.checkpoint import Card
    from neurolm.evaluation.results import Evaluation, TaskResult
    from neurolm.model.tokenizer import NeuralTokenizer
    from neurolm.store.store import Store

ANSWER, EVALUATION, STORE = "answer.json", "evaluation.json", "store"
"""What the demo calls its files in a run's folder."""
TRACES = 3
"""Tasks of which a reconstructed window is shown."""
CODE_WINDOWS = 64
"""Held-out windows over which the use of codes is counted."""


def write_report(
    run: Path, *, out: Path, store: Path | None = None, answer: Answer | None = None, generated: str | None = None
) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run
        Folder of the run.
    out
        HTML file to write.
    store
        The store the run was trained on; by default ``store`` in the run's folder.
    answer
        Answer about a recording, for the timeline; by default the one in the run's ``answer.json``.
    generated
        A text that the model continued freely after EEG.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    CheckpointError
        If the folder holds no run.
    """
    from neurolm.store.store import Store

    if not any((run / stage / LOG).is_file() for stage in STAGES):
        raise CheckpointError(f"{run}: no run here (none of its stages has a log.jsonl); give the folder of a run")
    folder = store or run / STORE
    opened = Store(folder) if store is not None or folder.is_dir() else None
    evaluation = _evaluation(run)
    if answer is None:
        answer = _answer(run)
    sections = [
        _header(run, opened),
        results_section(evaluation, _further_seeds(run)),
        _answered(answer, opened),
        _generated(generated),
        quality_section(evaluation),
        robustness_section(evaluation),
        _curves(run),
        _tokenizer(run, opened, evaluation),
    ]
    body = "\n".join(section for section in sections if section)
    write_text(out, PAGE.format(title=f"neurolm: {html.escape(run.name)}", style=CSS, body=body))
    return out


def _evaluation(run: Path) -> Evaluation | None:
    from neurolm.evaluation.results import load_evaluation

    return load_evaluation(run / EVALUATION) if (run / EVALUATION).is_file() else None


def _further_seeds(run: Path) -> list[Evaluation]:
    """What the demo found with other seeds."""
    return [e for folder in sorted(run.glob("seed-*")) if (e := _evaluation(folder)) is not None]


def _answer(run: Path) -> Answer | None:
    from neurolm.api import Answer

    path = run / ANSWER
    return load_json(Answer, path) if path.is_file() else None


def _header(run: Path, store: Store | None) -> str:
    from neurolm.checkpoint import load_card

    finished = [stage for stage in STAGES[1:] if (run / stage / "config.json").is_file()]
    facts = [("run", run.name)]
    if finished:
        card: Card = load_card(run / finished[-1])
        made = datetime.fromtimestamp((run / finished[-1] / "config.json").stat().st_mtime, UTC)
        facts += [
            ("made", f"{made:%Y-%m-%d}, neurolm {card.version}"),
            ("recipe", f"{card.run.recipe}, seed {card.run.instruct.seed}"),
            ("finished stages", ", ".join(["language", *finished])),
            ("parameters", parameters(run / finished[-1] / "model.safetensors")),
        ]
        facts += [("question", question) for question in dict.fromkeys(task.question for task in card.tasks)]
    if store is not None:
        facts += [("data", line) for line in corpora(store)]
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in facts)
    return f"<h1>neurolm: {html.escape(run.name)}</h1>\n<table class='facts'>{rows}</table>"


def parameters(weights: Path) -> str:
    """Count the parameters in a file of weights, and those of the frozen tokenizer among them."""
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as file:
        sizes = {name: int(np.prod(file.get_slice(name).get_shape())) for name in file.keys()}  # noqa: SIM118
    tokenizer = sum(size for name, size in sizes.items() if name.startswith("tokenizer."))
    total = sum(sizes.values())
    return f"{total:,}" + (f", of which {tokenizer:,} in the frozen neural tokenizer" if 0 < tokenizer < total else "")


def corpora(store: Store) -> list[str]:
    """Describe each corpus of a store in a line: recordings, subjects, hours, licence."""
    lines = []
    for corpus in sorted({row.corpus for row in store.rows}):
        rows = [row for row in store.rows if row.corpus == corpus]
        hours = sum(row.seconds for row in rows) / 3600
        licences = ", ".join(sorted({row.licence for row in rows}))
        subjects = len({row.subject for row in rows})
        lines.append(f"{corpus}: {len(rows)} recordings of {subjects} subjects, {hours:.1f} h; licence: {licences}")
    return lines


def _answered(answer: Answer | None, store: Store | None) -> str:
    if answer is None:
        return ""
    truth = () if store is None else true_labels(answer, store)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in answer.notes)
    return (
        f"<h2>A question about a recording</h2>\n<p class='answer'>{html.escape(answer.question)}<br>"
        f"<b>{html.escape(answer.answer)}</b>, probability {answer.probability:.2f} "
        f"<span>({html.escape(Path(answer.recording).name)})</span></p>"
        + picture(
            answer_timeline(answer, truth),
            "Timeline of the answer",
            "The height of a colour is the probability of that answer at that time; the answer above is that of the "
            "windows' mean log-odds."
            + (" The bar at the top shows the true label in the same colours." if truth else ""),
        )
        + (f"<ul class='caption'>{notes}</ul>" if notes else "")
    )


def answer_timeline(answer: Answer, truth: Sequence[answers.Stretch] = ()) -> Figure:
    """Draw the timeline of an answer, with the true labels where they are known."""
    starts, stops, probabilities = (
        np.array([getattr(window, name) for window in answer.timeline]) for name in ("start", "stop", "probabilities")
    )
    return answers.timeline(starts, stops, probabilities, answer.options, truth)


def true_labels(answer: Answer, store: Store) -> tuple[answers.Stretch, ...]:
    """Return the labels of the answered recording, where the store has it and its labels are the question's options."""
    path = Path(answer.recording).as_posix()
    rows = [row for row in store.rows if path == row.source or path.endswith(f"/{row.source}")]
    if len(rows) != 1:
        return ()
    labels = [label for label in rows[0].labels if label.label in answer.options]
    tasks = {label.task for label in labels}
    if len(tasks) != 1:
        return ()
    return tuple(answers.Stretch(start=x.start, stop=x.stop, label=x.label) for x in labels)


def _generated(text: str | None) -> str:
    if not text:
        return ""
    return (
        f"<h2>Free text</h2>\n<blockquote>{html.escape(text)}</blockquote>\n<p class='caption'>What the model writes "
        "when it may go on freely after EEG. It is not a checked answer: only the options of a question have "
        "probabilities.</p>"
    )


def _curves(run: Path) -> str:
    logs = {stage: read_log(run / stage) for stage in STAGES}
    logs = {stage: rows for stage, rows in logs.items() if rows}
    if not logs:
        return ""
    return "<h2>Training</h2>\n" + picture(
        training.loss_curves(logs),
        "Losses of every stage",
        "Lines: training, averaged over neighbouring steps. Dots: validation subjects, or text kept back. Dots that "
        "rise while the line falls mean that the stage learns its data by heart. commitment, frequency, raw: how well "
        "codes keep the EEG. domain: how well a classifier tells EEG from text (0.69: not at all). eeg: prediction of "
        "the next second's codes. text: prediction of the next word piece. answer and the tasks' names: the answers.",
    )


def _tokenizer(run: Path, store: Store | None, evaluation: Evaluation | None) -> str:
    if store is None or evaluation is None or not (run / "tokenizer" / "config.json").is_file():
        return ""
    from neurolm.checkpoint import load_tokenizer
    from neurolm.report.reconstruction import code_counts, held_out

    tokenizer, card = load_tokenizer(run / "tokenizer")
    limits = (card.run.tokenizer.max_patches, card.run.model.tokenizer.seconds)
    counts = code_counts(tokenizer, held_out(store, recordings(evaluation.results), limits, most=CODE_WINDOWS))
    parts = [
        "<h2>Neural tokenizer</h2>\n",
        picture(
            codebook(read_log(run / "tokenizer"), counts),
            "Codebook use",
            "Left: how many of the codes are used; perplexity is the number of equally frequent codes that would be as "
            "varied. Few codes in use would mean a collapsed codebook. Right: how even their use is at the end.",
        ),
    ]
    for result in evaluation.results[:TRACES]:
        samples = held_out(store, recordings([result]), limits, most=1)
        if samples:
            parts.append(_trace(tokenizer, samples[0], result.task))
    return "".join(parts)


def recordings(results: Sequence[TaskResult]) -> frozenset[str]:
    """Recordings that were evaluated."""
    return frozenset(name for result in results for name in result.predictions.recordings)


def _trace(tokenizer: NeuralTokenizer, sample: Sample, task: str) -> str:
    from neurolm.core.montage import NAMES
    from neurolm.core.physics import RATE
    from neurolm.report.reconstruction import decode

    decoded = decode(tokenizer, sample)
    electrodes = [NAMES[channel] for channel in sample.channel[: decoded.raw.shape[1]]]
    correlation = np.corrcoef(decoded.raw.ravel(), decoded.waveform.ravel())[0, 1]
    return picture(
        reconstruction(
            decoded.raw, decoded.waveform, electrodes, decoded.spectrum, decoded.decoded_spectrum, rate=RATE
        ),
        f"Reconstructed EEG, {task}",
        f"EEG of a held-out subject ({sample.source}, task {task}) and what the decoders make of it from one code per "
        f"second and electrode. Correlation over the window: {correlation:.2f}. A code is a word, not a recording: "
        "expect slow, strong waves and not fine detail. Right: the mean spectrum, decoded from the same codes.",
    )
