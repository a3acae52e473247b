"""The pyramid: samples as int16, and their extremes at every coarser level, in files that are mapped

>>> pyramid = Pyramid(folder)
>>> pyramid.samples(0, 2560)        # float32 (channels, samples), µV; NaN where nothing was recorded
>>> pyramid.extremes(3, 0, 1000)    # float32 (channels, bins, 2): of 4 ** 3 samples each

Level 0 has the samples at the recording's own rate; a bin of level n holds the smallest and the largest of 4 ** n
samples. A level is cut into chunks of ``CHUNK`` samples or bins of all channels, so that a page is one or two
contiguous reads. Each channel of a chunk has a scale and an offset of its own, from its real range: nothing is ever
clipped, and a direct-coupled amplifier's millivolts take nothing from the resolution of the EEG on them. Numbers are
kept with their highest bit turned, so that 0 means that nothing is there: a gap of days is a hole in the file and takes
no space.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.core.errors import WriteError
from neurolm.core.small_files import LARGE, parse_json, read_text

CHUNK = 4096
"""Samples, or bins, of each channel in a chunk: 16 s at 256 Hz."""
FACTOR = 4
"""Bins of a level in one of the next."""
COARSEST = 2048
"""Bins at which no coarser level is made."""
NOTHING = np.int16(-32768)
"""Where nothing was recorded; in files, 0."""
LARGEST = 32767
META = "traces.json"
"""What else is known of a recording: the file whose presence says that all others are whole."""


def level_count(samples: int) -> int:
    """Return the number of levels of a recording, that of the samples included."""
    levels = 1
    while samples > COARSEST:
        samples, levels = -(-samples // FACTOR), levels + 1
    return levels


def _length(samples: int, level: int) -> int:
    """Samples or bins of a level."""
    return -(-samples // FACTOR**level)


def _files(folder: Path, level: int) -> tuple[Path, Path]:
    return folder / f"level-{level}.i2", folder / f"level-{level}.f8"


@dataclass(frozen=True)
class Quantised:
    """Numbers as whole ones: number = count × scale + offset."""

    counts: np.ndarray
    """int16 of the same shape; ``NOTHING`` for NaN."""
    scale: np.ndarray
    """float64 without the last axis."""
    offset: np.ndarray


def quantise(numbers: np.ndarray, *, whole: bool = False, ranges: bool = False) -> Quantised:
    """Turn numbers into int16 with a scale and an offset for each row, the last axis, that fit its range.

    Parameters
    ----------
    numbers
        Whole numbers, or floats with NaN where there is nothing, of shape (…, numbers).
    whole
        Whether floats are whole numbers, which are kept as they are where their range lets them.
    ranges
        Whether they are smallest and largest values in turn, whose range must not become smaller by rounding.
    """
    if numbers.dtype == np.int16 and numbers.min(initial=0) > NOTHING:
        return Quantised(numbers, np.ones(numbers.shape[:-1]), np.zeros(numbers.shape[:-1]))
    missing = np.isnan(numbers) if numbers.dtype.kind == "f" else None
    if missing is not None and not missing.any():
        missing = None
    low, high = (_extreme(numbers, missing, which) for which in (np.minimum, np.maximum))
    if whole or numbers.dtype.kind == "i":
        fits = max(-low.min(initial=0), high.max(initial=0)) <= LARGEST
        scale = np.ones_like(low) if fits else np.maximum((high - low) / (2 * LARGEST), 1.0)
        offset = np.zeros_like(low) if fits else np.floor((low + high) / 2)
    else:
        span, fits = high - low, False
        scale = np.where(span > 0, span / (2 * LARGEST - 2), 1.0)  # -2: room for rounding
        offset = (low + high) / 2
    steps = numbers if fits else (numbers - offset[..., None]) / scale[..., None]
    if not fits and ranges:
        np.floor(steps[..., ::2], out=steps[..., ::2])
        np.ceil(steps[..., 1::2], out=steps[..., 1::2])
    elif not fits:
        np.rint(steps, out=steps)
    if not fits:
        np.clip(steps, -LARGEST, LARGEST, out=steps)  # at most a step beyond, by rounding
    if missing is not None:
        steps = np.where(missing, NOTHING, steps)
    return Quantised(steps.astype(np.int16), scale, offset)


def _extreme(numbers: np.ndarray, missing: np.ndarray | None, which: np.ufunc) -> np.ndarray:
    """The smallest or largest number of each row that is one, in double precision; 0 where there is none."""
    neutral = np.inf if which is np.minimum else -np.inf
    known = numbers if missing is None else np.where(missing, neutral, numbers)
    found = which.reduce(known, axis=-1).astype(np.float64)
    return np.where(np.isfinite(found), found, 0.0)


def coarser(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return extremes of every ``FACTOR`` neighbours on the last axis, whose length it divides; NaN is passed over."""
    least, most = (np.fmin, np.fmax) if low.dtype.kind == "f" else (np.minimum, np.maximum)
    a, b, c, d = (low[..., i::FACTOR] for i in range(FACTOR))
    e, f, g, h = (high[..., i::FACTOR] for i in range(FACTOR))
    return least(least(a, b), least(c, d)), most(most(e, f), most(g, h))


class Writer:
    """Writes a pyramid chunk by chunk, in the order of time; use it in a ``with`` statement.

    Parameters
    ----------
    folder
        Where the files are made.
    channels, samples
        Of level 0, gaps included.
    gain, offset
        float64 of shape (channels,): microvolts = number × gain + offset.
    """

    def __init__(self, folder: Path, channels: int, samples: int, gain: np.ndarray, offset: np.ndarray) -> None:
        self._folder, self._channels, self._samples = folder, channels, samples
        self._gain, self._offset = gain, offset
        self._levels = level_count(samples)
        self._pending = [np.full((channels, CHUNK, 2), np.nan, np.float32) for _ in range(self._levels - 1)]
        self._at = [-1] * (self._levels - 1)  # the chunk that is pending
        self._whole = True  # whether all numbers are
        self._handles: list[tuple[int, int]] = []
        with space(folder):
            for level in range(self._levels):
                chunks = -(-_length(samples, level) // CHUNK)
                pair = []
                sizes = chunks * channels * CHUNK * (2 if level == 0 else 4), chunks * channels * 2 * 8
                for file, size in zip(_files(folder, level), sizes, strict=True):
                    pair.append(os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
                    os.ftruncate(pair[-1], size)
                self._handles.append((pair[0], pair[1]))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        for pair in self._handles:
            for handle in pair:
                os.close(handle)

    def add(self, chunk: int, parts: Sequence[tuple[Sequence[int], np.ndarray, bool]]) -> None:
        """Write some chunks of all channels that follow one another.

        Parameters
        ----------
        chunk
            Number of the first one; larger than those of all before.
        parts
            Channels; numbers of shape (channels, chunks × ``CHUNK``), whole ones or floats with NaN where nothing is;
            whether they are whole.
        """
        count = parts[0][1].shape[1] // CHUNK
        counts = np.empty((count, self._channels, CHUNK), np.int16)
        table = np.empty((count, self._channels, 2))
        low = np.empty((self._channels, count * CHUNK // FACTOR), np.float32)
        high = np.empty_like(low)
        whole_numbers = True
        for places, numbers, whole in parts:
            rows = _as_slice(places)
            found = quantise(numbers.reshape(len(numbers), count, CHUNK), whole=whole)
            whole_numbers = whole_numbers and whole
            counts[:, rows] = found.counts.transpose(1, 0, 2) ^ NOTHING
            table[:, rows] = self._in_microvolts(found, rows).transpose(1, 0, 2)
            if self._levels > 1:
                low[rows], high[rows] = coarser(numbers, numbers)
        self._whole = whole_numbers
        self._write(0, chunk, counts, table)
        if self._levels > 1:
            self._keep(1, chunk * CHUNK // FACTOR, low, high)

    def finish(self) -> None:
        """Write what is pending of the coarser levels.

        Raises
        ------
        WriteError
            If there is no space.
        """
        for level in range(1, self._levels):
            self._flush(level)
        with space(self._folder):
            for pair in self._handles:
                for handle in pair:
                    os.fsync(handle)

    def _in_microvolts(self, found: Quantised, rows: slice | list[int]) -> np.ndarray:
        """Scale and offset of counts in microvolts, of shape (channels, chunks, 2)."""
        gain, zero = self._gain[rows][:, None], self._offset[rows][:, None]
        return np.stack([found.scale * gain, found.offset * gain + zero], axis=-1)

    def _keep(self, level: int, first: int, low: np.ndarray, high: np.ndarray) -> None:
        """Put bins into their level, which is written chunk by chunk, and their extremes into the next."""
        done = 0
        while done < low.shape[1]:
            chunk, place = divmod(first + done, CHUNK)
            if chunk != self._at[level - 1]:
                self._flush(level)
                self._at[level - 1] = chunk
            size = min(CHUNK - place, low.shape[1] - done)
            pending = self._pending[level - 1]
            pending[:, place : place + size, 0] = low[:, done : done + size]
            pending[:, place : place + size, 1] = high[:, done : done + size]
            done += size

    def _flush(self, level: int) -> None:
        chunk, pending = self._at[level - 1], self._pending[level - 1]
        if chunk < 0:
            return
        found = quantise(pending.reshape(self._channels, 2 * CHUNK), whole=self._whole, ranges=True)
        one = Quantised(found.counts, found.scale[:, None], found.offset[:, None])
        table = self._in_microvolts(one, slice(None))[:, 0]
        self._write(level, chunk, found.counts[None] ^ NOTHING, table[None])
        self._at[level - 1] = -1
        if level + 1 < self._levels:
            low, high = coarser(pending[..., 0], pending[..., 1])
            self._keep(level + 1, chunk * CHUNK // FACTOR, low, high)
        pending[:] = np.nan

    def _write(self, level: int, chunk: int, counts: np.ndarray, table: np.ndarray) -> None:
        data, scales = self._handles[level]
        with space(self._folder):
            _put(data, counts, chunk * counts[0].nbytes)
            _put(scales, table, chunk * table[0].nbytes)


def _as_slice(places: Sequence[int]) -> slice | list[int]:
    """Places that follow one another as a slice, which NumPy copies faster."""
    first, count = places[0], len(places)
    return slice(first, first + count) if list(places) == list(range(first, first + count)) else list(places)


def _put(handle: int, values: np.ndarray, place: int) -> None:
    view = memoryview(np.ascontiguousarray(values).data).cast("B")
    while view:
        written = os.pwrite(handle, view, place)
        view, place = view[written:], place + written


class space:
    """Says it where there is no space left, or no permission."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            remedy = "free space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "is it still there?"
            raise WriteError(f"{self._folder}: traces cannot be written ({error.strerror}); {remedy}") from error


class Pyramid:
    """A pyramid that was written, mapped for reading; threads may share it.

    Parameters
    ----------
    meta
        What ``META`` says; by default it is read.
    """

    def __init__(self, folder: Path, meta: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.meta = meta or parse_json(read_text(folder / META, most=LARGE))
        self.rate = float(self.meta["rate"])
        self.length = int(self.meta["samples"])
        self.channels = len(self.meta["channels"])
        self.levels = level_count(self.length)
        self._levels = [self._map(level) for level in range(self.levels)]

    def _map(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        data, scales = _files(self.folder, level)
        chunks = -(-_length(self.length, level) // CHUNK)
        shape = (chunks, self.channels, CHUNK) if level == 0 else (chunks, self.channels, CHUNK, 2)
        return (
            np.memmap(data, np.int16, "r", shape=shape),
            np.memmap(scales, np.float64, "r", shape=(chunks, self.channels, 2)),
        )

    def bins(self, level: int) -> int:
        """Samples or bins of a level."""
        return _length(self.length, level)

    def samples(
        self, first: int, last: int, picks: Sequence[int] | None = None, *, without: np.ndarray | None = None
    ) -> np.ndarray:
        """Read samples of level 0.

        Parameters
        ----------
        first, last
            Samples from the start of the recording, gaps included; ``last`` is not included. What lies outside the
            recording is NaN.
        picks
            Places of channels; None for all.
        without
            µV to take away from each of them, before rounding to single precision.

        Returns
        -------
        numpy.ndarray
            float32 of shape (channels, samples), µV; NaN where nothing was recorded.
        """
        return self._read(0, first, last, picks, without)

    def extremes(
        self,
        level: int,
        first: int,
        last: int,
        picks: Sequence[int] | None = None,
        *,
        without: np.ndarray | None = None,
    ) -> np.ndarray:
        """Read bins of a coarser level: float32 of shape (channels, bins, 2), smallest and largest; as ``samples``."""
        found = self._read(level, first, last, picks, without)
        return np.sort(found, axis=2)  # a negative gain turns them round

    def _read(
        self, level: int, first: int, last: int, picks: Sequence[int] | None, without: np.ndarray | None
    ) -> np.ndarray:
        data, scales = self._levels[level]
        rows = slice(None) if picks is None else _as_slice(picks)
        count = self.channels if picks is None else len(picks)
        found = np.full((count, last - first, *data.shape[3:]), np.nan, np.float32)
        begin, end = max(first, 0), min(last, self.bins(level))
        for chunk in range(begin // CHUNK, -(-end // CHUNK)):
            start = max(begin, chunk * CHUNK)
            stop = min(end, (chunk + 1) * CHUNK)
            counts = data[chunk, rows, start - chunk * CHUNK : stop - chunk * CHUNK] ^ NOTHING
            part = found[:, start - first : stop - first]
            scale, offset = np.array(scales[chunk, rows]).T
            if without is not None:
                offset = offset - without
            axes = (slice(None), *[None] * (part.ndim - 1))
            np.multiply(counts, scale[axes].astype(np.float32), out=part)
            part += offset[axes].astype(np.float32)
            missing = counts == NOTHING
            if missing.any():
                part[missing] = np.nan
        return found

    def close(self) -> None:
        """Let go of the files."""
        for pair in self._levels:
            for mapped in pair:
                with suppress(BufferError, AttributeError):
                    mapped._mmap.close()  # type: ignore[attr-defined]
        self._levels = []
