"""WFDB records of PhysioNet: a header (``.hea``) and files of samples.

Formats of samples that PhysioNet's records have are read straight from the file, as far as they are asked for; records
of several segments are one recording, with what lies between as gaps. Formats:
https://physionet.org/physiotools/wag/header-5.htm and signal-5.htm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.stretches import Stretch
from neurolm.recording.formats.completeness import shortened
from neurolm.recording.formats.edf import unit_of
from neurolm.recording.formats.wfdb_annotations import Mark, read_annotations
from neurolm.recording.links import require_content

_GROUPS = {16: (1, 2), 24: (1, 3), 32: (1, 4), 61: (1, 2), 80: (1, 1), 160: (1, 2), 212: (2, 3), 310: (3, 4),
           311: (3, 4)}  # fmt: skip
"""Format → numbers in a group, and bytes of it."""
_MISSING = {16: -(2**15), 24: -(2**23), 32: -(2**31), 61: -(2**15), 80: -128, 160: -(2**15), 212: -(2**11),
            310: -(2**9), 311: -(2**9)}  # fmt: skip
"""Format → the number that says that a sample is missing."""
_SEGMENTS = 100_000
_HEADER = 1 << 24  # bytes of a header at most
_RECORD = re.compile(r"(?P<name>[-\w.~/]+?)(?:/(?P<segments>\d+))?")
_FORMAT = re.compile(r"(?P<format>\d+)(?:x(?P<per>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?")
_GAINS = re.compile(r"(?P<gain>[-+.\deE]+)(?:\((?P<baseline>[-+]?\d+)\))?(?:/(?P<unit>\S+))?")


@dataclass(frozen=True, kw_only=True)
class _Channel:
    """A line of a header: a signal."""

    file: Path | None
    """None for one that has no samples, as in the layout of a record of several segments."""
    format: int
    per: int
    """Samples in a frame."""
    skew: int
    offset: int
    """Bytes before the first sample in its file."""
    gain: float
    """Counts of the converter per unit; 0 where the header says none, and nobody knows (the specification's 200 per mV
    is no measurement): then the counts themselves are read."""
    baseline: float
    unit: str
    name: str


@dataclass(frozen=True, kw_only=True)
class _Record:
    """A header."""

    path: Path
    rate: float
    """Frames per second."""
    frames: int
    """0 where the header says none."""
    channels: tuple[_Channel, ...]
    segments: tuple[tuple[str, int], ...] = ()
    """Name and frames of each, ``~`` for a gap."""


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Some signals of a record, of one rate."""

    rate: float
    """Samples per second."""
    stretches: tuple[Stretch, ...]
    read: Callable[[int, int], np.ndarray]
    """First and last sample (exclusive) → float64 of shape (signals, samples), in their units."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """A record."""

    names: tuple[str, ...]
    units: tuple[str | None, ...]
    """As in ``edf.unit_of``."""
    rates: tuple[float, ...]
    calibrated: tuple[bool, ...]
    """Whether the header says what a count is worth; what `select` reads of others are counts."""
    marks: tuple[Mark, ...]
    notes: tuple[str, ...]
    select: Callable[[Sequence[int]], Signals]
    """Indices of signals of one rate → these."""


def read_record(path: Path, truncated: str = "refuse") -> Contents:
    """Read the header of a record; its samples are read when they are asked for.

    Raises
    ------
    RecordingError
        If the header is damaged, a file of samples is missing, in a format that is not read, or too short and
        ``truncated`` says refuse.
    """
    record = _read_header(path)
    notes: list[str] = []
    parts = _parts(record, truncated, notes)
    described = _layout(record, [part for part, _, _ in parts]) if record.segments else record
    marks, more = read_annotations(path, record.rate)
    return Contents(
        names=tuple(_distinct([channel.name for channel in described.channels])),
        units=tuple(unit_of(channel.unit) for channel in described.channels),
        rates=tuple(record.rate * channel.per for channel in described.channels),
        calibrated=tuple(channel.gain != 0 for channel in described.channels),
        marks=tuple(marks),
        notes=(*notes, *more),
        select=lambda indices: _select(record, described, parts, indices),
    )


Part = tuple[_Record, int, int]
"""A segment, the frame at which it begins, and how many there are."""


def _parts(record: _Record, truncated: str, notes: list[str]) -> list[Part]:
    """The segments with samples, or the record itself."""
    if not record.segments:
        return [(record, 0, _frames(record, truncated, notes))]
    parts: list[Part] = []
    at = 0
    for number, (name, frames) in enumerate(record.segments):
        if name != "~" and not (number == 0 and frames == 0):  # the first may be the layout, without samples
            segment = _read_header(record.path.with_name(f"{name}.hea"))
            if segment.segments:
                raise RecordingError(f"{segment.path}: a segment that has segments itself; damaged, download it again")
            there = _frames(replace(segment, frames=segment.frames or frames), truncated, notes)
            parts.append((segment, at, min(frames, there)))
        at += frames
    if not parts:
        raise RecordingError(f"{record.path}: none of its segments has samples; download it again")
    return parts


def _layout(record: _Record, parts: Sequence[_Record]) -> _Record:
    """The signals of a record whose segments may have others, by their names."""
    found: dict[str, _Channel] = {}
    for part in parts:
        for name, channel in zip(_distinct([one.name for one in part.channels]), part.channels, strict=True):
            known = found.setdefault(name, channel)
            if (known.per, known.unit) != (channel.per, channel.unit):
                raise RecordingError(
                    f"{part.path}: {channel.name} has {channel.per} samples in a frame of {channel.unit}, in another "
                    f"segment {known.per} of {known.unit}; give the segments one by one"
                )
            if not channel.gain:
                found[name] = channel
    return replace(record, channels=tuple(replace(channel, name=name) for name, channel in found.items()))


def _distinct(names: Sequence[str]) -> list[str]:
    return [name if names.index(name) == i else f"{name}-{i}" for i, name in enumerate(names)]


def _read_header(path: Path) -> _Record:
    require_content(path)
    if not path.is_file():
        raise RecordingError(f"{path}: no such file, though the record names it; download it again")
    with path.open("rb") as stream:
        text = stream.read(_HEADER).decode("latin-1")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    words = lines[0].split() if lines else []
    found = _RECORD.fullmatch(words[0]) if len(words) > 1 else None
    try:
        if found is None or int(words[1]) < 0:
            raise ValueError("its first line names no record and signals")
        rate = float(words[2].partition("/")[0].partition("(")[0]) if len(words) > 2 else 250.0
        frames = int(words[3]) if len(words) > 3 else 0
        if not 0 < rate < math.inf or frames < 0:
            raise ValueError(f"{rate:g} frames per second, {frames} frames")
        if found["segments"]:
            segments = tuple(_segment(line) for line in lines[1 : 1 + min(int(found["segments"]), _SEGMENTS)])
            if len(segments) != int(found["segments"]):
                raise ValueError(f"{found['segments']} segments promised, {len(segments)} named")
            return _Record(path=path, rate=rate, frames=frames, channels=(), segments=segments)
        channels = tuple(_signal(path, line, number) for number, line in enumerate(lines[1 : 1 + int(words[1])]))
        if len(channels) != int(words[1]):
            raise ValueError(f"{words[1]} signals promised, {len(channels)} described")
    except (ValueError, IndexError, OverflowError) as error:
        raise RecordingError(f"{path}: no header of a WFDB record, or damaged: {error}; download it again") from error
    return _Record(path=path, rate=rate, frames=frames, channels=channels)


def _segment(line: str) -> tuple[str, int]:
    name, frames = line.split()[:2]
    if "/" in name or "\\" in name or int(frames) < 0:
        raise ValueError(f"the segment {line[:40]!r}")
    return name, int(frames)


def _signal(path: Path, line: str, number: int) -> _Channel:
    words = line.split(maxsplit=8)
    form = _FORMAT.fullmatch(words[1])
    if form is None:
        raise ValueError(f"the format {words[1][:20]!r}")
    gains = _GAINS.fullmatch(words[2]) if len(words) > 2 else None
    gain = float(gains["gain"]) if gains else 0.0
    if not math.isfinite(gain):
        raise ValueError(f"a gain of {gain}")
    zero = float(words[4]) if len(words) > 4 else 0.0
    name = words[0]
    if name != "~" and (Path(name).name != name or name in (".", "..")):
        raise ValueError(f"the file {name[:40]!r}, which does not lie beside it")
    return _Channel(
        file=None if name == "~" else path.with_name(name),
        format=int(form["format"]),
        per=int(form["per"] or 1),
        skew=int(form["skew"] or 0),
        offset=int(form["offset"] or 0),
        gain=gain,
        baseline=float(gains["baseline"]) if gains and gains["baseline"] else zero,
        unit=(gains["unit"] if gains and gains["unit"] else "mV"),
        name=words[8].strip() if len(words) > 8 else f"ch{number + 1}",
    )


def _files(record: _Record) -> dict[Path, list[int]]:
    """The files of samples → the signals in each, in their order."""
    found: dict[Path, list[int]] = {}
    for number, channel in enumerate(record.channels):
        if channel.file is not None and channel.format:
            found.setdefault(channel.file, []).append(number)
    return found


def _frames(record: _Record, truncated: str, notes: list[str]) -> int:
    """How many frames are there."""
    there = None
    for file, numbers in _files(record).items():
        first = record.channels[numbers[0]]
        if first.format not in _GROUPS or any(record.channels[i].format != first.format for i in numbers):
            raise RecordingError(
                f"{record.path}: samples in format {first.format}, which is not read; convert the record with WFDB's "
                f"xform, or with mne and wfdb in Python (formats that are read: {', '.join(map(str, _GROUPS))})"
            )
        require_content(file)
        if not file.is_file():
            raise RecordingError(f"{record.path}: its file of samples {file.name} is missing; download it too")
        count, size = _GROUPS[first.format]
        bytes_there = file.stat().st_size - first.offset
        numbers_there = bytes_there // size * count
        if first.format == 212 and bytes_there % 3 == 2:
            numbers_there += 1
        wide = sum(record.channels[i].per for i in numbers)
        frames = max(numbers_there, 0) // wide
        if record.frames and frames < record.frames:
            frames, more = shortened(file, frames, record.frames, truncated)
            notes.extend(more)
        there = frames if there is None else min(there, frames)
    if there is None:
        raise RecordingError(f"{record.path}: no signal with samples in it; give a record of signals")
    return min(there, record.frames) if record.frames else there


def _select(record: _Record, described: _Record, parts: Sequence[Part], indices: Sequence[int]) -> Signals:
    per = described.channels[indices[0]].per if len(indices) else 1
    rate = record.rate * per
    names = [described.channels[i].name for i in indices]
    stretches, first = [], 0
    for _, start, frames in parts:
        stretches.append(Stretch(start * per, frames * per, first))
        first += frames * per

    def read(begin: int, end: int) -> np.ndarray:
        found = np.full((len(indices), max(end - begin, 0)), np.nan)
        for (part, _, _), stretch in zip(parts, stretches, strict=True):
            low, high = max(begin, stretch.first), min(end, stretch.first + stretch.samples)
            if low >= high:
                continue
            own = _distinct([channel.name for channel in part.channels])
            for row, name in enumerate(names):
                if not record.segments:
                    which = indices[row]
                elif name in own:
                    which = own.index(name)
                else:
                    continue  # this segment lacks it
                values = _read(part, which, low - stretch.first, high - stretch.first)
                found[row, low - begin : low - begin + len(values)] = values
        return found

    return Signals(rate=rate, stretches=_joined(stretches), read=read)


def _joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Make one of segments between which nothing is missing."""
    found: list[Stretch] = []
    for stretch in stretches:
        if found and found[-1].stop == stretch.start:
            found[-1] = replace(found[-1], samples=found[-1].samples + stretch.samples)
        else:
            found.append(stretch)
    return tuple(found)


def _read(record: _Record, which: int, first: int, last: int) -> np.ndarray:
    """Samples of a signal in its unit."""
    channel = record.channels[which]
    if channel.file is None:
        return np.full(last - first, np.nan)
    together = _files(record)[channel.file]
    wide = sum(record.channels[i].per for i in together)
    place = sum(record.channels[i].per for i in together if i < which)
    frame = first // channel.per
    frames = -(-last // channel.per) - frame
    digits = _digits(channel, (frame + channel.skew) * wide, frames * wide)
    short = frames * wide - len(digits)
    if short:  # samples at the end that the skew moved out of the file
        digits = np.concatenate([digits, np.full(short, math.nan)])
    values = digits.reshape(frames, wide)[:, place : place + channel.per].reshape(-1)
    values = values[first - frame * channel.per :][: last - first]
    values = np.where(values == _MISSING.get(channel.format, math.inf), math.nan, values)
    return (values - channel.baseline) / (channel.gain or 1.0)


def _digits(channel: _Channel, first: int, count: int) -> np.ndarray:
    """Numbers of a file, as they are: float64 of shape (at most count,)."""
    assert channel.file is not None
    group, size = _GROUPS[channel.format]
    skip = first % group
    with channel.file.open("rb") as stream:
        stream.seek(channel.offset + first // group * size)
        raw = np.frombuffer(stream.read(-(-(count + skip) // group) * size), np.uint8)
    return _unpack(raw, channel.format)[skip : skip + count].astype(np.float64)


def _unpack(raw: np.ndarray, form: int) -> np.ndarray:
    whole = raw[: len(raw) // _GROUPS[form][1] * _GROUPS[form][1]]
    if form == 16:
        return whole.view("<i2")
    if form == 61:
        return whole.view(">i2")
    if form == 160:
        return whole.view("<u2").astype(np.int64) - 32768
    if form == 32:
        return whole.view("<i4")
    if form == 80:
        return whole.astype(np.int64) - 128
    if form == 24:
        parts = whole.reshape(-1, 3).astype(np.int64)
        return _signed(parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16, 24)
    if form == 212:
        padded = np.concatenate([raw, np.zeros(-len(raw) % 3, np.uint8)]).reshape(-1, 3).astype(np.int64)
        pair = np.stack([padded[:, 0] | (padded[:, 1] & 15) << 8, padded[:, 2] | (padded[:, 1] >> 4) << 8], axis=1)
        return _signed(pair.reshape(-1), 12)[: len(raw) * 2 // 3]
    words = whole.view("<u2").reshape(-1, 2).astype(np.int64)
    if form == 310:
        low, high = words[:, 0], words[:, 1]
        third = (low >> 11) | (high >> 11) << 5
        return _signed(np.stack([low >> 1 & 1023, high >> 1 & 1023, third], axis=1).reshape(-1), 10)
    packed = words[:, 0] | words[:, 1] << 16
    return _signed(np.stack([packed & 1023, packed >> 10 & 1023, packed >> 20 & 1023], axis=1).reshape(-1), 10)


def _signed(values: np.ndarray, bits: int) -> np.ndarray:
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
