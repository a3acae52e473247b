"""The samples of an EDF or BDF file, straight from its data records.

>>> samples = open_samples(Path("night.edf"), [0, 1, 2])
>>> samples.digits(0, 5000)         # int16 (channels, samples), the file's whole numbers; int32 in BDF
>>> samples.read(0, 5000)           # float64 (channels, samples), in the file's own units

Only the wanted channels are turned into numbers, by the scaling that MNE uses; no channel is ever upsampled. Memory
stays bounded, because records are read in pieces. Format: Kemp & Olivan 2003, https://www.edfplus.info/specs
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError

_FIXED = 256  # bytes of the fixed part of the header; every signal adds as many
# Byte of a signal's 256 where each column starts; the columns of all signals follow one another in the file.
_COLUMNS = {"label": (0, 16), "physical_minimum": (104, 8), "physical_maximum": (112, 8)}
_COLUMNS |= {"digital_minimum": (120, 8), "digital_maximum": (128, 8), "samples": (216, 8)}
_PIECE = 1 << 22  # bytes read at a time: they stay in the cache until they are numbers
_ANNOTATIONS = (b"EDF Annotations", b"BDF Annotations")
# A time-stamped list: onset, perhaps a duration, and texts, each closed by 0x14 (EDF+, section 2.2.2).
_LIST = re.compile(rb"([+-]\d+\.?\d*)(?:\x15(\d+\.?\d*))?(\x14.*?)\x14\x00")


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
    _data: int  # byte where the records begin
    _record: int  # bytes in a record
    _each: int  # samples of a signal in a record
    _width: int  # bytes of a sample
    _starts: tuple[int, ...]  # byte of a record where each signal begins
    _notes: tuple[tuple[int, int], ...]  # bytes of a record between which annotations are

    def digits(self, first: int, last: int) -> np.ndarray:
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
            If the file can't be read, or is shorter than it was.
        """
        begin, end = first // self._each, -(-last // self._each)
        whole = np.empty((len(self._starts), (end - begin) * self._each), "<i2" if self._width == 2 else "<i4")
        per_piece = max(1, _PIECE // self._record)
        buffer = np.empty((min(per_piece, end - begin), self._record), np.uint8)
        with self.path.open("rb", buffering=0) as file:
            file.seek(self._data + begin * self._record)
            for start in range(begin, end, per_piece):
                records = buffer[: min(per_piece, end - start)]
                _fill(file, records)
                into = whole[:, (start - begin) * self._each :][:, : len(records) * self._each]
                for row, byte in zip(into, self._starts, strict=True):
                    one = records[:, byte : byte + self._each * self._width]
                    row.reshape(len(records), self._each)[:] = _integers(one, self._width)
        return whole[:, first - begin * self._each : last - begin * self._each]

    def read(self, first: int, last: int) -> np.ndarray:
        """Read as ``digits`` does, scaled.

        Returns
        -------
        numpy.ndarray
            float64 of shape (channels, samples), in the file's own units; the same bits that MNE computes.
        """
        numbers = self.digits(first, last).astype(np.float64)
        numbers *= self.gain[:, None]
        numbers += self.offset[:, None]
        return numbers

    def annotations(self, labels: Collection[str] = ()) -> tuple[tuple[float, float, str], ...]:
        """Read the annotations of an EDF+ file: only their bytes, however long the recording is.

        Parameters
        ----------
        labels
            Labels of the file's signals: a text that ends in ``@@`` and one of them concerns that signal only, and is
            returned without.

        Returns
        -------
        tuple of (float, float, str)
            Seconds from the first sample, seconds, text; sorted by time.

        Raises
        ------
        OSError
            If the file can't be read, or is shorter than it was.
        """
        lists = bytearray()
        if self._notes:
            with self.path.open("rb", buffering=0) as file:
                for start, stop in self._notes:
                    part = np.empty(stop - start, np.uint8)
                    for record in range(self.samples // self._each):
                        file.seek(self._data + record * self._record + start)
                        _fill(file, part)
                        lists += part.tobytes()
        return _annotations(bytes(lists), labels)

    def only(self, kept: Sequence[int]) -> Samples:
        """Some of these channels, by their place among them."""
        return Samples(
            path=self.path,
            samples=self.samples,
            rate=self.rate,
            gain=self.gain[list(kept)],
            offset=self.offset[list(kept)],
            _data=self._data,
            _record=self._record,
            _each=self._each,
            _width=self._width,
            _starts=tuple(self._starts[i] for i in kept),
            _notes=self._notes,
        )


def open_samples(path: Path, picks: Sequence[int]) -> Samples | None:
    """Open some signals of an EDF or BDF file whose header has been checked (``edf.read_header``).

    Parameters
    ----------
    path
        The file.
    picks
        The signals, counted without annotations, as ``edf.Header.signals`` does.

    Returns
    -------
    Samples or None
        None where the samples don't simply follow one another: interrupted recordings (EDF+D), and signals of
        different rates.

    Raises
    ------
    RecordingError
        If a number in the header is none.
    """
    with path.open("rb") as file:
        fixed = file.read(_FIXED)
        count = int(fixed[252:256])
        table = file.read(_FIXED * count)
    if fixed[192:236].strip(b" \0")[3:5] == b"+D":
        return None
    width = 3 if fixed[0] == 0xFF else 2
    labels = _column(table, count, "label")
    signals = [i for i, label in enumerate(labels) if label.strip(b" \0") not in _ANNOTATIONS]
    wanted = [signals[pick] for pick in picks]
    each = np.array([int(_number(path, "samples", raw)) for raw in _column(table, count, "samples")], dtype=np.int64)
    if len(set(each[wanted].tolist())) != 1:
        return None
    starts = width * (np.cumsum(each) - each)
    data, record = _FIXED * (count + 1), width * int(each.sum())
    own = int(each[wanted[0]])
    gain, offset = _scaling(path, table, count, wanted)
    return Samples(
        path=path,
        samples=(path.stat().st_size - data) // record * own,
        rate=own / (_number(path, "record length", fixed[244:252]) or 1.0),  # as MNE does where a record has no length
        gain=gain,
        offset=offset,
        _data=data,
        _record=record,
        _each=own,
        _width=width,
        _starts=tuple(int(starts[i]) for i in wanted),
        _notes=tuple((int(starts[i]), int(starts[i] + width * each[i])) for i in range(count) if i not in signals),
    )


def _annotations(lists: bytes, labels: Collection[str]) -> tuple[tuple[float, float, str], ...]:
    """Parse time-stamped lists of annotations, as MNE does."""
    found: list[tuple[float, float, str]] = []
    of_signals = set()  # the same of several signals counts once
    origin = 0.0
    for number, (onset, duration, texts) in enumerate(_LIST.findall(lists)):
        start, length = float(onset) - origin, float(duration or 0)
        for raw in texts.split(b"\x14")[1:]:
            if not raw:
                if number == 0:  # the first record's own time: it begins a fraction of a second after the header's
                    origin = start
                continue
            text, at, signal = _text(raw).partition("@@")
            if not at or signal not in labels:
                found.append((start, length, text + at + signal))
            elif (start, length, text) not in of_signals:
                found.append((start, length, text))
                of_signals.add(found[-1])
    return tuple(sorted(found, key=lambda mark: mark[:2]))


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # EDF+ wants UTF-8; many programs write Latin-1


def _scaling(path: Path, table: bytes, count: int, wanted: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset of the wanted signals; a range of nothing counts as 1, as in MNE."""
    limits = {}
    for name in ("physical_minimum", "physical_maximum", "digital_minimum", "digital_maximum"):
        column = _column(table, count, name)
        limits[name] = np.array([_number(path, name.replace("_", " "), column[i]) for i in wanted])
    physical = limits["physical_maximum"] - limits["physical_minimum"]
    digital = limits["digital_maximum"] - limits["digital_minimum"]
    physical[physical == 0] = 1
    digital[~np.isfinite(digital) | (digital == 0)] = 1
    gain = physical / digital
    return gain, limits["physical_minimum"] - limits["digital_minimum"] * gain


def _column(table: bytes, count: int, name: str) -> list[bytes]:
    start, width = _COLUMNS[name]
    return [table[start * count + i * width :][:width] for i in range(count)]


def _number(path: Path, what: str, raw: bytes) -> float:
    try:
        return float(raw.decode("latin-1").split("\0")[0].replace(",", "."))  # some recorders write decimal commas
    except ValueError:
        raise RecordingError(
            f"{path}: damaged header: the {what} of a signal reads {raw!r}; copy or download it again"
        ) from None


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
