"""What is in a store: ``neurolm store info STORE``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from neurolm.core.physics import RATE, Filters
from neurolm.core.stretches import overlapping
from neurolm.store.store import SOURCES, Store


@dataclass(frozen=True)
class CorpusSummary:
    """What a store holds of a corpus."""

    recordings: int
    subjects: int
    hours: float
    licences: tuple[str, ...]


@dataclass(frozen=True)
class LabelSummary:
    """What a store holds of a label."""

    task: str
    label: str
    split: str | None
    """As the data set itself says; None where it does not."""
    stretches: int
    subjects: int
    hours: float


@dataclass(frozen=True)
class StoreInfo:
    """What is in a store."""

    recordings: int
    subjects: int
    hours: float
    bytes: int
    """How many the signals take."""
    corpora: dict[str, CorpusSummary]
    channels: dict[str, float]
    """Hours by electrode, the most first."""
    subjects_hours: dict[str, float]
    """Hours by subject, the most first."""
    labels: tuple[LabelSummary, ...]
    """Sorted by task, label and split."""
    filters: Filters
    """How all of its recordings were filtered."""
    annotated: int
    """Recordings whose annotations are kept in ``sources/``, since their labels come from them: free text, perhaps."""


def store_info(path: Path | str) -> StoreInfo:
    """Count what is in a store.

    Parameters
    ----------
    path
        Folder or URL of the store.

    Raises
    ------
    StoreError
        If there is no store, or it is damaged.
    """
    store = Store(path)
    corpora: dict[str, list] = defaultdict(lambda: [0, set(), 0.0, set()])
    channels: dict[str, float] = defaultdict(float)
    subjects: dict[str, float] = defaultdict(float)
    labels: dict[tuple[str, str, str], list] = defaultdict(lambda: [0, set(), 0.0])
    size = 0
    for row in store.rows:
        hours = row.seconds / 3600
        size += row.size
        of_corpus = corpora[row.corpus]
        of_corpus[0] += 1
        of_corpus[1].add(row.subject)
        of_corpus[2] += hours
        of_corpus[3].add(row.licence)
        subjects[row.subject] += hours
        for channel in row.channels:
            channels[channel] += hours
        for label in row.labels:
            of_label = labels[label.task, label.label, label.split or ""]
            of_label[0] += 1
            of_label[1].add(row.subject)
            there = overlapping(row.stretches, round(label.start * RATE), round(label.stop * RATE))
            of_label[2] += sum(part.samples for part in there) / RATE / 3600
    return StoreInfo(
        recordings=len(store),
        subjects=len(subjects),
        hours=sum(subjects.values()),
        bytes=size,
        corpora={
            name: CorpusSummary(count, len(people), hours, tuple(sorted(licences)))
            for name, (count, people, hours, licences) in sorted(corpora.items())
        },
        channels=_most_first(channels),
        subjects_hours=_most_first(subjects),
        labels=tuple(
            LabelSummary(task, label, split or None, count, len(people), hours)
            for (task, label, split), (count, people, hours) in sorted(labels.items())
        ),
        filters=store.filters,
        annotated=_annotated(store.path),
    )


def _annotated(path: Path | str) -> int:
    found = 0
    for journal in (path / SOURCES).glob("*.jsonl") if isinstance(path, Path) else ():
        with journal.open("rb") as lines:
            found += sum(line.count(b'"annotations":[{') for line in lines)
    return found


def _most_first(hours: dict[str, float]) -> dict[str, float]:
    return dict(sorted(hours.items(), key=lambda item: (-item[1], item[0])))
