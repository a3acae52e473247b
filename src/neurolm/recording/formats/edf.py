"""Headers of EDF and BDF files: signals, units, rates, and whether the file is whole.

MNE would take units it does not know for volts (an empty unit, nV, a micro sign in another encoding), upsample
everything to the highest rate of the file, and read truncated files.
Format: Kemp & Olivan 2003 (EDF+), https://www.edfplus.info/specs
"""

from __future__ import annotations

import codecs
import contextlib
import re
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError, argument
from neurolm.core.montage import kind, resolve

_FIXED = 256  # bytes of the fixed part of the header; every signal adds as many
_WIDTHS = {"label": 16, "transducer": 80, "unit": 8, "physical_minimum": 8, "physical_maximum": 8, "digital_minimum": 8}
_WIDTHS |= {"digital_maximum": 8, "prefilter": 80, "samples": 8, "reserved": 32}
LIMITS = ("physical_minimum", "physical_maximum", "digital_minimum", "digital_maximum")
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_BDF = b"\xffBIOSEMI"
_SAMPLED = 1 << 20  # bytes looked at to tell a text-mode transfer from other damage

STILL_RECORDING = -1
"""Number of data records in a file whose recorder was never stopped (EDF specification)."""
MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}
"""Microvolts in the units of voltage that are understood."""
_NOTHING_RECORDED = "nothing was recorded: export it again, or leave it out"
_CYRILLIC = {"мв": "mV", "мкв": "uV", "нв": "nV"}
UNSTATED = ""
"""Unit of a signal whose header gives none."""


@dataclass(frozen=True)
class SignalHeader:
    """What a header says about one signal; annotations are none."""

    label: str
    unit: str | None
    """A key of ``MICROVOLTS``, ``UNSTATED``, or None for a unit that is no voltage."""
    rate: float
    """Samples per second."""
    per_record: int
    """Samples in a data record."""
    start: int
    """Byte of a data record at which they begin."""
    limits: tuple[bytes, ...]
    """Physical minimum and maximum, digital minimum and maximum, as the file writes them."""

    @property
    def uncalibrated(self) -> str | None:
        """Why nobody can tell what its numbers are worth, None where one can."""
        values = [_value(raw) for raw in self.limits]
        for name, low, high in (("physical", *values[:2]), ("digital", *values[2:])):
            if low == high:
                return f"no {name} range: amplitude unknown"
        return None


@dataclass(frozen=True)
class Header:
    """What a header says about the signals and how they lie in the file."""

    signals: tuple[SignalHeader, ...]
    annotations: tuple[tuple[int, int], ...]
    """First and last byte (exclusive) of a data record between which annotations lie."""
    records: int
    """Data records, or ``STILL_RECORDING``."""
    duration: float
    """Seconds of a data record."""
    header_bytes: int
    record_bytes: int
    sample_bytes: int
    start: datetime | None = None
    """When the recording began; None where the header has no such date."""


def read_header(path: Path) -> Header:
    """Read the header of an EDF or BDF file without comparing it with the file.

    Raises
    ------
    RecordingError
        If this is no EDF or BDF file, or its header makes no sense.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(_FIXED)
        if size == 0:
            raise RecordingError(f"{path}: the file is empty (0 bytes); copy or download it again")
        sample_bytes = 3 if fixed[0] == 0xFF else 2
        if _text(fixed[:8]) != "0" and fixed[:8] != _BDF:
            raise RecordingError(
                f"{path}: not an EDF or BDF file, it begins with {fixed[:8]!r} instead of b'0       '; if it is of "
                f"another format, give it that format's suffix, else copy or download it again"
            )
        if size < _FIXED:
            raise _cut_short(path, size, f"at least {_FIXED:,} bytes of header")
        header_bytes = _number(path, "number of header bytes", fixed[184:192])
        count = _number(path, "number of signals", fixed[252:256])
        if count < 1 or header_bytes != _FIXED * (count + 1):
            raise RecordingError(
                f"{path}: damaged header: {count} signals need {_FIXED * (count + 1):,} bytes of header, it declares "
                f"{header_bytes:,}; copy or download it again"
            )
        table = file.read(header_bytes - _FIXED)
    if len(table) < header_bytes - _FIXED:
        raise _cut_short(path, size, f"{header_bytes:,} bytes of header")
    columns = _columns(table, count)
    samples = [_number(path, "samples in a data record", raw) for raw in columns["samples"]]
    if sum(samples) <= 0 or min(samples) < 0:
        raise RecordingError(f"{path}: damaged header: its data records hold no samples; copy or download it again")
    duration = decimal(path, "duration of a data record", fixed[244:252])
    if duration < 0:
        raise RecordingError(f"{path}: damaged header: the duration of a data record is {duration:g} s; copy it again")
    seconds = duration if duration > 0 else 1.0  # as MNE does; such a file holds annotations only
    starts = [0, *accumulate(sample_bytes * number for number in samples)]
    encoding = _encoding(columns["label"])
    labels = [_text(raw, encoding) for raw in columns["label"]]
    signals = [
        SignalHeader(
            label=labels[i],
            unit=unit_of(columns["unit"][i]),
            rate=samples[i] / seconds,
            per_record=samples[i],
            start=starts[i],
            limits=tuple(columns[name][i] for name in LIMITS),
        )
        for i in range(count)
        if labels[i] not in _ANNOTATIONS
    ]
    return Header(
        signals=tuple(signals),
        annotations=tuple((starts[i], starts[i + 1]) for i in range(count) if labels[i] in _ANNOTATIONS),
        records=_number(path, "number of data records", fixed[236:244]),
        duration=duration,
        header_bytes=header_bytes,
        record_bytes=starts[-1],
        sample_bytes=sample_bytes,
        start=_start(_text(fixed[168:176]), _text(fixed[176:184])),
    )


def _start(day: str, time: str) -> datetime | None:
    """When a recording began; years are those from 1985 to 2084 (EDF specification)."""
    found = re.fullmatch(r"(\d\d)[.:/-](\d\d)[.:/-](\d\d) (\d\d)[.:](\d\d)[.:](\d\d)", f"{day} {time}")
    if found is None:
        return None
    date, month, year, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year + (1900 if year >= 85 else 2000), month, date, hour, minute, second)
    except ValueError:
        return None


def unit_of(raw: bytes | str) -> str | None:
    """Read a unit as files write it: a key of ``MICROVOLTS``, ``UNSTATED``, or None if it is no voltage."""
    text = raw if isinstance(raw, str) else _text(raw)
    folded = text.strip().lower()
    if folded in ("", "-", "n/a", "na", "none", "?", "unknown", "au", "a.u.", "arb", "digital"):
        return UNSTATED
    # A sign outside ASCII before V can only be a micro sign: µ, Greek mu, either of another encoding, or lost.
    if re.fullmatch(r"([^\x00-\x7f]{1,3}|\?|u|micro)(v|volts?)", folded):
        return "uV"
    match = re.fullmatch(r"(m|milli|n|nano|)(v|volts?)", folded)
    if match is None:
        return _cyrillic_unit(text.strip())
    return {"m": "mV", "n": "nV", "": "V"}[match[1][:1]]


def _cyrillic_unit(text: str) -> str | None:
    """Read a unit in Cyrillic, also where its bytes were taken for Latin-1."""
    texts = [text]
    for encoding in ("utf-8", "cp1251"):
        with contextlib.suppress(UnicodeError):
            texts.append(text.encode("latin-1").decode(encoding))
    return next((_CYRILLIC[each.lower()] for each in texts if each.lower() in _CYRILLIC), None)


def _columns(table: bytes, count: int) -> dict[str, list[bytes]]:
    columns, start = {}, 0
    for name, width in _WIDTHS.items():
        columns[name] = [table[start + i * width : start + (i + 1) * width] for i in range(count)]
        start += count * width
    return columns


def _text(raw: bytes, encoding: str = "latin-1") -> str:
    """A field of a header; some recorders write rubbish after a NUL."""
    return raw.decode(encoding, "ignore").strip(" \0").partition("\0")[0].rstrip()


def _encoding(labels: Sequence[bytes]) -> str:
    """How labels are encoded, which should be ASCII: UTF-8, Cyrillic as Windows has it, or Latin-1.

    Every text is one in Latin-1 and nearly every one in Windows-1251, which therefore has to make a known name of one.
    """
    odd = [raw for raw in labels if not raw.isascii()]
    with suppress(UnicodeDecodeError):
        for raw in odd:  # the last letter may be cut by the end of the field
            codecs.getincrementaldecoder("utf-8")().decode(raw.rstrip(b" \0"))
        return "utf-8"
    if any(_known(_text(raw, "cp1251")) and not _known(_text(raw)) for raw in odd):
        return "cp1251"
    return "latin-1"


def _known(label: str) -> bool:
    return resolve(label) is not None or kind(label) not in ("eeg", "unknown")


def _number(path: Path, what: str, raw: bytes) -> int:
    return int(decimal(path, what, raw))


def decimal(path: Path, what: str, raw: bytes) -> float:
    """Read a number of a header; some recorders write decimal commas."""
    value = _value(raw)
    if not np.isfinite(value):
        raise RecordingError(f"{path}: damaged header: the {what} reads {raw!r}; copy or download it again")
    return value


def _value(raw: bytes) -> float:
    try:
        return float(_text(raw).replace(",", "."))
    except ValueError:
        return float("nan")


def _cut_short(path: Path, size: int, promised: str) -> RecordingError:
    return RecordingError(f"{path}: truncated: {size:,} bytes where there should be {promised}; copy it again")


def check_whole(path: Path, header: Header, truncated: str) -> tuple[Header, list[str]]:
    """Compare a file with what its header promises.

    Parameters
    ----------
    path
        The file.
    header
        What ``read_header`` returned.
    truncated
        ``"accept"`` takes the whole data records of a file that is shorter than its header promises, with a note.

    Returns
    -------
    header, notes
        The header with as many data records as are to be read, and notes for the user.

    Raises
    ------
    RecordingError
        If it is shorter than promised, was changed by a transfer, or holds no signal.
    """
    records, notes = _check_size(path, header, truncated)
    return replace(header, records=records), notes


def _check_size(path: Path, header: Header, truncated: str) -> tuple[int, list[str]]:
    """How many data records are to be read, and what to say about it."""
    size = path.stat().st_size
    header_bytes, records, record_bytes = header.header_bytes, header.records, header.record_bytes
    whole = (size - header_bytes) // record_bytes
    if records == STILL_RECORDING and whole > 0:
        said = f"the recorder was never stopped: the header gives no length, the file holds {whole:,} data records"
        return whole, [said]
    if records < 0 or whole < 1:
        cut = "it was cut short: copy it again from where it came" if records > 0 else _NOTHING_RECORDED
        raise RecordingError(
            f"{path}: the header declares {records} data records: there is no signal in this file; {cut}"
        )
    promised = header_bytes + records * record_bytes
    if size < promised:
        if truncated == "accept" and whole > 0:
            return whole, [f"truncated: {whole:,} of {records:,} data records are there and were taken"]
        more = f"; {argument(truncated='accept')} takes those" if whole > 0 else ""
        raise RecordingError(
            f"{path}: truncated: {size:,} bytes, the header promises {promised:,} ({whole:,} of {records:,} data "
            f"records are there); copy or download it again{more}"
        )
    if size > promised:
        if _every_line_feed_follows_return(path):
            raise RecordingError(
                f"{path}: corrupted: {size:,} bytes where the header promises {promised:,}, and every line feed "
                f"follows a carriage return, which a transfer in text mode does; transfer it again in binary mode"
            )
        return _more_than_promised(path, header, size)
    return records, []


def _more_than_promised(path: Path, header: Header, size: int) -> tuple[int, list[str]]:
    """Take data records that the header does not count, as MNE does, but nothing else that follows the data."""
    header_bytes, records, record_bytes = header.header_bytes, header.records, header.record_bytes
    with path.open("rb") as file:

        def record(number: int) -> bytes:
            file.seek(header_bytes + number * record_bytes)
            return file.read(record_bytes)

        def filler(number: int) -> bool:
            return len(set(record(number))) == 1

        first = record(records)
        timed = all(re.match(rb"[+-]\d", first[start:stop]) for start, stop in header.annotations[:1])
        there = records
        if timed and not first.startswith((_BDF, b"0       ")):  # else another file follows, or anything at all
            there = bisect_left(range((size - header_bytes) // record_bytes), True, lo=records, key=filler)
    if there < 1:
        raise RecordingError(
            f"{path}: the header declares {records} data records: there is no signal in this file; {_NOTHING_RECORDED}"
        )
    notes = []
    if there > records:
        notes.append(f"the header says {records:,} data records, the file holds {there:,}, which are taken")
    if rest := size - header_bytes - there * record_bytes:
        notes.append(f"{rest:,} bytes after the last data record left out")
    return there, notes


def _every_line_feed_follows_return(path: Path) -> bool:
    with path.open("rb") as file:
        block = file.read(_SAMPLED)
    return 0 < block.count(b"\n") == block.count(b"\r\n")
