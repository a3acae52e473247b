"""Autoregressive models of EEG: fitted to what came so far, and a second drawn from each to go on with"""

from __future__ import annotations

import numpy as np

ORDER = 16


def yule_walker(signal: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (signals, order) and innovation's standard deviation (signals,) of signals (signals, samples)."""
    x = signal - signal.mean(1, keepdims=True)
    count = x.shape[1]
    lags = np.stack([(x[:, lag:] * x[:, : count - lag]).sum(1) / count for lag in range(order + 1)], 1)
    lags[:, 0] = lags[:, 0] * (1 + 1e-9) + 1e-12  # a silent electrode has no innovations, and is no singular matrix
    toeplitz = lags[:, np.abs(np.arange(order)[:, None] - np.arange(order))]
    coefficients = np.linalg.solve(toeplitz, lags[:, 1:, None])[..., 0]
    variance = lags[:, 0] - (coefficients * lags[:, 1:]).sum(1)
    return coefficients, np.sqrt(np.maximum(variance, 0))


def go_on(signal: np.ndarray, samples: int, rng: np.random.Generator, *, order: int = ORDER) -> np.ndarray:
    """Draw how signals (signals, samples so far) go on, each by its own AR model: float64 (signals, samples)."""
    from scipy.signal import lfilter  # takes half a second, and answers need none of it

    coefficients, deviation = yule_walker(signal, order)
    mean = signal.mean(1, keepdims=True)
    past = (signal - mean)[:, : -order - 1 : -1]  # the newest first
    out = np.empty((len(signal), samples))
    for one, (own, scale) in enumerate(zip(coefficients, deviation, strict=True)):
        # What the past adds to each of the filter's states (transposed direct form).
        state = np.array([(own[lag:] * past[one, : order - lag]).sum() for lag in range(order)])
        innovations = scale * rng.standard_normal(samples)
        out[one] = lfilter([1.0], np.concatenate(([1.0], -own)), innovations, zi=state)[0]
    return out + mean
