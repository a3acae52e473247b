"""MNE's FIR filters, and where MNE's resampling puts its samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


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


@lru_cache(maxsize=8)
def kernels(design: Design) -> Kernels:
    """Design the filters as ``mne.filter.filter_data`` and ``notch_filter`` do."""
    import mne
    from scipy.signal import fftconvolve

    each = [mne.filter.create_filter(None, design.rate, *design.band, verbose="error")]
    if design.notch is not None:
        half = design.notch / 400 + 0.5  # MNE's notch: 1/200 of the frequency wide, and transitions of 1 Hz
        each.append(
            mne.filter.create_filter(
                None,
                design.rate,
                [design.notch + half],
                [design.notch - half],
                l_trans_bandwidth=0.5,
                h_trans_bandwidth=0.5,
                verbose="error",
            )
        )
    return Kernels(tuple(each), each[0] if len(each) == 1 else fftconvolve(*each))


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
