"""MNE's FIR filters, and where MNE's resampling puts its samples.

They are designed here, to the last digits as MNE designs them (tests compare), because MNE asks scipy.signal for them,
whose import alone would take longer than all else that a short recording needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurolm.core.physics import BAND, RATE, Filters

FULL_BAND_RATE = 160.0
"""Samples per second from which there is room for the model's band: MNE's filter needs some above 75 Hz."""
_USABLE = 0.45  # of the sampling rate, where the full band does not fit
_WINDOW = 3.3
"""Length of a Hamming window, in units of one over the width of its transition."""


@dataclass(frozen=True)
class Design:
    """What is done to a recording."""

    rate: float
    """Samples per second."""
    target: float
    """Samples per second of the result."""
    band: tuple[float, float]
    """Pass band in Hz."""
    notch: float | None
    """Frequency in Hz to be taken out, if any."""
    filters: Filters = "zero-phase"


@dataclass(frozen=True, eq=False)
class Kernels:
    """MNE's FIR filters for a design."""

    each: tuple[np.ndarray, ...]
    """Band-pass and, if there is one, notch: symmetric, of odd length."""
    total: np.ndarray
    """Their convolution."""

    @property
    def half(self) -> int:
        """Samples that the total reaches to either side."""
        return len(self.total) // 2


@dataclass(frozen=True)
class Grid:
    """Where in the recording MNE's resampling puts its samples."""

    samples: int
    """Samples of the result."""
    padded: int
    """Length of the padded recording."""
    resampled: int
    """Length of the padded result."""
    before: int
    """Samples of padding before the recording."""
    after: int
    """Samples of padding after the recording."""
    cut: int
    """Samples of the result that are cut off at its beginning."""

    @property
    def spacing(self) -> float:
        """Samples of the recording from one sample of the result to the next."""
        return self.padded / self.resampled

    def position(self, sample: int) -> float:
        """Position of a sample of the result, in samples of the recording from its beginning."""
        return (sample + self.cut) * self.padded / self.resampled - self.before


def design_for(rate: float, mains: float | None, filters: Filters = "zero-phase") -> Design:
    """What is done to a recording of a rate and mains frequency in Hz: the model's band, as far as the rate has it."""
    high = BAND[1] if rate >= FULL_BAND_RATE else min(BAND[1], _USABLE * rate)
    notch = mains if mains is not None and notch_fits(mains, rate) else None
    return Design(rate, RATE, (BAND[0], high), notch, filters)


def notch_fits(mains: float, rate: float) -> bool:
    """Tell whether MNE's notch (1 Hz wide on either side) lies below half the sampling rate."""
    return mains + 2 < rate / 2


@lru_cache(maxsize=8)
def kernels(design: Design) -> Kernels:
    """Design the filters as ``mne.filter.filter_data`` and ``notch_filter`` do."""
    low, high = design.band
    rising, falling = min(max(0.25 * low, 2.0), low), min(max(0.25 * high, 2.0), design.rate / 2 - high)
    steps = (1, high, high + falling), (-1, low - rising, low)
    each = [_kernel(design.rate, *steps, narrowest=min(rising, falling))]
    if design.notch is not None:
        half = design.notch / 400 + 0.5  # MNE's notch: 1/200 of the frequency wide, and transitions of 1 Hz
        below, above, wide = design.notch - half, design.notch + half, 0.5
        steps = (-1, above - wide, above), (1, below, below + wide)
        each.append(_kernel(design.rate, *steps, narrowest=wide, centre=1.0))
    return Kernels(tuple(each), each[0] if len(each) == 1 else convolve(*each))


def convolve(many: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve in full, along the last axis: what ``scipy.signal.fftconvolve`` gives."""
    from scipy import fft

    length = many.shape[-1] + len(kernel) - 1
    size = fft.next_fast_len(length, real=True)
    return fft.irfft(fft.rfft(many, size) * fft.rfft(kernel, size), size)[..., :length]


def _kernel(rate: float, *steps: tuple[int, float, float], narrowest: float, centre: float = 0.0) -> np.ndarray:
    """Low-passes added to and taken from ``centre`` times the signal itself.

    Parameters
    ----------
    steps
        Sign of each low-pass, and the frequencies in Hz between which it ends.
    narrowest
        Hz from the one to the other, where that is least: it makes the kernel's length.
    """
    samples = _odd(math.ceil(_WINDOW / narrowest * rate))
    kernel = np.zeros(samples)
    kernel[samples // 2] = centre
    for sign, passed, stopped in steps:
        each = _low_pass(2 * passed / rate, 2 * stopped / rate)
        edge = (samples - len(each)) // 2
        kernel[edge : samples - edge] += sign * each
    return kernel


def _low_pass(passed: float, stopped: float) -> np.ndarray:
    """Windowed sinc, as ``scipy.signal.firwin`` makes it; frequencies in halves of the sampling rate."""
    samples = _odd(round(2 * _WINDOW / (stopped - passed)))
    cutoff, places = (passed + stopped) / 2, np.arange(samples) - (samples - 1) / 2
    kernel = cutoff * np.sinc(cutoff * places) * (0.54 + 0.46 * np.cos(np.linspace(-np.pi, np.pi, samples)))
    return kernel / kernel.sum()


def _odd(samples: int) -> int:
    return samples + 1 - samples % 2


def output_grid(samples: int, design: Design) -> Grid:
    """Place the samples of the result as ``mne.filter.resample(npad="auto")`` does."""
    if design.rate == design.target:
        return Grid(samples, samples, samples, 0, 0, 0)
    ratio = design.target / design.rate
    least = samples + 2 * min(samples // 8, 100)
    padded = 2 ** math.ceil(math.log2(least))
    before, odd = divmod(padded - samples, 2)
    return Grid(
        samples=max(round(ratio * samples), 1),
        padded=padded,
        resampled=max(round(ratio * padded), 1),
        before=before,
        after=before + odd,
        cut=round(ratio * before),
    )
