"""Covariances of bands against their definition."""

import numpy as np
import pytest
from scipy.linalg import expm

from neurolm.core.physics import RATE
from neurolm.evaluation.baselines.covariances import FILTER_BANK, SHRINKAGE, log_covariances


def test_log_covariances_are_the_logarithm_of_what_each_band_passes() -> None:
    signals = np.random.default_rng(0).standard_normal((2, 4 * RATE, 3)) * [1, 5, 20]
    signals[..., 1] += signals[..., 0]
    found = log_covariances(signals).reshape(2, len(FILTER_BANK), 6)
    hertz = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    for window, rows in zip(signals, found, strict=True):
        for (low, high), row in zip(FILTER_BANK, rows, strict=True):
            passed = np.fft.irfft(np.where((hertz >= low) & (hertz < high), np.fft.rfft(window.T), 0)).T
            covariance = np.cov(passed.T, bias=True)
            shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / 3 * np.eye(3)
            logarithm = np.zeros((3, 3))
            logarithm[np.triu_indices(3)] = row / np.where(np.eye(3), 1, np.sqrt(2))[np.triu_indices(3)]
            assert expm(logarithm + np.triu(logarithm, 1).T) == pytest.approx(shrunk, rel=1e-3, abs=1e-5)


def test_log_covariances_of_flat_bridged_and_single_electrodes_are_finite() -> None:
    signals = np.random.default_rng(0).standard_normal((2, RATE, 4)).astype(np.float32)
    signals[..., 1] = 0
    signals[..., 2] = signals[..., 3]
    assert np.isfinite(log_covariances(signals)).all()
    assert log_covariances(signals[..., :1]).shape == (2, len(FILTER_BANK))
