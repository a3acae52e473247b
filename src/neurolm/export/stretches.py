"""Windows of an answer as stretches of time that do not overlap, as annotations have them

A moment that lies in several windows belongs to the one whose centre is nearest: two windows that overlap meet half-way
between their centres. No stretch reaches beyond its window, so what was not recorded belongs to none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from neurolm.ask.answer import GAP, UNDECIDED, Answer, WindowAnswer
from neurolm.ask.rows import best_option


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch of a recording with one answer."""

    start: float
    """Seconds from the start of the recording."""
    stop: float
    answer: str
    """An option; ``undecided`` where a risk was stated and no option is likely enough in the windows."""
    likeliest: str
    """The likeliest option, also where nothing is decided."""
    probabilities: tuple[float, ...]
    """Of every option: the mean over the windows, each for its part of the stretch."""
    windows: int
    """How many it is made of."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.stop - self.start

    @property
    def probability(self) -> float:
        """Of the likeliest option."""
        return max(self.probabilities)


def stretches_of(answer: Answer, *, merge: bool = True) -> tuple[Stretch, ...]:
    """Return the stretches of an answer in the order of time.

    Parameters
    ----------
    merge
        Whether neighbours with the same answer become one.
    """
    edges = [(one.start + one.stop + other.start + other.stop) / 4 for one, other in pairwise(answer.timeline)]
    each = [
        _stretch(answer, window, max(window.start, before), min(window.stop, after))
        for window, before, after in zip(answer.timeline, [float("-inf"), *edges], [*edges, float("inf")], strict=True)
    ]
    return _merged(each) if merge else tuple(each)


def _stretch(answer: Answer, window: WindowAnswer, start: float, stop: float) -> Stretch:
    likeliest = answer.options[best_option(window.probabilities)]
    decided = window.decided or not answer.trained
    return Stretch(
        start=start, stop=stop, answer=likeliest if decided else UNDECIDED, likeliest=likeliest,
        probabilities=window.probabilities, windows=1,
    )  # fmt: skip


def _merged(each: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Neighbours with the same answer as one."""
    runs: list[list[Stretch]] = []
    for one in each:
        last = runs[-1][-1] if runs else None
        same = last is not None and (last.answer, last.likeliest) == (one.answer, one.likeliest)
        if last is not None and same and one.start - last.stop < GAP:
            runs[-1].append(one)
        else:
            runs.append([one])
    return tuple(_joined(run) for run in runs)


def _joined(run: Sequence[Stretch]) -> Stretch:
    if len(run) == 1:
        return run[0]
    total = sum(one.duration for one in run)
    means = (
        sum(one.duration * share for one, share in zip(run, column, strict=True)) / total
        for column in zip(*(one.probabilities for one in run), strict=True)
    )
    return replace(run[0], stop=run[-1].stop, probabilities=tuple(means), windows=sum(one.windows for one in run))
