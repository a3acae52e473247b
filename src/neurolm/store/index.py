"""The index of a store: where everything is, so that 100,000 recordings open in a moment.

``manifest.jsonl`` is the truth and ``index.npz`` is derived from it, bit for bit. It holds numbers alone; a row of the
manifest is parsed when somebody asks for it. A store without the file opens too, after reading the whole manifest.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, overload
from zipfile import ZipFile

import numpy as np

from neurolm.core.errors import StoreError
from neurolm.core.files import atomic_file
from neurolm.core.small_files import require_plain
from neurolm.store.manifest import Row, parse_row
from neurolm.store.storage import BLOCK, Storage, read_blocks, read_whole

MANIFEST = "manifest.jsonl"
INDEX = "index.npz"
ENTRY = np.dtype(
    [
        ("identity", "<u8"),  # of the recording's id
        ("line", "<u8"),  # byte of the manifest at which the row's line begins
        ("offset", "<u8"),  # byte of the shard at which the signal begins
        ("samples", "<u8"),
        ("first", "<u4"),  # of the recording's channels in `scales`
        ("shard", "<u4"),
        ("channels", "<u2"),
    ]
)


@dataclass(frozen=True)
class Index:
    """Where everything is."""

    entries: np.ndarray
    """``ENTRY`` (recordings,)."""
    scales: np.ndarray
    """float32 (channels of all recordings,): µV per count."""
    shards: np.ndarray
    """str (shards,): their names, in the order in which the manifest names them first."""
    sizes: np.ndarray
    """int64 (shards,): their bytes."""
    manifest: np.ndarray
    """int64 (1,): bytes of the manifest."""
    digest: np.ndarray
    """uint8 (32,): SHA-256 of the manifest."""


class IndexWriter:
    """Collects the index while the lines of a manifest pass by, in the order of the recordings' ids."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, ...]] = []
        self._scales: list[float] = []
        self._shards: dict[str, int] = {}
        self._sizes: list[int] = []
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._last = ""

    def add(self, row: Row, line: bytes) -> None:
        """Take a row and its line.

        Raises
        ------
        StoreError
            If a recording is named twice, or the rows are not sorted.
        """
        if self._entries and row.recording <= self._last:
            twice = "is named twice" if row.recording == self._last else "is not in its place: rows are sorted by id"
            raise StoreError(f"{row.recording}: {twice}")
        self._last = row.recording
        shard = self._shards.setdefault(row.shard, len(self._shards))
        if shard == len(self._sizes):
            self._sizes.append(0)
        self._sizes[shard] = max(self._sizes[shard], row.offset + row.size)
        first = len(self._scales)
        place = (identity(row.recording), self._bytes, row.offset, row.samples, first, shard, len(row.channels))
        self._entries.append(place)
        self._scales.extend(row.scale)
        self._digest.update(line)
        self._bytes += len(line)

    def index(self) -> Index:
        """Return the index of the rows so far."""
        return Index(
            entries=np.array(self._entries, ENTRY),
            scales=np.array(self._scales, "<f4"),
            shards=np.array(list(self._shards), np.str_),
            sizes=np.array(self._sizes, "<i8"),
            manifest=np.array([self._bytes], "<i8"),
            digest=np.frombuffer(self._digest.digest(), np.uint8),
        )


def identity(recording: str) -> int:
    """Return a number that stands for a recording's id, by which an index notices that a manifest is not its own."""
    return int.from_bytes(hashlib.blake2b(recording.encode(), digest_size=8).digest(), "little")


def write_manifest(folder: Path, rows: Iterable[Row]) -> Index:
    """Write the manifest and the index of a store, sorted by id.

    Readers see the old store or the new one: the manifest is exchanged whole, while there is no index.

    Parameters
    ----------
    rows
        Rows in the order of their ids.
    """
    writer = IndexWriter()
    with atomic_file(folder / MANIFEST) as temporary:
        with temporary.open("wb", buffering=BLOCK) as stream:
            for row in rows:
                line = row.line().encode()
                writer.add(row, line)
                stream.write(line)
        (folder / INDEX).unlink(missing_ok=True)
    index = writer.index()
    write_index(folder, index)
    return index


def write_index(folder: Path, index: Index) -> None:
    """Write the index of a store."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {field.name: getattr(index, field.name) for field in fields(Index)}
    np.savez(content, allow_pickle=False, **arrays)
    with atomic_file(folder / INDEX) as temporary:
        temporary.write_bytes(content.getvalue())


def read_index(storage: Storage, name: str) -> Index:
    """Read the index of a store; without one, make it of the manifest.

    Parameters
    ----------
    name
        Of the store, for messages.

    Raises
    ------
    StoreError
        If there is no manifest, it is damaged, or the index is of another one.
    """
    size = storage.size(MANIFEST)
    assert size is not None
    if storage.size(INDEX) is None:
        return scan(storage, name)
    remedy = f"delete {INDEX} (the store then opens slowly), or prepare the recordings again"
    try:
        content = io.BytesIO(read_whole(storage, INDEX))
        with ZipFile(content) as parts:
            require_plain(parts, len(content.getvalue()))
        content.seek(0)
        with np.load(content, allow_pickle=False) as arrays:
            index = Index(**{field.name: arrays[field.name] for field in fields(Index)})
        if index.entries.dtype != ENTRY or index.digest.shape != (32,):
            raise ValueError("of another version")
        if len(index.entries) and int(index.entries["first"][-1]) + int(index.entries["channels"][-1]) != len(
            index.scales
        ):
            raise ValueError("its arrays are of different lengths")
    except Exception as error:  # NumPy and zipfile fail in many ways on what is damaged
        raise StoreError(f"{name}/{INDEX}: damaged ({error}); {remedy}") from error
    if int(index.manifest[0]) != size:
        raise StoreError(
            f"{name}/{INDEX}: of a manifest of {int(index.manifest[0]):,} bytes, but {MANIFEST} has {size:,}; {remedy}"
        )
    return index


def scan(storage: Storage, name: str) -> Index:
    """Make the index of a store by reading its whole manifest.

    Raises
    ------
    StoreError
        If a line is damaged; the message names it.
    """
    writer = IndexWriter()
    for number, line in enumerate(lines(storage), start=1):
        where = f"{name}/{MANIFEST}, line {number}"
        row = parse_row(line, source=where)
        try:
            writer.add(row, line)
        except StoreError as error:
            raise StoreError(f"{where}: damaged: {error}") from error
    return writer.index()


def lines(storage: Storage, size: int | None = None) -> Iterator[bytes]:
    """Yield the lines of the manifest, or of its first bytes, with their ends; the last one may have none."""
    rest = b""
    for block in read_blocks(storage, MANIFEST, 0, (storage.size(MANIFEST) or 0) if size is None else size):
        whole, newline, rest = (rest + bytes(block)).rpartition(b"\n")
        for line in whole.split(b"\n") if newline else ():
            yield line + b"\n"
    if rest:
        yield rest


class Rows(Sequence[Row]):
    """The rows of a manifest, read when they are asked for: 100,000 of them would take seconds and a gigabyte.

    Parameters
    ----------
    access
        Reads the store's folder, and nothing else: it keeps the manifest open, so that the rows stay those of the
        index when the store is prepared anew.
    index
        Of the same manifest.
    name
        Of the store, for messages.
    """

    def __init__(self, storage: Storage, index: Index, name: str) -> None:
        self._storage, self._index, self._name = storage, index, name
        storage.read_into(MANIFEST, 0, memoryview(bytearray(1)))

    def __getstate__(self) -> tuple[Storage, Index, str]:
        return self._storage, self._index, self._name

    def __setstate__(self, state: tuple[Storage, Index, str]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self._index.entries)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows):
            return bool(np.array_equal(self._index.digest, other._index.digest))
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Row.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        place = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= place < len(self):
            raise IndexError(f"recording {index} of {len(self)}")
        begins = self._index.entries["line"]
        begin = int(begins[place])
        end = int(begins[place + 1] if place + 1 < len(self) else self._index.manifest[0])
        line = bytearray(end - begin)
        got = self._storage.read_into(MANIFEST, begin, memoryview(line))
        return self._parse(place, bytes(line[:got]))

    def __iter__(self) -> Iterator[Row]:
        for number, line in enumerate(lines(self._storage, int(self._index.manifest[0]))):
            yield self._parse(number, line)

    def _parse(self, place: int, line: bytes) -> Row:
        where = f"{self._name}/{MANIFEST}, line {place + 1}"
        row = parse_row(line, source=where)
        if place >= len(self) or identity(row.recording) != int(self._index.entries["identity"][place]):
            raise StoreError(f"{where}: {row.recording} is not what {INDEX} says: the store was changed; open it again")
        return row
