"""Neuroscan's .cnt: which of its two formats a file has, and whether 16 or 32 bits.

The header does not say the width of a number, and its count of samples is not reliable. A wrong width reads as noise
without an error, so it is decided from the size of the data, or else from the data, and said. Layout of the header:
https://paulbourke.net/dataformats/eeg/ (SETUP, ELECTLOC, TEEG)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError, argument

WIDTHS = {"int16": 2, "int32": 4}
"""Names of the number formats → bytes."""
_SETUP, _ELECTRODE, _TABLE_HEAD = 900, 75, 9  # bytes: file header, header of a channel, head of the event table
_CHANNELS_AT, _RATE_AT, _SAMPLES_AT, _TABLE_AT = 370, 376, 864, 886
_MAX_EVENTS_FILE = 2e9  # bytes; beyond, the 32-bit position of the event table has overflowed
_SAMPLED = 4096  # samples looked at where sizes do not decide
_FEWEST = 256  # samples that are enough to look at
_SIGNS = 0.9  # share of upper halves that repeat a sign, above which numbers have 32 bits
_STILL = 0.02  # movement of the upper halves relative to the lower ones, below which they have
_SOME = 0.25  # share of the channels that do so
_FARTHER = 10.0  # times that a block reaches beyond the one before, or moves less, if it is no more of the same signal


@dataclass(frozen=True)
class CntFormat:
    """How to read a Neuroscan file."""

    data_format: str
    """A key of ``WIDTHS``."""
    recompute: bool
    """Whether the header's count of samples is wrong and MNE has to compute it."""
    notes: tuple[str, ...]


def reader_of(path: Path) -> str:
    """Return the name of MNE's reader: the wrong one can crash the interpreter, so look at the file first.

    Raises
    ------
    RecordingError
        If neither Neuroscan nor ANT wrote it.
    """
    with path.open("rb") as file:
        magic = file.read(12)
    if magic.startswith(b"Version"):
        return "read_raw_cnt"
    if magic[:4] in (b"RIFF", b"RF64"):
        return "read_raw_ant"
    raise RecordingError(
        f"{path}: neither Neuroscan ('Version 3.0') nor ANT ('RIFF') wrote this .cnt file, it begins with "
        f"{magic!r}; convert it to EDF or BrainVision"
    )


def inspect_cnt(path: Path, data_format: str | None = None) -> CntFormat:
    """Check a Neuroscan file's header against its size and decide the width of its numbers.

    Parameters
    ----------
    path
        The file.
    data_format
        ``int16`` or ``int32`` where the user knows.

    Raises
    ------
    RecordingError
        If the header is damaged, the file is shorter than it says, or the width cannot be told.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SETUP)
    if len(head) < _SETUP:
        raise RecordingError(f"{path}: truncated: {size:,} bytes where its header has {_SETUP:,}; copy it again")
    channels = _field(head, _CHANNELS_AT, "<u2")
    rate = _field(head, _RATE_AT, "<u2")
    samples = _field(head, _SAMPLES_AT, "<i4")
    first = _SETUP + _ELECTRODE * channels
    if not channels or not rate or first >= size:
        raise RecordingError(
            f"{path}: damaged header: {channels} channels at {rate} Hz in a file of {size:,} bytes; copy it again"
        )
    table = _field(head, _TABLE_AT, "<i4")
    if size >= _MAX_EVENTS_FILE:
        table = _large_table(path, size, first, channels, samples)
    if not first < table <= size - _TABLE_HEAD:
        raise RecordingError(
            f"{path}: truncated or damaged: {size:,} bytes, but the header puts the table of events, which follows the "
            f"data, at byte {table:,}; copy or download it again"
        )
    _check_table(path, size, table)
    data = table - first
    exact = [name for name, width in WIDTHS.items() if samples > 0 and data == samples * channels * width]
    fits = [name for name, width in WIDTHS.items() if data % (channels * width) == 0]
    counted = [name for name, width in WIDTHS.items() if 0 < samples * channels * width <= data]
    # Something else may lie between the samples and the table of events; the first half of these is samples for sure.
    sure = samples * channels * 2 if len(counted) == len(WIDTHS) and samples >= _FEWEST else data
    fits = counted if sure < data or not fits else fits
    if data_format is not None:
        given, how = data_format, "as asked for"
        if data_format not in fits:
            raise RecordingError(
                f"{path}: {argument(data_format=data_format)}: {data:,} bytes of data are no whole number of samples "
                f"of {channels} channels; leave data_format out, or copy the file again"
            )
    elif exact:
        given, how = exact[0], f"{samples:,} samples × {channels} channels fill the {data:,} bytes of data exactly"
    else:
        given, how = _by_words(path, first, data, sure, channels, fits, samples)
    frame = channels * WIDTHS[given]
    count = data // frame
    notes = [f"Neuroscan numbers read as {given}: {how}"]
    if 0 < samples < count and not _goes_on(path, first, channels, given, samples, count):
        rest = data - samples * frame
        notes.append(f"{samples:,} samples taken, as the header says; {rest:,} bytes after them are none, and left out")
        return CntFormat(given, False, tuple(notes))
    if samples != count:
        notes.append(f"the header says {samples:,} samples, the file holds {count:,}, which are taken")
    return CntFormat(given, samples != count, tuple(notes))


def _large_table(path: Path, size: int, first: int, channels: int, samples: int) -> int:
    """Where the event table of a file beyond 2 GB must be, by the header's count of samples."""
    ends = [first + samples * channels * width for width in WIDTHS.values()]
    fitting = [end for end in ends if first < end <= size - _TABLE_HEAD]
    if samples <= 0 or not fitting:
        raise RecordingError(
            f"{path}: {size:,} bytes, and the header's {samples:,} samples × {channels} channels fit neither as int16 "
            f"nor as int32; convert it to EDF or BrainVision with its own software"
        )
    return max(fitting)  # with the smaller width, half of the file would be left over


def _check_table(path: Path, size: int, table: int) -> None:
    with path.open("rb") as file:
        file.seek(table)
        head = file.read(_TABLE_HEAD)
    kind, length = head[0], int(np.frombuffer(head[1:5], "<i4")[0])
    if kind not in (1, 2, 3) or not 0 <= length <= size - table - _TABLE_HEAD:
        raise RecordingError(
            f"{path}: truncated or damaged: its table of events (type {kind}, {length:,} bytes) does not fit into the "
            f"{size - table:,} bytes after the data; copy or download it again"
        )


def _by_words(
    path: Path, first: int, data: int, sure: int, channels: int, fits: list[str], samples: int
) -> tuple[str, str]:
    """Look at the data as pairs of 16 bits: of a number of 32, the upper half hardly moves, or repeats the sign.

    Only the first bytes of the data, of which it is ``sure`` that they are samples, are looked at.
    """
    why = f"{samples:,} samples in the header do not fit {data:,} bytes of data"
    if fits == ["int16"]:
        return "int16", f"{why}, which are no whole number of samples of 32 bits"
    frame = channels * 4
    count = min(_SAMPLED, sure // frame)
    start = first + (sure // frame - count) // 2 * frame
    words = np.fromfile(path, "<i2", count * channels * 2, offset=start).reshape(count, channels, 2).astype(float)
    low, high = words[..., 0], words[..., 1]
    signs = float(np.mean(high == np.where(low < 0, -1, 0)))
    moves = [np.median(np.abs(half - np.median(half, axis=0)), axis=0) for half in (low, high)]
    alive = moves[0] > 0
    ratio = float(np.median(moves[1][alive] / moves[0][alive])) if alive.any() else 1.0
    if signs > _SIGNS or ratio < _STILL:
        return "int32", f"{why}, but the upper halves of its numbers hardly move, as those of 32 bits do"
    if signs < 1 - _SIGNS and ratio > 5 * _STILL:
        return "int16", f"{why}, but every 16 bits of it move like a channel"
    raise RecordingError(
        f"{path}: {why}, and the data do not tell whether its numbers have 16 or 32 bits; say which with "
        f"{argument(data_format='int16')} or 'int32'"
    )


def _goes_on(path: Path, first: int, channels: int, given: str, samples: int, count: int) -> bool:
    """Whether what follows the samples that the header counts is signal like them, block by block and at its extremes.

    A table there hardly moves a median: it may be short, and is zeros for the most part.
    """

    def block(start: int, stop: int) -> np.ndarray:
        at = first + start * channels * WIDTHS[given]
        kind = f"<i{WIDTHS[given]}"
        return np.fromfile(path, kind, (stop - start) * channels, offset=at).reshape(-1, channels).astype(float)

    before = block(max(0, samples - _SAMPLED), samples)
    middle = np.median(before, axis=0)
    spread = np.median(np.abs(before - middle), axis=0)
    reach = np.maximum(np.abs(before - middle).max(axis=0), 1.0)
    for start in range(samples, count, _SAMPLED):
        after = block(start, min(start + _SAMPLED, count))
        moves = np.median(np.abs(after - np.median(after, axis=0)), axis=0)
        beyond = np.abs(after - middle).max(axis=0) > _FARTHER * reach
        if beyond.mean() > _SOME or np.median(moves) * _FARTHER < np.median(spread):
            return False
    return True


def _field(head: bytes, start: int, kind: str) -> int:
    return int(np.frombuffer(head[start : start + np.dtype(kind).itemsize], kind)[0])
