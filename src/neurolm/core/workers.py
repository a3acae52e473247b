"""Worker processes that survive what they are given: a crash costs one file, not the run.

The standard pools lose every task when one process dies, cannot say whose fault it was, and leave orphans behind when
the parent is killed. Here each worker has a pipe of its own, so that a death is known by the item it was given.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from neurolm.core.errors import StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread per worker: the processes are the parallelism."""


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Crash:
    """Stands for the result of an item on which a worker died, twice."""

    exit_code: int | None
    """None where nobody knows it."""


class Workers:
    """Processes that apply functions to items; with one job, everything happens in this process.

    Use it in a ``with`` statement: the processes start when they are first needed and are stopped at its end.

    Parameters
    ----------
    jobs
        Number of processes.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._all: list[_Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Crash]]:
        """Apply a function to items.

        Parameters
        ----------
        function
            Importable, as are the items' types: both travel to spawned processes.
        items
            What to work on.

        Yields
        ------
        tuple of int and result
            Index of the item and its result, in the order in which they are ready; see `drain`.
        """
        for (index, _), result in self.drain(Second(function), deque(enumerate(items))):
            yield index, result

    def drain(self, function: Callable[[Item], Result], queue: deque[Item]) -> Iterator[tuple[Item, Result | Crash]]:
        """Apply a function to the items of a queue until it is empty; meanwhile the caller may put more into it.

        Parameters
        ----------
        function
            Importable, as are the items' types: both travel to spawned processes.
        queue
            What to work on, the first first.

        Yields
        ------
        tuple of item and result
            In the order in which they are ready. An item on which a worker died is tried again when nothing else runs
            (memory may have been short), then is a `Crash`.

        Raises
        ------
        StoreError
            If workers cannot start.
        Exception
            What the function raised.
        """
        if self.jobs == 1:
            while queue:
                item = queue.popleft()
                yield item, function(item)
            return
        idle = list(self._all)
        busy: dict[Connection, tuple[_Worker, Item]] = {}
        again: deque[Item] = deque()
        retried: list[Item] = []
        while queue or again or busy:
            while len(self._all) < self.jobs and len(idle) < len(queue):
                self._all.append(_Worker())
                idle.append(self._all[-1])
            while idle and (queue or (again and not busy)):
                worker, item = idle.pop(), (queue or again).popleft()
                try:
                    worker.give(function, item)
                except StoreError:
                    self._stop()  # before the error is shown: what workers print would end up below it
                    raise
                busy[worker.connection] = worker, item
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker, item = busy.pop(connection)
                try:
                    result = worker.take()
                except (EOFError, ConnectionResetError):
                    code = worker.stop()
                    self._all.remove(worker)
                    worker = _Worker()
                    self._all.append(worker)
                    if any(item is other for other in retried):
                        yield item, Crash(code)
                    else:
                        retried.append(item)
                        again.append(item)
                else:
                    yield item, result
                idle.append(worker)

    def _stop(self) -> None:
        for worker in self._all:
            worker.stop()
        self._all = []


@dataclass(frozen=True)
class Second:
    """A function of the second of a pair."""

    function: Callable

    def __call__(self, pair: tuple[int, Any]) -> Any:
        return self.function(pair[1])


class _Worker:
    """A spawned process that applies functions to items."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that has threads (torch, BLAS) may deadlock
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _one_thread():
            self.process.start()
        theirs.close()  # so that the death of the process ends the pipe
        self.ready = False

    def give(self, function: Callable, item: Any) -> None:
        try:
            self._await_start()
            self.connection.send((function, item))
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise StoreError(
                f"a worker process could not start (exit code {self.stop()}); use one job (jobs=1), and in a script "
                "keep the call under: if __name__ == '__main__':"
            ) from error

    def take(self) -> Any:
        succeeded, result = self.connection.recv()
        if not succeeded:
            raise result
        return result

    def stop(self) -> int | None:
        self.connection.close()
        self.process.kill()
        self.process.join()
        return self.process.exitcode

    def _await_start(self) -> None:
        if not self.ready:
            self.connection.recv()
            self.ready = True


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send("ready")
    while True:
        try:
            function, item = connection.recv()
        except EOFError:
            return
        try:
            reply = True, function(item)
        except Exception as error:
            reply = False, error
        connection.send(reply)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # a killed parent can tell nobody


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
