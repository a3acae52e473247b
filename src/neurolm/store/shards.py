"""Shards: which recordings share a file, what the file is called, and how it is put together.

Recordings are grouped in the order of their ids. A group ends where a hash of the id says so, with a chance in
proportion to the source's bytes: so a new recording changes the group it falls into and leaves the others as they are,
and the grouping is the same whether a corpus came at once or bit by bit (content-defined chunking, as in restic).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolm.core.errors import StoreError
from neurolm.core.files import atomic_file
from neurolm.store.index import identity, write_manifest
from neurolm.store.manifest import SAMPLE, Row
from neurolm.store.storage import Access, Local, read_blocks
from neurolm.store.store import SHARDS, SOURCES, STAGING

SHARD_BYTES = 1 << 30
"""Bytes of the sources of a shard, on average."""
SMALLEST, LARGEST = 0.25, 4.0
"""Bounds of a shard, in ``SHARD_BYTES`` of sources; the last one of a corpus may be smaller."""


def grouped(recordings: Sequence[str], sizes: Sequence[int], *, average: int | None = None) -> list[range]:
    """Group recordings into shards.

    Parameters
    ----------
    recordings
        Their ids, sorted.
    sizes
        Bytes of their sources.
    average
        Bytes of sources per group; by default ``SHARD_BYTES``.

    Returns
    -------
    list of range
        Consecutive indices.
    """
    average = SHARD_BYTES if average is None else average
    groups, first, held = [], 0, 0
    for index, (recording, size) in enumerate(zip(recordings, sizes, strict=True)):
        if index > first and held + size > LARGEST * average:
            groups.append(range(first, index))
            first, held = index, 0
        held += size
        chance = size / ((1 - SMALLEST) * average)
        if held >= SMALLEST * average and identity(recording) / 2**64 < chance:
            groups.append(range(first, index + 1))
            first, held = index + 1, 0
    if first < len(recordings):
        groups.append(range(first, len(recordings)))
    return groups


def placed(corpus: str, rows: Sequence[Row]) -> list[Row]:
    """Give rows their place in the shard that holds these signals in this order.

    Parameters
    ----------
    corpus
        Of the rows; the shard's name begins with it.
    rows
        As they are wherever their signals lie now.
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.recording}\n{row.sha256} {row.samples} {len(row.channels)}\n".encode())
    shard = f"{corpus}-{digest.hexdigest()[:16]}.i16"
    out, offset = [], 0
    for row in rows:
        out.append(replace(row, shard=shard, offset=offset))
        offset += row.size
    return out


def is_shard_of(corpus: str, name: str) -> bool:
    """Tell whether a file's name is that of a shard, or of a shard's sources, of a corpus."""
    return re.fullmatch(re.escape(corpus) + r"-[0-9a-f]{16}\.(i16|jsonl)", name) is not None


def write_shard(out: Path, before: Sequence[Row], after: Sequence[Row]) -> None:
    """Copy signals into a shard.

    Parameters
    ----------
    out
        Folder of the store.
    before
        Rows of the signals where they lie now: in a shard, or in a file of their own below ``staging``.
    after
        The same, as `placed` gave them their place.

    Raises
    ------
    StoreError
        If a signal is not as long as its row says, or the shard cannot be written.
    """
    path = out / SHARDS / after[0].shard
    size = after[-1].offset + after[-1].size
    if path.is_file() and path.stat().st_size == size:  # written by a run that was interrupted right after it
        return
    access = Local(out)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        for row, place in zip(before, after, strict=True):
            for block in _signal(access, row):
                file.write(block)
            if file.tell() != place.offset + place.size:
                raise StoreError(
                    f"{out / _name(row)}: the store is damaged: this file is too short for {row.recording}; delete it, "
                    "then prepare again"
                )


def _signal(access: Access, row: Row) -> Iterable[memoryview]:
    return read_blocks(access, _name(row), row.offset, row.size)


def _name(row: Row) -> str:
    return f"{SHARDS}/{row.shard}" if row.shard else staged_name(row.recording)


def staged_name(recording: str) -> str:
    """File of a signal that waits for its shard, below the store."""
    return f"{STAGING}/{recording}.i16"


def staged_state(out: Path, recording: str) -> Path:
    """File of what is known about a recording that waits for its shard."""
    return out / STAGING / f"{recording}.json"


def sources_path(out: Path, shard: str) -> Path:
    """File of what the recordings of a shard were made from."""
    return out / SOURCES / Path(shard).with_suffix(".jsonl").name


def write_store(out: Path, recordings: Iterable[tuple[Row, np.ndarray]]) -> None:
    """Write a store of signals that are in memory: for tests, and for signals that come from no file.

    Parameters
    ----------
    out
        Folder of the store.
    recordings
        Rows (of any corpora, ``shard`` and ``offset`` of no matter) and their counts: int16 (samples, channels).
    """
    by_corpus: dict[str, list[tuple[Row, np.ndarray]]] = {}
    for row, counts in sorted(recordings, key=lambda pair: pair[0].recording):
        assert counts.dtype == SAMPLE and counts.shape == (row.samples, len(row.channels))
        by_corpus.setdefault(row.corpus, []).append((row, counts))
    rows: list[Row] = []
    for corpus, pairs in by_corpus.items():
        after = placed(corpus, [row for row, _ in pairs])
        with atomic_file(out / SHARDS / after[0].shard) as temporary, temporary.open("wb") as file:
            for _, counts in pairs:
                file.write(np.ascontiguousarray(counts).data.cast("B") if counts.size else b"")
        rows += after
    write_manifest(out, sorted(rows, key=lambda row: row.recording))
