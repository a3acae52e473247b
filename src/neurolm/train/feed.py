"""Batches, made ahead of the steps that want them.

What a step sees is a function of the step alone, so it does not matter who makes its batch nor when: any number of
workers gives the same training.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import torch

AHEAD = 2
"""Batches that each worker is ahead."""
B = TypeVar("B")


class Feed(Generic[B]):
    """Iterates over the batches of consecutive steps.

    Parameters
    ----------
    make
        Returns the batch of a step; called in threads, in which reading and NumPy's work run beside the training.
    first, steps
        The first step, and the one after the last.
    workers
        Threads; 0 makes each batch when it is wanted.
    pin
        Whether to hand out batches in page-locked memory, from which a GPU copies beside the work of both.

    Attributes
    ----------
    waited
        Seconds that the last batch was waited for.
    """

    def __init__(self, make: Callable[[int], B], *, first: int, steps: int, workers: int, pin: bool = False) -> None:
        self.make = (lambda step: pinned(make(step))) if pin else make
        self.steps, self.workers = range(first, steps), workers
        self.waited = 0.0

    def __iter__(self) -> Iterator[B]:
        batches = self._ahead() if self.workers else map(self.make, self.steps)
        while True:
            began = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.waited = time.perf_counter() - began
            yield batch

    def _ahead(self) -> Iterator[B]:
        waiting: deque[Future[B]] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="batches") as pool:
            try:
                for step in self.steps:
                    waiting.append(pool.submit(self.make, step))
                    if len(waiting) > AHEAD * self.workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # the training stopped: what nobody will use is not made
                for future in waiting:
                    future.cancel()


def pinned(batch: Any) -> Any:
    """Return a batch with its tensors in page-locked memory: any nesting of dataclasses, dicts, lists and tuples."""
    if isinstance(batch, torch.Tensor):
        return batch.pin_memory()
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        fields = {f.name: pinned(getattr(batch, f.name)) for f in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **fields)
    if isinstance(batch, dict):
        return {name: pinned(value) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(map(pinned, batch))
    return batch
