"""What one core makes of a store in memory: patches a second through windows and packing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolm.batches.loader import Document, build_batch, build_patches
from neurolm.batches.splits import subjects_of
from neurolm.batches.windows import labelled_windows, unlabelled_windows
from neurolm.core.physics import RATE
from neurolm.core.recipes import recipe
from neurolm.store.index import write_manifest
from neurolm.store.manifest import Label
from neurolm.store.shards import in_shard
from neurolm.store.store import SHARDS, Store
from neurolm.train.shared import EEGWindows
from training import corpus
from training.machine import Machine, torch

REPEATS = 12
COUNTS, VALUES, NUMBERS = 400, 800, 10 * 8
"""Bytes of a patch: as int16 in the store, as float32 for the encoder, and its places in the packed batch."""


def report(folder: str) -> str:
    """Measure the batches of pretraining `base`: 60 windows of up to 1024 patches."""
    store = corpus.corpus(Path(folder))
    run = recipe("base")
    windows = unlabelled_windows(store, max_patches=1024, max_seconds=run.model.tokenizer.seconds)
    eeg = EEGWindows(store, windows, run.pretrain)
    best = {"reading and scaling": 9.0, "with packing for the encoder": 9.0, "with packing for both": 9.0}
    patches = 0
    for _ in range(REPEATS):  # the same step: reads from the page cache
        began = time.process_time()
        samples = eeg.step(0)
        read = time.process_time() - began
        began = time.process_time()
        build_patches(samples)
        packed = time.process_time() - began
        began = time.process_time()
        build_batch(samples, [Document(sample=i, predict_eeg=True) for i in range(len(samples))])
        both = time.process_time() - began
        patches = sum(len(sample.second) for sample in samples)
        for name, seconds in zip(best, (read, read + packed, read + both), strict=True):
            best[name] = min(best[name], seconds)
    bandwidth = Machine.measure(torch.device("cpu"), torch.float32).bandwidth
    floor = (COUNTS + VALUES + NUMBERS) / bandwidth
    lines = [
        f"{patches:,} patches a step, {len(samples)} windows of 4, 19, 23 and 62 channels; one core, warm cache; "
        f"a copy reaches {bandwidth / 1e9:.1f} GB/s",
        "",
        "| | million patches/s | ns a patch | bytes/s to the device |",
        "|---|---|---|---|",
    ]
    for name, seconds in best.items():
        rate = patches / seconds
        lines.append(f"| {name} | {rate / 1e6:.2f} | {1e9 / rate:.0f} | {rate * (VALUES + NUMBERS) / 1e9:.2f} GB |")
    lines.append(f"| floor: its bytes once through memory | {1e-6 / floor:.2f} | {floor * 1e9:.0f} | |")
    return "\n".join(lines)


def start(folder: str, recordings: int) -> str:
    """What a training does with the rows of a large store before its first step; the signals are holes in files."""
    store = _large(Path(folder) / "large", recordings)
    lines, began = [], time.process_time()

    def passed(what: str) -> None:
        nonlocal began
        lines.append(f"| {what} | {time.process_time() - began:.1f} |")
        began = time.process_time()

    for _ in store.rows:
        pass
    passed("all rows parsed, once")
    assert len(store.outlines) == recordings
    passed("all rows parsed and their outlines kept")
    people = subjects_of(store, "sleep")
    passed(f"{len(people):,} subjects of a task")
    windows = unlabelled_windows(store, max_patches=1024, max_seconds=64)
    passed(f"{len(windows):,} unlabelled windows")
    del windows
    labelled = labelled_windows(store, task="sleep", seconds=30, stride=30, subjects=people)
    passed(f"{len(labelled):,} labelled windows")
    header = f"{recordings:,} recordings of 5 to 60 minutes and 23 channels, ten labels each"
    return "\n".join([header, "", "| | seconds |", "|---|---|", *lines])


def _large(folder: Path, recordings: int) -> Store:
    pattern = corpus.corpus(folder.parent / "small").rows[-1]
    labels = tuple(Label("sleep", "N2", 30.0 * n, 30.0 * n + 30) for n in range(10))
    minutes = np.random.default_rng(0).integers(5, 60, recordings).tolist()
    rows = [
        in_shard(replace(pattern, recording=f"large/{n:06}", subject=f"large/{n // 4:05}",
                         samples=minutes[n] * 60 * RATE, channels=corpus.TUH, scale=(0.1,) * len(corpus.TUH),
                         labels=labels))
        for n in range(recordings)]  # fmt: skip
    (folder / SHARDS).mkdir(parents=True)
    for row in rows:
        with (folder / SHARDS / row.shard).open("wb") as file:
            file.truncate(row.size)
    write_manifest(folder, rows)
    return Store(folder)
