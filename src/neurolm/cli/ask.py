"""neurolm ask recording.edf "Is this EEG segment of high workload?" --model runs/mine"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.cli.show import print_json
from neurolm.cli.values import Machine
from neurolm.core.amounts import duration, likely
from neurolm.core.errors import CheckpointError, QuestionError, RecordingError
from neurolm.core.terminal import say
from neurolm.recording.links import require_content
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    from neurolm.api import Answer, Model

NEAREST = ReadingOptions(unknown="nearest")
MODEL_VARIABLE = "NEUROLM_MODEL"
"""Environment variable that names the model to ask."""
RUNS = Path("runs")
"""Where models are looked for."""
TIMELINE_LINES = 40
BAR = 24
"""Characters of a bar of probability."""


def ask(
    file: Path,
    question: str | None = None,
    *,
    model: Path | None = None,
    options: Sequence[str] | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    risk: float | None = None,
    generate: str | None = None,
    json: bool = False,
    machine: Machine,
) -> None:
    """Ask a question about a recording.

    Parameters
    ----------
    unseen
        What to do with electrodes that the model never saw.
    risk
        Largest share of wrong answers, such as 0.1; else the answer is undecided.
    generate
        Continue this text freely as well.
    """
    if question is None and generate is None and options is not None:
        raise QuestionError("--options are answers to a question: give the question after the file")
    opened = open_model(file, model, machine)
    values, lines = {}, []
    if question is not None or generate is None:
        answer = opened.ask(file, asked(question, opened), options=options, risk=risk, reading=reading, unseen=unseen)
        values, lines = asdict(answer), answer_lines(answer, characters=bar_characters(sys.stdout.encoding))
    if generate is not None:
        values["generated"] = opened.generate(file, generate, reading=reading, unseen=unseen)
        lines += [*([""] if lines else []), f"{generate.strip()} {values['generated']}"]
    print_json(values) if json else say(*lines)


def open_model(file: Path, model: Path | None, machine: Machine) -> Model:
    """Load the model that is to be asked about a recording, after looking whether there is one.

    Raises
    ------
    RecordingError
        If there is no such recording.
    CheckpointError
        If there is no model.
    """
    require_content(file)
    if not file.exists():
        raise RecordingError(f"{file}: no such file; give the path of a recording")
    folder = find_model(model)
    machine.set_threads()

    from neurolm.api import load

    return load(folder, device=machine.device)


def asked(question: str | None, model: Model) -> str:
    """Return the question, if there is one.

    Raises
    ------
    QuestionError
        If there is none, with those that the model knows.
    """
    if question is None:
        raise QuestionError(f"what is the question? The model knows: {'; '.join(model.questions)}")
    return question


def find_model(given: Path | None, *, runs: Path = RUNS) -> Path:
    """Return the folder of the model to ask: as given, by the environment, or the newest finished run.

    Raises
    ------
    CheckpointError
        If none is given and there is no finished run.
    """
    if given is not None:
        return given
    if os.environ.get(MODEL_VARIABLE):
        return Path(os.environ[MODEL_VARIABLE])
    finished = [*runs.glob("*/instruct/config.json"), *runs.glob("*/*/instruct/config.json")]
    if not finished:
        raise CheckpointError(
            f"no model: give the folder of a run with --model or in ${MODEL_VARIABLE}; there is no finished run in "
            f"{runs}/ either (`neurolm demo` makes one)"
        )
    newest = max(finished, key=lambda file: (file.stat().st_mtime, str(file))).parent.parent
    say(f"model: {newest}, the newest finished run in {runs}/ (--model chooses another)", error=True)
    return newest


def bar_characters(encoding: str | None) -> str:
    """Characters of the full and the empty part of a bar that an encoding has."""
    try:
        "█░".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#."
    return "█░"


def answer_lines(answer: Answer, *, characters: str = "█░", lines: int = TIMELINE_LINES) -> list[str]:
    """Write an answer for a terminal: the answer, every option, the timeline, the notes.

    Parameters
    ----------
    characters
        For the full and the empty part of a bar.
    lines
        Most lines of the timeline: neighbouring windows of a long recording share one.
    """
    width = max(len(option) for option in answer.options)
    said = "" if answer.calibrated else "likelihood "  # which is no probability of being right

    def row(label: str, probability: float) -> str:
        if not answer.trained:  # a guess has no size
            return label
        filled = round(BAR * probability)
        bar = characters[0] * filled + characters[1] * (BAR - filled)
        return f"{label:<{width}}  {bar}  {said}{likely(probability)}"

    windows = len(answer.timeline)
    out = [
        answer.question,
        _verdict(answer),
        f"{answer.recording}: {windows} window{'s' if windows > 1 else ''}, {len(answer.electrodes)} electrodes",
        *_spoke(answer),
        "",
        *(f"  {row(o, p)}".rstrip() for o, p in _ordered(answer)),
    ]
    spans = condense(answer, lines)
    share = math.ceil(windows / lines)
    out += ["", "timeline" + (f", each line the mean of up to {share} windows" if share > 1 else "")]
    for start, stop, probabilities in spans:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        line = row(answer.options[best], probabilities[best])
        out.append(f"  {duration(start):>7} – {duration(stop):<7}  {line}{_sure(answer, start, stop)}".rstrip())
    return [*out, *([""] if answer.notes else []), *(f"note: {note}" for note in answer.notes)]


def _spoke(answer: Answer) -> list[str]:
    """How much language model and evidence spoke; of a guess, which has no size, that no evidence did."""
    found = answer.contributions
    if found is None:
        return []
    return [found.in_words if answer.trained else f"no evidence spoke, since {found.no_evidence}"]


def _ordered(answer: Answer) -> list[tuple[str, float]]:
    """The options with their probabilities; those of a guess by their likelihood, which is all that is said of it."""
    every = list(zip(answer.options, answer.probabilities, strict=True))
    return every if answer.trained else sorted(every, key=lambda one: -one[1])


def _sure(answer: Answer, start: float, stop: float) -> str:
    """What is said of a stretch of the timeline of which too little is decided; a guess never is."""
    if not answer.trained:
        return ""
    part = [window.decided for window in answer.timeline if window.start >= start and window.stop <= stop]
    return "" if sum(part) * 2 >= len(part) else "  undecided"


def _verdict(answer: Answer) -> str:
    """The answer with its probability, its interval and, where a risk was stated, what it takes to answer.

    What is not calibrated has no probability: a likelihood of 1 can be a guess.
    """
    best = answer.options[answer.probabilities.index(max(answer.probabilities))]
    leaning = "" if answer.answer in answer.options else f" (likeliest: {best})"
    low, high = answer.interval or (0.0, 0.0)
    if not answer.trained:
        return f"{answer.answer}{leaning}; a guess: the model was not tuned on this question"
    if not answer.calibrated:
        return f"{answer.answer}{leaning}, not calibrated: how probable it is cannot be said"
    interval = f" ({likely(low)} to {likely(high)})" if answer.interval else ""
    needed = "" if answer.threshold is None else f"; {answer.threshold:.2f} needed for a risk of {answer.risk:g}"
    unlike = f"; {answer.outside:.0%} of the windows are unlike the training data" if answer.unlike else ""
    return f"{answer.answer}{leaning}, probability {likely(answer.probability)}{interval}{needed}{unlike}"


def condense(answer: Answer, lines: int) -> list[tuple[float, float, list[float]]]:
    """Return about so many parts of a timeline: start, stop (seconds) and mean probability of each option.

    They bridge gaps of the recording only where there are more gaps than lines.
    """
    share = math.ceil(len(answer.timeline) / lines)
    spans = []
    runs = answer.runs
    for run in runs if len(runs) <= lines else [answer.timeline]:
        for first in range(0, len(run), share):
            part = run[first : first + share]
            mean = [sum(column) / len(part) for column in zip(*(w.probabilities for w in part), strict=True)]
            spans.append((part[0].start, part[-1].stop, mean))
    return spans
