"""Rows of answers as files: typed Parquet, CSV or JSON lines, by the name's suffix.

The bytes of a file depend on its rows alone: not on when it was written, nor in which pieces the rows came. However
many rows there are, `ROWS` of them are held in memory.
"""

from __future__ import annotations

import csv
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from neurolm.ask.rows import FailureRow, Outcome, RecordingRow, WindowRow, failure_rows, recording_rows, window_rows
from neurolm.core.errors import ConfigError, argument
from neurolm.core.files import atomic_file, dump_json

ROWS = 20_000
"""Rows of a row group of Parquet."""
PARQUET, CSV, JSON_LINES = (".parquet", ".pq"), (".csv", ".tsv"), (".jsonl", ".ndjson")
SUFFIXES = (*PARQUET, *CSV, *JSON_LINES)
_FIRST, _HEADER = ["recording", "subject", "session"], 2_000
"""The columns that all begin with; characters that are read of a table's header."""

Write = Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class TablePaths:
    """Where the tables of an archive's answers lie."""

    recordings: Path
    """A row for each recording and question, see `neurolm.ask.rows.RecordingRow`."""
    windows: Path
    """A row for each window and question, see `neurolm.ask.rows.WindowRow`."""
    quarantine: Path
    """A row for each recording without answers, see `neurolm.ask.rows.FailureRow`."""

    @property
    def each(self) -> tuple[Path, Path, Path]:
        """All three."""
        return self.recordings, self.windows, self.quarantine

    @classmethod
    def of(cls, out: Path) -> TablePaths:
        """Return the paths beside that of the recordings: ``answers.windows.csv`` and so on for ``answers.csv``.

        Raises
        ------
        ConfigError
            If the suffix is that of no table, or pyarrow is missing for Parquet.
        """
        suffix = out.suffix.lower()
        if suffix not in SUFFIXES:
            raise ConfigError(
                f"{argument(out=str(out))}: tables of answers are Parquet, CSV or JSON lines; let the name end in "
                ".parquet, .csv, .tsv or .jsonl"
            )
        if suffix in PARQUET:
            require_pyarrow()
        beside = (out.with_name(f"{out.stem}.{name}{out.suffix}") for name in ("windows", "quarantine"))
        return cls(recordings=out, windows=next(beside), quarantine=next(beside))


def is_table(path: Path) -> bool:
    """Whether a file is a table of answers or of features, by its first columns."""
    suffix, names = path.suffix.lower(), list[str]()
    try:
        if path.is_file() and suffix in PARQUET:
            names = require_pyarrow().parquet.read_schema(path).names
        elif path.is_file() and suffix in CSV:
            with path.open(encoding="utf-8", newline="") as file:
                names = file.readline(_HEADER).rstrip("\r\n").split("\t" if suffix == ".tsv" else ",")
    except (OSError, ValueError, NotImplementedError, ConfigError):
        return False
    return names[: len(_FIRST)] == _FIRST


def write_tables(out: Path, outcomes: Iterable[Outcome]) -> TablePaths:
    """Write what became of recordings into three tables, in the order given.

    Parameters
    ----------
    out
        File of the recordings' table; the windows' and the quarantine lie beside it.
    outcomes
        Read once, one at a time.

    Raises
    ------
    ConfigError
        If the suffix is that of no table, or pyarrow is missing for Parquet.
    WriteError
        If a file cannot be written; then none of them has changed.
    """
    paths = TablePaths.of(out)
    with ExitStack() as stack:
        recordings = stack.enter_context(table_file(paths.recordings, RecordingRow))
        windows = stack.enter_context(table_file(paths.windows, WindowRow))
        quarantine = stack.enter_context(table_file(paths.quarantine, FailureRow))
        for outcome in outcomes:
            for row in recording_rows(outcome):
                recordings(row)
            for window in window_rows(outcome):
                windows(window)
            for failure in failure_rows(outcome):
                quarantine(failure)
    return paths


@contextmanager
def table_file(path: Path, kind: type) -> Iterator[Write]:
    """Give a function that writes a row into a file, which is there when the block ends well.

    Parameters
    ----------
    kind
        The dataclass of the rows; its fields of text, numbers, truth values, and lists of texts or numbers are the
        columns.
    """
    suffix = path.suffix.lower()
    write = _parquet if suffix in PARQUET else _csv if suffix in CSV else _json_lines
    with atomic_file(path) as temporary, write(temporary, kind, suffix) as one:
        yield one


@contextmanager
def _parquet(path: Path, kind: type, _: str) -> Iterator[Write]:
    pa = require_pyarrow()
    hints = typing.get_type_hints(kind)
    schema = pa.schema([_field(pa, field.name, hints[field.name]) for field in fields(kind)])
    held: list[Any] = []

    def flush() -> None:
        columns = [[_plain(getattr(row, name)) for row in held] for name in schema.names]
        writer.write_table(pa.table(columns, schema=schema))
        held.clear()

    def add(row: Any) -> None:
        held.append(row)
        if len(held) == ROWS:
            flush()

    with pa.parquet.ParquetWriter(path, schema) as writer:
        yield add
        if held:
            flush()


def _field(pa: Any, name: str, hint: Any) -> Any:
    """The column of a field: what may be None may be null, and nothing else."""
    plain = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    parts = typing.get_args(hint)
    optional = isinstance(hint, types.UnionType)
    inner = parts[0] if optional else hint
    kind = plain[inner] if inner in plain else pa.list_(pa.field("item", plain[parts[0]], nullable=False))
    return pa.field(name, kind, nullable=optional)


@contextmanager
def _csv(path: Path, kind: type, suffix: str) -> Iterator[Write]:
    """Lists become JSON in their cell, truth values ``true`` and ``false``, and null an empty cell.

    Lines end as RFC 4180 has it; with another end, Python's writer leaves a carriage return in a name unquoted.
    """
    names = [field.name for field in fields(kind)]

    def cell(value: Any) -> Any:
        if isinstance(value, bool):
            return "true" if value else "false"
        return dump_json(value, ensure_ascii=False) if isinstance(value, tuple) else value

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\r\n")
        writer.writerow(names)
        yield lambda row: writer.writerow([cell(_plain(getattr(row, name))) for name in names])


@contextmanager
def _json_lines(path: Path, kind: type, _: str) -> Iterator[Write]:
    names = [field.name for field in fields(kind)]
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda row: print(dump_json({name: _plain(getattr(row, name)) for name in names}), file=file)


def _plain(value: Any) -> Any:
    """A value as files have it: text without halves of characters, which names that are no text leave behind."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def require_pyarrow() -> Any:
    """Return pyarrow with its Parquet part.

    Raises
    ------
    ConfigError
        If it is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install 'neurolm[parquet]'") from error
    return pyarrow
