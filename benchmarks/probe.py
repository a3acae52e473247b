"""What in the EEG carries a task's label, and how much of it a tokenizer's features keep.

    python benchmarks/probe.py --store STORE --task eegmat --tokenizers RUN/tokenizer OTHER/tokenizer

Logistic regression, as in the baselines of `neurolm evaluate`, on several views of the same windows: on the card's own
split and over six folds of subjects, each with the regularisation that validates best. Prints a table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neurolm.batches.loader import Sample, build_patches, read_sample
from neurolm.batches.windows import Window
from neurolm.checkpoint import load_tokenizer
from neurolm.core.physics import PATCH, SCALE
from neurolm.evaluation.baselines.linear import band_power
from neurolm.evaluation.baselines.material import Material, balanced_accuracy, logistic
from neurolm.model.encoder import FLOOR
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from neurolm.tasks.task import Task, in_fold

FOLDS = 6
HANN = np.hanning(PATCH + 1)[:PATCH] / np.sqrt(np.mean(np.hanning(PATCH + 1)[:PATCH] ** 2))
View = Callable[[np.ndarray], np.ndarray]
"""From patches (seconds, channels, 200) to features of any shape."""


def log_spectrum(patches: np.ndarray, window: np.ndarray | float = 1.0) -> np.ndarray:
    """Mean over seconds of the log amplitude spectrum, (channels, 100), in the terms of the encoder."""
    amplitude = np.abs(np.fft.rfft(patches * window, axis=-1))[..., : PATCH // 2]
    return np.log(amplitude + FLOOR).mean(axis=0)


def bands(patches: np.ndarray) -> np.ndarray:
    """Log band power as the baseline has it."""
    return band_power(patches.transpose(0, 2, 1).reshape(-1, patches.shape[1]) * SCALE)


VIEWS: dict[str, View] = {
    "log band power (7 bands, Welch)": bands,
    "log amplitude spectrum of patches, 0–99 Hz": log_spectrum,
    "the same, tapered (Hann)": lambda patches: log_spectrum(patches, HANN),
    "the same, below 20 Hz": lambda patches: log_spectrum(patches)[:, :20],
    "the same, 20 Hz and above": lambda patches: log_spectrum(patches)[:, 20:],
    "the same, mean over electrodes": lambda patches: log_spectrum(patches).mean(axis=0),
    "the same, without each window's mean": lambda patches: log_spectrum(patches) - log_spectrum(patches).mean(),
    "waveform's standard deviation": lambda patches: np.log(patches.std(axis=-1) + 1e-3).mean(axis=0),
}


def encoded(folder: Path, samples: list[Sample]) -> np.ndarray:
    """Features of a tokenizer, mean over seconds: (samples, channels, width)."""
    tokenizer, _ = load_tokenizer(folder)
    tokenizer.eval()
    found = []
    for first in range(0, len(samples), 32):
        part = samples[first : first + 32]
        with torch.no_grad():
            features = tokenizer.encode(build_patches(part, packed=False)[0])
        found.append(features.view(len(part), part[0].seconds, -1, features.shape[-1]).mean(1).numpy())
    return np.concatenate(found)


def accuracy(store: Store, task: Task, features: dict[Window, np.ndarray]) -> float:
    """Balanced accuracy on the test people of a task's split."""
    split = task.split(store)
    train, validation, test = (task.windows(store, split, part) for part in ("train", "validation", "test"))
    material = Material.of(store, task, train, validation, test)
    fitted = logistic(material, lambda windows: np.stack([features[_key(window)] for window in windows]))
    return balanced_accuracy(material.labels(test), fitted.answer(test))


def _key(window: Window) -> Window:
    return replace(window, span=(0, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--tokenizers", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    store, task = Store(arguments.store), load_task(arguments.task)
    split = task.split(store)
    windows = [w for part in ("train", "validation", "test") for w in task.windows(store, split, part)]
    samples = [read_sample(store, window) for window in windows]
    patches = [sample.patches.reshape(sample.seconds, -1, PATCH).astype(np.float64) for sample in samples]
    tables = {name: np.stack([np.ravel(view(x)) for x in patches]) for name, view in VIEWS.items()}
    for folder in arguments.tokenizers:
        features = encoded(folder, samples)
        tables |= {
            f"features of {folder}": features.reshape(len(features), -1),
            f"features of {folder}, mean over electrodes": features.mean(1),
        }
    print(f"| what is seen of a window | numbers | own split | {FOLDS} folds |\n|---|---|---|---|")
    for name, table in tables.items():
        found = dict(zip(map(_key, windows), table, strict=True))
        folds = [accuracy(store, in_fold(task, (fold, FOLDS)), found) for fold in range(1, FOLDS + 1)]
        print(f"| {name} | {table.shape[1]} | {accuracy(store, task, found):.3f} | {np.mean(folds):.3f} |", flush=True)


if __name__ == "__main__":
    main()
