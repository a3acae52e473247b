"""A folder of recordings with ``labels.csv``, for anybody's own data.

The table has the columns ``file,start,stop,task,label,subject``, set apart by commas, semicolons or tabs: a line per
labelled stretch, ``file`` relative to the folder, ``start`` and ``stop`` in seconds (both empty: the whole recording).
A line with empty ``task`` and ``label`` gives a recording without labels its subject. A column ``split`` (``train``,
``validation``, ``test`` or empty) may say to which part of the split a stretch belongs, a column ``event`` when the
event is to which it is locked: stretches locked to different events may overlap. ``corpus.json`` beside it may state
``name``, ``licence``, ``mains`` (Hz), ``citation``, and the ``task`` of all labels, which then needs no column.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.core.names import one_spelling, readable
from neurolm.corpora.about import About, read_about
from neurolm.corpora.layouts import CorpusLayout
from neurolm.corpora.side_files import seconds_of
from neurolm.corpora.source import Extent, RecordingSource
from neurolm.corpora.spreadsheet import Spreadsheet
from neurolm.store.manifest import SPLITS
from neurolm.store.store import Label

TABLE = "labels.csv"
COLUMNS = ("file", "start", "stop", "task", "label", "subject")
OPTIONAL = ("split", "event")
SLACK = 0.01
"""Seconds by which stretches may overlap, and a label reach over the end unsaid: times in tables are rounded."""
ROUNDED = 1.0
"""Seconds, less than which a label is cut at the end of its recording: recorders leave out the last part of a second.

Where the recording itself was cut short, and that was accepted, labels are cut however far they reach."""
CUT = "labels cut off at the end of the recording"
"""Begins the note of labels that were cut or lie beyond the end."""


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
    event: float | None = None
    """When the event is to which the stretch is locked, where it may overlap with those of other events."""


@dataclass(frozen=True)
class Stretches:
    """The lines of one recording, which become labels when its length is known."""

    lines: tuple[LabelLine, ...]

    def __call__(self, extent: Extent) -> tuple[Label, ...]:
        labels = [(line, _label(line, extent)) for line in self.lines if line.task]
        labels.sort(key=lambda pair: (pair[1].task, pair[1].start, pair[1].stop, pair[1].label))
        for number, (before, one) in enumerate(labels):
            for line, other in labels[number + 1 :]:
                if one.task != other.task or other.start >= one.stop - SLACK:
                    break
                if not _locked_apart(before, line):
                    raise ConfigError(
                        f"{line.where}: {line.file} is labelled {other.label!r} from {other.start:g} s, but "
                        f"{one.label!r} lasts until {one.stop:g} s; the stretches of one task ({one.task}) must not "
                        "overlap, unless each is locked to another event (column event; BIDS: overlap in corpus.json)"
                    )
        return tuple(label for _, label in labels if label.start < extent.seconds)

    def notes(self, extent: Extent) -> tuple[str, ...]:
        """Say which labels were cut off, or lie beyond the end of a recording that was cut short."""
        over = [line for line in self.lines if line.task and (line.stop or 0.0) > extent.seconds + SLACK]
        if not over:
            return ()
        last = max(line.stop or 0.0 for line in over)
        gone = sum((line.start or 0.0) >= extent.seconds for line in over)
        left_out = f", {gone} of them left out" if gone else ""
        return (f"{CUT}: {len(over)}, up to {last:g} s where it lasts {extent.seconds:g} s{left_out}",)


def _locked_apart(one: LabelLine, other: LabelLine) -> bool:
    """Whether two stretches are locked to different events, and in the same part of the split."""
    return None not in (one.event, other.event) and one.event != other.event and one.split == other.split


def _label(line: LabelLine, extent: Extent) -> Label:
    """The label of a line; one that begins after the end of a recording cut short is left as it is."""
    seconds = extent.seconds
    start = 0.0 if line.start is None else line.start
    stop = seconds if line.stop is None else line.stop
    over = stop - seconds
    if (over >= ROUNDED or start >= seconds) and not _cut_short(extent):
        in_thousandths = " (are these milliseconds?)" if over >= ROUNDED and stop / 1000 <= seconds else ""
        raise RecordingError(
            f"{line.where}: the label {line.label!r} ({start:g} to {stop:g} s) is outside of {line.file}, "
            f"which lasts {seconds:g} s; times count in seconds from the start of the recording{in_thousandths}"
        )
    return Label(line.task, line.label, start, min(stop, seconds) if start < seconds else stop, line.split)


def _cut_short(extent: Extent) -> bool:
    return any(note.startswith("truncated:") for note in getattr(extent, "notes", ()))


class Table(CorpusLayout):
    name = "table"
    title = "any folder of recordings with a table of labels"

    def recognise(self, root: Path) -> bool:
        """Whether a folder has a table of labels."""
        return table_of(root) is not None

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings that the table names."""
        table = table_of(root)
        if table is None:
            raise StoreError(
                f"{root / TABLE}: no such file; a corpus of the layout 'table' needs it ({','.join(COLUMNS)})"
            )
        about = read_about(root)
        lines: dict[str, list[LabelLine]] = defaultdict(list)
        for line in _read(table, about):
            path = root / line.file
            if line.file not in lines and not _is_there(path):
                raise ConfigError(
                    f"{line.where}: no such file {path}; paths are relative to the table's folder{_near(path)}"
                )
            first = lines[line.file][0] if lines[line.file] else line
            if first.subject != line.subject:
                raise ConfigError(
                    f"{line.where}: {line.file} belongs to subject {line.subject!r} here, but to {first.subject!r} in "
                    f"{first.where}; a recording has one subject"
                )
            lines[line.file].append(line)
        if not lines:
            raise StoreError(f"{table}: the table names no recordings")
        return [
            self.source(root / file, of_file[0].subject, Stretches(tuple(of_file)), **about.facts)
            for file, of_file in sorted(lines.items())
        ]

    def notes(self, root: Path) -> Iterator[str]:
        """Say that the table was found under another spelling of its name."""
        table = table_of(root)
        if table is not None and table.name != TABLE:
            yield f"{table.name} was read as the table of labels, which is called {TABLE}"


LAYOUT = Table()


def table_of(root: Path) -> Path | None:
    """Return the table of a folder, ``labels.csv`` in any case; None where it has none."""
    if (root / TABLE).is_file():
        return root / TABLE
    found = sorted(path for path in root.iterdir() if path.name.lower() == TABLE) if root.is_dir() else []
    return next((path for path in found if path.is_file()), None)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _near(path: Path) -> str:
    """Ask whether a file beside the one that is missing is meant."""
    if not _is_there(path.parent):
        return ""
    names = {one.name.lower(): one.name for one in path.parent.iterdir()}
    stems = {Path(lower).stem: name for lower, name in names.items() if Path(lower).suffix not in (".csv", ".json")}
    name = path.name.lower()
    near = names.get(name) or stems.get(name)
    if near is None:
        near = next((names[one] for one in difflib.get_close_matches(name, list(names), n=1, cutoff=0.8)), None)
    return "" if near is None else f": did you mean {readable(near)}?"


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
    needed = [column for column in COLUMNS if column != "task" or about.task is None]
    optional = [column for column in (*COLUMNS, *OPTIONAL) if column not in needed]
    more = f" (task may stand in {about.path.name} instead)" if "task" in needed else ""
    sheet = Spreadsheet(table, needed, optional=optional, more=more)
    return [_line(where, values, sheet, about.task or "") for where, values in sheet]


def _line(where: str, row: dict[str, str], sheet: Spreadsheet, task: str) -> LabelLine:
    value = {column: row.get(column, "") for column in (*COLUMNS, *OPTIONAL)}
    for column in ("task", "label", "subject"):
        value[column] = one_spelling(value[column])
    if value["label"] and not value["task"]:
        value["task"] = task
    for column in ("file", "subject"):
        if not value[column]:
            raise ConfigError(f"{where}: {column} is empty; every line names a recording and its subject")
    if bool(value["task"]) != bool(value["label"]):
        raise ConfigError(f"{where}: give both task and label, or neither for a recording without labels")
    split = value["split"].casefold() or None
    if split not in (None, *SPLITS):
        raise ConfigError(f"{where}: split must be one of {', '.join(SPLITS)}, or empty, not {value['split']!r}")
    start, stop, event = (
        seconds_of(where, name, sheet.number(value[name])) if value[name] else None
        for name in ("start", "stop", "event")
    )
    if start is not None and stop is not None and start >= stop:
        raise ConfigError(f"{where}: start ({start:g} s) must be before stop ({stop:g} s)")
    file = _file(where, value["file"], sheet.file.parent)
    return LabelLine(where, file.as_posix(), start, stop, value["task"], value["label"], value["subject"], split, event)


def _file(where: str, name: str, folder: Path) -> Path:
    """The file that a line names, relative to the table's folder."""
    file = Path(name)
    if not _is_there(folder / file) and "\\" in name:
        file = Path(PureWindowsPath(name).as_posix())
    if file.is_absolute() or PureWindowsPath(name).drive or ".." in file.parts:
        raise ConfigError(f"{where}: {name} must lie in the table's folder, named relative to it")
    for form in ("NFC", "NFD"):  # how an accent is written depends on who wrote it: a table, a file system
        other = Path(unicodedata.normalize(form, file.as_posix()))
        if not _is_there(folder / file) and _is_there(folder / other):
            return other
    return file
