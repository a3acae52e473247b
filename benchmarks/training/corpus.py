"""A store of random EEG in the montages of four of the paper's corpora, with labels of their tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurolm.batches.splits import Split
from neurolm.core.montage import NAMES
from neurolm.core.physics import RATE
from neurolm.store.encoding import encode
from neurolm.store.manifest import Label, Row
from neurolm.store.shards import write_store
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from neurolm.tasks.task import Task

TUH = (
    "FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5", "T6", "A1", "A2", "FZ",
    "CZ", "PZ", "T1", "T2",
)  # fmt: skip
MONTAGES = {"hmc": ("F4", "C4", "O2", "C3"), "eegmat": TUH[:16] + TUH[18:21], "tuab": TUH, "seed": NAMES[:62]}
"""4, 19, 23 and 62 channels, by the task whose windows are cut from them: 30, 4, 10 and 4 s long."""
RECORDINGS, SECONDS = 4, 240
"""Of each montage; the last recording is for validation."""


def corpus(folder: Path) -> Store:
    """Write the store, or open it where it is already."""
    if not (folder / "manifest.jsonl").exists():
        rows = [_recording(task, number) for task in sorted(MONTAGES) for number in range(RECORDINGS)]
        write_store(folder, rows)
    return Store(folder)


def tasks() -> tuple[Task, ...]:
    """The tasks whose labels the store has."""
    return tuple(load_task(name) for name in MONTAGES)


def splits() -> dict[str, Split]:
    """All but the last recording of each task to train on."""
    people = {task: [f"{task}-{number}" for number in range(RECORDINGS)] for task in MONTAGES}
    return {task: Split(tuple(ids[:-1]), tuple(ids[-1:]), ()) for task, ids in people.items()}


def _recording(task: str, number: int) -> tuple[Row, np.ndarray]:
    channels, names = MONTAGES[task], load_task(task).labels
    signal = np.random.default_rng([len(channels), number]).normal(0, 20, (SECONDS * RATE, len(channels)))
    counts, encoded = encode(signal)
    borders = np.linspace(0, SECONDS, len(names) + 1).round().tolist()
    row = Row(
        recording=f"{task}-{number}", corpus="random", source=f"{task}-{number}", sha256=encoded.sha256,
        subject=f"{task}-{number}", channels=channels, samples=len(counts), scale=encoded.scale, clipped=0, mains=50.0,
        band=(0.1, 75.0), unit="uV", version="0", licence="none",
        labels=tuple(Label(task, str(x), a, b) for x, a, b in zip(names, borders, borders[1:], strict=False)), notes=(),
        shard="", offset=0,
    )  # fmt: skip
    return row, counts
