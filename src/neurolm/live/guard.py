"""A guard before a source: samples in order, each once, and a word for all that went wrong.

>>> for arrived in Guard(source): ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from neurolm.live.source import Chunk, Layout, Notice, Source
from neurolm.live.timeline import Oddity, Run, Timeline

_OTHER_RATE = 0.01
"""Relative difference from the declared rate beyond which a source runs at another."""
_MEASURED = 30.0
"""Seconds without interruption over which a rate is measured."""
_NEW = ("channels-changed", "rate-changed")
"""Kinds of notices after which nothing from before counts."""


class Guard:
    """A source like the one that it guards, whose samples are in order and there once.

    Samples that are no number at any electrode count as missing. Gaps, jumps of clocks, samples that come late or
    twice, and a rate that is not the declared one become notices, as `Timeline` finds them.

    Parameters
    ----------
    source
        Where chunks come from.
    live
        Whether they come when they are recorded, which tells a clock that was set from a gap.
    ahead
        By how much `time.monotonic` is ahead of the source's clock, where that is known.
    """

    def __init__(self, source: Source, *, live: bool, ahead: float = math.inf) -> None:
        self._source, self._live, self._ahead = source, live, ahead
        self._layout = source.layout
        self._markers: list[tuple[float, str]] = []
        self._received = 0.0
        self._begin()

    def _begin(self) -> None:
        self._timeline = Timeline(self._layout.rate, live=self._live, ahead=self._ahead)
        self._measure()

    def _measure(self) -> None:
        """Begin to count samples."""
        self._first: float | None = None
        self._counted = 0
        self._measured: float | None = None  # in the stretch before

    @property
    def layout(self) -> Layout:
        """What arrives now."""
        return self._layout

    def __iter__(self) -> Iterator[Chunk | Notice]:
        """Yield chunks and notices until the source ends."""
        for arrived in self._source:
            if isinstance(arrived, Chunk):
                yield from self._chunk(arrived)
                continue
            yield from self._told(self._timeline.flush())
            self._measure()
            if arrived.kind in _NEW:
                self._layout = arrived.layout or self._source.layout
                self._begin()
            yield arrived
        yield from self._told(self._timeline.flush())

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _chunk(self, chunk: Chunk) -> Iterator[Chunk | Notice]:
        there = np.isfinite(chunk.samples).any(axis=0) & np.isfinite(chunk.times)
        times, samples = chunk.times, chunk.samples
        if not there.all():
            times, samples = times[there], samples[:, there]
        self._markers += chunk.markers
        self._received = chunk.received
        yield from self._told(self._timeline.push(times, samples, chunk.received))
        if not self._timeline.held:
            yield from self._own_rate(times)

    def _told(self, found: list[Run | Oddity]) -> Iterator[Chunk | Notice]:
        for one in found:
            if isinstance(one, Run):
                yield self._marked(one)
            else:
                self._measure()
                yield Notice(kind=one.kind, text=str(one), time=one.time)

    def _marked(self, run: Run) -> Chunk:
        """A chunk with what was marked by its end."""
        until = float(run.times[-1]) + 1 / self._layout.rate
        due = tuple(mark for mark in self._markers if mark[0] < until)
        self._markers = [mark for mark in self._markers if mark[0] >= until]
        return Chunk(samples=run.samples, times=run.times, received=self._received, markers=due)

    def _own_rate(self, stamps: np.ndarray) -> Iterator[Notice]:
        """Measure how fast the source runs, over stretches without interruption."""
        if not len(stamps):
            return
        if self._first is None:
            self._first, self._counted = float(stamps[-1]), 0
            return
        self._counted += len(stamps)
        seconds = float(stamps[-1]) - self._first
        if seconds < _MEASURED:
            return
        rate, before, said = self._counted / seconds, self._measured, self._layout.rate
        self._measure()
        self._measured = rate
        # Stamps of arrival may stand still for a moment at either end, but not at both of two stretches.
        if before is not None and min(abs(rate / said - 1), abs(before / said - 1)) > _OTHER_RATE > abs(
            rate / before - 1
        ):
            self._layout = replace(self._layout, rate=rate)
            self._begin()
            text = f"the source runs at {rate:.5g} samples per second, not at {said:g}"
            yield Notice(kind="rate-changed", text=text, time=float(stamps[-1]), layout=self._layout)
