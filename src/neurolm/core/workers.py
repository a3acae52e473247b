"""Processes that may crash: it costs the file at hand, not the run.

A `Worker` is one process, which may keep something between calls; a `Pool` applies a function to many items. Ready-made
pools won't do: the standard library's loses every task when one process dies, and pebble's leaves processes behind when
this one is killed (5.2.3); neither lets a process keep a file open between calls.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar

from neurolm.core.errors import StoreError
from neurolm.core.terminal import warning_line

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread per worker: the processes are the parallelism."""
_STANDARD_ERROR = 2
"""Its file descriptor."""


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Died(Exception):
    """A worker ended before it answered.

    Attributes
    ----------
    exit_code
        Exit code of the process, negative for a signal.
    late
        Whether it was ended for not answering in time.
    """

    def __init__(self, exit_code: int, *, late: bool) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code, self.late = exit_code, late


class Worker:
    """A process that calls functions for this one, one after the other, and ends with this one at the latest.

    It is a fresh interpreter (forking a process that has threads, of torch or BLAS, may deadlock) which does not import
    the script that is running, ignores Ctrl-C, and computes with one thread.

    Parameters
    ----------
    silent
        Whether nobody sees what is printed there.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self._connection, theirs = Pipe()
        # What is printed there is no result of a command: it goes where messages go.
        output, messages = (subprocess.DEVNULL, subprocess.DEVNULL) if silent else (_STANDARD_ERROR, None)
        command = f"import sys; sys.path[:] = {sys.path}; from {__name__} import _serve; _serve({theirs.fileno()})"
        with theirs:  # closed here, so that the death of the process ends the pipe
            self._process = subprocess.Popen(
                [sys.executable, "-c", command],
                stdin=subprocess.PIPE,  # whose end tells that this process is no more
                stdout=output,
                stderr=messages,
                pass_fds=[theirs.fileno()],
                env=os.environ | dict.fromkeys(THREAD_VARIABLES, "1"),
            )
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._started = False
        self._end = weakref.finalize(self, _end, self._process, self._owner)

    @property
    def usable(self) -> bool:
        """Whether it is there, and this process's own: a forked one has the same pipe."""
        return self._end.alive and self._owner == os.getpid() and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def call(self, function: Callable[..., Result], *arguments: Any, patience: float | None = None) -> Result:
        """Call a function in the process.

        Parameters
        ----------
        function
            Importable there, as are the types of its arguments.
        patience
            Seconds after which a process that has not answered is ended; by default it has all the time.

        Raises
        ------
        Died
            If the process ended.
        StoreError
            If it cannot start.
        Exception
            What the function raised.
        """
        with self._lock:
            with suppress(OSError):  # that it is dead shows when it does not answer
                self._connection.send((function, arguments))
            if not self._started:
                try:
                    self._receive(patience)
                except Died as death:
                    if death.late:
                        raise
                    raise StoreError(f"a process could not start ({death}): is there enough memory?") from death
                self._started = True
            result, error = self._receive(patience)
        try:
            if error is not None:
                raise error
            return result
        finally:
            error = None  # which would hold this frame, and the frame what the callers have, until a collection

    def stop(self) -> int:
        """End the process, whatever it is doing, and return its exit code."""
        self._end()
        return self._process.wait()

    def _receive(self, patience: float | None) -> Any:
        late = False
        with suppress(EOFError, OSError):
            late = not self._connection.poll(patience)
            if not late:
                return self._connection.recv()
        raise Died(self.stop(), late=late)


def _end(process: subprocess.Popen, owner: int) -> None:
    if owner == os.getpid():  # a forked process has a copy of what is not its own
        process.kill()
        process.communicate()


def _serve(descriptor: int) -> None:
    """What the process does."""
    warnings.formatwarning = warning_line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = Connection(descriptor)
    connection.send("started")
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        try:
            function, arguments = pickle.loads(request)
            connection.send((function(*arguments), None))
        except Exception as error:
            connection.send((None, error))


def _end_with_parent() -> None:
    os.read(0, 1)  # nobody writes there: it is the end
    os._exit(1)  # a killed parent can tell nobody


@dataclass(frozen=True)
class Crash:
    """Stands for the result of an item on which a worker died, twice."""

    exit_code: int | None
    """Exit code of the worker; None where nobody knows it."""


class Pool:
    """Applies functions to many items, and survives what these do to it; use it in a ``with`` statement."""

    _death: type[Exception] = Died
    """What a future raises whose worker died."""

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | Crash]]:
        """Apply a function to items.

        Parameters
        ----------
        function
            Importable, as are the items' types: both travel to other processes.
        items
            What to work on, the first first.

        Yields
        ------
        tuple of item and result
            In the order in which they are ready. An item on which a worker died is tried again when nothing else runs
            (memory may have been short), then is a `Crash`.

        Raises
        ------
        StoreError
            If workers cannot start, or an item is lost.
        Exception
            What the function raised.
        """
        queue, again, died = deque(range(len(items))), deque[int](), set[int]()
        running: dict[Future, int] = {}
        while queue or again or running:
            while (queue and len(running) < self._room()) or (again and not running):
                index = (queue or again).popleft()
                running[self._submit(function, items[index])] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = running.pop(future)
                try:
                    yield items[index], future.result()
                except self._death as death:
                    if index in died:
                        yield items[index], Crash(getattr(death, "exit_code", None))
                    else:
                        died.add(index)
                        again.append(index)
                except CancelledError as error:
                    raise StoreError("the scheduler lost a recording; give the same command again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Let the workers go."""
        raise NotImplementedError

    def _room(self) -> int:
        """How many items should be under way."""
        raise NotImplementedError

    def _submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Begin to work on an item."""
        raise NotImplementedError


class Workers(Pool):
    """Processes of this machine; with one job, everything happens in this process.

    Parameters
    ----------
    jobs
        Number of processes, which start when they are first needed; 0: as many as there are cores.
    apart
        Whether a single one is a process of its own, too: what crashes it, or how many threads it takes, is no matter
        to this one.
    """

    def __init__(self, jobs: int = 0, *, apart: bool = False) -> None:
        self.jobs = jobs or cores()
        self._here = self.jobs == 1 and not apart
        self._threads = ThreadPoolExecutor(self.jobs)  # each waits for one process
        self._all: list[Worker] = []
        self._idle: list[Worker] = []
        self._stopped = False

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | Crash]]:
        """Apply a function to items, see `Pool.each`."""
        return ((item, function(item)) for item in items) if self._here else super().each(function, items)

    def __exit__(self, *error: object) -> None:
        self._stopped = True
        for worker in list(self._all):
            worker.stop()
        self._threads.shutdown()

    def _room(self) -> int:
        return self.jobs

    def _submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        return self._threads.submit(self._call, function, item)

    def _call(self, function: Callable[[Item], Result], item: Item) -> Result:
        try:
            worker = self._idle.pop()
        except IndexError:
            self._all.append(worker := Worker())
        if self._stopped:
            worker.stop()
        try:
            return worker.call(function, item)
        finally:
            if worker.usable:
                self._idle.append(worker)
