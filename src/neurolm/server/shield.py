"""Processes in which recordings are looked at: a bomb costs one recording, and nothing else"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from neurolm.core.errors import RecordingError
from neurolm.core.workers import Died, Worker
from neurolm.recording.isolation import confined, patience, run_apart
from neurolm.server.errors import Busy

Result = TypeVar("Result")
WAIT = 30.0
"""Seconds that a request waits for a free process."""
QUEUE = 16
"""Requests that wait for a process at most: each holds one of the threads that all requests share."""
CALLS = 200
"""Calls after which a process makes room for a fresh one: libraries keep memory."""


class Shield:
    """A few processes, each with limits of memory and time, that open recordings of strangers.

    Parameters
    ----------
    processes
        How many at most; the first starts now, in the background.
    """

    def __init__(self, processes: int) -> None:
        self._free = threading.Semaphore(processes)
        self._places = threading.Semaphore(processes + QUEUE)
        self._idle: list[tuple[Worker, int]] = []
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._warm, daemon=True).start()

    def call(self, path: Path, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in such a process; it and its arguments travel there, what it returns comes back.

        Parameters
        ----------
        path
            The recording that the function is about; its size says how much memory and time it gets: 512 MB and 100
            times the size, 60 s and one for every 4 MB.

        Raises
        ------
        RecordingError
            If it takes more, or the process crashes.
        Busy
            If no process is free within ``WAIT`` seconds, or ``QUEUE`` others wait.
        Exception
            What the function raises.
        """
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            return self._called(path, function, *arguments)
        finally:
            self._places.release()

    def _called(self, path: Path, function: Callable[..., Result], *arguments: Any) -> Result:
        seconds = patience(path)
        if not self._free.acquire(timeout=WAIT):
            raise _busy()
        try:
            worker, calls = self._take()
            try:
                return worker.call(run_apart, path, confined(), function, *arguments, patience=seconds)
            except Died as death:
                why = f"was not read within {seconds:g} s" if death.late else "made its reader crash"
                raise RecordingError(
                    f"{path}: {why}: it is damaged, or of another format than its suffix says; copy or export it again"
                ) from death
            finally:
                self._give_back(worker, calls + 1)
        finally:
            self._free.release()

    def close(self) -> None:
        """End the processes that are at rest; the others end with their call."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for worker, _ in idle:
            worker.stop()

    def _take(self) -> tuple[Worker, int]:
        with self._lock:
            while self._idle:
                worker, calls = self._idle.pop()
                if worker.usable:
                    return worker, calls
        return Worker(silent=True), 0

    def _give_back(self, worker: Worker, calls: int) -> None:
        with self._lock:
            if worker.usable and calls < CALLS and not self._closed:
                self._idle.append((worker, calls))
                return
        worker.stop()

    def _warm(self) -> None:
        try:
            self.call(Path(__file__), _nothing)
        except Exception:  # whoever needs it is told
            return


def _busy() -> Busy:
    return Busy("all processes that read recordings are at work; ask again", retry_after=WAIT / 3)


def _nothing() -> None:
    """Stands for a recording, so that what readers import is there before the first one comes."""
