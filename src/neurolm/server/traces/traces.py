"""Traces of the service's recordings: pyramids are made once, in processes of their own

>>> traces = Traces()
>>> traces.view(entry)              # {"ready": False, "progress": 0.4} while it is made, then all that a page needs
>>> traces.page(entry, Request(start=0, seconds=10, columns=1200))
"""

from __future__ import annotations

import hashlib
import math
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from neurolm.core.errors import NeuroLMError, RecordingError
from neurolm.core.files import PARTIAL
from neurolm.core.workers import Died, Worker
from neurolm.recording.isolation import confined, patience
from neurolm.recording.options import ReadingOptions
from neurolm.recording.suffixes import parts_of
from neurolm.server.traces import build
from neurolm.server.traces.page import Request, overview, render
from neurolm.server.traces.pyramid import META, Pyramid
from neurolm.server.traces.view import describe

OPEN = 32
"""Pyramids that are kept open."""
AT_ONCE = 0.25
"""Seconds that a view waits for a pyramid, so that a short recording is there at once."""
AGAIN_AFTER = 2.0
"""Seconds after which a recording whose reader crashed is tried again when somebody asks; twice as many each time."""
_STEP = 0.5  # seconds of work between two looks at how far it is
_VERSION = 1
"""Of the files; another one is made anew."""


class Entry(Protocol):
    """What is needed of a recording of the library."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def reading(self) -> ReadingOptions: ...
    @property
    def scratch(self) -> Path: ...


@dataclass
class _Build:
    """A pyramid that is being made."""

    folder: Path
    crashes: int = 0
    """Processes that died over it, this attempt and those before."""
    again: float = math.inf
    """When it may be tried again (``time.monotonic``): what was wrong is the file, or was what ended the process."""
    done: float = 0.0
    given_up: bool = False
    future: Future[None] = field(default_factory=Future)


class NotReady(Exception):
    """The pyramid is still being made.

    Attributes
    ----------
    progress
        The share that is done.
    """

    def __init__(self, progress: float) -> None:
        super().__init__(f"{progress:.0%} of the traces are ready")
        self.progress = progress


class Traces:
    """The traces of recordings; threads may share it.

    Parameters
    ----------
    builds
        Pyramids that are made at a time.
    """

    def __init__(self, builds: int = 2) -> None:
        self._lock = threading.Lock()
        self._heavy = threading.Semaphore(2)
        self._threads = ThreadPoolExecutor(builds, thread_name_prefix="traces")
        self._builds: dict[str, _Build] = {}
        self._open: OrderedDict[Path, Pyramid] = OrderedDict()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._closed = False
        self._threads.submit(import_module, "scipy.signal")  # most of a second that no page should wait for

    def view(self, entry: Entry) -> dict[str, Any]:
        """Return what a page needs to know of a recording, or how far its pyramid is.

        Raises
        ------
        RecordingError
            If it cannot be shown.
        """
        try:
            return describe(self._pyramid(entry)) | {"version": _key(entry)}
        except NotReady as later:
            return {"ready": False, "progress": round(later.progress, 3)}

    def page(self, entry: Entry, request: Request) -> bytes:
        """Return a page, see ``page.render``.

        Raises
        ------
        NotReady
            If the pyramid is still being made.
        ConfigError
            If the recording has no such page.
        """
        return self._drawn(entry, lambda pyramid: render(pyramid, request))

    def overview(self, entry: Entry, columns: int) -> bytes:
        """Return the picture of the whole recording, see ``page.overview``."""
        return self._drawn(entry, lambda pyramid: overview(pyramid, columns))

    def forget(self, id: str) -> None:
        """Give up what is being made of a recording that is removed; its files go with its folder."""
        with self._lock:
            made = self._builds.pop(id, None)
        if made is not None:
            made.given_up = True

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            self._closed = True
            for made in self._builds.values():
                made.given_up = True
            workers = [*self._idle, *self._busy]
        for worker in workers:
            worker.stop()
        self._threads.shutdown(cancel_futures=True)

    def _drawn(self, entry: Entry, draw: Callable[[Pyramid], bytes]) -> bytes:
        pyramid = self._pyramid(entry)
        with self._heavy:  # memory is bounded, and more threads than cores make nothing faster
            return draw(pyramid)

    def _pyramid(self, entry: Entry) -> Pyramid:
        folder = entry.scratch / f"traces-{_key(entry)}"
        with self._lock:
            found = self._open.get(folder)
            if found is not None:
                self._open.move_to_end(folder)
                return found
            self._sweep()
            made = self._builds.get(entry.id)
            if made is not None and made.folder != folder:  # read otherwise meanwhile
                made.given_up, made = True, None
                del self._builds[entry.id]
            crashes = made.crashes if made is not None and time.monotonic() >= made.again else 0
            if crashes or (made is None and not (folder / META).is_file()):
                made = self._begin(entry, folder, crashes)
        if made is not None:
            wait([made.future], AT_ONCE)
            if not made.future.done():
                raise NotReady(made.done)
            self._ended(entry, made)
        return self._opened(folder)

    def _sweep(self) -> None:
        """Let go of what is of recordings that are no more."""
        for folder in [folder for folder in self._open if not folder.exists()]:
            del self._open[folder]
        for id, made in list(self._builds.items()):
            if not made.folder.parent.exists():
                made.given_up = True
                del self._builds[id]

    def _begin(self, entry: Entry, folder: Path, crashes: int) -> _Build:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = _Build(folder, crashes)
        self._builds[entry.id] = made
        path, name, reading = entry.path, entry.name, entry.reading
        made.future = self._threads.submit(self._make, made, path, name, reading)
        return made

    def _ended(self, entry: Entry, made: _Build) -> None:
        """Raise what went wrong; what cannot be shown is tried again when it is read otherwise, or crashed."""
        error = made.future.exception()
        with self._lock:
            if not isinstance(error, RecordingError) and self._builds.get(entry.id) is made:
                del self._builds[entry.id]
        if error is not None:
            raise type(error)(*error.args) if isinstance(error, NeuroLMError) else error

    def _opened(self, folder: Path) -> Pyramid:
        pyramid = Pyramid(folder)
        with self._lock:
            self._open[folder] = pyramid  # whom another thread opened meanwhile is let go when nobody reads it
            while len(self._open) > OPEN:
                self._open.popitem(last=False)
        return pyramid

    def _make(self, made: _Build, path: Path, name: str, reading: ReadingOptions) -> None:
        worker = self._take()
        try:
            for old in (*made.folder.parent.glob("traces-*"), *made.folder.parent.glob(f".traces-*{PARTIAL}")):
                shutil.rmtree(old, ignore_errors=True)  # of another way to read it, or not finished
            seconds = 2 * patience(path)
            worker.call(build.begin, path, reading, made.folder, confined(), patience=seconds)
            while made.done < 1:
                if made.given_up:
                    worker.stop()
                    raise RecordingError(f"{name}: was removed, or is read otherwise now")
                made.done = worker.call(build.advance, _STEP, patience=seconds)
        except Died as death:
            made.crashes += 1
            made.again = time.monotonic() + AGAIN_AFTER * 2 ** (made.crashes - 1)
            why = "did not answer in time" if death.late else f"crashed (exit status {death.exit_code})"
            remedy = "try again, or copy or export it again"
            raise RecordingError(f"{name}: reading it for the traces {why}; {remedy}") from None
        except NeuroLMError as error:
            raise type(error)(_shown(str(error), path, made.folder, name)) from None
        finally:
            self._put_back(worker)

    def _take(self) -> Worker:
        with self._lock:
            worker = self._idle.pop() if self._idle else Worker(silent=True)
            self._busy.add(worker)
            return worker

    def _put_back(self, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
            if worker.usable and not self._closed:
                self._idle.append(worker)
            else:
                worker.stop()


def _shown(text: str, path: Path, folder: Path, name: str) -> str:
    """A message with the shown name in place of paths of the server."""
    for place, word in ((path, name), (path.resolve(), name), (folder.parent, name)):
        text = text.replace(str(place), word)
    return text


def _key(entry: Entry) -> str:
    """What a pyramid depends on: the file, and how it is read."""
    known: list[object] = [_VERSION, entry.reading]
    with suppress(OSError, NeuroLMError):
        for part in (entry.path, *parts_of(entry.path)):
            found = part.stat()
            known += [found.st_size, found.st_mtime_ns]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]
