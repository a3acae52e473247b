"""A recording of any format as if it were recorded now: ``file:night.edf``, ``file:night.edf?speed=max``

Block by block, so that memory does not grow with its length. MNE-LSL's player sends recordings through the Lab
Streaming Layer, loaded whole and in real time; this one needs no network and goes as fast as it is listened to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from neurolm.core.stretches import Stretches, without
from neurolm.live.source import Chunk, Layout, Notice
from neurolm.live.sources.pace import Pace
from neurolm.live.sources.settings import speed, split_settings
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import Recording, open_recording

_BLOCK_SECONDS = 20.0
"""Seconds that are read from the file at a time."""


class Replay:
    """A recording that is given out in order, at some speed.

    Its clock is the time in the recording. Interruptions, and what annotations call bad, are missing from the times of
    the samples, and are not waited for; annotations are markers.
    """

    def __init__(self, recording: Recording, pace: Pace) -> None:
        self._recording, self._pace = recording, pace
        self._marks = sorted((mark.onset, mark.text) for mark in recording.annotations)
        name = recording.path.name if recording.path else "a recording"
        self._layout = Layout(channels=recording.channels, rate=recording.rate, name=name, notes=tuple(recording.notes))

    @property
    def layout(self) -> Layout:
        """What arrives."""
        return self._layout

    @property
    def stretches(self) -> Stretches:
        """What is given out."""
        return without(self._recording.stretches, self._recording.bad)

    def __iter__(self) -> Iterator[Chunk | Notice]:
        """Yield the recording from its beginning, each time it is iterated."""
        rate, given, marked = self._recording.rate, 0, 0
        for first, samples in self._chunks():
            given += samples.shape[1]
            if not self._pace.wait(given / rate):
                return
            until = (first + samples.shape[1]) / rate
            before = marked
            while marked < len(self._marks) and self._marks[marked][0] < until:
                marked += 1
            yield Chunk(
                samples=samples,
                times=(first + np.arange(samples.shape[1])) / rate,
                received=time.monotonic(),
                markers=tuple(self._marks[before:marked]),
            )
        yield Notice(kind="ended", text="the recording is over", time=self._recording.seconds)

    def _chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """First sample and samples of each chunk."""
        rate = self._recording.rate
        step = max(1, round(self._pace.chunk_seconds * rate))
        block = step * max(1, round(_BLOCK_SECONDS * rate / step))
        for stretch in self.stretches:
            for first, last in _parts(stretch.start, stretch.stop, block):
                samples = self._recording.read_samples(first, last)
                for one, other in _parts(first, last, step):
                    yield one, samples[:, one - first : other - first].copy()

    def close(self) -> None:
        """End the replay."""
        self._pace.close()


def _parts(first: int, last: int, step: int) -> Iterator[tuple[int, int]]:
    yield from pairwise([*range(first, last, step), last])


def open_replay(rest: str, reading: ReadingOptions) -> Replay:
    """Open the recording of ``file:PATH[?speed=8]``.

    Raises
    ------
    RecordingError
        If it cannot be opened.
    ConfigError
        For a setting that does not exist.
    """
    path, settings = split_settings(rest, {"speed": speed}, "file")
    return Replay(open_recording(Path(path), reading=reading), Pace(settings.get("speed", 1.0)))
