"""The store: prepared recordings as raw int16, so that a window is one contiguous read.

A store is a folder, on a disk or in object storage::

    manifest.jsonl                 a row per recording, sorted by recording id
    index.npz                      the same as arrays: where everything is, so that opening is quick
    shards/<corpus>-<hash>.i16     the signal of a recording: int16, little-endian, samples × channels at 200 Hz
    sources/<corpus>.jsonl         the journal: what a corpus's recordings were made from, so that a preparation goes on
    settings.json                  what the recordings were prepared with
    quarantine.jsonl               sources that could not be read, with the reason (only where there are any)
    excluded.jsonl                 sources that were left out on demand (only where there are any)

A shard is named by what it holds and never changes, and a new manifest takes the place of the old one at once: whoever
reads while a preparation runs, reads the store as it was. Raw files beat HDF5, Zarr and Arrow at random windows
(docs/benchmarks/store.md); int16 halves the bytes of float32 at a resolution (0.1 µV) far below the noise of an EEG
amplifier. `neurolm.prepare.prepare` writes stores.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.core.errors import StoreError
from neurolm.core.physics import Filters
from neurolm.core.small_files import parse_json
from neurolm.store.index import INDEX, MANIFEST, Index, Rows, read_index
from neurolm.store.manifest import SAMPLE, Label, Outline, Row
from neurolm.store.storage import LocalStorage, Storage, open_storage, read_blocks, read_whole

__all__ = ["INDEX", "MANIFEST", "SAMPLE", "Label", "Outline", "Row", "Store"]

FORMAT = 2
"""Version of the store's format. Another number is another arrangement of files or another preprocessing."""
QUARANTINE = "quarantine.jsonl"
EXCLUDED = "excluded.jsonl"
SETTINGS = "settings.json"
SHARDS = "shards"
SOURCES = "sources"


class Store:
    """A prepared store, opened for reading.

    Reading is safe from several threads and from forked or spawned workers: no file position is shared.

    Parameters
    ----------
    path
        Folder of the store, or its URL (``s3://bucket/store``; any kind that fsspec knows).

    Raises
    ------
    StoreError
        If the store is missing, unfinished, empty, damaged or of an earlier format.
    """

    path: Path | str
    rows: Rows

    def __init__(self, path: Path | str) -> None:
        self.path = path if isinstance(path, str) and "://" in path else Path(path)
        self._storage = open_storage(path)
        require_store(self._storage, self.path)
        self._use(read_index(self._storage, str(self.path)))
        if not len(self):
            raise StoreError(f"{self.path}: the store holds no recordings; prepare a folder of recordings into it")
        expected = dict(zip(self._index.shards.tolist(), self._index.sizes.tolist(), strict=True))
        sizes = self._storage.sizes(SHARDS)
        if expected.items() <= sizes.items():
            return
        shard = next(name for name, size in expected.items() if sizes.get(name) != size)
        found = "is missing" if shard not in sizes else f"has {sizes[shard]:,} bytes instead of {expected[shard]:,}"
        raise StoreError(
            f"{self.path}/{SHARDS}/{shard}: the store is damaged: this file {found}; prepare the recordings again"
        )

    def _use(self, index: Index) -> None:
        self._index = index
        self.rows = Rows(open_storage(self.path), index, str(self.path))

    @property
    def fingerprint(self) -> str:
        """Hash of the manifest: the same for the same recordings prepared in the same way."""
        return self._index.digest.tobytes().hex()

    @functools.cached_property
    def outlines(self) -> tuple[Outline, ...]:
        """What is needed of each row again and again, in the order of ``rows``: one pass over the manifest, then kept.

        A training looks at all recordings a dozen times before its first step, and parsing 100,000 rows takes seconds.
        """
        kept: dict[Any, Any] = {}  # people and montages are the same in many rows
        return tuple(
            Outline(
                row.recording,
                kept.setdefault(row.subject, row.subject),
                row.samples,
                kept.setdefault(row.channels, row.channels),
                row.labels,
                row.interrupted,
                row.sha256,
                row.filters,
            )
            for row in self.rows
        )

    @functools.cached_property
    def filters(self) -> Filters:
        """How all of its recordings were filtered.

        Raises
        ------
        StoreError
            If some were filtered otherwise than others.
        """
        found = {row.filters: row.recording for row in self.outlines}
        if len(found) > 1:
            said = " and ".join(f"{name} was filtered {how}" for how, name in sorted(found.items()))
            raise StoreError(f"{self.path}: {said}: no model reads both; prepare each kind into a store of its own")
        return next(iter(found))

    @property
    def samples(self) -> np.ndarray:
        """Length of each recording at 200 Hz: int64 (recordings,)."""
        return self._index.entries["samples"].astype(np.int64)

    def __len__(self) -> int:
        return len(self._index.entries)

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "index": self._index}

    def __setstate__(self, state: dict) -> None:
        self.path = state["path"]
        self._storage = open_storage(self.path)
        self._use(state["index"])

    def read(self, index: int, start: int, count: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Read a stretch of a recording in one read.

        Parameters
        ----------
        index
            Of the recording in ``rows``.
        start, count
            First sample and number of samples, at 200 Hz.
        out
            Contiguous int16 (count, channels) to fill, for readers of long stretches that have a buffer already.

        Returns
        -------
        numpy.ndarray
            int16 (count, channels), in counts of the row's ``scale``.

        Raises
        ------
        StoreError
            If the stretch is not inside the recording, or the file ends before it.
        """
        entry = self._index.entries[index]
        samples, channels, shard = int(entry["samples"]), int(entry["channels"]), int(entry["shard"])
        if start < 0 or count < 0 or start + count > samples:
            raise StoreError(
                f"{self.rows[index].recording}: samples {start} to {start + count} were asked for, but the recording "
                f"has {samples} samples ({self.rows[index].seconds:g} s)"
            )
        counts = np.empty((count, channels), SAMPLE) if out is None else out
        assert counts.shape == (count, channels) and counts.dtype == SAMPLE and counts.flags.c_contiguous
        if not counts.size:
            return counts
        offset = int(entry["offset"]) + start * channels * SAMPLE.itemsize
        file = f"{SHARDS}/{self._index.shards[shard]}"
        got = self._storage.read_into(file, offset, counts.data.cast("B"))
        if got != counts.nbytes:
            raise StoreError(
                f"{self.path}/{file}: the store is damaged: the file ends at byte {offset + got:,} of "
                f"{int(self._index.sizes[shard]):,}; prepare the recordings again"
            )
        return counts

    def microvolts(self, index: int, start: int, count: int) -> np.ndarray:
        """Read a stretch of a recording in µV: float32 (count, channels). See `read`."""
        return self.read(index, start, count) * self.scale(index)

    def scale(self, index: int) -> np.ndarray:
        """Microvolts per count of each channel of a recording: float32 (channels,). Not to be written to."""
        first, channels = int(self._index.entries["first"][index]), int(self._index.entries["channels"][index])
        return self._index.scales[first : first + channels]

    def verify(self) -> None:
        """Compare every signal with its hash.

        Raises
        ------
        StoreError
            If a signal is not the one that was prepared.
        """
        for row in self.rows:
            if signal_digest(self._storage, row.shard, row.offset, row.size) != row.sha256:
                raise StoreError(
                    f"{self.path}/{SHARDS}/{row.shard}: the store is damaged: the content of {row.recording} does not "
                    "match the manifest's hash"
                )


def signal_digest(storage: Storage, shard: str, offset: int, size: int) -> str:
    """Return the SHA-256 of a stretch of a shard; of fewer bytes where the file ends before."""
    digest = hashlib.sha256()
    for block in read_blocks(storage, f"{SHARDS}/{shard}", offset, size):
        digest.update(block)
    return digest.hexdigest()


def require_store(storage: Storage, path: Path | str) -> None:
    """Refuse anything but a finished store of this format.

    Raises
    ------
    StoreError
        If it is not; the message says what to do.
    """
    if isinstance(storage, LocalStorage) and not storage.folder.is_dir():
        raise StoreError(f"{path}: no such store; make it with: neurolm prepare RECORDINGS --out {path}")
    has_settings = storage.size(SETTINGS) is not None
    if has_settings:
        require_format(read_whole(storage, SETTINGS), f"{path}/{SETTINGS}")
    if storage.size(MANIFEST) is None:
        if has_settings:
            raise StoreError(f"{path}: the preparation of this store was not finished; give the same command again")
        raise StoreError(f"{path}: not a store (it has no {MANIFEST}); give the folder that `neurolm prepare` wrote")


def require_format(settings: bytes, name: str) -> None:
    """Refuse the settings of a store of another format.

    Raises
    ------
    StoreError
        If it is another; the message says what to do.
    """
    try:
        content = parse_json(settings)
        found = content.get("format", FORMAT) if isinstance(content, dict) else None
    except ValueError as error:
        raise StoreError(f"{name}: the store is damaged ({error}); prepare into another folder") from error
    if found != FORMAT:
        raise StoreError(
            f"{name}: a store of format {found}, and this version reads format {FORMAT}: prepare the recordings again, "
            "into a new folder (neurolm prepare RECORDINGS --out NEW)"
        )
