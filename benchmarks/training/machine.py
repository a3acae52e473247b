"""What this machine reaches at best, and how time and memory are taken on it."""

from __future__ import annotations

import ctypes
import gc
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

GIB = 2**30
SIZES = {"cuda": 8192, "cpu": 1024}
"""Rows and columns of the matrices that are multiplied."""
COPIED = {"cuda": 2**30, "cpu": 2**28}
"""Bytes that are moved."""
TRIES = 8


@dataclass(frozen=True)
class Machine:
    """The best of several tries."""

    name: str
    flops: float
    """Operations a second of a matrix product, in the precision of the training."""
    bandwidth: float
    """Bytes a second that are read and written, by a copy or in place."""

    @classmethod
    def measure(cls, device: torch.device, dtype: torch.dtype) -> Machine:
        """Multiply matrices and copy memory."""
        size = SIZES[device.type]
        matrix = torch.randn(size, size, dtype=dtype, device=device)
        product = best(lambda: matrix @ matrix, device)
        source = torch.zeros(COPIED[device.type] // 4, device=device)
        target = torch.zeros_like(source)
        moved = min(best(lambda: target.copy_(source), device), best(lambda: source.neg_(), device))
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        return cls(name=name, flops=2 * size**3 / product, bandwidth=2 * COPIED[device.type] / moved)

    def __str__(self) -> str:
        return f"{self.name}: {self.flops / 1e12:.3f} TFLOP/s in matrix products, {self.bandwidth / 1e9:.1f} GB/s"


def clock(device: torch.device) -> float:
    """Seconds: on a CPU those that this process computed, so that other work on the machine does not count."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def best(work: Callable[[], object], device: torch.device, tries: int = TRIES) -> float:
    """Least seconds of several tries, after one that warms up."""
    work()
    seconds = []
    for _ in range(tries):
        began = clock(device)
        work()
        seconds.append(clock(device) - began)
    return min(seconds)


def reset_peak(device: torch.device) -> int:
    """Count the peak from here on; returns what is held now, in bytes."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM counts on from here
    return _status("VmRSS")


def peak(device: torch.device) -> int:
    """Most bytes held since ``reset_peak``."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(field: str) -> int:
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024
