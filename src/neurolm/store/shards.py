"""Shards: the files that hold the signals, one for each recording.

A shard is named by what it holds and never changes: a recording that was added or changed gets a new one, all others
stay as they are, and whoever reads the store meanwhile reads what was there before. Older stores put about 1 GiB
of recordings into one; a row says where its signal begins, so both are read alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolm.core.files import atomic_file
from neurolm.store.index import write_manifest
from neurolm.store.manifest import SAMPLE, Row
from neurolm.store.store import SHARDS


def in_shard(row: Row) -> Row:
    """Return a row as it stands in a shard of its own, which is named by the recording's id and signal."""
    content = f"{row.recording}\n{row.sha256} {row.samples} {len(row.channels)}\n"
    name = f"{row.corpus}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.i16"
    return replace(row, shard=name, offset=0)


def is_shard_of(corpus: str, name: str) -> bool:
    """Tell whether a file's name is that of a shard of a corpus."""
    return re.fullmatch(re.escape(corpus) + r"-[0-9a-f]{16}\.i16", name) is not None


def write_store(out: Path, recordings: Iterable[tuple[Row, np.ndarray]]) -> None:
    """Write a store of signals that are in memory: for tests, and for signals that come from no file.

    Parameters
    ----------
    out
        Folder of the store.
    recordings
        Rows (``shard`` and ``offset`` of no matter) and their counts: int16 (samples, channels).
    """
    rows = []
    for row, counts in recordings:
        assert counts.dtype == SAMPLE and counts.shape == (row.samples, len(row.channels))
        rows.append(in_shard(row))
        with atomic_file(out / SHARDS / rows[-1].shard) as temporary:
            temporary.write_bytes(counts.tobytes())
    write_manifest(out, sorted(rows, key=lambda row: row.recording))
