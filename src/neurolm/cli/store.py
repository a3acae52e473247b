"""neurolm store info store"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.cli.show import Display, as_json, many
from neurolm.core.errors import StoreError

if TYPE_CHECKING:
    from neurolm.store.info import StoreInfo

SHOWN = 20
"""Subjects printed; ``--json`` has all."""


def store() -> None:
    """Check a store, say what is in it, or export its manifest."""


def store_check(store: Path | str, *, json: bool = False, jobs: int = 0) -> None:
    """Find damage.

    Parameters
    ----------
    store
        Folder of the store, or its URL (s3://bucket/store).
    jobs
        Threads that read; 0: as many as there are cores.
    """
    from neurolm.store.check import check_store

    with Display() as display:
        found = check_store(store, jobs=jobs, progress=display.count("reading recordings"))
    if json:
        print(as_json(found))
    else:
        for note in found.notes:
            print(f"note: {note}")
        for problem in found.damaged:
            print(f"damaged: {problem}")
    if found.damaged:
        raise StoreError(
            f"{store}: {len(found.damaged)} damaged (see above). Delete these files, then give the commands "
            "that prepared the store again: they make anew what is missing"
        )
    if not json:
        what = many(found.recordings, "recording")
        print(f"{store}: whole: {what}, {found.bytes / 1e9:.3f} GB, all as prepared")


def store_info(store: Path | str, *, json: bool = False) -> None:
    """Say what is in it.

    Parameters
    ----------
    store
        Folder of the store, or its URL (s3://bucket/store).
    """
    from neurolm.store.info import store_info

    summary = store_info(store)
    print(as_json(summary) if json else "\n".join(info_lines(summary)))


def store_export(store: Path | str, *, parquet: Path) -> None:
    """Write its manifest as a table.

    Parameters
    ----------
    store
        Folder of the store, or its URL (s3://bucket/store).
    parquet
        The Parquet file to write.
    """
    from neurolm.store.export import export_parquet

    rows = export_parquet(store, parquet)
    print(f"{parquet}: {rows:,} rows")


def info_lines(summary: StoreInfo) -> Iterator[str]:
    """Write a summary for a terminal."""
    yield (
        f"{many(summary.recordings, 'recording')} of {many(summary.subjects, 'subject')}, {summary.hours:,.2f} h, "
        f"{summary.bytes / 1e9:,.3f} GB"
    )
    yield from ("", f"{'corpus':<24} {'recordings':>10} {'subjects':>9} {'hours':>10}  licence")
    for name, of in summary.corpora.items():
        yield f"{name:<24} {of.recordings:>10,} {of.subjects:>9,} {of.hours:>10,.2f}  {'; '.join(of.licences)}"
    if summary.labels:
        yield from ("", f"{'task':<24} {'label':<24} {'split':<10} {'stretches':>9} {'subjects':>9} {'hours':>10}")
    for label in summary.labels:
        yield (
            f"{label.task:<24} {label.label:<24} {label.split or '':<10} {label.stretches:>9,} {label.subjects:>9,} "
            f"{label.hours:>10,.2f}"
        )
    yield from ("", "hours by electrode")
    yield from _in_columns(summary.channels, len(summary.channels))
    yield from ("", "hours by subject")
    yield from _in_columns(summary.subjects_hours, SHOWN)


def _in_columns(hours: dict[str, float], most: int, *, columns: int = 4) -> Iterator[str]:
    width = max(map(len, hours))
    cells = [f"{name:<{width}} {value:>10,.2f}" for name, value in list(hours.items())[:most]]
    columns = max(1, min(columns, 110 // (width + 14)))
    for first in range(0, len(cells), columns):
        yield "  " + "   ".join(cells[first : first + columns])
    if len(hours) > most:
        yield f"  and {len(hours) - most:,} more (--json shows all)"
