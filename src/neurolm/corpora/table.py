"""A folder of recordings with ``labels.csv``, for anybody's own data.

The table has the columns ``file,start,stop,task,label,subject``: a line per labelled stretch, ``file`` relative to the
folder, ``start`` and ``stop`` in seconds (both empty: the whole recording). A line with empty ``task`` and ``label``
gives a recording without labels its subject. A column ``split`` (``train``, ``validation``, ``test`` or empty) may say
to which part of the split a stretch belongs. ``corpus.json`` beside it may state ``name``, ``licence``, ``mains`` (Hz),
``citation``, and the ``task`` of all labels, which then needs no column.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora.about import About, read_about
from neurolm.corpora.layouts import CorpusLayout
from neurolm.corpora.side_files import seconds_of
from neurolm.corpora.source import Extent, RecordingSource, terms
from neurolm.store.manifest import SPLITS
from neurolm.store.store import Label

TABLE = "labels.csv"
COLUMNS = ("file", "start", "stop", "task", "label", "subject")
OPTIONAL = ("split",)
SLACK = 0.01
"""Seconds by which a label may reach over the end of its recording: times in tables are rounded."""


@dataclass(frozen=True)
class LabelLine:
    """A line of the table."""

    where: str
    """The table and the number of the line, for messages."""
    file: str
    start: float | None
    stop: float | None
    task: str
    label: str
    subject: str
    split: str | None = None
    """Part of the split, where the table says so."""


@dataclass(frozen=True)
class Stretches:
    """The lines of one recording, which become labels when its length is known."""

    lines: tuple[LabelLine, ...]

    def __call__(self, extent: Extent) -> tuple[Label, ...]:
        labels = [(line, _label(line, extent.seconds)) for line in self.lines if line.task]
        labels.sort(key=lambda pair: (pair[1].task, pair[1].start, pair[1].stop, pair[1].label))
        for (_, one), (line, other) in pairwise(labels):
            if one.task == other.task and other.start < one.stop - SLACK:
                raise ConfigError(
                    f"{line.where}: {line.file} is labelled {other.label!r} from {other.start:g} s, but {one.label!r} "
                    f"lasts until {one.stop:g} s; the stretches of one task ({one.task}) must not overlap"
                )
        return tuple(label for _, label in labels)


def _label(line: LabelLine, seconds: float) -> Label:
    start = 0.0 if line.start is None else line.start
    stop = seconds if line.stop is None else line.stop
    if stop > seconds + SLACK or start >= seconds:
        raise ConfigError(
            f"{line.where}: the label {line.label!r} ({start:g} to {stop:g} s) is outside of {line.file}, "
            f"which lasts {seconds:g} s; times count in seconds from the start of the recording"
        )
    return Label(line.task, line.label, start, min(stop, seconds), line.split)


class Table(CorpusLayout):
    name = "table"
    title = "any folder of recordings with a table of labels"

    def recognise(self, root: Path) -> bool:
        """Whether a folder has a table of labels."""
        return (root / TABLE).is_file()

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings that the table names."""
        table = root / TABLE
        if not table.is_file():
            raise StoreError(f"{table}: no such file; a corpus of the layout 'table' needs it ({','.join(COLUMNS)})")
        about = read_about(root)
        lines: dict[str, list[LabelLine]] = defaultdict(list)
        for line in _read(table, about):
            path = root / line.file
            if line.file not in lines and not path.exists():
                raise ConfigError(f"{line.where}: no such file {path}; paths are relative to the table's folder")
            first = lines[line.file][0] if lines[line.file] else line
            if first.subject != line.subject:
                raise ConfigError(
                    f"{line.where}: {line.file} belongs to subject {line.subject!r} here, but to {first.subject!r} in "
                    f"{first.where}; a recording has one subject"
                )
            lines[line.file].append(line)
        if not lines:
            raise StoreError(f"{table}: the table names no recordings")
        licence = terms(about.licence or "", about.citation or "") or self.licence
        facts = {"corpus": about.name, "licence": licence, "mains": about.mains}
        return [
            self.source(root / file, of_file[0].subject, Stretches(tuple(of_file)), **facts)
            for file, of_file in sorted(lines.items())
        ]


LAYOUT = Table()


def read_table(table: Path) -> list[LabelLine]:
    """Read a table without looking for the recordings that it names.

    Raises
    ------
    StoreError
        If there is no such file.
    ConfigError
        If the table or ``corpus.json`` beside it is not valid; the message names the line.
    """
    if not table.is_file():
        raise StoreError(f"{table}: no such file; give a table with the columns {','.join(COLUMNS)}")
    return _read(table, read_about(table.parent))


def _read(table: Path, about: About) -> list[LabelLine]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets write a byte order mark
            reader = csv.DictReader(stream, skipinitialspace=True)
            header = reader.fieldnames or ()
            needed = [column for column in COLUMNS if column != "task" or about.task is None]
            if missing := [column for column in needed if column not in header]:
                task = f" (task may stand in {about.path.name} instead)" if "task" in missing else ""
                raise ConfigError(
                    f"{table}, line 1: the column {', '.join(missing)} is missing; "
                    f"the first line must be {','.join(COLUMNS)}{task}"
                )
            return [_line(f"{table}, line {reader.line_num}", row, len(header), about.task or "") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{table}: cannot be read as a table in UTF-8 ({error}); save it as CSV UTF-8") from error


def _line(where: str, row: dict[str, str | None], columns: int, task: str) -> LabelLine:
    if None in row or None in row.values():
        raise ConfigError(f"{where}: expected {columns} values as in the header; quote values that hold a comma")
    value = {column: (row.get(column) or "").strip() for column in (*COLUMNS, *OPTIONAL)}
    if value["label"] and not value["task"]:
        value["task"] = task
    for column in ("file", "subject"):
        if not value[column]:
            raise ConfigError(f"{where}: {column} is empty; every line names a recording and its subject")
    if bool(value["task"]) != bool(value["label"]):
        raise ConfigError(f"{where}: give both task and label, or neither for a recording without labels")
    if value["split"] not in ("", *SPLITS):
        raise ConfigError(f"{where}: split must be one of {', '.join(SPLITS)}, or empty, not {value['split']!r}")
    start, stop = (seconds_of(where, name, value[name]) if value[name] else None for name in ("start", "stop"))
    if start is not None and stop is not None and start >= stop:
        raise ConfigError(f"{where}: start ({start:g} s) must be before stop ({stop:g} s)")
    file = Path(value["file"])
    if file.is_absolute() or ".." in file.parts:
        raise ConfigError(f"{where}: {value['file']} must lie in the table's folder, named relative to it")
    split = value["split"] or None
    return LabelLine(where, file.as_posix(), start, stop, value["task"], value["label"], value["subject"], split)
