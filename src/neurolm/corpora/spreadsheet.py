"""Tables as spreadsheets write them: commas, semicolons or tabs between values, the header in any case."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from neurolm.core.errors import ConfigError
from neurolm.core.small_files import LARGE, read_small

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What sets values apart, and its name in messages."""
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SHOWN = 200
"""Characters of a header that a message shows."""


class Spreadsheet:
    """A table of some columns.

    Parameters
    ----------
    file
        The table.
    columns
        The columns that are needed.
    optional
        Columns that it may have; others are passed over.
    more
        Follows what a message says of missing columns.

    Raises
    ------
    ConfigError
        If it is no text, a column is missing or there twice; the message shows the header as it was understood.
    """

    def __init__(self, file: Path, columns: Sequence[str], *, optional: Sequence[str] = (), more: str = "") -> None:
        self.file, self.columns = file, (*columns, *optional)
        try:
            text = _text(read_small(file, most=LARGE))
        except (UnicodeError, OSError) as error:
            raise ConfigError(f"{file}: cannot be read as a table in UTF-8 ({error}); save it as CSV UTF-8") from error
        header = next((line for line in text.splitlines() if line.strip()), "")
        self.separator = max(SEPARATORS, key=lambda one: (len(_known(header, one, self.columns)), header.count(one)))
        self._reader = csv.reader(io.StringIO(text, newline=None), delimiter=self.separator, skipinitialspace=True)
        self._written = [name.strip() for name in self._next() or ()]
        self.header = [name.casefold() for name in self._written]
        missing = [column for column in columns if column not in self.header]
        if missing:
            raise ConfigError(f"{file}, line 1: {self._lacks(missing, columns)}{more}")
        if twice := [column for column in self.columns if self.header.count(column) > 1]:
            raise ConfigError(
                f"{file}, line 1: the column {twice[0]} is there {self.header.count(twice[0])} times, and nothing says "
                "which one holds: take the others out, or give them other names"
            )

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield where a line is, for messages, and its values by column; lines without any value are passed over."""
        places = {column: self.header.index(column) for column in self.columns if column in self.header}
        while (row := self._next()) is not None:
            where = f"{self.file}, line {self._reader.line_num}"
            if len(row) < len(self.header) or any(value.strip() for value in row[len(self.header) :]):
                quote = {",": "; quote values that hold a comma"}.get(self.separator, "")
                raise ConfigError(
                    f"{where}: expected {len(self.header)} values as in the header, set apart by "
                    f"{SEPARATORS[self.separator]}, found {len(row)}{quote}"
                )
            yield where, {column: row[place].strip() if place < len(row) else "" for column, place in places.items()}

    def number(self, text: str) -> str:
        """Write a number with a point where the table has commas for it, as it may where they set nothing apart."""
        return text if self.separator == "," else text.replace(",", ".")

    def _next(self) -> list[str] | None:
        try:
            return next((row for row in self._reader if any(value.strip() for value in row)), None)
        except csv.Error as error:
            raise ConfigError(
                f"{self.file}, line {self._reader.line_num}: cannot be read as a table ({error}); save it as CSV UTF-8"
            ) from error

    def _lacks(self, missing: Sequence[str], needed: Sequence[str]) -> str:
        found = self.separator.join(self._written)
        shown = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"
        others = [name for name in self.header if name and name not in self.columns]
        near = {column: difflib.get_close_matches(column, others, n=1, cutoff=0.6) for column in missing}
        meant = [f"{names[0]} {column}" for column, names in near.items() if names]
        guess = f"; call {', '.join(meant)}, if that is what it is" if meant else ""
        if not set(self.header) & set(self.columns):
            guess = "; is the line with the names of the columns missing?"
        return (
            f"the column {', '.join(missing)} is missing; found {shown!r}, understood as set apart by "
            f"{SEPARATORS[self.separator]}{guess}. The first line must be {','.join(needed)}"
        )


def _text(content: bytes) -> str:
    return content.decode(next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8"))


def _known(header: str, separator: str, columns: Sequence[str]) -> set[str]:
    return {name.strip().casefold() for name in header.split(separator)} & set(columns)
