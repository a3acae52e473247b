"""Random EEG in the shapes of the paper's corpora, the same for both implementations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 200
TUH = (
    "FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5", "T6", "A1", "A2", "FZ",
    "CZ", "PZ", "T1", "T2",
)  # fmt: skip
"""The 23 electrodes that the authors take from TUEG, TUAB, TUEV and TUSL."""
PRETRAIN_SECONDS = 44
"""Longest window of 23 electrodes within 1024 patches."""
HMC = ("F4", "C4", "O2", "C3")
EEGMAT = (
    "FP1", "FP2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6", "P3", "P4", "O1", "O2", "FZ", "CZ", "PZ",
)  # fmt: skip


@dataclass(frozen=True)
class Downstream:
    """One of the paper's tasks as far as shapes go."""

    name: str
    """Of our task card."""
    loader: str
    """The authors' loader."""
    channels: tuple[str, ...]
    seconds: int
    labels: int
    samples: int
    """In the paper."""


TASKS = (
    Downstream("tuab", "TUABLoader", TUH, 10, 2, 409_455),
    Downstream("tuev", "TUEVLoader", TUH, 5, 6, 112_491),
    Downstream("hmc", "HMCLoader", HMC, 30, 5, 137_243),
    Downstream("eegmat", "WorkloadLoader", EEGMAT, 4, 2, 2_088),
    Downstream("tusl", "TUSLLoader", TUH, 10, 3, 245),
)
"""Five of the six: the authors' loader of SEED reads another file format."""


@dataclass(frozen=True)
class Window:
    """A window of EEG."""

    signal: np.ndarray
    """float64 (channels, samples), µV."""
    channels: tuple[str, ...]
    label: int = 0


def window(rng: np.random.Generator, channels: tuple[str, ...], seconds: int, label: int = 0) -> Window:
    """Noise with EEG's amplitude."""
    return Window(rng.normal(0, 20, (len(channels), seconds * RATE)), channels, label)


def pretraining(seed: int, count: int) -> list[Window]:
    """Windows as of TUEG, 24,000 of the paper's 25,000 hours."""
    rng = np.random.default_rng([0, seed])
    return [window(rng, TUH, PRETRAIN_SECONDS) for _ in range(count)]


def instruction(seed: int, count: int) -> list[tuple[Downstream, Window]]:
    """Windows of the tasks in proportion to their number in the paper, as its shuffled loader gives them."""
    rng = np.random.default_rng([1, seed])
    total = sum(task.samples for task in TASKS)
    shares = [count * task.samples / total for task in TASKS]
    counts = [int(share) for share in shares]
    for i in sorted(range(len(TASKS)), key=lambda i: counts[i] - shares[i])[: count - sum(counts)]:
        counts[i] += 1
    return [
        (task, window(rng, task.channels, task.seconds, int(rng.integers(task.labels))))
        for task, number in zip(TASKS, counts, strict=True)
        for _ in range(number)
    ]


def questions(seed: int, count: int) -> list[list[tuple[Downstream, Window]]]:
    """One batch of questions for each task: evaluation goes through them one after the other."""
    rng = np.random.default_rng([2, seed])
    return [[(task, window(rng, task.channels, task.seconds)) for _ in range(count)] for task in TASKS]


def hour(hours: float, batch: int) -> list[list[Window]]:
    """Batches of windows that make so many hours of 23 electrodes."""
    count = max(1, round(hours * 3600 / PRETRAIN_SECONDS))
    windows = pretraining(10**6, count)
    return [windows[i : i + batch] for i in range(0, count, batch)]


def text(seed: int, count: int, length: int, vocabulary: int) -> np.ndarray:
    """Token ids, int64 (count, length)."""
    return np.random.default_rng([3, seed]).integers(0, vocabulary, (count, length))
