"""Whether a task's card and a store fit: windows per label and part of the split, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurolm.batches.splits import same_content
from neurolm.batches.windows import Window, label_samples, labelled_windows
from neurolm.core.errors import ConfigError, NeuroLMError
from neurolm.core.names import nearly_same
from neurolm.core.physics import RATE
from neurolm.store.manifest import SPLITS, Outline, Row
from neurolm.store.store import MANIFEST, Store
from neurolm.tasks.task import Task

DEPTH = 3
"""Folders below the given one in which stores are looked for."""
MENTIONED = 10
"""Labels that are not on the card, besides the first, that a message names."""
WHOLE = "all"
"""In place of the part, where the labels cannot be split."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a part of the split holds."""

    part: str
    """``train``, ``validation``, ``test``; or ``all``, where the labels cannot be split."""
    subjects: int
    windows: dict[str, int]
    """Windows by label, in the order of the card."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a card and a store go together."""

    task: str
    store: str
    recordings: int
    """Recordings with labels of the task."""
    subjects: int
    """People in them."""
    parts: tuple[Part, ...]
    problems: tuple[str, ...]
    """Why the task cannot be trained and evaluated on the store, each with its remedy. Empty where it can."""
    notes: tuple[str, ...]
    """What limits it."""

    @property
    def fits(self) -> bool:
        """Whether the task can be trained and evaluated on the store."""
        return not self.problems


def check_fit(task: Task, store: Store) -> Fit:
    """Say whether a task can be trained and evaluated on a store. Reads labels, no signals."""
    rows = [row for row in store.rows if any(label.task == task.name for label in row.labels)]
    problems: list[str] = []
    notes: list[str] = []
    parts: tuple[Part, ...] = ()
    if not rows:
        known = sorted({label.task for row in store.rows for label in row.labels})
        problems.append(
            f"no recording has labels of the task {task.name!r}: "
            + (f"the labels are of {', '.join(known)}; name the card so" if known else "prepare one with labels")
        )
    elif unknown := unknown_labels(task, rows):
        problems.append(unknown)
    else:
        notes += _short(task, rows)
        notes += _people(rows)
        parts = tuple(_parts(task, store, problems))
        problems += _missing(task, parts)
        notes += _untested(parts)
    return Fit(
        task=task.name,
        store=str(store.path),
        recordings=len(rows),
        subjects=len({row.subject for row in rows}),
        parts=parts,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def find_stores(folder: Path) -> list[Path]:
    """Find the prepared stores in a folder and a few levels below it, sorted."""
    found: set[Path] = set()
    for depth in range(DEPTH + 1):
        found.update(path.parent for path in folder.glob("*/" * depth + MANIFEST))
    return sorted(found)


def unknown_labels(task: Task, rows: Iterable[Row | Outline]) -> str | None:
    """Say which labels of a task are none of its card, each with the recordings that have it; None where all are."""
    errors: dict[str, ConfigError | None] = {}
    found: dict[str, list[str]] = {}
    for row in rows:
        for name in dict.fromkeys(label.label for label in row.labels if label.task == task.name):
            if name not in errors:
                errors[name] = _error(task, name)
            if errors[name] is not None:
                found.setdefault(name, []).append(row.recording)
    if not found:
        return None
    (first, recordings), *others = found.items()
    more = "".join(f"; nor {name!r} ({_some(of_name)})" for name, of_name in others[:MENTIONED])
    more += f"; nor {len(others) - MENTIONED} other labels" if len(others) > MENTIONED else ""
    return f"{_some(recordings)}: {errors[first]}{more}; correct the labels and prepare again, or add them to the card"


def _error(task: Task, label: str) -> ConfigError | None:
    try:
        task.index(label)
    except ConfigError as error:
        return error
    return None


def _some(recordings: Sequence[str]) -> str:
    more = len(recordings) - 1
    return recordings[0] + (f" and {more} other recording{'s' * (more > 1)}" if more else "")


def _short(task: Task, rows: Sequence) -> Iterator[str]:
    labels = [(row, label) for row in rows for label in row.labels if label.task == task.name]
    spans = [span for row, label in labels for span in label_samples(row, label) or [(0, 0)]]
    short = sum(last - first < task.seconds * RATE for first, last in spans)
    if short:
        yield f"{short} of {len(spans)} labelled stretches are shorter than the window of {task.seconds} s and unused"


def _people(rows: Sequence) -> Iterator[str]:
    for group in nearly_same(row.subject for row in rows):
        yield f"subjects {' and '.join(group)} count as {len(group)} people: give them one name if they are one"


def _parts(task: Task, store: Store, problems: list[str]) -> Iterator[Part]:
    try:
        split = task.split(store)
        problems += same_content(store, [split])
    except NeuroLMError as error:
        problems += [str(error), *same_content(store, [])]
        windows = labelled_windows(store, task=task.name, seconds=task.seconds, stride=task.stride)
        yield _part(task, WHOLE, windows)
        return
    for part in SPLITS:
        yield _part(task, part, task.windows(store, split, part))


def _part(task: Task, part: str, windows: Sequence[Window]) -> Part:
    counts = Counter(task.index(str(window.label)) for window in windows)
    return Part(
        part=part,
        subjects=len({window.subject for window in windows}),
        windows={label: counts[number] for number, label in enumerate(task.labels)},
    )


def _missing(task: Task, parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        total = sum(part.windows.values())
        if not total:
            where = "" if part.part == WHOLE else f" in {part.part}"
            yield f"no window of {task.seconds} s{where}: add recordings, or change the card's seconds or [split]"
        elif part.part == SPLITS[0]:
            for label, count in part.windows.items():
                if not count:
                    yield f"no training window of {label!r}, which cannot be learned: add some, or take its option out"


def _untested(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        absent = [label for label, count in part.windows.items() if not count]
        if part.part in SPLITS[1:] and absent and len(absent) < len(part.windows):
            yield f"no {part.part} window of {', '.join(absent)}: its figures say nothing of them"
