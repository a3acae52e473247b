"""The samples of an EDF or BDF file, straight from its data records.

>>> samples = open_samples(path, read_header(path), [0, 1, 2])
>>> samples.digital(0, 5000)        # int16 (channels, samples), the file's whole numbers; int32 in BDF
>>> samples.read(0, 5000)           # float64 (channels, samples), in the file's own units

Only the wanted channels are turned into numbers, by the scaling that MNE uses; no channel is ever upsampled. Memory
stays bounded, because records are read in pieces. Format: Kemp & Olivan 2003, https://www.edfplus.info/specs

This is ours although edfio reads EDF too: edfio 0.4.18 gives the same whole numbers, but takes 2 to 10 times as long
for many channels, maps the file, so that one which becomes shorter ends the process, reads BDF only as a whole, in five
times the file's size of memory, and refuses annotations that are not UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

import numpy as np

from neurolm.recording.formats.edf import LIMITS, Header, SignalHeader, decimal

_PIECE = 1 << 22  # bytes read at a time: they stay in the cache until they are numbers
_LONG, _FEW = 1 << 14, 8  # bytes of a record, and what part of it is wanted, beyond which it is not read whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Some of a file's signals, all of the same rate, ready to be read."""

    path: Path
    samples: int
    """Samples of each signal in the file."""
    rate: float
    """Samples per second."""
    gain: np.ndarray
    """float64 of shape (channels,): what one step of the file's whole numbers is worth, in the file's own units."""
    offset: np.ndarray
    """float64 of shape (channels,): what the file's zero is worth, in the file's own units."""
    _header: Header
    _signals: tuple[SignalHeader, ...]

    @property
    def bytes(self) -> int:
        """Bytes of one of the file's whole numbers."""
        return self._header.sample_bytes

    def digital(self, first: int, last: int) -> np.ndarray:
        """Read the file's own whole numbers.

        Parameters
        ----------
        first, last
            Samples from the start of the recording; ``last`` is not included.

        Returns
        -------
        numpy.ndarray
            Shape (channels, samples): int16 of an EDF file, int32 of a BDF file.

        Raises
        ------
        OSError
            If the file cannot be read, or is shorter than it was.
        """
        each, width, size = self._signals[0].per_record, self._header.sample_bytes, self._header.record_bytes
        begin, end = first // each, -(-last // each)
        whole = np.empty((len(self._signals), (end - begin) * each), "<i2" if width == 2 else "<i4")
        low, high = self._bytes()
        per_piece = max(1, _PIECE // size)
        buffer = np.empty((min(per_piece, end - begin), high - low), np.uint8)
        with self.path.open("rb", buffering=0) as file:
            for start in range(begin, end, per_piece):
                records = buffer[: min(per_piece, end - start)]
                at_once = [records] if high - low == size else list(records)
                for number, part in enumerate(at_once, start):
                    file.seek(self._header.header_bytes + number * size + low)
                    _fill(file, part)
                into = whole[:, (start - begin) * each :][:, : len(records) * each]
                for row, signal in zip(into, self._signals, strict=True):
                    one = records[:, signal.start - low : signal.start - low + each * width]
                    row.reshape(len(records), each)[:] = _integers(one, width)
        return whole[:, first - begin * each : last - begin * each]

    def only(self, picks: Sequence[int]) -> Samples:
        """Return some of these signals, in this order."""
        chosen = list(picks)
        signals = tuple(self._signals[pick] for pick in chosen)
        return replace(self, gain=self.gain[chosen], offset=self.offset[chosen], _signals=signals)

    def _bytes(self) -> tuple[int, int]:
        """First and last byte (exclusive) of a data record to read: all, but for a few signals of many in long ones."""
        ends = [(s.start, s.start + s.per_record * self._header.sample_bytes) for s in self._signals]
        low, high = min(first for first, _ in ends), max(last for _, last in ends)
        few = self._header.record_bytes > max(_LONG, _FEW * (high - low))
        return (low, high) if few else (0, self._header.record_bytes)

    def read(self, first: int, last: int) -> np.ndarray:
        """Read as ``digital`` does, scaled.

        Returns
        -------
        numpy.ndarray
            float64 of shape (channels, samples), in the file's own units; the same bits that MNE computes.
        """
        numbers = self.digital(first, last).astype(np.float64)
        numbers *= self.gain[:, None]
        numbers += self.offset[:, None]
        return numbers


def open_samples(path: Path, header: Header, picks: Sequence[int]) -> Samples:
    """Open some signals of an EDF or BDF file, all of the same rate.

    Parameters
    ----------
    path
        The file.
    header
        What ``edf.check_whole`` returned.
    picks
        Places in ``header.signals``.

    Raises
    ------
    RecordingError
        If a number in the header is none.
    """
    wanted = tuple(header.signals[pick] for pick in picks)
    assert len({signal.per_record for signal in wanted}) == 1, "signals of different rates"
    gain, offset = _scaling(path, wanted)
    return Samples(
        path=path,
        samples=header.records * wanted[0].per_record,
        rate=wanted[0].rate,
        gain=gain,
        offset=offset,
        _header=header,
        _signals=wanted,
    )


def _scaling(path: Path, signals: Sequence[SignalHeader]) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset of signals; a range of nothing counts as 1, as in MNE."""
    names = [f"{name.replace('_', ' ')} of a signal" for name in LIMITS]
    limits = [[decimal(path, name, raw) for name, raw in zip(names, s.limits, strict=True)] for s in signals]
    low, high, first, last = np.array(limits).T
    physical, digital = high - low, last - first
    physical[physical == 0] = 1
    digital[digital == 0] = 1
    gain = physical / digital
    return gain, low - first * gain


def _fill(file: FileIO, target: np.ndarray) -> None:
    """Read exactly as many bytes as the target holds."""
    view = memoryview(target.data).cast("B")
    while view:
        got = file.readinto(view)
        if not got:
            raise OSError(f"{file.name} ends {len(view):,} bytes before the end of its last data record")
        view = view[got:]


def _integers(raw: np.ndarray, width: int) -> np.ndarray:
    """Whole numbers from the bytes (records, bytes) of one signal."""
    if width == 2:
        return raw.view("<i2")
    wide = np.zeros((*raw.shape[:-1], raw.shape[-1] // 3, 4), np.uint8)
    wide[..., 1:] = raw.reshape(*raw.shape[:-1], -1, 3)  # in the upper bytes, so that the shift keeps the sign
    return wide.view("<i4")[..., 0] >> 8
