"""Is a store whole? ``neurolm store check STORE`` reads all of it and names what is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from neurolm.core.errors import StoreError
from neurolm.core.files import parse_json
from neurolm.store.index import INDEX, MANIFEST, Index, IndexWriter, lines, read_index
from neurolm.store.manifest import Row, parse_row
from neurolm.store.storage import Access, open_access, read_whole
from neurolm.store.store import (
    EXCLUDED,
    QUARANTINE,
    SETTINGS,
    SHARDS,
    SOURCES,
    require_store,
    signal_digest,
)


@dataclass(frozen=True)
class Audit:
    """What a store was found to be."""

    recordings: int
    """Whose rows can be read."""
    bytes: int
    """Of their signals."""
    damaged: tuple[str, ...]
    """What is damaged, each with its file; nothing: the store is whole."""
    notes: tuple[str, ...]
    """What is strange, and harms nobody."""


def audit(path: Path | str, *, jobs: int = 0, progress: Callable[[int, int], object] | None = None) -> Audit:
    """Compare everything in a store with everything that says how it should be.

    Parameters
    ----------
    path
        Folder or URL of the store.
    jobs
        Threads that read and hash; 0: as many as there are cores.
    progress
        Told the number of recordings read, and of all.

    Raises
    ------
    StoreError
        If there is no store, or it is of another format.
    """
    access = open_access(path)
    require_store(access, path)
    damaged: list[str] = []
    rows, index = _manifest(access, damaged)
    damaged += _settings(access)
    damaged += [problem for name in (QUARANTINE, EXCLUDED) for problem in _json_lines(access, name)]
    if index is not None and access.size(INDEX) is not None:
        damaged += _index(access, index)
    damaged += _signals(access, rows, jobs or os.cpu_count() or 1, progress)
    return Audit(len(rows), sum(row.size for row in rows), tuple(damaged), tuple(_notes(access, rows)))


def _manifest(access: Access, damaged: list[str]) -> tuple[list[Row], Index | None]:
    """Return the rows that can be read, and the index that belongs to them if all can."""
    rows: list[Row] = []
    writer = IndexWriter()
    before = len(damaged)
    for number, line in enumerate(lines(access), start=1):
        where = f"{MANIFEST}, line {number}"
        try:
            rows.append(parse_row(line, source=where))
        except StoreError as error:
            damaged.append(str(error))
            continue
        try:
            writer.add(rows[-1], line)
        except StoreError as error:
            damaged.append(f"{where}: {error}")
    return rows, writer.index() if len(damaged) == before else None


def _index(access: Access, expected: Index) -> Iterator[str]:
    try:
        found = read_index(access, "")
    except StoreError as error:
        yield str(error).removeprefix("/")
        return
    differing = [
        field.name
        for field in fields(Index)
        if not np.array_equal(getattr(found, field.name), getattr(expected, field.name))
    ]
    if differing:
        yield f"{INDEX}: not that of {MANIFEST} ({', '.join(differing)}); delete it, and prepare again to make it anew"


def _settings(access: Access) -> Iterator[str]:
    if access.size(SETTINGS) is None:
        return
    try:
        content = parse_json(read_whole(access, SETTINGS))
        if not isinstance(content["corpora"], dict):
            raise TypeError("no corpora")
    except (ValueError, KeyError, TypeError) as error:
        yield f"{SETTINGS}: damaged: {error}"


def _json_lines(access: Access, name: str) -> Iterator[str]:
    if access.size(name) is None:
        return
    for number, line in enumerate(read_whole(access, name).splitlines(), start=1):
        try:
            parse_json(line)
        except ValueError as error:
            yield f"{name}, line {number}: damaged: {error}"


def _signals(
    access: Access, rows: list[Row], jobs: int, progress: Callable[[int, int], object] | None
) -> Iterator[str]:
    sizes = access.sizes(SHARDS)
    expected: dict[str, int] = {}
    for row in rows:
        expected[row.shard] = max(expected.get(row.shard, 0), row.offset + row.size)
    for shard, size in sorted(expected.items()):
        if shard in sizes and sizes[shard] != size:
            yield f"{SHARDS}/{shard}: has {sizes[shard]:,} bytes instead of {size:,}"
        elif shard not in sizes:
            count = sum(row.shard == shard for row in rows)
            yield f"{SHARDS}/{shard}: is missing, with the signals of {count} recording{'s' if count > 1 else ''}"
    there = [row for row in rows if row.shard in sizes]
    with ThreadPoolExecutor(jobs) as pool:
        digests = pool.map(lambda row: signal_digest(access, row.shard, row.offset, row.size), there)
        for done, (row, digest) in enumerate(zip(there, digests, strict=True), start=1):
            if digest != row.sha256:
                yield (
                    f"{SHARDS}/{row.shard}: the signal of {row.recording} (bytes {row.offset:,} to "
                    f"{row.offset + row.size:,}) does not match its hash"
                )
            if progress:
                progress(done, len(there))


def _notes(access: Access, rows: list[Row]) -> Iterator[str]:
    if access.size(INDEX) is None:
        yield f"there is no {INDEX}: the store opens slowly; prepare again to make it anew"
    unused = sorted(set(access.sizes(SHARDS)) - {row.shard for row in rows})
    if unused:
        names = f"{', '.join(unused[:3])}{' …' if len(unused) > 3 else ''}"
        yield f"files of a preparation that was interrupted or is under way: {names}; it removes them when it ends"
    without = {row.corpus for row in rows} - {Path(name).stem for name in access.sizes(SOURCES)}
    if without:
        names = ", ".join(sorted(without))
        yield f"nothing is known about the sources of {names}: these recordings would be prepared anew"
