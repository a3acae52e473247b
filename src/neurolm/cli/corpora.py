"""neurolm corpora"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neurolm.cli.show import print_table
from neurolm.core.errors import ConfigError
from neurolm.core.names import choose
from neurolm.core.table import Column, Table, columns
from neurolm.core.terminal import say

if TYPE_CHECKING:
    from neurolm.corpora import CorpusLayout

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
            raise ConfigError(f"unknown corpus {name!r}{choose(name, list(LAYOUTS))}")
        say(*details(LAYOUTS[name]))
        return
    print_table(table(list(LAYOUTS.values())))
    say("neurolm corpora NAME says how the folder must look; neurolm prepare FOLDER --out STORE recognises it")


def table(layouts: list[CorpusLayout]) -> Table:
    """Return the corpora as a table."""
    heads = [Column(head=head, whole=True) for head in ("corpus", "task")]
    heads += [Column(head="hours", form=",g"), *columns("licence", "where to get it")]
    return Table(
        columns=heads, groups=[[(one.name, one.task, one.hours, one.licence, one.url or OWN) for one in layouts]]
    )


def details(layout: CorpusLayout) -> Iterator[str]:
    """Say all that is known of a corpus, in lines."""
    counts = dict(layout.counts or {})
    windows = ", ".join(f"{count:,}" if part == "all" else f"{part} {count:,}" for part, count in counts.items())
    facts = {
        "task": layout.task,
        "hours": None if layout.hours is None else f"about {layout.hours:,g}",
        "mains": None if layout.mains is None else f"{layout.mains:g} Hz",
        "windows in the paper": windows,
        "licence": layout.licence,
        "cite": layout.citation,
        "where to get it": layout.url or OWN,
        "prepare": f"neurolm prepare FOLDER --corpus {layout.name} --out STORE",
    }
    yield f"{layout.name}: {layout.title}"
    yield from (f"{name}: {value}" for name, value in facts.items() if value)
    yield ""
    yield layout.about.replace("``", "")
