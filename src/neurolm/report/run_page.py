"""The report of a run: one HTML file with its figures inside, readable without a network for years.

    neurolm report RUN

What a run has not reached yet is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.ask.answer import Answer
from neurolm.core.amounts import many
from neurolm.core.config import STAGES
from neurolm.core.decode import load_json
from neurolm.core.errors import CheckpointError
from neurolm.evaluation.published import published
from neurolm.evaluation.results import RESULTS, Evaluation, TaskResult, load_evaluation
from neurolm.report.drawings import answers as draw
from neurolm.report.drawings.tokenizer import codebook, reconstruction
from neurolm.report.drawings.training import loss_curves
from neurolm.report.page import write_page
from neurolm.report.tables import PUBLISHED, protocol_table, published_table, results_table, seeds_table
from neurolm.store.store import Label, Store
from neurolm.train.figures.history import LOG, read_log

if TYPE_CHECKING:
    from neurolm.batches.loader import Sample
    from neurolm.model.tokenizer import NeuralTokenizer

ANSWER, STORE, REPORT = "answer.json", "store", "report.html"
"""What the demo calls its files in a run's folder."""
TRACES = 3
"""Tasks of which a reconstructed window is shown."""
CODE_WINDOWS = 64
"""Held-out windows over which the use of codes is counted."""


def write_report(
    run: Path, *, out: Path, store: Path | str | None = None, answer: Answer | None = None, generated: str | None = None
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
    if not any((run / stage / LOG).is_file() for stage in STAGES):
        raise CheckpointError(f"{run}: no run here (none of its stages has a log.jsonl); give the folder of a run")
    folder = store or run / STORE
    opened = Store(folder) if store is not None or (run / STORE).is_dir() else None
    evaluation = load_evaluation(run / RESULTS) if (run / RESULTS).is_file() else None
    if answer is None and (run / ANSWER).is_file():
        answer = load_json(Answer, run / ANSWER)
    logs = {stage: rows for stage in STAGES if (rows := read_log(run / stage))}
    return write_page(
        out,
        "run.html",
        name=run.name,
        facts=_facts(run, opened),
        generated=generated,
        losses=loss_curves(logs) if logs else None,
        **_answered(answer, opened),
        **_evaluated(evaluation, run),
        **_tokenized(run, opened, evaluation),
    )


def _facts(run: Path, store: Store | None) -> list[tuple[str, str]]:
    from neurolm.checkpoint import load_card
    from neurolm.hub.publish import read_with

    finished = [stage for stage in STAGES[1:] if (run / stage / "config.json").is_file()]
    facts = [("run", run.name)]
    if finished:
        card = load_card(run / finished[-1])
        made = datetime.fromtimestamp((run / finished[-1] / "config.json").stat().st_mtime, UTC)
        facts += [
            ("made", f"{made:%Y-%m-%d}, neurolm {card.version}"),
            ("recipe", f"{card.run.recipe}, seed {card.run.instruct.seed}"),
            ("finished stages", ", ".join(["language", *finished])),
            ("parameters", _parameters(run / finished[-1])),
        ]
        facts += [("question", question) for question in dict.fromkeys(task.question for task in card.tasks)]
        facts += [("how answers are read", line) for line in read_with(run / finished[-1])]
    if store is not None:
        facts += [("data", line) for line in corpora(store)]
        facts += [("filters", store.filters)]
    return facts


def _parameters(folder: Path) -> str:
    from neurolm.checkpoint import ADAPTER, WEIGHTS, AdapterFile

    if (adapter := AdapterFile.load(folder)) is None:
        return parameters(folder / WEIGHTS)
    bases = " and ".join(base.hub or base.folder for base in adapter.bases)
    return f"{parameters(folder / ADAPTER)} in adapters and beside them; the others are those of {bases}"


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
        whose = f"{many(len(rows), 'recording')} of {many(subjects, 'subject')}"
        lines.append(f"{corpus}: {whose}, {hours:.1f} h; licence: {licences}")
    return lines


def _answered(answer: Answer | None, store: Store | None) -> dict[str, Any]:
    if answer is None:
        return {"answer": None}
    truth = () if store is None else true_labels(answer, store)
    recording = Path(answer.recording).name
    return {"answer": answer, "recording": recording, "truth": truth, "timeline": draw.timeline(answer, truth)}


def true_labels(answer: Answer, store: Store) -> tuple[Label, ...]:
    """Return the labels of the answered recording, where the store has it and its labels are the question's options."""
    path = Path(answer.recording).as_posix()
    rows = [row for row in store.rows if path == row.source or path.endswith(f"/{row.source}")]
    if len(rows) != 1:
        return ()
    labels = tuple(label for label in rows[0].labels if label.label in answer.options)
    return labels if len({label.task for label in labels}) == 1 else ()


def _evaluated(evaluation: Evaluation | None, run: Path) -> dict[str, Any]:
    if evaluation is None:
        return {"evaluation": None, "disturbed": ()}
    results, names = evaluation.results, [result.task for result in evaluation.results]
    further = [load_evaluation(path) for path in sorted(run.glob(f"seed-*/{RESULTS}"))]  # the demo's other seeds
    answers = [draw.Answers.of([result]) for result in results]
    disturbed = [result for result in results if result.robustness]
    return {
        "evaluation": evaluation,
        "results": results_table(evaluation),
        "protocol": protocol_table(evaluation),
        "others": published_table(names, scores=PUBLISHED),
        "sources": [figure for name in names for figure in published(name)],
        "seeds": seeds_table([evaluation, *further]) if further else None,
        "seed_numbers": [found.seed for found in (evaluation, *further)],
        "confusion": draw.confusion_matrices(answers),
        "reliability": draw.reliability_diagrams(answers),
        "risk": draw.risk_coverage(results),
        "disturbed": disturbed,
        "robustness": draw.robustness(disturbed) if disturbed else None,
    }


def _tokenized(run: Path, store: Store | None, evaluation: Evaluation | None) -> dict[str, Any]:
    if store is None or evaluation is None or not (run / "tokenizer" / "config.json").is_file():
        return {"codebook": None}
    from neurolm.checkpoint import load_tokenizer
    from neurolm.report.reconstruction import code_counts, held_out

    tokenizer, card = load_tokenizer(run / "tokenizer")
    limits = (card.run.tokenizer.max_patches, card.run.model.tokenizer.seconds)
    counts = code_counts(tokenizer, held_out(store, recordings(evaluation.results), limits, most=CODE_WINDOWS))
    samples = {
        result.task: held_out(store, recordings([result]), limits, most=1) for result in evaluation.results[:TRACES]
    }
    return {
        "codebook": codebook(read_log(run / "tokenizer"), counts),
        "traces": [_trace(tokenizer, sample, task) for task, found in samples.items() for sample in found],
    }


def recordings(results: Sequence[TaskResult]) -> frozenset[str]:
    """Recordings that were evaluated."""
    return frozenset(name for result in results for name in result.predictions.recordings)


def _trace(tokenizer: NeuralTokenizer, sample: Sample, task: str) -> dict[str, Any]:
    from neurolm.core.montage import NAMES
    from neurolm.signals.decoded import decode

    decoded = decode(tokenizer, sample)
    electrodes = [NAMES[channel] for channel in sample.channel[: decoded.raw.shape[1]]]
    correlation = np.corrcoef(decoded.raw.ravel(), decoded.waveform.ravel())[0, 1]
    figure = reconstruction(decoded, electrodes)
    return {"figure": figure, "task": task, "source": sample.source, "correlation": correlation}
