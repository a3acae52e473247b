"""How fast a live session is, how late its states are, and whether its memory grows

    python benchmarks/live.py                              # ten minutes, 32 electrodes at 500 samples per second
    python benchmarks/live.py --hours 2 --every 10         # memory, every ten minutes of EEG
    python benchmarks/live.py --stride 1 --seconds 10      # ten windows are open at a time

A model of the recipe with random weights is asked about noise, with evidence of all electrodes beside it, on one
thread and as fast as it can. Times are those that the process computed, so that others on the machine do not count; a
second's is all that is done from one state to the next.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":  # before NumPy asks for it
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import torch

from neurolm.ask import spectra
from neurolm.ask.answering import Asked
from neurolm.ask.evidence import Beside, Readout
from neurolm.ask.prompt import Prompt
from neurolm.ask.question import find_question
from neurolm.checkpoint import Card
from neurolm.core.montage import ELECTRODES, channel_id, template_positions
from neurolm.core.recipes import recipe
from neurolm.live.session import Policy, Session
from neurolm.live.source import Chunk, Layout
from neurolm.model.neurolm import NeuroLM
from neurolm.recording.options import ReadingOptions
from neurolm.tasks.card import load_task

CHUNK = 0.1
"""Seconds that arrive at a time."""
WARM = 60
"""Seconds that count for nothing."""


class Noise:
    """A source of noise without end: a minute of it, over and over."""

    def __init__(self, electrodes: int, rate: float, seconds: float) -> None:
        placed = [name for name in ELECTRODES if name in template_positions() and "-" not in name]
        self.layout = Layout(channels=tuple(placed[:electrodes]), rate=rate, name="noise")
        self.seconds = seconds
        self.minute = np.random.default_rng(0).normal(0, 20, (electrodes, round(60 * rate)))

    def __iter__(self) -> Iterator[Chunk]:
        size, rate = round(CHUNK * self.layout.rate), self.layout.rate
        for first in range(0, round(self.seconds * rate), size):
            at = first % self.minute.shape[1]
            samples = self.minute[:, at : at + size]
            times = (first + np.arange(samples.shape[1])) / rate
            yield Chunk(samples=samples, times=times, received=time.monotonic())

    def close(self) -> None:
        """Nothing is held."""


def session(arguments: argparse.Namespace) -> Session:
    """A session of a random model that is asked about noise."""
    torch.manual_seed(0)
    run = recipe(arguments.recipe)
    model = NeuroLM(run.model, decoders=False).eval()
    source = Noise(arguments.electrodes, arguments.rate, arguments.hours * 3600)
    names = source.layout.channels
    task = load_task("workload")
    task = replace(task, seconds=arguments.seconds, stride=arguments.stride)
    rng, features = np.random.default_rng(1), spectra.count(len(names))
    readout = Readout(
        mean=rng.normal(0, 1, features).astype(np.float32), scale=np.ones(features, np.float32),
        weights=rng.normal(0, 1e-3, (features, 2)).astype(np.float32), offset=np.zeros(2, np.float32),
    )  # fmt: skip
    beside = Beside(weight=0.5, electrodes=tuple(map(channel_id, names)), readout=readout, seconds=task.seconds)
    prompt = Prompt(question=tuple(range(100, 122)), answers=((21,), (22, 23)), beside=beside)
    question = find_question(task.question, None, [task], calibration=None, ranges=None)
    card = Card(version="", stage="instruct", steps=0, run=run, tasks=(task,), electrodes=names)
    return Session(
        model, card, Asked(question=question, prompt=prompt), source, device=torch.device("cpu"),
        policy=Policy(context=arguments.context), reading=ReadingOptions(mains=50),
    )  # fmt: skip


def resident() -> float:
    """MiB of memory that the process has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    spent, memory, minutes = [], [], arguments.every
    last = time.process_time()
    for second, state in enumerate(session(arguments), start=1):
        now = time.process_time()
        if second > WARM and state.status != "ended":
            spent.append(now - last)
        if second == WARM or second % (minutes * 60) == 0:
            memory.append((state.time, resident()))
        last = time.process_time()
    found = np.array(spent) * 1000
    windows = -(-arguments.seconds // arguments.stride)
    print(
        f"{arguments.recipe}, {arguments.electrodes} electrodes at {arguments.rate:g} samples per second, windows of "
        f"{arguments.seconds} s every {arguments.stride:g} s ({windows:g} open at a time), one thread"
    )
    print(f"{1000 / found.mean():.0f} × real time over {len(found):,} s")
    print(f"computing for a second of EEG: p50 {np.median(found):.1f} ms, p99 {np.quantile(found, 0.99):.1f} ms, "
          f"largest {found.max():.1f} ms")  # fmt: skip
    print("resident memory: " + ", ".join(f"{mib:.0f} MiB after {at / 60:.0f} min" for at, mib in memory))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="causal-tiny")
    parser.add_argument("--electrodes", type=int, default=32)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--hours", type=float, default=1 / 6)
    parser.add_argument("--seconds", type=int, default=4, help="of a window")
    parser.add_argument("--stride", type=float, default=2.0, help="seconds from window to window")
    parser.add_argument("--context", type=float, default=60.0)
    parser.add_argument("--every", type=int, default=5, help="minutes from one look at the memory to the next")
    return parser.parse_args()


if __name__ == "__main__":
    main()
