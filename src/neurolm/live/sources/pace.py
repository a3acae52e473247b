"""The pace of a source that could give everything at once: in real time, faster, or without waiting."""

from __future__ import annotations

import math
import threading
import time

CHUNK_SECONDS = 0.1
"""Seconds of real time from chunk to chunk."""
_LONGEST = 1.0  # seconds of signal in a chunk, where nobody waits


class Pace:
    """Waits until seconds of signal are due; closing it ends a wait.

    Parameters
    ----------
    speed
        How many times faster than real time; infinite does not wait.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._began: float | None = None
        self._closed = threading.Event()

    @property
    def chunk_seconds(self) -> float:
        """Seconds of signal that are given at once."""
        return min(_LONGEST, CHUNK_SECONDS * self.speed)

    def wait(self, seconds: float) -> bool:
        """Wait until so many seconds of signal have passed since the first call; return whether the source goes on."""
        if not math.isinf(self.speed):
            now = time.monotonic()
            if self._began is None:
                self._began = now - seconds / self.speed
            self._closed.wait(max(0.0, self._began + seconds / self.speed - now))
        return not self._closed.is_set()

    def close(self) -> None:
        """End all waiting."""
        self._closed.set()
