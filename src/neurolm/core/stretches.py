"""Stretches of a recording that nothing interrupts: where each lies in time, and where its samples are

>>> night = without(whole(1000), [(400, 500)])
>>> [(stretch.start, stretch.stop, stretch.first) for stretch in night]
[(0, 400, 0), (500, 1000, 500)]

Time is counted in samples from the start of the recording, gaps included, so that a moment is the same moment whatever
is missing before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples that follow one another in time."""

    start: int
    """When it begins: samples since the start of the recording, gaps included."""
    samples: int
    first: int
    """Where its samples begin among those that are there."""

    @property
    def stop(self) -> int:
        """When it has ended."""
        return self.start + self.samples

    def part(self, start: int, stop: int) -> Stretch:
        """What of it lies between two moments; nothing of it may lie outside them."""
        return Stretch(start, stop - start, self.first + start - self.start)


Stretches = Sequence[Stretch]
"""In their order, none of which reaches into the next."""
Spans = Iterable[tuple[int, int]]
"""Parts of a recording's time: first sample, and the one after the last."""


def whole(samples: int) -> tuple[Stretch, ...]:
    """Return the one stretch of a recording that nothing interrupts."""
    return (Stretch(0, samples, 0),)


def one_after_another(spans: Spans) -> tuple[Stretch, ...]:
    """Return stretches between pairs of moments whose samples are kept one after another."""
    stretches, first = [], 0
    for start, stop in spans:
        stretches.append(Stretch(start, stop - start, first))
        first += stop - start
    return tuple(stretches)


def split(stretches: Stretches, moments: Iterable[int]) -> tuple[Stretch, ...]:
    """Let stretches end, and new ones begin, at some moments, with nothing lost between them."""
    at = sorted(set(moments))
    found = []
    for stretch in stretches:
        edges = [stretch.start, *(moment for moment in at if stretch.start < moment < stretch.stop), stretch.stop]
        found += [stretch.part(start, stop) for start, stop in pairwise(edges)]
    return tuple(found)


def without(stretches: Stretches, spans: Spans) -> tuple[Stretch, ...]:
    """Cut spans, which may overlap, out of stretches."""
    out = sorted(spans)
    found = []
    for stretch in stretches:
        start = stretch.start
        for first, last in out:
            if last <= start or first >= stretch.stop or first >= last:
                continue
            if start < first:
                found.append(stretch.part(start, first))
            start = max(start, last)
        if start < stretch.stop:
            found.append(stretch.part(start, stretch.stop))
    return tuple(found)


def united(spans: Spans) -> list[tuple[int, int]]:
    """Return spans that do not overlap."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def overlapping(stretches: Stretches, start: int, stop: int) -> tuple[Stretch, ...]:
    """Return the parts of stretches between two moments."""
    return tuple(
        stretch.part(max(start, stretch.start), min(stop, stretch.stop))
        for stretch in stretches
        if max(start, stretch.start) < min(stop, stretch.stop)
    )


def holding(stretches: Stretches, start: int, stop: int) -> Stretch | None:
    """Return the part between two moments of the stretch that has all of it, None where there is none."""
    at = bisect_right(stretches, start, key=attrgetter("start")) - 1
    return stretches[at].part(start, stop) if at >= 0 and stop <= stretches[at].stop else None


def moment(stretches: Stretches, sample: int) -> int:
    """Return when a sample is, by its place among those that are there.

    Raises
    ------
    IndexError
        If there is no such sample.
    """
    for stretch in stretches:
        if stretch.first <= sample < stretch.first + stretch.samples:
            return stretch.start + sample - stretch.first
    raise IndexError(f"no sample {sample}")


def joined(stretches: Stretches, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the moments between which samples lie, counted over stretches one after another.

    What reaches over the end of a stretch is in several parts.
    """
    found, before = [], 0
    for stretch in stretches:
        first, last = max(start - before, 0), min(stop - before, stretch.samples)
        if first < last:
            found.append((stretch.start + first, stretch.start + last))
        before += stretch.samples
    return found
