"""Tables of numbers as text: how a file writes its cells, and the cells block by block.

>>> found = sniff(Path("muse.csv"))
>>> found.separator, found.names[:3]
(',', ('timestamps', 'TP9', 'AF7'))
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError


class NoTable(RecordingError):
    """A text that is no table of numbers."""


HEAD = 1 << 18
"""Bytes from which the form of a table is told."""
BLOCK = 1 << 22
"""Bytes that are parsed at a time."""
ROWS = 256
"""Rows that are looked at to tell what a column is."""
SPACE = " "
"""The separator of tables whose cells any white space separates."""
COMMENTS = ("%", "#")
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "?"})
"""How tables write that a number is missing."""
_SEPARATORS = ("\t", ";", ",", SPACE)
_WIDEST = 40  # characters of a number
_NUMERIC = np.isin(np.arange(256), np.frombuffer(b"\0 +-.0123456789eEnNaAiIfF", np.uint8))
_UNITS_ROW = re.compile(r"[\[(]?(n/?a|[µμu]?v|mv|nv|m?s|sec|seconds|hz|g|-|)[\])]?", re.IGNORECASE)
_SD_CARD = re.compile(r"[0-9A-F]{2},(?:[0-9A-F]{6},){4}")
_LONGEST = 120  # characters of a column's name
_QUOTE, _LINE, _RETURN, _JOIN = b'"', b"\n", b"\r", "\x1f"
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:(?:\.\d{3})+(?:,\d*)?|(?:,\d{3})+(?:\.\d*)?|(?:[ '’]\d{3})+(?:[.,]\d*)?)")


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a table is written."""

    separator: str
    """A character, or ``SPACE``."""
    comma: bool
    """Whether numbers have a decimal comma."""
    columns: int
    names: tuple[str, ...] | None
    """Names of the columns, where a line has them."""
    units: tuple[str, ...] | None
    """What a second such line says."""
    comments: tuple[str, ...]
    """The lines above the table, without the mark of a comment."""
    first: int
    """The line of the first row, from 0."""
    rows: tuple[tuple[str, ...], ...]
    """The first rows."""

    def column(self, index: int) -> list[str]:
        """The first cells of a column."""
        return [row[index] for row in self.rows]


@dataclass(frozen=True)
class Block:
    """Some rows of a table."""

    numbers: np.ndarray
    """float64 of shape (rows, columns asked for); NaN where a cell is empty or says that its number is missing."""
    texts: tuple[list[str], ...]
    """The cells of each column of text."""
    empty: np.ndarray
    """bool of shape (rows, columns asked for): whether the cell holds nothing at all."""
    cut: bool = False
    """Whether a last line that breaks off was left out."""


def is_number(cell: str, *, comma: bool = False) -> bool:
    """Return whether a cell is a number, or says that one is missing."""
    text = cell.strip().strip('"')
    if text.lower() in MISSING:
        return True
    if "_" in text:
        return False
    try:
        float(text.replace(",", ".") if comma else text)
    except ValueError:
        return False
    return True


def sniff(path: Path, head: int = HEAD) -> Form:
    """Find out how a table is written, from its beginning: the first ``head`` bytes.

    Raises
    ------
    RecordingError
        If it is no table of numbers.
    """
    lines = _head(path, head)
    comments, at = [], 0
    while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith(COMMENTS)):
        comments.append(lines[at].strip().lstrip("".join(COMMENTS)).strip())
        at += 1
    body = [line for line in lines[at:] if line.strip() and not line.lstrip().startswith(COMMENTS)][-ROWS:]
    if sum(bool(_SD_CARD.match(line)) for line in body) > len(body) / 2 and any(re.search("[A-F]", x) for x in body):
        raise RecordingError(
            f"{path}: the hexadecimal counts of OpenBCI's SD card: convert it in OpenBCI's GUI (playback of SD cards "
            "writes a text file), and give what that wrote"
        )
    if not body:
        raise NoTable(f"{path}: no rows of numbers in it; give a table with a row for each sample")
    separator, comma = _separator(body)
    rows = [_cells(line, separator) for line in body]
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    first = _first_row(lines, at, separator, comma, width)
    if first is None:
        raise NoTable(
            f"{path}: no table of numbers: its lines have no constant number of columns with numbers in them, as "
            f"{lines[at].strip()[:60]!r}; give a table with a row for each sample"
        )
    if _counts(_cells(lines[first], separator)):  # as pandas heads columns without names
        lines[first], first = "", first + 1
    above = [number for number in range(at, first) if lines[number].strip()]
    names, units, rest = _names(lines, above, separator, width, comments)
    shown = [tuple(cells) for line in lines[first:] if line.strip() and len(cells := _cells(line, separator)) == width][
        :ROWS
    ]
    return Form(
        separator=separator, comma=comma, columns=width, names=names, units=units, first=first, rows=tuple(shown),
        comments=tuple(line for line in (*comments, *(lines[number].strip() for number in rest)) if line),
    )  # fmt: skip


def _counts(cells: Sequence[str]) -> bool:
    """Whether a row only counts its columns."""
    numbers = [cell for cell in cells if cell]
    return len(numbers) > 2 and any(numbers == [str(start + i) for i in range(len(numbers))] for start in (0, 1))


def _head(path: Path, size: int) -> list[str]:
    with path.open("rb") as stream:
        head = stream.read(size)
        more = bool(stream.read(1))
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RecordingError(f"{path}: a table in UTF-16, as spreadsheets save it; save it as CSV in UTF-8")
    if b"\0" in head:
        raise RecordingError(f"{path}: no text, though its suffix is {path.suffix}; give it the suffix of its format")
    lines = decode(head.removeprefix(b"\xef\xbb\xbf")).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if more and len(lines) < 3:
        raise RecordingError(f"{path}: no table: its first lines have more than {size // 2:,} characters")
    return lines[:-1] if more else lines


def decode(text: bytes) -> str:
    """Decode UTF-8, or Latin-1 where it is none."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        return text.decode("utf-8" if error.end == len(text) else "latin-1", "ignore")


def _cells(line: str, separator: str) -> list[str]:
    if separator == SPACE:
        return line.split()
    if '"' in line:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    return [cell.strip() for cell in line.split(separator)]


def _separator(body: Sequence[str]) -> tuple[str, bool]:
    """What separates cells, and whether numbers have a decimal comma: what makes most lines alike and of numbers."""
    best: tuple[tuple[float, ...], str, bool] = ((-1.0,), ",", False)
    for comma in (False, True):
        for place, separator in enumerate(_SEPARATORS):
            if comma and (separator == "," or not any("," in line for line in body)):
                continue
            rows = [_cells(line, separator) for line in body]
            width, alike = Counter(len(row) for row in rows).most_common(1)[0]
            cells = [cell for row in rows if len(row) == width for cell in row if cell.strip()]
            numeric = sum(is_number(cell, comma=comma) for cell in cells) / max(len(cells), 1)
            found = (round(numeric * alike / len(rows), 1), width > 1, not comma, width, -place)
            if found > best[0]:
                best = (found, separator, comma)
    return best[1], best[2]


def _first_row(lines: Sequence[str], start: int, separator: str, comma: bool, width: int) -> int | None:
    """The first line that is a row: of the table's width, with a number in it, and more numbers than what is above."""
    for number in range(start, len(lines)):
        line = lines[number]
        if not line.strip() or line.lstrip().startswith(COMMENTS):
            continue
        cells = _cells(line, separator)
        numeric = sum(is_number(cell, comma=comma) and cell.strip().lower() not in MISSING for cell in cells)
        named = sum(not is_number(cell, comma=comma) for cell in cells)
        if len(cells) == width and numeric and (numeric >= named or number + 1 == len(lines) or _like(lines, number)):
            return number
    return None


def _like(lines: Sequence[str], number: int) -> bool:
    """Whether a line begins as the next one does: rows of text and numbers are alike, a header is not."""
    shape = re.compile(r"\d+")
    return shape.sub("0", lines[number])[:8] == shape.sub("0", lines[number + 1])[:8]


def _names(
    lines: Sequence[str], above: Sequence[int], separator: str, width: int, comments: Sequence[str]
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None, Sequence[int]]:
    """The names of the columns and their units, and which lines above the table are neither."""

    def cells(text: str) -> tuple[str, ...] | None:
        found = _cells(text, separator)
        if separator == SPACE and len(found) != width:
            found = _cells(text, ",") if "," in text else found
        if len(found) == width + 1 and not found[-1]:
            found = found[:-1]
        found += [""] * (len(found) == width - 1 and separator != SPACE)
        return tuple(cell.strip().strip('"')[:_LONGEST] for cell in found) if len(found) == width else None

    rest, units = list(above), None
    if len(rest) > 1 and (last := cells(lines[rest[-1]])) and all(_UNITS_ROW.fullmatch(cell) for cell in last):
        units = last
        rest.pop()
    if rest and (names := cells(lines[rest[-1]])) is not None:
        return names, units, rest[:-1]
    above_it = cells(comments[-1]) if comments and not rest and width > 1 else None
    if above_it is not None and not all(is_number(name) for name in above_it):  # as NumPy's savetxt has it
        return above_it, units, rest
    return None, units, rest


def read_blocks(path: Path, form: Form, numbers: Sequence[int], texts: Sequence[int]) -> Iterator[Block]:
    """Yield the rows of a table, some columns as numbers and some as text.

    A last line that has too few cells, as where a recorder was stopped, is left out; its block says so.

    Raises
    ------
    RecordingError
        For a line that has another number of cells than the others, and for a cell that is no number.
    """
    line = 0
    with path.open("rb") as stream:
        rest = b""
        if stream.read(3) != b"\xef\xbb\xbf":
            stream.seek(0)
        while True:
            new = stream.read(BLOCK)
            text = (rest + new).replace(b"\r\n", _LINE)
            if _RETURN in text:
                held = text.endswith(_RETURN) and bool(new)
                text = text[: len(text) - held].replace(_RETURN, _LINE) + _RETURN * held
            cut = text.rfind(_LINE) + 1 if new else len(text)
            if new and not cut and len(text) > 2 * BLOCK:
                raise RecordingError(f"{path}, line {line + 1}: more than {BLOCK:,} characters; this is no table")
            rest = text[cut:]
            if text[:cut]:
                skip = max(0, form.first - line)
                yield _Rows(path, form, text[:cut], line, skip, last=not new).block(numbers, texts)
                line += text.count(_LINE, 0, cut)
            if not new:
                return


class _Rows:
    """The rows in a part of a file."""

    def __init__(self, path: Path, form: Form, text: bytes, line: int, skip: int, *, last: bool) -> None:
        self.path, self.form = path, form
        separator = form.separator
        if _QUOTE in text:
            text, separator = _unquoted(text, separator), _JOIN
        if not text.endswith(_LINE):
            text += _LINE
        data = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(data == _LINE[0])
        starts = np.concatenate([[0], ends[:-1] + 1])
        self.data = np.concatenate([data, np.zeros(_WIDEST + 1, np.uint8)])
        kept = np.arange(len(ends)) >= skip
        kept &= self._holds_something(starts, ends)
        kept &= ~np.isin(data[starts], np.frombuffer("".join(COMMENTS).encode(), np.uint8))
        self.all = bool(kept.all())
        self.lines = line + np.flatnonzero(kept) + 1
        self.cut = False
        self.text, self.separator = text, separator
        self._find_cells(data, starts[kept], ends[kept], separator, last)

    def _holds_something(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        visible = np.concatenate([[0], np.cumsum(self.data[: ends[-1] + 1] > 32)])
        return visible[ends] > visible[starts]

    def _find_cells(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray, separator: str, last: bool) -> None:
        """Find where the cells of every row begin and end."""
        if separator == SPACE:
            blank = data <= 32
            first = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
            after = np.flatnonzero(~blank & np.concatenate([blank[1:], [True]])) + 1
            counts = np.searchsorted(first, ends) - np.searchsorted(first, starts)
        else:
            first = np.flatnonzero(data == ord(separator))
            counts = np.searchsorted(first, ends) - np.searchsorted(first, starts) + 1
        width = self.form.columns
        if last and len(counts) and counts[-1] < width:  # the recorder was stopped while it wrote
            counts, starts, ends, self.lines, self.cut = counts[:-1], starts[:-1], ends[:-1], self.lines[:-1], True
        if (wrong := np.flatnonzero(counts != width)).size:
            at = int(wrong[0])
            raise RecordingError(
                f"{self.path}, line {self.lines[at]}: {counts[at]} cells where the table has {width} columns; repair "
                "the line, or export the table again"
            )
        if not len(starts):
            self.begins = self.stops = np.zeros((0, width), np.int64)
        elif separator == SPACE:
            places = np.searchsorted(first, starts)[:, None] + np.arange(width)
            self.begins, self.stops = first[places], after[places]
        else:
            places = np.searchsorted(first, starts)[:, None] + np.arange(width - 1)
            between = first[places] if width > 1 else np.zeros((len(starts), 0), np.int64)
            self.begins = np.concatenate([starts[:, None], between + 1], axis=1)
            self.stops = np.concatenate([between, ends[:, None]], axis=1)

    def block(self, numbers: Sequence[int], texts: Sequence[int]) -> Block:
        found = self._fast(numbers)
        empty = np.zeros((len(self.lines), len(numbers)), bool)
        if found is None:
            found = np.empty(empty.shape)
            for place, column in enumerate(numbers):
                found[:, place], empty[:, place] = self._numbers(column)
        return Block(found, tuple(self._texts(column) for column in texts), empty, self.cut)

    def _fast(self, columns: Sequence[int]) -> np.ndarray | None:
        """The numbers of columns all of whose cells are some; None where one is not, which has to be looked at."""
        raw = self.text
        if not self.all or self.cut:
            spans = zip(self.begins[:, 0].tolist(), self.stops[:, -1].tolist(), strict=True)
            raw = _LINE.join(raw[start:stop] for start, stop in spans)
        if not len(self.lines):
            return None
        separator = None if self.separator == SPACE else self.separator
        raw = raw.replace(b",", b".") if self.form.comma else raw
        try:
            return np.loadtxt(io.BytesIO(raw), delimiter=separator, usecols=list(columns), comments=None, ndmin=2)
        except ValueError:
            return None

    def _texts(self, column: int) -> list[str]:
        raw = self.data.tobytes()
        spans = zip(self.begins[:, column].tolist(), self.stops[:, column].tolist(), strict=True)
        return [decode(raw[start:stop]).strip() for start, stop in spans]

    def _numbers(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        begins, stops = self.begins[:, column], self.stops[:, column]
        for _ in range(4):  # a few spaces around numbers; more of them are for float() below
            begins = begins + ((self.data[begins] == 32) & (begins < stops))
            stops = stops - ((self.data[stops - 1] == 32) & (begins < stops))
        widths = stops - begins
        width = int(min(widths.max(initial=1), _WIDEST)) or 1
        grid = self.data[begins[:, None] + np.arange(width)]
        grid[np.arange(width) >= widths[:, None]] = 0
        if self.form.comma:
            grid[grid == ord(",")] = ord(".")
        odd = (~_NUMERIC[grid]).any(axis=1) | (widths > width) | (widths == 0)
        plain = np.ascontiguousarray(grid).view(f"S{width}")[:, 0]
        values = np.full(len(plain), np.nan)
        try:
            values[~odd] = plain[~odd].astype(np.float64)
        except ValueError:
            odd[:] = True
        empty = widths == 0
        for row in np.flatnonzero(odd & ~empty):
            values[row] = self._number(int(row), column)
        return values, empty

    def _number(self, row: int, column: int) -> float:
        cell = decode(self.data[self.begins[row, column] : self.stops[row, column]].tobytes()).strip()
        if cell.lower() in MISSING:
            return np.nan
        if not is_number(cell, comma=self.form.comma):
            named = self.form.names[column] if self.form.names else ""
            name = f" ({named})" if named else ""
            where = f"{self.path}, line {self.lines[row]}, column {column + 1}{name}: {cell[:40]!r} is"
            if _THOUSANDS.fullmatch(cell):
                raise RecordingError(f"{where} written with a sign between thousands; export the table without them")
            raise RecordingError(f"{where} no number; repair the cell, or leave it empty for a missing sample")
        return float(cell.replace(",", ".") if self.form.comma else cell)


def _unquoted(text: bytes, separator: str) -> bytes:
    """Write lines with quoted cells again, with a separator that is in none."""
    lines = decode(text).split("\n")
    rows = (_cells(line, separator) for line in lines)
    return "\n".join(_JOIN.join(row) for row in rows).encode()
