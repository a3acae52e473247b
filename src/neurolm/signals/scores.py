"""How good forecasts are: of spectra, of band powers and of waveforms, as points and as samples"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurolm.core.physics import SCALE
from neurolm.model.encoder import SPECTRUM
from neurolm.signals.bands import BANDS, decibels, in_band, power_decibels


@dataclass(frozen=True, kw_only=True)
class ForecastScore:
    """What a method's forecast of a second is worth, a mean over electrodes; less is better."""

    method: str
    second: int
    """The first that follows is 1."""
    spectrum_db: float
    """Root mean square error of the log spectrum from 1 to 74 Hz in dB; forecast is the mean over the samples."""
    power_crps: float
    """Continuous ranked probability score of the log power of bands, dB, a mean over the bands."""
    waveform_crps: float
    """The same of the waveform, µV, a mean over the second."""
    code_perplexity: float | None
    """exp of the mean negative log probability of the codes that followed; of the model alone."""


def crps(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of samples (samples, …) for what followed (…), in its unit.

    Fair to any number of samples (Ferro 2014): E|x − y| − E|x − x'| / 2 over pairs of different samples. Of a single
    one, the absolute error.
    """
    count = len(samples)
    error = np.abs(samples - truth).mean(axis=0)
    if count == 1:
        return error
    weights = 2 * np.arange(1, count + 1) - count - 1  # of the sorted samples, in the sum over all pairs
    return error - np.tensordot(weights, np.sort(samples, axis=0), axes=1) / (count * (count - 1))


def amplitudes(patches: np.ndarray) -> np.ndarray:
    """FFT amplitudes of patches: (…, 200) to (…, 100)."""
    return np.abs(np.fft.rfft(patches)[..., :SPECTRUM])


def scores(
    method: str, samples: np.ndarray, truth: np.ndarray, log_p: np.ndarray | None = None
) -> tuple[ForecastScore, ...]:
    """Score a forecast, a score for each second.

    Parameters
    ----------
    samples
        Float (samples, seconds, channels, 200), in units of the model's input.
    truth
        What followed, (seconds, channels, 200).
    log_p
        Log probability of the codes that followed by each sample, (samples, seconds, channels).
    """
    drawn, real = amplitudes(samples), amplitudes(truth)
    error = in_band(decibels(drawn)).mean(axis=0) - in_band(decibels(real))
    spectrum = np.sqrt(np.square(error).mean(axis=(1, 2)))
    bands = len(BANDS)
    power = crps(power_decibels(drawn)[..., :bands], power_decibels(real)[..., :bands]).mean(axis=(1, 2))
    waveform = SCALE * crps(samples, truth).mean(axis=(1, 2))
    perplexity = None if log_p is None else perplexities(log_p)
    return tuple(
        ForecastScore(
            method=method, second=second + 1, spectrum_db=float(spectrum[second]), power_crps=float(power[second]),
            waveform_crps=float(waveform[second]),
            code_perplexity=None if perplexity is None else float(perplexity[second]),
        )
        for second in range(len(truth))
    )  # fmt: skip


def perplexities(log_p: np.ndarray) -> np.ndarray:
    """Of codes, by the mean of the samples' probabilities: log p (samples, seconds, channels) to (seconds,)."""
    mixed = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    return np.exp(-mixed.mean(axis=1))
