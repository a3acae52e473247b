"""What a preparation says: how far it has got, and in the end what it did and noticed."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from neurolm.core.amounts import many

SHOWN = 3
"""Examples in a message."""
KINDS = 8
"""Kinds of notes in a report."""


@dataclass(frozen=True)
class PrepareReport:
    """What a preparation did."""

    recordings: int
    """How many of this corpus are in the store."""
    hours: float
    """Their total length."""
    quarantined: int
    """Sources that could not be read; ``quarantine.jsonl`` has the reasons."""
    excluded: int
    """Sources that the exclusion list names."""
    skipped: int
    """Recordings that were already in the store."""
    seconds: float
    """Time taken."""
    notes: tuple[str, ...]
    """What was noticed, each with the number of recordings."""
    tasks: tuple[str, ...] = ()
    """Those that its labels are of."""


@dataclass(frozen=True)
class PrepareProgress:
    """How far a preparation has got."""

    done: int
    """Recordings that are prepared, were there already, or cannot be read."""
    total: int
    source: str
    """The one that was finished last."""
    failures: int
    """Recordings that could not be read so far."""
    hours: float
    """Hours of EEG prepared in this run."""
    seconds: float
    """Time since the work began."""
    seconds_left: float
    """Estimated from the bytes of the sources."""

    @property
    def rate(self) -> float:
        """Hours of EEG per second."""
        return self.hours / self.seconds if self.seconds else 0.0


class Meter:
    """Counts what is done and tells it.

    Parameters
    ----------
    progress
        Told after every recording.
    total, before
        Number of recordings, and of those that need no work.
    size
        Bytes of the sources that need work.
    """

    def __init__(
        self, progress: Callable[[PrepareProgress], object] | None, *, total: int, before: int, size: int
    ) -> None:
        self.progress, self.total, self.before = progress, total, before
        self.done = before
        self.size, self.size_done = size, 0
        self.hours, self.begun = 0.0, time.monotonic()

    def add(self, source: str, *, size: int, hours: float, failures: int) -> None:
        """Count a recording."""
        self.done += 1
        self.size_done += size
        self.hours += hours
        if self.progress is None:
            return
        seconds = time.monotonic() - self.begun
        if self.size_done:
            left = seconds * (self.size - self.size_done) / self.size_done
        else:  # only empty files so far
            left = seconds * (self.total - self.done) / (self.done - self.before)
        self.progress(PrepareProgress(self.done, self.total, source, failures, self.hours, seconds, left))


def summary(notes: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Sum up the notes of recordings, each with its file: alike up to a colon, but for a number in front, they are one.

    Where they differ in what follows, the one that stands for them is said to be that of its file.
    """
    first: dict[str, str] = {}
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for source, note in ((source, note) for source, own in notes for note in own):
        first.setdefault(note, source)
        kinds[note.partition(":")[0].lstrip("0123456789.,")][note] += 1
    ordered = sorted(kinds.items(), key=lambda kind: (-kind[1].total(), kind[0]))
    for _, texts in ordered[:KINDS]:
        count = many(texts.total(), "recording")
        shown = min(texts, key=lambda text: (-texts[text], text))
        yield f"{shown} ({count}{f', alike; this one {first[shown]}' if len(texts) > 1 else ''})"
    if len(ordered) > KINDS:
        yield f"{len(ordered) - KINDS} other kinds of notes are in the manifest"


def examples(names: Sequence[str]) -> str:
    """Name some of them."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
