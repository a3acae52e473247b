"""Is a store whole? ``neurolm store check STORE`` reads all of it and names what is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from neurolm.core.errors import ConfigError, StoreError, argument
from neurolm.core.small_files import parse_json
from neurolm.store.index import INDEX, MANIFEST, Index, IndexWriter, lines, read_index
from neurolm.store.manifest import Row, parse_row
from neurolm.store.storage import Storage, open_storage, read_whole
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
class StoreCheck:
    """Whether a store is whole."""

    recordings: int
    """How many have a row that can be read."""
    bytes: int
    """How many their signals take."""
    damaged: tuple[str, ...]
    """What is damaged, each with its file; nothing: the store is whole."""
    notes: tuple[str, ...]
    """What is strange, and harms nobody."""


def check_store(path: Path | str, *, jobs: int = 0, progress: Callable[[int, int], object] | None = None) -> StoreCheck:
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
    ConfigError
        If the number of jobs is negative.
    """
    if jobs < 0:
        raise ConfigError(f"{argument(jobs=jobs)}: give 0 (all cores) or the number of threads")
    storage = open_storage(path)
    require_store(storage, path)
    damaged: list[str] = []
    rows, index = _manifest(storage, damaged)
    damaged += _settings(storage)
    damaged += [problem for name in (QUARANTINE, EXCLUDED) for problem in _json_lines(storage, name)]
    if index is not None and storage.size(INDEX) is not None:
        damaged += _index(storage, index)
    damaged += _signals(storage, rows, jobs or os.cpu_count() or 1, progress)
    return StoreCheck(len(rows), sum(row.size for row in rows), tuple(damaged), tuple(_notes(storage, rows)))


def _manifest(storage: Storage, damaged: list[str]) -> tuple[list[Row], Index | None]:
    """Return the rows that can be read, and the index that belongs to them if all can."""
    rows: list[Row] = []
    writer = IndexWriter()
    before = len(damaged)
    for number, line in enumerate(lines(storage), start=1):
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


def _index(storage: Storage, expected: Index) -> Iterator[str]:
    try:
        found = read_index(storage, "")
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


def _settings(storage: Storage) -> Iterator[str]:
    if storage.size(SETTINGS) is None:
        return
    try:
        content = parse_json(read_whole(storage, SETTINGS))
        if not isinstance(content["corpora"], dict):
            raise TypeError("no corpora")
    except (ValueError, KeyError, TypeError) as error:
        yield f"{SETTINGS}: damaged: {error}"


def _json_lines(storage: Storage, name: str) -> Iterator[str]:
    if storage.size(name) is None:
        return
    for number, line in enumerate(read_whole(storage, name).splitlines(), start=1):
        try:
            parse_json(line)
        except ValueError as error:
            yield f"{name}, line {number}: damaged: {error}"


def _signals(
    storage: Storage, rows: list[Row], jobs: int, progress: Callable[[int, int], object] | None
) -> Iterator[str]:
    sizes = storage.sizes(SHARDS)
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
        digests = pool.map(lambda row: signal_digest(storage, row.shard, row.offset, row.size), there)
        for done, (row, digest) in enumerate(zip(there, digests, strict=True), start=1):
            if digest != row.sha256:
                yield (
                    f"{SHARDS}/{row.shard}: the signal of {row.recording} (bytes {row.offset:,} to "
                    f"{row.offset + row.size:,}) does not match its hash"
                )
            if progress:
                progress(done, len(there))


def _notes(storage: Storage, rows: list[Row]) -> Iterator[str]:
    if storage.size(INDEX) is None:
        yield f"there is no {INDEX}: the store opens slowly; prepare again to make it anew"
    unused = sorted(set(storage.sizes(SHARDS)) - {row.shard for row in rows})
    if unused:
        names = f"{', '.join(unused[:3])}{' …' if len(unused) > 3 else ''}"
        yield f"files of a preparation that was interrupted or is under way: {names}; it removes them when it ends"
    without = {row.corpus for row in rows} - {Path(name).stem for name in storage.sizes(SOURCES)}
    if without:
        names = ", ".join(sorted(without))
        yield f"nothing is known about the sources of {names}: these recordings would be prepared anew"
