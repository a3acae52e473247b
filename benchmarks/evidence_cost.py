"""What fitting the evidence costs by the number of electrodes: time, memory, files, time of an answer

    python benchmarks/evidence_cost.py

Windows are noise whose amplitude differs between windows and electrodes, made when they are asked for, so that memory
is that of the fit. Every number of electrodes has a process of its own; times are CPU seconds on one thread, without
those of making the windows.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

if __name__ == "__main__":  # before NumPy asks for it
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from neurolm.ask import spectra
from neurolm.ask.evidence import Evidence
from neurolm.batches.loader import Sample, sample_from
from neurolm.core.montage import NAMES, PAD
from neurolm.core.physics import RATE
from neurolm.tasks.card import load_task
from neurolm.train.evidence import fit_evidence

ELECTRODES = (1, 8, 19, 32, 64, 128)
BLOCKS = 64
"""Pieces of noise of which windows are made."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one fit cost."""

    electrodes: int
    features: int
    fitted: int
    """Windows that were fitted; where features outnumber rows, not all."""
    describing: float
    """CPU seconds of computing features."""
    fitting: float
    """CPU seconds of all else."""
    memory: float
    """Largest resident memory of the process, MB, of which about 300 are Python's libraries."""
    size: float
    """Of both files, MB."""
    answer: float
    """CPU milliseconds of the evidence of a window, one at a time."""


class Windows(Sequence[Sample]):
    """Windows that are made when they are asked for, and how long that took."""

    def __init__(self, windows: int, electrodes: int, seconds: int) -> None:
        self.windows, self.spent = windows, 0.0
        self.channels = np.array([channel for channel in range(len(NAMES)) if channel != PAD][:electrodes])
        rng = np.random.default_rng(0)
        self.noise = rng.normal(0, 20, (BLOCKS, seconds * RATE, electrodes)).astype(np.float32)

    def __len__(self) -> int:
        return self.windows

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not 0 <= place < self.windows:
            raise IndexError(place)
        began = time.process_time()
        rng = np.random.default_rng(place)
        gain = np.exp(rng.normal(0, 0.3, len(self.channels))).astype(np.float32)
        sample = sample_from(self.noise[rng.integers(BLOCKS)] * gain, self.channels)
        self.spent += time.process_time() - began
        return sample


def measure(electrodes: int, windows: int, people: int, seconds: int) -> Cost:
    """Fit evidence of so many electrodes, in this process."""
    samples = Windows(windows, electrodes, seconds)
    task = load_task("workload")
    described, features = [0.0], spectra.features

    def timed(*arguments: Any, **named: Any) -> np.ndarray:
        began = time.process_time()
        found = features(*arguments, **named)
        described[0] += time.process_time() - began
        return found

    labels, names = np.arange(windows) % 2, [str(i * people // windows) for i in range(windows)]
    began = time.process_time()
    with mock.patch.object(spectra, "features", timed):
        fitted = fit_evidence(task, samples, labels, names)
    spent = time.process_time() - began - samples.spent
    assert fitted is not None, "there are people and labels"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 / (1e3 if sys.platform == "darwin" else 1)
    evidence = Evidence(tasks={task.name: fitted})
    with tempfile.TemporaryDirectory() as folder:
        evidence.save(Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
    beside, some = evidence.of(task.name, task.labels), [samples[i] for i in range(20)]
    assert beside is not None
    asked = time.process_time()
    for sample in some:
        beside.scores([sample])
    return Cost(
        electrodes=electrodes, features=spectra.count(electrodes), fitted=fitted[0].windows, describing=described[0],
        fitting=spent - described[0], memory=memory, size=size,
        answer=(time.process_time() - asked) / len(some) * 1e3,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--electrodes", default=",".join(map(str, ELECTRODES)))
    parser.add_argument("--windows", type=int, default=4000)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=4, help="length of a window")
    arguments = parser.parse_args()
    rows = []
    for electrodes in map(int, arguments.electrodes.split(",")):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            found = apart.submit(measure, electrodes, arguments.windows, arguments.people, arguments.seconds).result()
        rows.append(found)
        print(found, file=sys.stderr, flush=True)
    print(f"\n{arguments.windows} windows of {arguments.seconds} s, {arguments.people} people\n")
    print("| electrodes | features | windows fitted | features, s | fit, s | memory, MB | files, MB | answer, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.electrodes} | {row.features:,} | {row.fitted:,} | {row.describing:.1f} | {row.fitting:.1f} | "
            f"{row.memory:,.0f} | {row.size:.2f} | {row.answer:.1f} |"
        )


if __name__ == "__main__":
    main()
