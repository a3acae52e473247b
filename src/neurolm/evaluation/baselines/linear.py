"""Linear baselines: guessing, band power, and our own frozen encoder.

Log band power is strong (on EEGMAT well above the published foundation models) and quick. All see exactly the windows,
subjects and units that the model sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from neurolm.batches.loader import build_patches, read_sample
from neurolm.batches.windows import Window
from neurolm.core.physics import RATE
from neurolm.evaluation.baselines.material import Fitted, Material, logistic, remembered
from neurolm.model.tokenizer import NeuralTokenizer

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "low alpha": (8.0, 10.0),
    "high alpha": (10.0, 13.0),
    "low beta": (13.0, 20.0),
    "high beta": (20.0, 30.0),
    "low gamma": (30.0, 45.0),
}
"""Frequency bands in Hz, upper end left out. Low and high alpha answer differently to a task (Klimesch 1999, Brain
Research Reviews 29:169-195); above 45 Hz come the notch of the mains and the muscles."""
_FLOOR = 1e-6
"""Power in µV² below which a band is silent, so that the logarithm of a flat channel is finite."""
_BATCH = 32


def majority(material: Material) -> Fitted:
    """Give every window the shares of the training labels."""
    options = len(material.task.options)
    shares = np.bincount(material.labels(material.train), minlength=options) / len(material.train)
    return Fitted(
        answer=lambda windows: np.tile(shares, (len(windows), 1)),
        chosen="nothing to choose",
        fitted_on=f"labels of {len(material.train):,} training windows",
    )


def band_power(signal: np.ndarray) -> np.ndarray:
    """Return the log power of every band and channel.

    Parameters
    ----------
    signal
        µV at 200 Hz, shape (samples, channels), at least one second.

    Returns
    -------
    numpy.ndarray
        Natural logarithm of the mean power density (µV²/Hz; Welch, segments of 1 s, half overlapping), shape
        (bands, channels).
    """
    from scipy.signal import welch

    frequency, power = welch(signal, fs=RATE, nperseg=RATE, axis=0)
    means = [power[(frequency >= low) & (frequency < high)].mean(axis=0) for low, high in BANDS.values()]
    return np.log(np.stack(means) + _FLOOR)


def band_powers(material: Material) -> Fitted:
    """Log band power and logistic regression."""

    def features(windows: Sequence[Window]) -> np.ndarray:
        return np.stack([band_power(signal).ravel() for signal in material.signals(windows)])

    return logistic(material, remembered(features))


def linear_probe(material: Material, tokenizer: NeuralTokenizer, device: torch.device) -> Fitted:
    """Mean over time of every channel's features from the frozen encoder, and logistic regression."""

    def features(windows: Sequence[Window]) -> np.ndarray:
        found = []
        for first in range(0, len(windows), _BATCH):
            part = windows[first : first + _BATCH]
            samples = [read_sample(material.store, window) for window in part]
            patches = build_patches(samples, packed=False)[0].to(device)
            with torch.no_grad():
                encoded = tokenizer.encode(patches).float().cpu().numpy()
            for window, sample, row in zip(part, samples, encoded, strict=True):
                names = material.store.rows[window.recording].channels
                mean = row[: len(sample.second)].reshape(sample.seconds, len(names), -1).mean(axis=0)
                found.append(mean[[names.index(name) for name in material.channels]].ravel())
        return np.stack(found)

    return logistic(material, remembered(features))
