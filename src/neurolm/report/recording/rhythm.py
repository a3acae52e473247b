"""The posterior dominant rhythm: a peak at the back of the head over the slope of the spectrum"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurolm.report.recording.scalp import region, side
from neurolm.report.recording.spectra import Spectra

SEARCHED = (5.0, 13.5)
"""Hz between which a peak is looked for."""
FITTED = (2.0, 30.0)
"""Hz of the slope, a line over the logarithm of the frequency; what is searched is left out of it."""
LEAST = 3.0
"""Decibels over the slope from which a peak is one; more where so few segments are averaged that chance makes such."""
FEWEST = 5
"""Segments without which there is no telling."""
_CHANCE = 4 * 10 / np.log(10)  # four standard deviations of the decibels of a single segment of noise
_AROUND = 1.0  # Hz on either side of the peak that are compared between hemispheres


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """A peak in the mean spectrum of posterior electrodes."""

    frequency: float
    """Hz; between the lines of the spectrum by a parabola."""
    above: float
    """Decibels over the slope."""
    left: float | None
    """Frequency over the left hemisphere alone; None without a peak or electrodes there."""
    right: float | None
    asymmetry: float | None
    """Decibels by which the right side is stronger around the peak; None where a side has no electrode."""


def posterior(electrodes: tuple[str, ...]) -> list[int]:
    """Return the places of occipital electrodes; where there are none, of parietal ones."""
    for name in ("occipital", "parietal"):
        if found := [i for i, electrode in enumerate(electrodes) if region(electrode) == name]:
            return found
    return []


def find_rhythm(spectra: Spectra) -> Rhythm | None:
    """Find the posterior dominant rhythm; None where no peak stands out, or no electrode is there."""
    places = posterior(spectra.electrodes)
    sides = [[i for i in places if side(spectra.electrodes[i]) == which] for which in ("left", "right")]
    peak = _peak(spectra, places)
    if peak is None:
        return None
    left, right = (_peak(spectra, one) for one in sides)
    around = np.abs(spectra.frequencies - peak[0]) <= _AROUND
    strength = [10 * np.log10(spectra.power[one][:, around].mean()) if one else None for one in sides]
    asymmetry = None if strength[0] is None or strength[1] is None else float(strength[1] - strength[0])
    return Rhythm(
        frequency=peak[0], above=peak[1], left=left and left[0], right=right and right[0], asymmetry=asymmetry
    )


def _peak(spectra: Spectra, places: list[int]) -> tuple[float, float] | None:
    """Frequency, and decibels over the slope, of the highest peak of some electrodes' mean spectrum."""
    hertz = spectra.frequencies
    high = min(FITTED[1], spectra.band[1])
    if not places or high < FITTED[1] / 2 or spectra.segments < FEWEST:
        return None
    least = max(LEAST, _CHANCE / np.sqrt(spectra.segments * len(places)))
    decibels = 10 * np.log10(np.maximum(spectra.power[places], 1e-12)).mean(axis=0)
    low, top = SEARCHED
    fitted = (hertz >= FITTED[0]) & (hertz <= high) & ((hertz < low - 1) | (hertz > top + 1))
    line = np.polynomial.Polynomial.fit(np.log(hertz[fitted]), decibels[fitted], 1)
    above = decibels - line(np.log(np.maximum(hertz, 1e-3)))
    inner = np.flatnonzero((hertz >= low) & (hertz <= top))
    peaks = [i for i in inner if above[i] >= least and above[i - 1] <= above[i] > above[i + 1]]
    if not peaks:
        return None
    at = max(peaks, key=lambda i: above[i])
    before, here, after = above[at - 1 : at + 2]
    moved = 0.5 * (before - after) / (before - 2 * here + after)
    return float(hertz[at] + moved * (hertz[1] - hertz[0])), float(here)
