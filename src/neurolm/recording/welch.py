"""Power at each frequency by Welch's method: scipy.signal's numbers without its import"""

from __future__ import annotations

import numpy as np


def welch(signal: np.ndarray, rate: float, *, segment: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimate power spectra from segments that overlap by half: ``scipy.signal.welch`` with its defaults.

    Parameters
    ----------
    signal
        float32 or float64 (channels, samples).
    rate
        Samples per second.
    segment
        Samples of a segment; at most all of the signal's are taken.

    Returns
    -------
    frequencies, power
        Hz, and the signal's unit squared per Hz of shape (channels, frequencies), of the signal's precision.
    """
    from scipy import fft

    segment = min(segment, signal.shape[-1])
    window = (0.5 - 0.5 * np.cos(2 * np.pi / segment * np.arange(segment))).astype(signal.dtype)
    steps = np.lib.stride_tricks.sliding_window_view(signal, segment, axis=-1)[..., :: segment - segment // 2, :]
    spectra = fft.rfft((steps - steps.mean(axis=-1, keepdims=True)) * window)
    power = (spectra.real**2 + spectra.imag**2).mean(axis=-2) / signal.dtype.type(rate * (window**2).sum())
    power[..., 1 : -1 if segment % 2 == 0 else None] *= 2  # negative frequencies are folded on positive ones
    return fft.rfftfreq(segment, 1 / rate), power
