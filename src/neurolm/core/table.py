"""A table as data, shown in a terminal, in Markdown, or by a page's template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from neurolm.core.terminal import printable

if TYPE_CHECKING:
    from rich.console import ConsoleRenderable

Cell = str | float | None
NOTHING = "–"
"""Stands for None."""
HEADING = 10
"""Characters to which headings of numbers are broken, unless the numbers are longer."""
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#$])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading, and how the cells below it are written."""

    head: str
    form: str | None = None
    """How numbers are written, as ``.3f``. A column that has it stands at the right and is never broken."""
    narrow: str = ""
    """The heading in a terminal, where it must be shorter."""
    whole: bool = False
    """Whether text is cut rather than broken where a terminal is too narrow."""

    @property
    def number(self) -> bool:
        """Whether the column is one of numbers."""
        return self.form is not None

    def heading(self, cells: Sequence[str]) -> str:
        """Return the heading in a terminal: over numbers, broken to the width of the longest."""
        head = self.narrow or self.head
        width = max([HEADING, *(len(line) for cell in cells for line in cell.split("\n"))])
        broken = (part for line in head.split("\n") for part in wrap(line, width))
        return "\n".join(broken) if self.number else head

    def text(self, cell: Cell) -> str:
        """Write a cell; text stays as it is."""
        return NOTHING if cell is None else cell if isinstance(cell, str) else format(cell, self.form or "")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows in groups, between which there is a line or a gap; rich's consoles print it."""

    columns: Sequence[Column]
    groups: Sequence[Sequence[Sequence[Cell]]]
    title: str = ""
    notes: Sequence[str] = ()
    """Said below the table."""
    lead: str = ""
    """A cell by which rows are known that the others are compared with; pages show them in bold."""

    def texts(self) -> list[list[tuple[str, ...]]]:
        """Return every cell as it is shown, in rows and groups."""
        return [
            [tuple(c.text(cell) for c, cell in zip(self.columns, row, strict=True)) for row in group]
            for group in self.groups
        ]

    @property
    def narrowest(self) -> int:
        """Characters of a row in a terminal, of which text is broken at most between words and numbers are not cut."""
        rows = [row for group in self.texts() for row in group]
        width = 2 * len(self.columns)  # gaps, and the edges
        for number, column in enumerate(self.columns):
            heads = column.heading([row[number] for row in rows]).split("\n")
            cells = [line for row in rows for line in row[number].split("\n")]
            parts = cells if column.number or column.whole else [word for cell in cells for word in cell.split()]
            width += max(len(printable(part)) for part in [*heads, *parts, ""])
        return width

    def markdown(self) -> str:
        """Return the rows as a table of Markdown, in which every character means itself."""
        rows = [[column.head for column in self.columns], *(row for group in self.texts() for row in group)]
        head, *body = (f"| {' | '.join(map(escape_markdown, row))} |" for row in rows)
        return "\n".join([head, f"|{'|'.join('--:' if c.number else '---' for c in self.columns)}|", *body])

    def __rich__(self) -> ConsoleRenderable:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as Shown
        from rich.text import Text

        def text(value: str) -> Text:  # which rich does not read as markup
            return Text(printable(value))

        shown = Shown(
            title=text(self.title) if self.title else None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
            pad_edge=False, caption=text("\n".join(self.notes)) if self.notes else None, caption_justify="left",
        )  # fmt: skip
        groups = self.texts()
        for number, column in enumerate(self.columns):
            head = column.heading([row[number] for group in groups for row in group])
            justify: Literal["left", "right"] = "right" if column.number else "left"
            whole = column.number or column.whole
            shown.add_column(text(head), justify=justify, no_wrap=whole, overflow="fold")
        for group in groups:
            for row in group:
                shown.add_row(*map(text, row))
            shown.add_section()
        return shown


def columns(*heads: str, form: str | None = None) -> tuple[Column, ...]:
    """Return columns that are written alike: of text, or of numbers where ``form`` says how."""
    return tuple(Column(head=head, form=form) for head in heads)


def escape_markdown(text: str) -> str:
    """Return a line of Markdown, or of a table's cell, that shows the text as it is."""
    return _MARKDOWN.sub(r"\\\1", printable(text.translate(_ENTITIES)))
