"""Preparing on the workers of a Dask scheduler: many machines that share a file system.

Dask starts workers wherever there are machines (SSH, SLURM and its like by dask-jobqueue, Kubernetes), gives a dead
worker's items to others, and takes workers that come and go. See docs/prepare.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import neurolm
from neurolm.core.errors import ConfigError, StoreError
from neurolm.core.workers import Crash, Item, Result, Second

PER_THREAD = 2
"""Items given to the scheduler per thread of its workers, so that none waits for the next one."""
PATIENCE = 60
"""Seconds to wait for the scheduler, and for its first worker."""


class Cluster:
    """Workers of a Dask scheduler; use it in a ``with`` statement.

    Parameters
    ----------
    scheduler
        Address (``tcp://host:8786``), or the JSON file that ``dask scheduler --scheduler-file`` writes.
    folders
        Folders that all workers must see.

    Raises
    ------
    ConfigError
        If Dask is missing, nobody answers there, or no worker comes.
    StoreError
        If a worker has another version of neurolm or does not see the folders.
    """

    def __init__(self, scheduler: str, folders: Sequence[Path] = ()) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ConfigError("scheduler: this needs Dask: pip install 'neurolm[cluster]'") from error
        where: dict[str, Any] = {"address": scheduler}
        if scheduler.endswith(".json") and Path(scheduler).is_file():
            where = {"scheduler_file": scheduler}
        try:
            self._client = Client(**where, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"scheduler={scheduler!r}: no Dask scheduler answers there ({error}); start one with: dask scheduler"
            ) from error
        try:
            self._check(scheduler, folders)
        except BaseException:
            self._client.close()
            raise

    def _check(self, scheduler: str, folders: Sequence[Path]) -> None:
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise ConfigError(
                f"scheduler={scheduler!r}: no worker came within {PATIENCE} s; start some with: dask worker {scheduler}"
            ) from error
        found = self._client.run(examine, tuple(map(str, folders)), on_error="return")
        for worker, answer in found.items():
            if isinstance(answer, BaseException):
                raise StoreError(f"worker {worker}: neurolm does not run there: {answer!r}; install it there too")
            version, unseen = answer
            if version != neurolm.__version__:
                raise StoreError(f"worker {worker}: has neurolm {version}, this is {neurolm.__version__}; install one")
            if unseen:
                raise StoreError(
                    f"worker {worker}: does not see {', '.join(unseen)}; all machines must share the folders of the "
                    "recordings and of the store, under the same paths"
                )

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Crash]]:
        """Apply a function to items, as `neurolm.core.workers.Workers.each` does."""
        for (index, _), result in self.drain(Second(function), deque(enumerate(items))):
            yield index, result

    def drain(self, function: Callable[[Item], Result], queue: deque[Item]) -> Iterator[tuple[Item, Result | Crash]]:
        """Apply a function to the items of a queue, as `neurolm.core.workers.Workers.drain` does.

        Dask itself tries an item again whose worker died, and gives up after some deaths (its setting
        ``distributed.scheduler.allowed-failures``, 3). A neighbour in the same worker may be blamed for them, so such
        an item is tried once more when nothing else runs.
        """
        from distributed import as_completed

        given: dict[Any, Item] = {}
        again: deque[Item] = deque()
        retried: list[Item] = []
        completed = as_completed(loop=self._client.loop)
        while queue or again or given:
            while (queue and len(given) < self._room()) or (again and not given):
                item = (queue or again).popleft()
                future = self._client.submit(function, item, pure=False)
                given[future] = item
                completed.add(future)
            future = next(completed)
            item = given.pop(future)
            result = self._result(future)
            future.release()
            if isinstance(result, Crash) and not any(item is other for other in retried):
                retried.append(item)
                again.append(item)
            else:
                yield item, result

    def _room(self) -> int:
        return PER_THREAD * max(1, sum(self._client.nthreads().values()))

    @staticmethod
    def _result(future: Any) -> Any:
        from distributed import KilledWorker

        if future.status == "finished":
            return future.result()
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                return Crash(None)
            raise error
        raise StoreError(f"the Dask scheduler lost a recording ({future.status}); give the same command again")


def examine(folders: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return this machine's version of neurolm, and which folders it does not see; runs in a worker."""
    return neurolm.__version__, tuple(folder for folder in folders if not Path(folder).is_dir())
