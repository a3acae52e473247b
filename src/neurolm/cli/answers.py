"""Answers in a terminal: the answer with its probability, every option, the timeline, the notes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from neurolm.ask.rows import recording_rows
from neurolm.ask.verdict import verdict
from neurolm.core.amounts import duration, likely, many

if TYPE_CHECKING:
    from neurolm.ask.answer import Answer
    from neurolm.ask.rows import Outcome

TIMELINE_LINES = 40
BAR = 24
"""Characters of a bar of probability."""


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
        verdict(answer),
        f"{answer.recording}: {many(windows, 'window')}, {many(len(answer.electrodes), 'electrode')}",
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


def short_lines(outcome: Outcome) -> Iterator[str]:
    """Write what became of one of many recordings: a line for each question."""
    for row, answer in zip(recording_rows(outcome), outcome.answers, strict=True):
        asked = f" {answer.question}" if len(outcome.answers) > 1 else ""
        few = f"; {row.agreeing:,} of {many(row.windows, 'window')} agree" if 2 * row.agreeing < row.windows else ""
        yield f"{outcome.recording}:{asked} {verdict(answer)}{few}"


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
