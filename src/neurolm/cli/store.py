"""neurolm store info store"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.cli.show import Display, print_json, print_table, terminal
from neurolm.core.amounts import many
from neurolm.core.errors import StoreError
from neurolm.core.table import Table, columns
from neurolm.core.terminal import printable, say

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
    jobs
        Threads that read; 0: as many as there are cores.
    """
    from neurolm.store.check import check_store

    with Display() as display:
        found = check_store(store, jobs=jobs, progress=display.count("reading recordings"))
    if json:
        print_json(found)
    else:
        for note in found.notes:
            say(f"note: {note}")
        for problem in found.damaged:
            say(f"damaged: {problem}")
    if found.damaged:
        raise StoreError(
            f"{store}: {len(found.damaged)} damaged (see above). Delete these files, then give the commands "
            "that prepared the store again: they make anew what is missing"
        )
    if not json:
        what = many(found.recordings, "recording")
        say(f"{store}: whole: {what}, {found.bytes / 1e9:.3f} GB, all as prepared")


def store_info(store: Path | str, *, json: bool = False) -> None:
    """Say what is in it."""
    from neurolm.store.info import store_info

    found = store_info(store)
    if json:
        print_json(found)
    else:
        _print_info(found)


def store_export(store: Path | str, *, parquet: Path) -> None:
    """Write its manifest as a table.

    Parameters
    ----------
    parquet
        The Parquet file to write.
    """
    from neurolm.store.export import export_parquet

    rows = export_parquet(store, parquet)
    say(f"{parquet}: {rows:,} rows")


def _print_info(found: StoreInfo) -> None:
    say(
        f"{many(found.recordings, 'recording')} of {many(found.subjects, 'subject')}, {found.hours:,.2f} h, "
        f"{found.bytes / 1e9:,.3f} GB, {found.filters} filters"
    )
    counts = (*columns("subjects", form=","), *columns("hours", form=",.2f"))
    rows = [(n, of.recordings, of.subjects, of.hours, "; ".join(of.licences)) for n, of in found.corpora.items()]
    heads = (*columns("corpus"), *columns("recordings", form=","), *counts, *columns("licence"))
    print_table(Table(columns=heads, groups=[rows]))
    if found.labels:
        labels = [(of.task, of.label, of.split or "", of.stretches, of.subjects, of.hours) for of in found.labels]
        heads = (*columns("task", "label", "split"), *columns("stretches", form=","), *counts)
        print_table(Table(columns=heads, groups=[labels]))
    _print_hours("electrode", found.channels, len(found.channels))
    _print_hours("subject", found.subjects_hours, SHOWN)
    if found.annotated:
        say(
            f"note: the annotations of {many(found.annotated, 'recording')}, from which labels were made, are kept in "
            "sources/ as they are: see whether they name anybody before the store is passed on"
        )


def _print_hours(what: str, hours: dict[str, float], most: int) -> None:
    from rich.columns import Columns
    from rich.text import Text

    say(f"hours by {what}")
    cells = [Text(printable(f"{name} {value:,.2f}", line=True)) for name, value in list(hours.items())[:most]]
    terminal().print(Columns(cells, padding=(0, 3), equal=True))
    if len(hours) > most:
        say(f"and {len(hours) - most:,} more (--json shows all)")
