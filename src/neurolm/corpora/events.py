"""Events in recordings as a table of labels: what a corpus of trials needs before it can be prepared.

>>> trials = find_trials(["ssvep/anna.gdf"], {"33025": "13 Hz", "33026": "21 Hz"}, start=0.5, stop=5.5)
>>> write_table(Path("ssvep/labels.csv"), trials, task="flicker", subject="anna", shares=(0.5, 0.25, 0.25))

The table is that of `neurolm.corpora.table`, so that it can be changed by hand or in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from neurolm.core.errors import ConfigError, argument
from neurolm.core.files import write_text
from neurolm.corpora.table import COLUMNS, OPTIONAL
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import Annotation, open_recording
from neurolm.store.manifest import SPLITS

SHORTEST = 1.0
"""Seconds of the shortest window."""
SHOWN = 12
"""Events named in a message."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A labelled stretch of a recording."""

    file: Path
    start: float
    """Seconds from the start of the recording."""
    stop: float
    label: str
    split: str | None = None
    """Part of the split, where the trials are divided."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What was found."""

    trials: tuple[Trial, ...]
    """By file, then by time."""
    left_out: int
    """Events whose stretch is not inside their recording."""


def events(file: Path) -> tuple[tuple[Annotation, ...], float]:
    """Return the events of a recording and its length in seconds. Neither unit nor amplitude is checked.

    Raises
    ------
    RecordingError
        If the file cannot be read.
    """
    recording = open_recording(file, reading=ReadingOptions(unknown="drop"), check=False)
    return recording.annotations, recording.seconds


def count_events(files: Iterable[Path]) -> dict[str, int]:
    """Return how often each event occurs in some recordings, the most frequent first."""
    counts = Counter(mark.text for file in files for mark in events(file)[0])
    return dict(counts.most_common())


def find_trials(
    files: Sequence[Path], labels: Mapping[str, str], *, start: float = 0.0, stop: float | None = None
) -> Trials:
    """Find the stretches around some events.

    Parameters
    ----------
    files
        Recordings.
    labels
        Event → label; other events are passed over.
    start, stop
        Seconds after the event at which its stretch begins and ends; ``stop`` None: as long as the event says.

    Raises
    ------
    ConfigError
        If an event occurs in no recording, two stretches overlap, or they have no length.
    RecordingError
        If a file cannot be read.
    """
    if not labels:
        raise ConfigError("no events: say which events are meant and their labels, as 33025=13 Hz,33026=21 Hz")
    if stop is not None and stop <= start:
        raise ConfigError(f"a stretch from {start:g} to {stop:g} s after its event has no length: give a later end")
    found: list[Trial] = []
    seen: Counter[str] = Counter()
    left_out = 0
    for file in files:
        marks, seconds = events(file)
        seen.update(mark.text for mark in marks)
        of_file = []
        for mark in sorted((mark for mark in marks if mark.text in labels), key=lambda mark: mark.onset):
            first, last = mark.onset + start, mark.onset + (mark.duration if stop is None else stop)
            if last - first < SHORTEST:
                raise ConfigError(
                    f"{file}: the event {mark.text!r} at {mark.onset:g} s lasts {mark.duration:g} s, so its stretch of "
                    f"{last - first:g} s holds no window; say where it ends, in seconds after the event (to)"
                )
            if first < 0 or last > seconds:
                left_out += 1
                continue
            of_file.append(Trial(file=file, start=first, stop=last, label=labels[mark.text]))
        _require_apart(of_file)
        found += of_file
    if missing := [event for event in labels if event not in seen]:
        known = ", ".join(f"{name!r} ({count})" for name, count in seen.most_common(SHOWN)) or "no events"
        raise ConfigError(f"the event {missing[0]!r} occurs in none of the recordings, which have {known}")
    if not found:
        raise ConfigError(f"all {left_out} stretches reach out of their recordings: give other times around the events")
    return Trials(trials=tuple(found), left_out=left_out)


def _require_apart(trials: Sequence[Trial]) -> None:
    for one, other in pairwise(trials):
        if other.start < one.stop:
            raise ConfigError(
                f"{one.file}: the stretch of {one.label!r} ends at {one.stop:g} s, when {other.label!r} has begun "
                f"({other.start:g} s): let the stretches end earlier after their events, or name fewer events"
            )


def divide(trials: Sequence[Trial], shares: tuple[float, float, float]) -> tuple[Trial, ...]:
    """Divide the trials of each recording and label, in the order of time, into training, validation and test.

    For data of one person, or for one model per person: what is tested comes after what was trained on, but it is of
    the same people, and the figures say nothing about others.

    Raises
    ------
    ConfigError
        If the shares are not three positive numbers that sum to 1, or a recording has too few trials of a label.
    """
    if len(shares) != len(SPLITS) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            f"split into {', '.join(map(str, shares))}: give three positive shares that sum to 1, as 0.6, 0.2, 0.2"
        )
    groups: dict[tuple[Path, str], list[int]] = defaultdict(list)
    for number, trial in enumerate(trials):
        groups[trial.file, trial.label].append(number)
    divided = list(trials)
    for (file, label), numbers in groups.items():
        if len(numbers) < len(SPLITS):
            raise ConfigError(
                f"{file}: {len(numbers)} trials of {label!r} cannot be divided into {', '.join(SPLITS)}: leave the "
                "recording or the label out, or split by subject"
            )
        test, validation = (max(1, round(share * len(numbers))) for share in (shares[2], shares[1]))
        train = max(1, len(numbers) - validation - test)
        for place, number in enumerate(numbers):
            part = SPLITS[(place >= train) + (place >= max(train + 1, len(numbers) - test))]
            divided[number] = replace(divided[number], split=part)
    return tuple(divided)


def subject_of(file: Path, folder: Path, subject: str | None) -> str:
    """Return whose recording a file is.

    Parameters
    ----------
    folder
        Folder of the table.
    subject
        A name; or a regular expression with one group, which is looked for in the path below the folder. None: the
        first folder below the table's, or the file's name where it lies beside the table.

    Raises
    ------
    ConfigError
        If the expression is not valid, or not found in the path.
    """
    inside = file.resolve().relative_to(folder.resolve())
    if subject is None:
        return inside.parts[0] if len(inside.parts) > 1 else inside.stem
    if "(" not in subject:
        return subject
    try:
        match = re.search(subject, inside.as_posix())
        return match[1] if match else _no_subject(subject, inside)
    except (re.error, IndexError) as error:
        raise ConfigError(
            f"{argument(subject=subject)}: no regular expression with a group ({error}); give a name, or one such "
            "as 'S(\\d+)'"
        ) from error


def _no_subject(subject: str, inside: Path) -> str:
    raise ConfigError(
        f"{argument(subject=subject)}: not found in {inside}; give an expression that is in every path, or a name"
    )


def write_table(table: Path, trials: Sequence[Trial], *, task: str, subject: str | None = None) -> None:
    """Write trials as a table of labels.

    Parameters
    ----------
    table
        ``labels.csv`` in a folder that holds all the recordings.
    task
        Name of the task card.
    subject
        As in ``subject_of``.

    Raises
    ------
    ConfigError
        If a recording does not lie in the table's folder.
    WriteError
        If the table cannot be written.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS, *OPTIONAL))
    for trial in trials:
        try:
            file = trial.file.resolve().relative_to(table.parent.resolve())
        except ValueError as error:
            raise ConfigError(
                f"{trial.file}: does not lie in {table.parent}, the folder of the table, from which files are named: "
                "write the table into a folder above the recordings, or copy them there"
            ) from error
        whose = subject_of(trial.file, table.parent, subject)
        times = (f"{seconds:.6f}".rstrip("0").rstrip(".") for seconds in (trial.start, trial.stop))
        writer.writerow((file.as_posix(), *times, task, trial.label, whose, trial.split or ""))
    write_text(table, out.getvalue())
