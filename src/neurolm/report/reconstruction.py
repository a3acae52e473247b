"""What the neural tokenizer keeps of EEG: which codes it uses, and what its decoders make of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neurolm.batches.loader import Sample, build_patches, read_sample
from neurolm.batches.windows import unlabelled_windows
from neurolm.core.batch import PADDING
from neurolm.core.physics import PATCH, SCALE
from neurolm.model.encoder import FLOOR
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


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A sample and what the tokenizer's decoders make of its codes, in µV."""

    raw: np.ndarray
    """(samples, channels)."""
    waveform: np.ndarray
    """(samples, channels)."""
    spectrum: np.ndarray
    """Mean amplitude over patches at 0, 1, 2 … Hz, (100,); the geometric mean where the decoder predicts logarithms."""
    decoded_spectrum: np.ndarray
    """(100,)."""


def decode(tokenizer: NeuralTokenizer, sample: Sample) -> Decoded:
    """Send a sample through the codebook and back.

    The decoders predict standardised targets; the sample's own mean and deviation bring them back to µV. A log spectrum
    is in µV already.
    """
    patches, _ = build_patches([sample])
    with torch.no_grad():
        out = tokenizer.decode(tokenizer.tokenize(patches).quantized, patches)
    waveform, spectrum = (
        x[0, : len(sample.patches)].float().numpy().astype(float) for x in (out.waveform, out.spectrum)
    )
    raw = sample.patches.astype(float)
    amplitude = np.abs(np.fft.fft(raw, axis=1))
    to_microvolts = 2 * SCALE / PATCH  # of a sine's peak
    shown = amplitude[:, : spectrum.shape[1]]
    if tokenizer.config.spectrum == "log":
        mean, decoded_mean = (np.exp(x.mean(axis=0)) - FLOOR for x in (np.log(shown + FLOOR), spectrum))
    else:
        mean, decoded_mean = shown.mean(axis=0), (spectrum * amplitude.std(ddof=1) + amplitude.mean()).mean(axis=0)
    return Decoded(
        raw=_by_channel(raw, sample.seconds) * SCALE,
        waveform=_by_channel(waveform * raw.std(ddof=1) + raw.mean(), sample.seconds) * SCALE,
        spectrum=mean * to_microvolts,
        decoded_spectrum=decoded_mean * to_microvolts,
    )


def _by_channel(patches: np.ndarray, seconds: int) -> np.ndarray:
    """(seconds · channels, 200) to (samples, channels)."""
    return patches.reshape(seconds, -1, PATCH).swapaxes(1, 2).reshape(seconds * PATCH, -1)
