"""The store: prepared recordings as raw int16, so that a window is one contiguous read.

A store is a folder::

    manifest.jsonl               a row per recording, sorted by recording id
    quarantine.jsonl             sources that could not be read, with the reason (only where there are any)
    settings.json                what the recordings were prepared with
    signals/<recording>.i16      int16, little-endian, samples × channels at 200 Hz
    rows/<recording>.json        the recording's row and the state of its source, from which a preparation resumes

Raw files beat HDF5, Zarr, Arrow and memory maps at random windows, cold and warm; int16 halves the bytes of float32
at a resolution (0.1 µV) far below the noise of an EEG amplifier. `neurolm.data.prepare` writes stores.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from neurolm.config import from_json
from neurolm.errors import ConfigError, StoreError
from neurolm.files import write_atomic
from neurolm.montage import RATE

MANIFEST = "manifest.jsonl"
QUARANTINE = "quarantine.jsonl"
SETTINGS = "settings.json"
SIGNALS = "signals"
ROWS = "rows"
SAMPLE = np.dtype("<i2")
"""How a sample is stored."""
SCALES = (0.1, 0.2, 0.5, 1.0)
"""Microvolts per count to choose from: the finest that holds a channel's range. The coarsest still resolves EEG and
reaches ±32.8 mV; what lies beyond is an artefact, clipped and counted."""
HELD_OPEN = 256
"""Signal files that a store keeps open."""


@dataclass(frozen=True)
class Label:
    """A labelled stretch of a recording."""

    task: str
    label: str
    start: float
    """Seconds from the start of the recording."""
    stop: float
    """Seconds from the start of the recording, not included."""
    split: str | None = None
    """``train``, ``validation`` or ``test`` where the data set itself says so; None: the task's card decides."""


@dataclass(frozen=True)
class Row:
    """What the manifest says about a recording."""

    recording: str
    """Unique id: the corpus and the path of the source below the data folder."""
    corpus: str
    source: str
    """Path of the source below the data folder."""
    sha256: str
    """Hash of the stored signal's bytes, the same wherever the recording lies and whatever it is called."""
    subject: str
    """Unique over corpora: ``corpus/subject``."""
    channels: tuple[str, ...]
    samples: int
    """Length at 200 Hz."""
    scale: tuple[float, ...]
    """Microvolts per count, per channel."""
    clipped: int
    """Samples outside the range of their channel's scale."""
    mains: float
    """Mains frequency in Hz that was notched out."""
    band: tuple[float, float]
    """Pass band in Hz."""
    unit: str
    """Unit of the source's numbers."""
    version: str
    """Version of neurolm that prepared the recording."""
    licence: str
    labels: tuple[Label, ...]
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / RATE

    @property
    def size(self) -> int:
        """Bytes of the signal file."""
        return self.samples * len(self.channels) * SAMPLE.itemsize

    def line(self) -> str:
        """The row as one line of the manifest: the same row always gives the same bytes."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


@dataclass(frozen=True)
class Encoded:
    """A signal as the store keeps it."""

    counts: np.ndarray
    """int16 (samples, channels)."""
    scale: tuple[float, ...]
    """Microvolts per count, per channel."""
    clipped: int
    sha256: str


def encode(signal: np.ndarray, *, block: int = 1 << 18) -> Encoded:
    """Turn microvolts into counts, in blocks so that long recordings need no second copy in float.

    Parameters
    ----------
    signal
        Float (samples, channels) in µV.
    block
        Samples converted at a time.

    Raises
    ------
    StoreError
        If a value is NaN or infinite.
    """
    samples, channels = signal.shape
    peak = np.zeros(channels)
    for start in range(0, samples, block):
        peak = np.maximum(peak, np.abs(signal[start : start + block]).max(axis=0))
    if not np.isfinite(peak).all():
        raise StoreError(f"the signal is NaN or infinite in channel {int(np.flatnonzero(~np.isfinite(peak))[0])}")
    info = np.iinfo(SAMPLE)
    scale = tuple(next((s for s in SCALES if p <= s * info.max), SCALES[-1]) for p in peak)
    counts = np.empty((samples, channels), SAMPLE)
    clipped = 0
    for start in range(0, samples, block):
        rounded = np.rint(signal[start : start + block] / np.array(scale))
        clipped += int(np.count_nonzero(np.abs(rounded) > info.max))
        counts[start : start + block] = np.clip(rounded, -info.max, info.max)
    return Encoded(counts=counts, scale=scale, clipped=clipped, sha256=hashlib.sha256(counts.data).hexdigest())


class Store:
    """A prepared store, opened for reading.

    Reading is safe from several threads and from forked or spawned workers: no file position is shared.

    Parameters
    ----------
    path
        Folder of the store.

    Raises
    ------
    StoreError
        If the store is missing, unfinished, empty or damaged.
    """

    path: Path
    rows: tuple[Row, ...]

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.rows = read_manifest(self.path)
        if not self.rows:
            raise StoreError(f"{self.path}: the store holds no recordings; prepare a folder of recordings into it")
        for row in self.rows:
            file = signal_path(self.path, row.recording)
            size = file.stat().st_size if file.is_file() else None
            if size != row.size:
                found = "is missing" if size is None else f"has {size:,} bytes instead of {row.size:,}"
                raise StoreError(f"{file}: the store is damaged: this file {found}; prepare the recordings again")
        self._open: dict[int, _Descriptor] = {}
        self._lock = Lock()

    @property
    def fingerprint(self) -> str:
        """Hash of the manifest: the same for the same recordings prepared in the same way."""
        return hashlib.sha256("".join(row.line() for row in self.rows).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "rows": self.rows}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _open={}, _lock=Lock())

    def read(self, index: int, start: int, count: int) -> np.ndarray:
        """Read a stretch of a recording in one read.

        Parameters
        ----------
        index
            Of the recording in ``rows``.
        start, count
            First sample and number of samples, at 200 Hz.

        Returns
        -------
        numpy.ndarray
            int16 (count, channels), in counts of the row's ``scale``.

        Raises
        ------
        StoreError
            If the stretch is not inside the recording, or the file ends before it.
        """
        row = self.rows[index]
        if start < 0 or count < 0 or start + count > row.samples:
            raise StoreError(
                f"{row.recording}: samples {start} to {start + count} were asked for, but the recording has "
                f"{row.samples} samples ({row.seconds:g} s)"
            )
        counts = np.empty((count, len(row.channels)), SAMPLE)
        wanted = counts.data.cast("B") if counts.size else memoryview(b"")
        offset = start * len(row.channels) * SAMPLE.itemsize
        descriptor = self._descriptor(index)
        while wanted:
            got = _read_into(descriptor.number, wanted, offset)
            if not got:
                raise StoreError(
                    f"{signal_path(self.path, row.recording)}: the store is damaged: the file ends at byte {offset:,} "
                    f"of {row.size:,}; prepare the recordings again"
                )
            wanted, offset = wanted[got:], offset + got
        return counts

    def microvolts(self, index: int, start: int, count: int) -> np.ndarray:
        """Read a stretch of a recording in µV: float32 (count, channels). See `read`."""
        return self.read(index, start, count) * np.array(self.rows[index].scale, np.float32)

    def verify(self) -> None:
        """Compare every signal with its hash.

        Raises
        ------
        StoreError
            If a signal is not the one that was prepared.
        """
        for row in self.rows:
            file = signal_path(self.path, row.recording)
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != row.sha256:
                    raise StoreError(f"{file}: the store is damaged: the content does not match the manifest's hash")

    def _descriptor(self, index: int) -> _Descriptor:
        with self._lock:
            descriptor = self._open.pop(index, None)
            if descriptor is None:
                descriptor = _Descriptor(signal_path(self.path, self.rows[index].recording))
                if len(self._open) >= HELD_OPEN:
                    del self._open[next(iter(self._open))]
            self._open[index] = descriptor  # last in the dictionary: the most recently used
            return descriptor


class _Descriptor:
    """An open file that closes when nobody reads from it any more."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def _read_into(descriptor: int, target: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [target], offset)
    data = os.pread(descriptor, len(target), offset)  # older macOS
    target[: len(data)] = data
    return len(data)


def signal_path(store: Path, recording: str) -> Path:
    """File of a recording's signal."""
    return store / SIGNALS / f"{recording}.i16"


def row_path(store: Path, recording: str) -> Path:
    """File of a recording's row and the state of its source."""
    return store / ROWS / f"{recording}.json"


def read_manifest(store: Path, name: str = MANIFEST) -> tuple[Row, ...]:
    """Read the rows of a store from its manifest, or from one of another name.

    Raises
    ------
    StoreError
        If there is no finished store there, or its manifest is damaged.
    """
    file = store / name
    if not store.is_dir():
        raise StoreError(f"{store}: no such store; make it with: neurolm prepare RECORDINGS --out {store}")
    if not file.is_file():
        if (store / SETTINGS).is_file():
            raise StoreError(f"{store}: the preparation of this store was not finished; give the same command again")
        raise StoreError(f"{store}: not a store (it has no {MANIFEST}); give the folder that `neurolm prepare` wrote")
    rows = []
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                rows.append(from_json(Row, line, source="row"))
            except ConfigError as error:
                raise StoreError(f"{file}, line {number}: damaged, or written by another version: {error}") from error
    return tuple(rows)


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file of several parts atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            stream.writelines(parts)

    write_atomic(path, write)
