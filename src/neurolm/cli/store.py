"""What the verb ``store`` does: check, info, export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from neurolm.cli.show import Display, many
from neurolm.core.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from neurolm.store.info import Summary

SHOWN = 20
"""Subjects printed; ``--json`` has all."""


def store(arguments: Namespace) -> None:
    """Check a store, say what is in it, or export its manifest."""
    if arguments.parquet is not None and arguments.action != "export":
        raise ConfigError(f"--parquet is for neurolm store export, not for {arguments.action}")
    {"check": _check, "info": _info, "export": _export}[arguments.action](arguments)


def _check(arguments: Namespace) -> None:
    from neurolm.store.check import audit

    with Display(Console(stderr=True)) as display:
        found = audit(arguments.store, jobs=arguments.jobs, progress=display.count("reading recordings"))
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        for note in found.notes:
            print(f"note: {note}")
        for problem in found.damaged:
            print(f"damaged: {problem}")
    if found.damaged:
        raise StoreError(
            f"{arguments.store}: {len(found.damaged)} damaged (see above). Delete these files, then give the commands "
            "that prepared the store again: they make anew what is missing"
        )
    if not arguments.json:
        what = many(found.recordings, "recording")
        print(f"{arguments.store}: whole: {what}, {found.bytes / 1e9:.3f} GB, all as prepared")


def _info(arguments: Namespace) -> None:
    from neurolm.store.info import summarise

    summary = summarise(arguments.store)
    print(json.dumps(asdict(summary), indent=2) if arguments.json else "\n".join(info_lines(summary)))


def info_lines(summary: Summary) -> Iterator[str]:
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


def _export(arguments: Namespace) -> None:
    if arguments.parquet is None:
        raise ConfigError("--parquet is missing: give the file to write")
    from neurolm.store.export import export_parquet

    rows = export_parquet(arguments.store, arguments.parquet)
    print(f"{arguments.parquet}: {rows:,} rows")
