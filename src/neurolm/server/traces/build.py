"""A recording becomes a pyramid: what a process of its own does, step by step

>>> begin(path, reading, folder)    # opens it
>>> advance(0.5)                    # works for half a second; returns the share that is done, 1 at the end

The folder is there when all of it is: what was interrupted is begun anew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.core.files import PARTIAL, dump_json
from neurolm.core.stretches import joined, united
from neurolm.core.terminal import printable
from neurolm.recording import checks
from neurolm.recording.interruptions import is_bad
from neurolm.recording.isolation import confine, limited_memory, size_of
from neurolm.recording.options import ReadingOptions
from neurolm.server.traces.order import side
from neurolm.server.traces.pyramid import CHUNK, META, Pyramid, Writer, space
from neurolm.server.traces.source import Source, open_source

MOST_ANNOTATIONS = 20_000
"""Annotations that a page gets; more are counted."""
LONGEST_TEXT = 2_000
"""Signs of an annotation that are kept."""
_AT_ONCE = 1 << 22  # numbers that are in memory at a time
_building: Build | None = None
"""In such a process: what is being made."""


def begin(path: Path, reading: ReadingOptions, folder: Path, roots: tuple[Path, ...] = ()) -> None:
    """Open a recording whose pyramid shall be made; readers in processes of their own have limits of their own.

    Parameters
    ----------
    path, reading
        The recording, and how it is read.
    folder
        Where the pyramid will be.
    roots
        What ``isolation.confined`` returns in the process that asks: what strangers' files may name.

    Raises
    ------
    RecordingError
        If it cannot be read.
    WriteError
        If there is no space.
    """
    global _building
    if _building is not None:
        _building.close()
    for root in roots:
        confine(root)
    _building = None  # before another one takes memory
    _building = Build(path, reading, folder)


def advance(seconds: float) -> float:
    """Go on for some time; returns the share that is done, 1 when the folder is there.

    Raises
    ------
    RecordingError, WriteError
        As for ``begin``.
    """
    global _building
    assert _building is not None, "nothing was begun"
    with limited_memory(_building.size):
        done = _building.advance(seconds)
    if done >= 1:
        _building = None
    return done


class Build:
    """A pyramid that is being made of a recording."""

    def __init__(self, path: Path, reading: ReadingOptions, folder: Path) -> None:
        self.size = size_of(path)
        self._folder, self._temporary = folder, folder.with_name(f".{folder.name}{PARTIAL}")
        self._source = source = open_source(path, reading)
        shutil.rmtree(self._temporary, ignore_errors=True)
        with space(self._folder.parent):
            self._temporary.mkdir(parents=True)
        samples = source.recording.samples
        self._writer = Writer(self._temporary, len(source.channels), samples, source.gain, source.offset)
        spans = united((s.start // CHUNK, -(-s.stop // CHUNK)) for s in source.recording.stretches)
        self._all, self._done = sum(last - first for first, last in spans), 0
        self._blocks = _blocks(spans, max(1, _AT_ONCE // (CHUNK * len(source.channels))))

    def advance(self, seconds: float) -> float:
        """Write blocks of chunks for some time, and in the end what is known of the whole."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            block = next(self._blocks, None)
            if block is None:
                self._finish()
                return 1.0
            first, last = block
            self._writer.add(first, self._source.read(first * CHUNK, last * CHUNK))
            self._done += last - first
        return min(self._done / self._all, 0.999)

    def close(self) -> None:
        """Give up."""
        self._writer.__exit__()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _finish(self) -> None:
        self._writer.finish()
        self._writer.__exit__()
        meta = _describe(self._source)
        _measure(meta, Pyramid(self._temporary, meta), self._source)
        with space(self._temporary):
            (self._temporary / META).write_text(dump_json(meta), encoding="utf-8")
            self._temporary.rename(self._folder)


def _blocks(spans: list[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    for start, stop in spans:
        for first in range(start, stop, most):
            yield first, min(first + most, stop)


def _describe(source: Source) -> dict[str, Any]:
    """What a page has to know beside the samples."""
    recording = source.recording
    said = recording.annotations[:MOST_ANNOTATIONS]
    return {
        "rate": recording.rate,
        "samples": recording.samples,
        "start_time": source.start_time,
        "stretches": [(stretch.start, stretch.stop) for stretch in recording.stretches],
        "channels": [
            {
                "name": one.name, "label": one.label, "electrode": one.electrode, "kind": one.kind, "unit": one.unit,
                "side": side(one.electrode), "bad": one.bad, "baseline": 0.0,
            }
            for one in source.channels
        ],
        "annotations": [
            {
                "start": mark.onset, "duration": mark.duration, "bad": is_bad(mark.text),
                "text": printable(mark.text[:LONGEST_TEXT], line=True),
            }
            for mark in said
        ],
        "more_annotations": len(recording.annotations) - len(said),
    }  # fmt: skip


def _measure(meta: dict[str, Any], pyramid: Pyramid, source: Source) -> None:
    """Each channel's median, and what is wrong with it, by up to a minute of the signal."""
    recording, channels = source.recording, meta["channels"]
    there = sum(stretch.samples for stretch in recording.stretches)
    spans = [
        part
        for first, last in checks.blocks(there, recording.rate)
        for part in joined(recording.stretches, first, last)
    ]
    parts = [pyramid.samples(first, last).astype(np.float64) for first, last in spans]
    whole = np.concatenate(parts, axis=1)
    for channel, values in zip(channels, whole, strict=True):
        numbers = values[checks.is_number(values)]
        channel["baseline"] = float(np.median(numbers)) if len(numbers) else 0.0
    eeg = [i for i, channel in enumerate(channels) if channel["kind"] == "eeg" and channel["unit"] is not None]
    if not eeg:
        return
    quality = checks.measure_quality([part[eeg] for part in parts], recording.rate)
    enough = quality.samples >= checks.BLOCK_SECONDS * recording.rate
    for i, why in _wrong(quality, [channels[i]["name"] for i in eeg], enough=enough).items():
        channel = channels[eeg[i]]
        channel["bad"] = channel["bad"] or why


def _wrong(quality: checks.SignalQuality, names: list[str], *, enough: bool) -> dict[int, str]:
    """Index → why a channel is bad; of too short a signal nobody can tell whether two channels show the same."""
    found = dict(quality.unusable)
    if checks.plausible(quality.typical):  # else it is not the channel that is odd
        for i, amplitude in enumerate(quality.amplitude):
            if not checks.plausible(amplitude):
                odd = "noisy" if amplitude > quality.typical else "hardly any signal"
                found.setdefault(i, f"{odd}: amplitude {checks.readable(float(amplitude))} µV")
    alike = quality.difference < checks.ALIKE
    if enough and not alike.any(axis=1).all():  # all of one signal: a reference, say, that hides the EEG
        for i in np.flatnonzero(alike.any(axis=1)).tolist():
            others = ", ".join(names[j] for j in np.flatnonzero(alike[i]).tolist()[: checks.NAMED_PAIRS])
            found.setdefault(i, f"one signal with {others}: bridged by gel, or a copy")
    return found
