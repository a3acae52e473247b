"""neurolm corpora"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

from neurolm.cli.show import table_console
from neurolm.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from neurolm.corpora import Layout

OWN = "your own"
"""In place of an address, for layouts of anybody's data."""


def corpora(name: str | None = None) -> None:
    """List the corpora whose folders are known, or say all of one.

    Parameters
    ----------
    name
        A corpus, for its terms, its labels and its folder's layout.
    """
    from neurolm.corpora import LAYOUTS

    if name is not None:
        if name not in LAYOUTS:
            raise ConfigError(f"unknown corpus {name!r}: choose one of {', '.join(LAYOUTS)}")
        print("\n".join(details(LAYOUTS[name])))
        return
    table_console().print(table(list(LAYOUTS.values())))
    print("neurolm corpora NAME says how the folder must look; neurolm prepare FOLDER --out STORE recognises it")


def table(layouts: list[Layout]) -> Table:
    """Return the corpora as a table for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("corpus", "task", "hours", "licence", "where to get it"):
        figures = name == "hours"
        short = figures or name in ("corpus", "task")
        rows.add_column(name, justify="right" if figures else "left", no_wrap=short, overflow="fold")
    for layout in layouts:
        hours = "" if layout.HOURS is None else f"{layout.HOURS:,g}"
        rows.add_row(layout.NAME, layout.TASK or "", hours, layout.LICENCE, layout.URL or OWN)
    return rows


def details(layout: Layout) -> Iterator[str]:
    """Say all that is known of a corpus, in lines."""
    counts = dict(layout.COUNTS or {})
    windows = ", ".join(f"{count:,}" if part == "all" else f"{part} {count:,}" for part, count in counts.items())
    facts = {
        "task": layout.TASK,
        "hours": None if layout.HOURS is None else f"about {layout.HOURS:,g}",
        "mains": None if layout.MAINS is None else f"{layout.MAINS:g} Hz",
        "windows in the paper": windows,
        "licence": layout.LICENCE,
        "cite": layout.CITATION,
        "where to get it": layout.URL or OWN,
        "prepare": f"neurolm prepare FOLDER --corpus {layout.NAME} --out STORE",
    }
    yield f"{layout.NAME}: {layout.TITLE}"
    yield from (f"{name}: {value}" for name, value in facts.items() if value)
    if text := inspect.getdoc(layout):
        yield ""
        yield text.replace("``", "").strip()
