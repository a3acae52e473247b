"""Filters of a page, zero-phase: it shows what the whole filtered recording would show there

>>> filters = DisplayFilters(highpass=0.5, lowpass=70, notch=50)
>>> sections = filters.sections(256.0)
>>> filtered = apply(sections, signal)      # (channels, samples), as scipy's sosfiltfilt

Butterworth filters of order 2 and a notch as wide as a thirtieth of its frequency run over the signal forwards and
backwards: no phase shift, order 4 in effect, and half the amplitude at the frequency that is set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurolm.core.errors import ConfigError

HIGHPASS = (0.1, 0.3, 0.5, 1.0, 1.6, 5.0)
LOWPASS = (15.0, 30.0, 35.0, 50.0, 70.0)
NOTCH = (50.0, 60.0)
"""Frequencies in Hz that a page offers; others are taken too."""
LOWEST = 1e-4
"""Hz of a filter; what is slower moves nothing that a recording has, and lower numbers end what can be computed."""
_ORDER = 2
_QUALITY = 30.0
"""Frequency of the notch by its width."""
_DECAYED = 11.0
"""Time constants after which the beginning of a cut is forgotten: 10⁻⁴ of its range is left."""


@dataclass(frozen=True, kw_only=True)
class DisplayFilters:
    """Frequencies in Hz; 0 is off.

    Raises
    ------
    ConfigError
        If one is negative, no number, or nearly 0, or the low-pass is not above the high-pass.
    """

    highpass: float = 0.0
    lowpass: float = 0.0
    notch: float = 0.0

    def __post_init__(self) -> None:
        for name in ("highpass", "lowpass", "notch"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name}={value:g}: give Hz, 0 for none")
            if 0 < value < LOWEST:
                raise ConfigError(f"{name}={value:g}: give at least {LOWEST:g} Hz, or 0 for none")
        if self.lowpass and self.lowpass <= self.highpass:
            raise ConfigError(
                f"lowpass={self.lowpass:g}: not above highpass={self.highpass:g}; give a larger one, or 0 for none"
            )

    def sections(self, rate: float) -> np.ndarray:
        """Design the filter: float64 of shape (sections, 6), none where nothing is to be filtered.

        A low-pass or notch that the rate cannot hold has nothing to do.

        Raises
        ------
        ConfigError
            If the high-pass leaves nothing.
        """
        if self.highpass >= rate / 2:
            raise ConfigError(
                f"highpass={self.highpass:g}: the recording has {rate:g} samples per second, which hold no more than "
                f"{rate / 2:g} Hz; give a smaller one, or 0 for none"
            )
        return _design(self, rate)

    @property
    def reach(self) -> float:
        """Seconds on either side of a cut that decide what it shows."""
        butterworth = _DECAYED * math.sqrt(2) / (2 * math.pi)
        each = [butterworth / edge for edge in (self.highpass, self.lowpass) if edge]
        return max([*each, *([_DECAYED * _QUALITY / (math.pi * self.notch)] if self.notch else []), 0.0])


@lru_cache(maxsize=256)
def _design(filters: DisplayFilters, rate: float) -> np.ndarray:
    from scipy import signal

    found = [np.empty((0, 6))]
    if filters.highpass:
        found.append(signal.butter(_ORDER, filters.highpass, "highpass", fs=rate, output="sos"))
    if 0 < filters.lowpass < rate / 2:
        found.append(signal.butter(_ORDER, filters.lowpass, "lowpass", fs=rate, output="sos"))
    if 0 < filters.notch < rate / 2:
        found.append(signal.tf2sos(*signal.iirnotch(filters.notch, _QUALITY, fs=rate)))
    return np.concatenate(found)


def apply(sections: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Filter each part without NaN by itself.

    Parameters
    ----------
    sections
        What ``DisplayFilters.sections`` returns.
    signal
        Float of shape (channels, samples); NaN where nothing was recorded.

    Returns
    -------
    numpy.ndarray
        float64 of the same shape, NaN at the same places.
    """
    if not len(sections) or not signal.size:
        return signal.astype(np.float64)
    missing = np.isnan(signal)
    if not missing.any():
        return _filtered(sections, signal)
    found = np.full(signal.shape, np.nan)
    patterns, which = np.unique(missing, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero(which == number)
        edges = np.flatnonzero(np.diff(~pattern, prepend=False, append=False)).reshape(-1, 2)
        for first, last in edges.tolist():
            found[rows, first:last] = _filtered(sections, signal[rows, first:last])
    return found


def _filtered(sections: np.ndarray, signal: np.ndarray) -> np.ndarray:
    from scipy.signal import sosfiltfilt

    # scipy's own padding, or as much of it as a short part has
    zeros = min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum()))
    padding = min(3 * (2 * len(sections) + 1 - zeros), signal.shape[1] - 1)
    return sosfiltfilt(sections, signal.astype(np.float64), axis=1, padlen=padding)
