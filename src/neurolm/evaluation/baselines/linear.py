"""Linear baselines: guessing, band power, covariances, and our own frozen encoder.

Log band power is strong (on EEGMAT well above the published foundation models) and quick. All see exactly the windows,
subjects and units that the model sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch

from neurolm.batches.loader import build_patches, read_sample
from neurolm.batches.windows import Window
from neurolm.core.physics import RATE
from neurolm.evaluation.baselines.material import Fitted, Material, PerWindow, logistic
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
COVARIANCE_BAND = (1.0, 45.0)
"""Hz of the covariances: slower drifts would drown everything else."""
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

    return logistic(material, _remembered(features))


def tangent_space(material: Material) -> Fitted:
    """Covariances on the tangent space at their Riemannian mean, and logistic regression.

    Barachant et al. 2013, Neurocomputing 112:172-178; shrinkage by OAS (Chen et al. 2010).
    """
    from pyriemann.estimation import Covariances
    from pyriemann.tangentspace import TangentSpace

    estimator = Covariances(estimator="oas")

    def covariances(windows: Sequence[Window]) -> np.ndarray:
        source, found = material.signals(windows), []
        while batch := list(islice(source, _BATCH)):
            found.append(estimator.transform(np.stack([_in_band(signal).T for signal in batch])))
        return np.concatenate(found) + _FLOOR * np.eye(len(material.channels))

    remembered = _remembered(covariances)
    space = TangentSpace(metric="riemann").fit(remembered(material.train))
    fitted = logistic(material, lambda windows: space.transform(remembered(windows)))
    return fitted


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

    return logistic(material, _remembered(features))


def _in_band(signal: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(signal, axis=0)
    hertz = np.fft.rfftfreq(len(signal), 1 / RATE)
    spectrum[(hertz < COVARIANCE_BAND[0]) | (hertz > COVARIANCE_BAND[1])] = 0
    return np.fft.irfft(spectrum, len(signal), axis=0)


def _remembered(features: PerWindow) -> PerWindow:
    """Keep the features of the last windows: validation windows are asked for once per regularisation."""
    kept: dict[str, object] = {}

    def wrapped(windows: Sequence[Window]) -> np.ndarray:
        key = tuple(windows)
        if kept.get("key") != key:
            kept["key"], kept["value"] = key, features(windows)
        value = kept["value"]
        assert isinstance(value, np.ndarray)
        return value

    return wrapped
