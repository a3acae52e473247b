"""Labelled stretches of recordings, and the table of them that `neurolm prepare` reads

>>> trials = label_paths(["rest/anna_open.edf", "rest/anna_closed.edf"], r"_(open|closed)", below=Path("rest"))
>>> write_table(Path("rest/labels.csv"), trials, task="eyes", subject=r"/?(\\w+)_")

The table is that of `neurolm.corpora.table`, so that it can be changed by hand or in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from neurolm.core.errors import ConfigError, argument
from neurolm.core.files import write_text
from neurolm.core.names import readable
from neurolm.corpora.table import COLUMNS
from neurolm.store.manifest import SPLITS

_EXAMPLE = "give one such as '_(open|closed)\\.' or '^(rest|task)/'"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A labelled stretch of a recording."""

    file: Path
    start: float | None
    """Seconds from the start of the recording; None: its start."""
    stop: float | None
    """None: the end of the recording."""
    label: str
    split: str | None = None
    """Part of the split, where the trials are divided."""
    event: float | None = None
    """When the event is to which the stretch is locked, in seconds, where such stretches overlap."""


def divide(trials: Sequence[Trial], shares: tuple[float, float, float]) -> tuple[Trial, ...]:
    """Divide the trials of each recording and label, in the order of time, into training, validation and test.

    For data of one person, or for one model per person: what is tested comes after what was trained on, but it is of
    the same people, and the figures say nothing about others. Where trials overlap, those that share time with one of
    a later part are left out.

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
    kept = _sharing_no_time(divided)
    if lost := {(t.file, t.label, t.split) for t in divided} - {(t.file, t.label, t.split) for t in kept}:
        where, what, whose = sorted(lost, key=str)[0]
        raise ConfigError(
            f"{where}: every trial of {what!r} for {whose} shares time with one of another part: let the stretches end "
            "earlier after their events, or split by subject"
        )
    return kept


def _sharing_no_time(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Leave out the trials that share time with one of a later part of the split."""
    spans: dict[tuple[Path, str | None], list[tuple[float, float]]] = defaultdict(list)
    for trial in trials:
        spans[trial.file, trial.split].append(_span(trial))
    ordered = {key: sorted(found) for key, found in spans.items()}
    ends = {key: list(accumulate((stop for _, stop in found), max)) for key, found in ordered.items()}

    def shared(trial: Trial) -> bool:
        start, stop = _span(trial)
        for part in SPLITS[SPLITS.index(trial.split) + 1 :] if trial.split in SPLITS else ():
            before = bisect_left(ordered.get((trial.file, part), []), (stop, -math.inf))  # that begin before its end
            if before and ends[trial.file, part][before - 1] > start:
                return True
        return False

    return tuple(trial for trial in trials if not shared(trial))


def _span(trial: Trial) -> tuple[float, float]:
    return trial.start or 0.0, math.inf if trial.stop is None else trial.stop


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
    inside = _below(file, folder) or Path(file.name)
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


def text_in_path(file: Path, pattern: str, below: Path) -> str | None:
    """Return what an expression finds in the path of a file below a folder, None where it finds nothing.

    Parameters
    ----------
    pattern
        A regular expression with a group: the group called ``label``, else the first that takes part.

    Raises
    ------
    ConfigError
        If it is no regular expression with a group.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{argument(from_path=pattern)}: no regular expression ({error}); {_EXAMPLE}") from error
    if not wanted.groups:
        raise ConfigError(f"{argument(from_path=pattern)}: has no group in parentheses, which is the label; {_EXAMPLE}")
    inside = _below(file, below) or Path(file.name)
    match = wanted.search(inside.as_posix())
    if match is None:
        return None
    if "label" in wanted.groupindex:
        return match["label"] or None
    return next((text for text in match.groups() if text), None)


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
        If a recording does not lie in the table's folder, or has a name that is not UTF-8.
    WriteError
        If the table cannot be written.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    locked = any(trial.event is not None for trial in trials)
    writer.writerow((*COLUMNS, "split", *(["event"] if locked else [])))
    for trial in trials:
        file = _below(trial.file, table.parent)
        if file is None:
            raise ConfigError(
                f"{trial.file}: does not lie in {table.parent}, the folder of the table, from which files are named: "
                "write the table into a folder above the recordings, or copy them there"
            )
        if readable(str(file)) != str(file):
            raise ConfigError(f"{readable(str(file))}: its name is not in UTF-8, as a table's must be: rename it")
        whose = subject_of(trial.file, table.parent, subject)
        start, stop, event = map(_seconds, (trial.start, trial.stop, trial.event))
        row = (file.as_posix(), start, stop, task, trial.label, whose, trial.split or "")
        writer.writerow((*row, event) if locked else row)
    write_text(table, out.getvalue())


def _below(file: Path, folder: Path) -> Path | None:
    """The path of a file below a folder, as it is given or as links lead; None where it does not lie there."""
    here = file.parent.resolve() / file.name  # the file itself may be a link to somewhere else
    for one, other in (
        (file.absolute(), folder.absolute()),
        (here, folder.resolve()),
        (file.resolve(), folder.resolve()),
    ):
        if one.is_relative_to(other):
            return one.relative_to(other)
    return None


def _seconds(time: float | None) -> str:
    return "" if time is None else f"{time:.6f}".rstrip("0").rstrip(".")
