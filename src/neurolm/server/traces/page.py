"""A page of traces: what is shown between two moments, and the bytes in which it travels

``NLT1``; the length of what follows as uint32; JSON, padded with spaces so that the samples start at a multiple of 4;
int16, little endian, of shape (channels, columns) or, for smallest and largest values, (channels, columns, 2).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurolm.core.errors import ConfigError
from neurolm.core.files import dump_json
from neurolm.core.stretches import Stretch, overlapping
from neurolm.server.traces.display_filters import DisplayFilters, apply
from neurolm.server.traces.montages import Derivation, combine, derive, mix, why_bad
from neurolm.server.traces.pyramid import FACTOR, LARGEST, NOTHING, Pyramid

MAGIC = b"NLT1"
MOST_COLUMNS = 8000
FILTERED_VALUES = 8 << 20
"""Numbers of a page, with what is around it, that are filtered at most; longer ones are shown as they are."""
DERIVED_VALUES = 64 << 20
"""Numbers of which a montage is made at most."""
_PIECE = 2 << 20  # numbers that are in memory at a time
_DENSEST = 3
"""Samples of a column up to which they are drawn as they are: hardly more than a smallest and a largest value."""
_NARROW = 16  # samples of a column
_LEAST = 1e-6  # the scale of what is nothing but zero


@dataclass(frozen=True)
class Request:
    """Which page is asked for.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    start: float
    seconds: float
    columns: int
    montage: str = "recorded"
    filters: DisplayFilters = field(default_factory=DisplayFilters)
    bad: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and self.start >= 0):
            raise ConfigError(f"start={self.start:g}: give seconds from the start of the recording")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ConfigError(f"seconds={self.seconds:g}: give more than 0")
        check_columns(self.columns)


def check_columns(columns: int) -> None:
    """Refuse a number of columns that no screen has."""
    if not 1 <= columns <= MOST_COLUMNS:
        raise ConfigError(f"columns={columns}: give 1 to {MOST_COLUMNS}")


def encode(header: dict[str, Any], values: np.ndarray) -> bytes:
    """Put a header and int16 values together."""
    text = dump_json(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, np.ascontiguousarray(values, "<i2").tobytes()])


def render(pyramid: Pyramid, request: Request) -> bytes:
    """Make a page.

    The header says ``start`` and ``seconds`` as they became by rounding to samples, ``columns``, ``kind``,
    ``channels``, ``scale`` (µV per unit), ``baseline`` (µV that were taken away where no high-pass does it: each
    channel's median), ``bad`` (why, or null), and ``filtered``: whether the filters that were asked for are in it.

    Raises
    ------
    ConfigError
        If the page begins after the end, a channel is unknown, or a montage of so long a page takes too much.
    """
    rate, total = pyramid.rate, pyramid.length
    if request.start >= total / rate:
        raise ConfigError(f"start={request.start:g}: after the end of the recording, which is {total / rate:g} s long")
    first = min(round(request.start * rate), total - 1)
    count = max(1, round(min(request.seconds * rate, total)))
    channels = pyramid.meta["channels"]
    derivations = derive(request.montage, channels, request.bad)
    picks, weights = mix(derivations)
    view = _View(pyramid, first, count, picks, weights, _baseline(pyramid, picks))
    sections = request.filters.sections(rate)
    around = round(request.filters.reach * rate) if len(sections) else 0
    filtered = len(sections) > 0 and (count + 2 * around) * len(picks) <= FILTERED_VALUES
    samples = count <= _DENSEST * request.columns
    edges = np.arange(request.columns) * count // request.columns
    if filtered:
        values = view.filtered(sections, around)
        values = values if samples else extremes(values, edges)
    elif samples:
        values = view.samples(0, count)
    else:
        values = view.extremes(edges)
    through = filtered and request.filters.highpass > 0
    baseline = np.zeros(len(derivations)) if through else view.traces(view.baseline)
    header = _header(view, derivations, request, samples)
    header |= {"filtered": filtered or not len(sections), "baseline": [round(one, 3) for one in baseline.tolist()]}
    return finish(header, values)


def finish(header: dict[str, Any], values: np.ndarray) -> bytes:
    """Turn microvolts into int16, add their scales to a header, and encode both."""
    flat = values.reshape(len(values), -1)
    missing = np.isnan(flat)
    some = bool(missing.any())
    peak = np.abs(np.where(missing, 0, flat) if some else flat).max(axis=1, initial=0).astype(np.float64)
    scale = np.maximum(peak / LARGEST, _LEAST)
    counts = flat / scale[:, None].astype(flat.dtype)
    np.rint(counts, out=counts)
    np.clip(counts, -LARGEST, LARGEST, out=counts)  # rounding of the scale alone
    if some:
        counts[missing] = NOTHING
    return encode(header | {"scale": scale.tolist()}, counts.astype(np.int16).reshape(values.shape))


def extremes(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Smallest and largest value from each edge to the next: (channels, columns, 2); NaN is passed over."""
    ends = np.append(edges[1:], values.shape[1]) - 1
    widest = int((ends - edges).max()) + 1
    if widest > _NARROW:
        return np.stack([np.fmin.reduceat(values, edges, axis=1), np.fmax.reduceat(values, edges, axis=1)], axis=-1)
    low = values[:, edges]  # column by column would take longer than sample by sample
    high = low.copy()
    for sample in range(1, widest):
        found = values[:, np.minimum(edges + sample, ends)]
        np.fmin(low, found, out=low)
        np.fmax(high, found, out=high)
    return np.stack([low, high], axis=-1)


@dataclass(frozen=True)
class _View:
    """What is read of a pyramid for a page."""

    pyramid: Pyramid
    first: int
    count: int
    picks: list[int]
    weights: np.ndarray | None
    baseline: np.ndarray
    """Of the channels that are picked, µV."""

    def traces(self, values: np.ndarray) -> np.ndarray:
        return values if self.weights is None else self.weights @ values

    def samples(self, start: int, stop: int) -> np.ndarray:
        """Traces without their baselines between two samples of the page."""
        found = self.pyramid.samples(self.first + start, self.first + stop, self.picks, without=self.baseline)
        return combine(found, self.weights)

    def filtered(self, sections: np.ndarray, around: int) -> np.ndarray:
        """Filtered traces: each part between interruptions by itself, with what is around the page."""
        start, stop = self.first - around, self.first + self.count + around
        stretches = [Stretch(one, end - one, 0) for one, end in self.pyramid.meta["stretches"]]
        parts = overlapping(stretches, max(start, 0), min(stop, self.pyramid.length))
        rows = len(self.picks) if self.weights is None else len(self.weights)
        found = np.full((rows, self.count), np.nan, np.float32)
        for part in parts:
            signal = apply(sections, self.samples(part.start - self.first, part.stop - self.first))
            one, two = max(part.start, self.first), min(part.stop, self.first + self.count)
            if one < two:
                found[:, one - self.first : two - self.first] = signal[:, one - part.start : two - part.start]
        return found

    def extremes(self, edges: np.ndarray) -> np.ndarray:
        """Smallest and largest values of columns: of the level that fits, or of samples where a montage is made."""
        width = self.count / len(edges)
        level = min(int(math.log(max(width / 2, 1), FACTOR)), self.pyramid.levels - 1)
        if self.weights is None and level > 0:
            step = FACTOR**level
            bins = (self.first + edges) // step
            last = (self.first + self.count - 1) // step + 1
            found = self.pyramid.extremes(level, int(bins[0]), last, self.picks, without=self.baseline)
            at = bins - bins[0]
            low, high = np.fmin.reduceat(found[..., 0], at, axis=1), np.fmax.reduceat(found[..., 1], at, axis=1)
            return np.stack([low, high], axis=-1)
        if self.count * len(self.picks) > DERIVED_VALUES:
            most = DERIVED_VALUES / len(self.picks) / self.pyramid.rate
            raise ConfigError(
                f"seconds={self.count / self.pyramid.rate:g}: a montage is made of at most {most:,.0f} s of these "
                "channels at a time; ask for fewer seconds, or for montage=recorded"
            )
        each = math.ceil(width * len(self.picks) / _PIECE)  # parts of a column that memory has room for
        edges = np.arange(len(edges) * each) * self.count // (len(edges) * each)
        at_once = max(1, int(_PIECE / len(self.picks) / width))
        parts = []
        for one in range(0, len(edges), at_once):
            own = edges[one : one + at_once]
            stop = int(edges[one + at_once]) if one + at_once < len(edges) else self.count
            parts.append(extremes(self.samples(int(own[0]), stop), own - own[0]))
        whole = np.concatenate(parts, axis=1).reshape(-1, len(edges) // each, each, 2)
        return np.stack([np.fmin.reduce(whole[..., 0], axis=2), np.fmax.reduce(whole[..., 1], axis=2)], axis=-1)


def _baseline(pyramid: Pyramid, picks: Sequence[int]) -> np.ndarray:
    return np.array([pyramid.meta["channels"][i]["baseline"] for i in picks])


def _header(view: _View, derivations: Sequence[Derivation], request: Request, samples: bool) -> dict[str, Any]:
    rate, channels = view.pyramid.rate, view.pyramid.meta["channels"]
    return {
        "start": view.first / rate,
        "seconds": view.count / rate,
        "columns": view.count if samples else request.columns,
        "kind": "samples" if samples else "minmax",
        "channels": [one.name for one in derivations],
        "bad": [why_bad(one, channels) for one in derivations],
    }


def overview(pyramid: Pyramid, columns: int) -> bytes:
    """Make the picture of the whole recording: the range over good EEG channels without their medians, one channel.

    Raises
    ------
    ConfigError
        For a number of columns that no screen has.
    """
    check_columns(columns)
    channels, rate = pyramid.meta["channels"], pyramid.rate
    eeg = [i for i, one in enumerate(channels) if one["kind"] == "eeg"] or list(range(len(channels)))
    picks = [i for i in eeg if not channels[i]["bad"]] or eeg
    columns = min(columns, pyramid.length)
    edges = np.arange(columns) * pyramid.length // columns
    view = _View(pyramid, 0, pyramid.length, picks, None, _baseline(pyramid, picks))
    found = view.extremes(edges)
    values = np.stack([np.fmin.reduce(found[..., 0]), np.fmax.reduce(found[..., 1])], axis=-1)[None]
    header = {"start": 0.0, "seconds": pyramid.length / rate, "columns": columns, "kind": "minmax",
              "channels": ["range"], "bad": [None], "filtered": True, "baseline": [0.0]}  # fmt: skip
    return finish(header, values)
