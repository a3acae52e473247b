"""Which codes the neural tokenizer uses, on held-out windows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from neurolm.batches.loader import Sample, build_patches, read_sample
from neurolm.batches.windows import unlabelled_windows
from neurolm.core.batch import PADDING
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.store.store import Store


def held_out(store: Store, recordings: Collection[str], limits: tuple[int, int], *, most: int) -> list[Sample]:
    """Return evenly spread windows of some recordings, as long as the tokenizer sees them in training.

    Parameters
    ----------
    recordings
        Their ids.
    limits
        Most patches, and most seconds, of a window.
    most
        Number of windows.
    """
    subjects = {row.subject for row in store.rows if row.recording in recordings}
    windows = [
        window
        for window in unlabelled_windows(store, max_patches=limits[0], max_seconds=limits[1], subjects=subjects)
        if store.rows[window.recording].recording in recordings
    ]
    places = np.linspace(0, len(windows), min(most, len(windows)), endpoint=False) + len(windows) / (2 * most)
    return [read_sample(store, windows[min(int(place), len(windows) - 1)]) for place in places]


def code_counts(tokenizer: NeuralTokenizer, samples: Sequence[Sample], *, batch: int = 16) -> np.ndarray:
    """Count how often each code is used: int64, shape (codes,)."""
    counts = np.zeros(tokenizer.config.codes, np.int64)
    for first in range(0, len(samples), batch):
        patches, _ = build_patches(samples[first : first + batch])
        with torch.no_grad():
            codes = tokenizer.tokenize(patches).codes[patches.document != PADDING]
        counts += np.bincount(codes.numpy(), minlength=len(counts))
    return counts
