"""Frequency bands of one-second patches, and amplitudes in decibels"""

from __future__ import annotations

import numpy as np

from neurolm.core.physics import BAND, PATCH, RATE, SCALE
from neurolm.model.encoder import FLOOR, SPECTRUM

BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
"""Hz, upper end left out."""
ALL = "1–74 Hz"
"""What stands for all frequencies of the pass band from 1 Hz on."""
HERTZ = np.arange(SPECTRUM) * (RATE / PATCH)
"""Of the bins of a patch's spectrum."""
_LIMITS = BANDS | {ALL: (1, BAND[1])}
NAMES = tuple(_LIMITS)
"""The bands, and all of them at last."""
_MEMBERS = np.array([(low <= HERTZ) & (high > HERTZ) for low, high in _LIMITS.values()], float)


def means(values: np.ndarray) -> np.ndarray:
    """Means over the bins of each band: (…, 100) to (…, bands), in the order of ``NAMES``."""
    return values @ (_MEMBERS / _MEMBERS.sum(axis=1, keepdims=True)).T


def sums(values: np.ndarray) -> np.ndarray:
    """Sums over the bins of each band: (…, 100) to (…, bands), in the order of ``NAMES``."""
    return values @ _MEMBERS.T


def in_band(values: np.ndarray) -> np.ndarray:
    """Return the bins from 1 Hz to the end of the pass band, of (…, 100)."""
    return values[..., _MEMBERS[-1] > 0]


def power_decibels(amplitude: np.ndarray) -> np.ndarray:
    """Log power density of bands in dB re 1 µV²/Hz: FFT amplitudes (…, 100) to (…, bands), floor as in `decibels`."""
    density = 2 * SCALE**2 / (RATE * PATCH)
    return 10 * np.log10(density * (means(np.square(amplitude)) + FLOOR**2))


def spectrum_decibels(amplitude: np.ndarray) -> np.ndarray:
    """Log power density of single bins in dB re 1 µV²/Hz, floor as in `decibels`."""
    return decibels(amplitude) + 10 * np.log10(2 * SCALE**2 / (RATE * PATCH))


def decibels(amplitude: np.ndarray) -> np.ndarray:
    """FFT amplitudes, in units of the model's input, in dB; the floor is that of the model's own log spectra.

    What is below nothing, as decoders that predict no logarithms may have it, counts as nothing.
    """
    return 20 * np.log10(np.maximum(amplitude, 0) + FLOOR)
