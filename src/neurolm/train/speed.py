"""How fast training goes, and what holds it up: a row in ``speed.jsonl`` at every evaluation.

Apart from ``log.jsonl``, which holds what follows from the seed and is the same however often a run was interrupted.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import torch

DATA_BOUND = 0.2
"""Share of the time spent waiting for batches from which a run is called bound by its data."""
ENOUGH_STEPS = 20
"""Steps before that is judged: the first batches are always waited for."""
_TO_BYTES = 1 if sys.platform == "darwin" else 1024


class Speedometer:
    """Counts tokens and waiting since it was made.

    Parameters
    ----------
    file
        JSON Lines file to append to.
    first, steps
        The step that training goes on from, and the number of all.
    """

    def __init__(self, file: Path, *, device: torch.device, first: int, steps: int) -> None:
        self.file, self.device, self.first, self.steps = file, device, first, steps
        self.began = time.perf_counter()
        self.done = self.tokens = 0
        self.waited = 0.0
        self.warned = False

    def stepped(self, tokens: int, *, waited: float) -> None:
        """Count a step, of so many patches and text tokens, that waited so many seconds for its batch."""
        self.done, self.tokens, self.waited = self.done + 1, self.tokens + tokens, self.waited + waited

    @property
    def elapsed(self) -> float:
        """Seconds since training began or went on."""
        return time.perf_counter() - self.began

    @property
    def tokens_per_second(self) -> float:
        """Patches and text tokens a second; padding does not count."""
        return self.tokens / self.elapsed

    @property
    def data_wait(self) -> float:
        """Share of the time spent waiting for batches."""
        return self.waited / self.elapsed

    def left(self, step: int) -> float:
        """Seconds until the last step, after this one."""
        return (self.steps - step - 1) * self.elapsed / max(1, self.done)

    def write(self, step: int) -> None:
        """Append a row; warn once of a run that waits for its data."""
        row = {
            "step": step,
            "seconds": self.elapsed,
            "tokens_per_second": self.tokens_per_second,
            "data_wait": self.data_wait,
            "peak_memory_gib": self._peak() / 2**30,
        }
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        if not self.warned and self.done >= ENOUGH_STEPS and self.data_wait > DATA_BOUND:
            self.warned = True
            warnings.warn(
                f"{self.data_wait:.0%} of the time went into waiting for batches: use more --workers, or put the store "
                "on a faster disk",
                stacklevel=2,
            )

    def _peak(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _TO_BYTES
