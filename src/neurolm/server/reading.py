"""Recordings read by processes of their own, a slice at a time, so that none waits for a long one

Each question has at most one slice asked for at a time, and processes take slices in the order in which they were asked
for. A process keeps a few recordings open where it left off; any other is opened anew and read on from the window that
is next. So whatever is asked at once, memory is bounded, and a process that dies costs the questions whose slice it was
reading.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.ask.evidence import Beside
from neurolm.ask.novelty import describe
from neurolm.ask.recording import Blocks, Windows, read_recording
from neurolm.batches.loader import Sample
from neurolm.checkpoint import Card
from neurolm.core.errors import FLAGS, NeuroLMError, RecordingError
from neurolm.core.physics import PATCH
from neurolm.core.stretches import Spans
from neurolm.core.workers import Died, Worker
from neurolm.recording.options import ReadingOptions, Unseen

SLICE, WHOLE = 2 << 20, 8 << 20
"""Bytes of windows that are read at a time; and of a rest that is read at once."""
OPEN = 4
"""Recordings that a process keeps open where it left off."""
PATIENCE = 900.0
"""Seconds after which a process that reads a slice is given up."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is read of a recording, and how."""

    path: Path
    name: str
    """As it is shown."""
    reading: ReadingOptions
    unseen: Unseen
    card: Card
    """Of the model that it is read for."""
    seconds: int
    stride: float
    beside: Beside | None = None
    """What says something about windows beside the language model, where anything does."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """The next windows of a recording."""

    windows: Windows
    """All of the recording, without its signal."""
    samples: list[Sample]
    features: np.ndarray
    """Of ``novelty.describe``, float64 (samples, features)."""
    shown: np.ndarray | None
    """What the evidence says, float64 (samples, options); None where there is none."""
    known: np.ndarray | None
    """Where it says anything, bool (samples,)."""


@dataclass
class _Opened:
    windows: Windows
    samples: Iterator[tuple[int, Sample]]
    next: int


_opened: OrderedDict[str, _Opened] = OrderedDict()
"""In such a process: recordings by who asked about them, the last used last."""


def read_slice(ticket: str, source: Source, first: int) -> Slice:
    """Read the next windows of a recording, from this one on; runs in the process."""
    opened = _opened.pop(ticket, None)
    if opened is None or opened.next != first:
        opened = _open(source, first)
    windows = opened.windows
    each = windows.seconds * len(windows.recording.channels) * PATCH * 4
    left = len(windows.starts) - first
    count = left if left * each <= WHOLE else max(1, SLICE // each)
    samples = [sample for _, sample in islice(opened.samples, count)]
    opened.next += len(samples)
    if opened.next < len(windows.starts):
        _opened[ticket] = opened
        while len(_opened) > OPEN:
            _opened.popitem(last=False)
    return _sliced(windows, samples, source)


def read_between(source: Source, start: float, stop: float | None, most: int) -> tuple[list[int], Slice]:
    """Read some windows between two moments, and say where they start; runs in the process."""
    windows = _windows(source)
    starts = windows.between(start, stop, most=most)
    samples = list(windows.recording.samples(starts, windows.seconds))
    return starts, _sliced(windows, samples, replace(source, beside=None))


def warm() -> None:
    """Import this module, which takes a second; runs in the process.

    What is wrong with a recording is told to users of the page and the API, who give no flags.
    """
    os.environ.pop(FLAGS, None)


def _open(source: Source, first: int) -> _Opened:
    windows = _windows(source)
    spans = [windows.recording.span(start, windows.seconds) for start in windows.starts[first:]]
    return _Opened(windows, windows.recording.cut(spans), first)


def _windows(source: Source) -> Windows:
    recording = read_recording(source.path, source.card, reading=source.reading, unseen=source.unseen)
    return Windows.of(replace(recording, name=source.name), seconds=source.seconds, stride=source.stride)


def _sliced(windows: Windows, samples: list[Sample], source: Source) -> Slice:
    shown = known = None
    if source.beside is not None:
        shown, known = source.beside.scores(samples)
    return Slice(windows=without_signal(windows), samples=samples, features=describe(samples), shown=shown, known=known)


def without_signal(windows: Windows) -> Windows:
    """Return windows that know where they are, and can be sent and kept; they cannot be read."""
    return replace(windows, recording=replace(windows.recording, holding=nothing))


def nothing(_spans: Spans) -> Blocks:
    """Stand for the signal where there is none."""
    return ()


@dataclass
class _Job:
    ticket: str
    call: tuple[Callable[..., Any], tuple[Any, ...]]
    done: Future[Any]


class Readers:
    """Processes that read, each for one question after the other.

    Parameters
    ----------
    count
        How many.
    """

    def __init__(self, count: int) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._owner: dict[str, int] = {}
        """Who has a recording open, by who asked about it."""
        self._workers: list[Worker | None] = [None] * count
        self._closed = False
        self._threads = [threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, ticket: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Let a process call one of the functions above; what it returns or raises comes as a future.

        The future raises RecordingError where the process died.
        """
        job = _Job(ticket, (function, arguments), Future())
        with self._changed:
            if self._closed:
                job.done.set_exception(RecordingError("the service is ending"))
            else:
                self._jobs.append(job)
                self._changed.notify_all()
        return job.done

    def forget(self, ticket: str) -> None:
        """Drop what a question still waits for; what is being read for it is read in vain."""
        with self._changed:
            self._jobs = deque(job for job in self._jobs if job.ticket != ticket)
            self._owner.pop(ticket, None)

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that run."""
        return [worker.pid for worker in self._workers if worker is not None and worker.usable]

    def close(self) -> None:
        """End the processes, whatever they read."""
        with self._changed:
            self._closed = True
            waiting, self._jobs = self._jobs, deque()
            self._changed.notify_all()
        for worker in self._workers:
            if worker is not None:
                worker.stop()
        for job in waiting:
            job.done.set_exception(RecordingError("the service is ending"))
        for thread in self._threads:
            thread.join(10)

    def _serve(self, number: int) -> None:
        self._call(number, warm, ())
        while (job := self._take(number)) is not None:
            try:
                result = self._call(number, *job.call)
            except BaseException as error:
                job.done.set_exception(error)
            else:
                job.done.set_result(result)
            job = None  # type: ignore[assignment]  # which may hold megabytes until the next one

    def _take(self, number: int) -> _Job | None:
        """The first that waits and whose recording no other process has open; None when it is the end."""
        with self._changed:
            while not self._closed:
                for place, job in enumerate(self._jobs):
                    if self._owner.get(job.ticket, number) == number:
                        del self._jobs[place]
                        self._owner[job.ticket] = number
                        return job
                self._changed.wait()
        return None

    def _call(self, number: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        worker = self._workers[number]
        try:
            if worker is None or not worker.usable:
                worker = self._workers[number] = Worker(silent=True)
                if self._closed:
                    worker.stop()
            return worker.call(function, *arguments, patience=PATIENCE)
        except (Died, NeuroLMError) as error:
            if isinstance(error, RecordingError) or function is warm:
                if function is warm:
                    return None
                raise
            if isinstance(error, Died):
                how = f"after {PATIENCE:g} s" if error.late else f"with exit status {error.exit_code}"
                raise RecordingError(
                    f"the process that read the recording ended {how}: ask again; if it ends again, the file is "
                    "damaged, or the machine has too little memory"
                ) from error
            raise
