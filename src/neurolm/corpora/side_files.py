"""Reading the files that lie beside recordings, and making labels of what they say."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.core.physics import RATE
from neurolm.core.small_files import LARGE, read_small
from neurolm.core.text import decode
from neurolm.corpora.source import Extent
from neurolm.recording.formats.edf import read_header
from neurolm.recording.formats.edf_annotations import read_annotations
from neurolm.store.store import Label

SHORTEST = 1.0
"""Seconds of the shortest window."""
_ROUNDING = 1e-6
"""Samples by which a boundary given in seconds may be off from binary rounding."""
_LONGEST = 1e9
"""Seconds beyond which a time is no time."""
_TOUCH = 1e-3
"""Seconds between two labels that count as none: onsets in side files are rounded."""


def read_side_file(path: Path, holds: str, url: str) -> str:
    """Read a text file that belongs to recordings.

    Raises
    ------
    StoreError
        If it is not there or cannot be read.
    """
    try:
        raw = read_small(path, most=LARGE)
    except FileNotFoundError as error:
        raise StoreError(f"{path}: no such file, and it holds {holds}; download it from {url}") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error
    return decode(raw)


def whole_seconds(start: float, stop: float) -> int:
    """Return how long a window of whole seconds a stretch holds.

    The model's samples lie between those of the recording, so that a second from any time may hold but 199 of them.
    """
    return (math.floor(stop * RATE + _ROUNDING) - math.ceil(start * RATE - _ROUNDING)) // RATE


def end_of_window(start: float, stop: float) -> float:
    """Return where a stretch has to end to hold the shortest window: where it does, or up to a second later."""
    return stop if whole_seconds(start, stop) >= SHORTEST else math.ceil(start * RATE - _ROUNDING) / RATE + SHORTEST


def edf_annotations(path: Path, what: str) -> list[tuple[float, float, str]]:
    """Read the annotations of an EDF+ file: onset and duration in seconds, and text.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    try:
        return list(read_annotations(path, read_header(path)).marks)
    except (OSError, RecordingError) as error:
        why = str(error).removeprefix(f"{path}: ")
        raise StoreError(f"{path}: cannot be read as {what} ({why}); download it again") from error


def table_rows(path: Path, text: str, columns: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Read columns of a table with a line of names.

    Parameters
    ----------
    path
        Where it is from, for messages.
    text
        The table.
    columns
        Names of the columns that are needed; blanks around names and values do not matter.

    Yields
    ------
    where, values
        Path and line, for messages; the line's values of the columns, empty where the line is too short.

    Raises
    ------
    ConfigError
        If a column is missing or this is no table.
    """
    reader = csv.reader(text.splitlines(), skipinitialspace=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if missing := [column for column in columns if column not in names]:
            raise ConfigError(f"{path}, line 1: the column {', '.join(missing)} is missing; download it again")
        places = [names.index(column) for column in columns]
        for row in reader:
            if row:
                values = tuple(row[place].strip() if place < len(row) else "" for place in places)
                yield f"{path}, line {reader.line_num}", values
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: not a table ({error}); download it again") from error


def seconds_of(where: str, what: str, text: str) -> float:
    """Read a number of seconds.

    Raises
    ------
    ConfigError
        If it is not a number, or not in the recording: negative or years later.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < _LONGEST:
        clock = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
        hint = f"; as hours, minutes and seconds it would be {_clocked(clock):g}" if clock else ""
        raise ConfigError(f"{where}: {what} must be seconds from the start of the recording, not {text!r}{hint}")
    return seconds


def _clocked(clock: re.Match[str]) -> float:
    return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])


@dataclass(frozen=True)
class Within:
    """Gives labels that side files state, cut at the beginning and the end of the recording."""

    labels: tuple[Label, ...]

    def __call__(self, extent: Extent) -> tuple[Label, ...]:
        inside = (label for label in self.labels if label.start < extent.seconds and label.stop > 0)
        return tuple(
            replace(label, start=max(label.start, 0.0), stop=min(label.stop, extent.seconds)) for label in inside
        )


def merged(path: Path, labels: Iterable[Label]) -> tuple[Label, ...]:
    """Make one label of neighbours that say the same, so that a night is not a thousand labels.

    Windows of the neighbours' length are cut at the same places as without merging.

    Parameters
    ----------
    path
        Where they are from, for messages.
    labels
        Labels of one task.

    Raises
    ------
    ConfigError
        If two are for the same time.
    """
    labels = sorted(labels, key=lambda label: (label.start, label.stop))
    out = labels[:1]
    for before, label in pairwise(labels):
        if label.start < before.stop - _TOUCH:
            raise ConfigError(
                f"{path}: {label.label} from {label.start:g} s, where {before.label} lasts until {before.stop:g} s; "
                f"download it again"
            )
        same = (before.task, before.label, before.split) == (label.task, label.label, label.split)
        if same and abs(label.start - before.stop) < _TOUCH:
            out[-1] = replace(out[-1], stop=label.stop)
        else:
            out.append(label)
    return tuple(out)
