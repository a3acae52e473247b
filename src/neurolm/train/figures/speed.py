"""How fast training goes, and what holds it up: a row in ``speed.jsonl`` at every evaluation.

Apart from ``log.jsonl``, which holds what follows from the seed and is the same however often a run was interrupted.
"""

from __future__ import annotations

import functools
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from neurolm.core.files import append_text, dump_json

DATA_BOUND = 0.2
"""Share of the time spent waiting for batches from which a run is called bound by its data."""
ENOUGH_STEPS = 20
"""Steps before that is judged: the first batches are always waited for."""
MATRIX = {"cuda": 8192, "cpu": 1024}
"""Rows and columns of the matrices whose product tells a device's rate."""
PRODUCTS = 5
"""How often they are multiplied; the fastest counts."""
_TO_BYTES = 1 if sys.platform == "darwin" else 1024


def matrix_rate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Operations a second that a device reaches in a product of large matrices; measured once in a process.

    What it really reaches with its clocks, its cooling and this build of torch, not what its data sheet says: a
    training step consists of such products, so no step is faster.

    Parameters
    ----------
    dtype
        Precision in which the training multiplies matrices.
    """
    return _matrix_rate(str(device), dtype, torch.get_num_threads())


@functools.cache
def _matrix_rate(device: str, dtype: torch.dtype, threads: int) -> float:
    kind = torch.device(device).type
    size = MATRIX.get(kind, MATRIX["cpu"])
    generator = torch.Generator(device).manual_seed(0)  # numbers as in training: of ones alone, a GPU makes more
    matrix = torch.randn(size, size, device=device, generator=generator).to(dtype)
    best = float("inf")
    for _ in range(PRODUCTS + 1):  # one more: the first sets up
        began = time.perf_counter()
        matrix @ matrix
        if kind == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


class Speedometer:
    """Counts tokens, operations and waiting of the steps since its last row.

    Parameters
    ----------
    file
        JSON Lines file to append to.
    first, steps
        The step that training goes on from, and the number of all.
    dtype
        In which the training multiplies matrices.
    devices
        How many the counted tokens and operations are spread over.
    """

    def __init__(
        self,
        file: Path,
        *,
        device: torch.device,
        first: int,
        steps: int,
        dtype: torch.dtype = torch.float32,
        devices: int = 1,
    ) -> None:
        self.file, self.device, self.dtype, self.devices = file, device, dtype, devices
        self.first, self.steps = first, steps
        self.began = time.perf_counter()
        self.all_done = 0
        self.warned = False
        self._start_row()

    def _start_row(self) -> None:
        self.row_began = time.perf_counter()
        self.done = self.tokens = self.flops = 0
        self.waited = self.spent_apart = 0.0

    def stepped(self, tokens: int, *, waited: float, flops: int = 0) -> None:
        """Count a step of so many patches and text tokens and so many operations, and the seconds of waiting for it."""
        self.done, self.all_done = self.done + 1, self.all_done + 1
        self.tokens, self.flops, self.waited = self.tokens + tokens, self.flops + flops, self.waited + waited

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Do in this block what is not training, but validating or saving."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent_apart += time.perf_counter() - began

    @property
    def elapsed(self) -> float:
        """Seconds since training began or went on."""
        return time.perf_counter() - self.began

    @property
    def training(self) -> float:
        """Seconds of training since the last row."""
        return max(time.perf_counter() - self.row_began - self.spent_apart, 1e-9)

    @property
    def tokens_per_second(self) -> float:
        """Patches and text tokens a second; padding does not count."""
        return self.tokens / self.training

    def left(self, step: int) -> float:
        """Seconds until the last step, after this one."""
        return (self.steps - step - 1) * self.elapsed / max(1, self.all_done)

    def write(self, step: int) -> dict[str, float]:
        """Append a row on the steps since the last, if there were any, and return it; warn once of waiting for data."""
        if not self.done:
            return {}
        seconds, peak = self.training, self._peak()
        rate = matrix_rate(self.device, self.dtype) * self.devices
        row = {
            "step": step,
            "steps": self.steps,
            "seconds": self.elapsed,
            "step_seconds": seconds / self.done,
            "tokens_per_second": self.tokens / seconds,
            "flops_per_second": self.flops / seconds,
            "matrix_rate": rate,
            "mfu": self.flops / seconds / rate,
            "data_wait": self.waited / seconds,
            "peak_memory_gib": peak / 2**30,
        }
        append_text(self.file, dump_json(row) + "\n")
        if not self.warned and self.all_done >= ENOUGH_STEPS and row["data_wait"] > DATA_BOUND:
            self.warned = True
            warnings.warn(
                f"{row['data_wait']:.0%} of the time went into waiting for batches: use more --workers, or put the "
                "store on a faster disk",
                stacklevel=2,
            )
        self._start_row()
        return row

    def _peak(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _TO_BYTES
