"""Covariances of electrodes on a tangent space: over all frequencies, or in bands beside their power

Covariances over all frequencies see where power is and what goes together, not at which frequency; those of a bank of
filters see that, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np

from neurolm.batches.windows import Window
from neurolm.core.physics import RATE
from neurolm.evaluation.baselines.linear import BANDS, band_power
from neurolm.evaluation.baselines.material import MOST_WINDOWS, Fitted, Material, logistic, remembered

COVARIANCE_BAND = (1.0, 45.0)
"""Hz of the covariances: slower drifts would drown everything else."""
FILTER_BANK = ((1.0, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 20.0), (20.0, 30.0), (30.0, 45.0))
"""Hz, upper end left out. Alpha is one band: four seconds of 2 Hz alone have fewer degrees of freedom than there are
electrodes."""
SHRINKAGE = 0.2
"""Share of the identity in the covariances of bands, which have fewer degrees of freedom than there are electrodes."""
STRENGTHS = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Inverse strengths of the regularisation; stronger than elsewhere, as there are ten times as many features."""
MOST_NUMBERS = 50_000_000
"""Most numbers in the table that the filter bank is fitted on (400 MB): of more, so many windows are drawn."""
_FLOOR = 1e-6
"""µV² that is added to every electrode's variance, so that a flat channel has a logarithm."""
_BATCH = 32


def tangent_space(material: Material) -> Fitted:
    """Covariances on the tangent space at their Riemannian mean, and logistic regression.

    Barachant et al. 2013, Neurocomputing 112:172-178; shrinkage by OAS (Chen et al. 2010).
    """
    from pyriemann.estimation import Covariances
    from pyriemann.tangentspace import TangentSpace

    estimator = Covariances(estimator="oas")

    def shrunk(signals: Sequence[np.ndarray]) -> np.ndarray:
        return estimator.transform(np.stack([_in_band(signal).T for signal in signals]))

    covariances = remembered(lambda windows: _batched(material, windows, shrunk) + _FLOOR * np.eye(material.width))
    space = TangentSpace(metric="riemann").fit(covariances(material.train))
    return logistic(material, lambda windows: space.transform(covariances(windows)))


def filter_bank(material: Material) -> Fitted:
    """Logarithms of the covariances of every band beside log band power, and logistic regression.

    The log-Euclidean tangent space (Arsigny et al. 2007, SIAM Journal on Matrix Analysis 29:328-347): unlike the
    Riemannian one it needs no mean, so that a window's features are its own.
    """

    def features(signals: Sequence[np.ndarray]) -> np.ndarray:
        powers = np.stack([band_power(signal).ravel() for signal in signals])
        return np.hstack([powers, log_covariances(np.stack(signals))])

    width = material.width
    blocks = (len(BANDS) * width, len(FILTER_BANK) * width * (width + 1) // 2)
    return logistic(
        material, lambda windows: _batched(material, windows, features), strengths=STRENGTHS,
        most=min(MOST_WINDOWS, MOST_NUMBERS // sum(blocks)), blocks=blocks, nested=True,
    )  # fmt: skip


def log_covariances(signals: np.ndarray) -> np.ndarray:
    """Return the matrix logarithm of the covariance of every band.

    Parameters
    ----------
    signals
        µV at 200 Hz, shape (windows, samples, channels), at least one second.

    Returns
    -------
    numpy.ndarray
        Upper triangles, those off the diagonal times √2 so that distances are those of the matrices; shape
        (windows, bands × channels × (channels + 1) / 2).
    """
    from pyriemann.estimation import Shrinkage
    from pyriemann.tangentspace import TangentSpace

    count, channels = signals.shape[1:]
    spectrum = np.fft.rfft(signals - signals.mean(axis=1, keepdims=True), axis=1).transpose(0, 2, 1)
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    identity = np.eye(channels)
    shrink, found = Shrinkage(shrinkage=SHRINKAGE), []
    space = TangentSpace(metric="logeuclid").fit(identity[None])  # at the identity it is the logarithm itself
    for low, high in FILTER_BANK:
        some = spectrum[:, :, (hertz >= low) & (hertz < high)]
        covariance = 2 / count**2 * (some @ some.conj().transpose(0, 2, 1)).real  # by Parseval's theorem
        found.append(space.transform(shrink.transform(covariance) + _FLOOR * identity))
    return np.hstack(found)


def _batched(
    material: Material, windows: Sequence[Window], features: Callable[[Sequence[np.ndarray]], np.ndarray]
) -> np.ndarray:
    """What some function makes of the signals of windows, a batch at a time."""
    source, found = material.signals(windows), []
    while batch := list(islice(source, _BATCH)):
        found.append(features(batch))
    return np.concatenate(found)


def _in_band(signal: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(signal, axis=0)
    hertz = np.fft.rfftfreq(len(signal), 1 / RATE)
    spectrum[(hertz < COVARIANCE_BAND[0]) | (hertz > COVARIANCE_BAND[1])] = 0
    return np.fft.irfft(spectrum, len(signal), axis=0)
