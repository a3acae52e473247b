"""How far a preparation is: recordings, hours of EEG per second, time left, failures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a preparation is."""

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
    """Since the work began."""
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

    def __init__(self, progress: Callable[[Progress], object] | None, *, total: int, before: int, size: int) -> None:
        self.progress, self.total, self.done = progress, total, before
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
        left = seconds * (self.size - self.size_done) / max(1, self.size_done)
        self.progress(Progress(self.done, self.total, source, failures, self.hours, seconds, left))
