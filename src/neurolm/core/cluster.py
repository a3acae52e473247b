"""Work on the workers of a Dask scheduler: many machines that share a file system.

Dask starts workers wherever there are machines (SSH, SLURM and its like by dask-jobqueue, Kubernetes), gives a dead
worker's items to others, and takes workers that come and go. See docs/prepare.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import neurolm
from neurolm.core.errors import FLAGS, ConfigError, StoreError, argument
from neurolm.core.workers import Item, Pool, Result

PER_THREAD = 2
"""Items given to the scheduler per thread of its workers, so that none waits for the next one."""
PATIENCE = 60
"""Seconds to wait for the scheduler, and for its first worker."""


class Cluster(Pool):
    """Workers of a Dask scheduler; use it in a ``with`` statement.

    Dask itself tries an item again whose worker died, and gives up after some deaths (its setting
    ``distributed.scheduler.allowed-failures``, 3). A neighbour in the same worker may be blamed for them, so `each`
    tries such an item once more when nothing else runs.

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
            from distributed import Client, KilledWorker
        except ImportError as error:
            raise ConfigError("scheduler: this needs Dask: pip install 'neurolm[cluster]'") from error
        where: dict[str, Any] = {"address": scheduler}
        if scheduler.endswith(".json") and Path(scheduler).is_file():
            where = {"scheduler_file": scheduler}
        try:
            self._client = Client(**where, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"{argument(scheduler=scheduler)}: no Dask scheduler answers there ({error}); start one with: dask "
                "scheduler"
            ) from error
        self._executor, self._death = self._client.get_executor(pure=False), KilledWorker
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
                f"{argument(scheduler=scheduler)}: no worker came within {PATIENCE} s; start some with: "
                f"dask worker {scheduler}"
            ) from error
        found = self._client.run(examine, tuple(map(str, folders)), os.environ.get(FLAGS), on_error="return")
        for worker, answer in found.items():
            if isinstance(answer, BaseException):
                raise StoreError(f"worker {worker}: neurolm does not run there: {answer!r}; install it there too")
            version, unseen = answer
            if version != neurolm.__version__:
                raise StoreError(f"worker {worker}: has neurolm {version}, this is {neurolm.__version__}; install one")
            if unseen:
                raise StoreError(
                    f"worker {worker}: does not see {', '.join(unseen)}; all machines must share the folders of the "
                    "recordings, and of what becomes of them, under the same paths"
                )

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def _room(self) -> int:
        return PER_THREAD * max(1, sum(self._client.nthreads().values()))

    def _submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        return self._executor.submit(function, item)


def examine(folders: Sequence[str], flags: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Return this machine's version of neurolm, and which folders it does not see; runs in a worker.

    From here on the worker's messages spell arguments as the client does, by its ``FLAGS``.
    """
    os.environ.pop(FLAGS, None)
    if flags is not None:
        os.environ[FLAGS] = flags
    return neurolm.__version__, tuple(folder for folder in folders if not Path(folder).is_dir())
