"""A look at a recording: ten seconds from its most typical place, and all spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurolm.recording import checks
from neurolm.recording.recording import Recording

SECONDS = checks.BLOCK_SECONDS
"""Length of the excerpt, where the recording is as long."""
_SEGMENT = 4.0  # seconds of a segment whose spectrum is averaged: lines of 0.25 Hz


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Traces and spectra; values that are not finite are NaN in the traces and count as 0 in the spectra."""

    start: float
    """Seconds from the start of the recording."""
    rate: float
    channels: tuple[str, ...]
    traces: np.ndarray
    """float64 of shape (channels, samples), µV, without offset and linear drift."""
    frequencies: np.ndarray
    """Hz, shape (bins,)."""
    spectra: np.ndarray
    """float64 of shape (channels, bins), µV²/Hz, the mean over up to a minute spread over the recording."""


def excerpt(recording: Recording) -> Excerpt:
    """Take an excerpt of a recording; at most a minute of it is read.

    Shown is the block, among those of ``Recording.blocks``, whose channels have amplitudes nearest to their median over
    all blocks (logarithms, summed over the channels).

    Raises
    ------
    RecordingError
        If the file can no longer be read.
    """
    blocks = recording.blocks()
    longest = max(last - first for first, last in blocks)
    blocks = [(first, last) for first, last in blocks if last - first == longest]
    levels, powers = [], []
    frequencies = np.zeros(0)
    for first, last in blocks:
        part = _levelled(recording.read_samples(first, last))
        levels.append(np.nanmedian(np.abs(part), axis=1))
        frequencies, power = _spectrum(np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0), recording.rate)
        powers.append(power)
    logs = np.log(np.maximum(np.nan_to_num(levels), 1e-9))
    best = int(np.abs(logs - np.median(logs, axis=0)).sum(axis=1).argmin())
    first, last = blocks[best]
    return Excerpt(
        start=first / recording.rate,
        rate=recording.rate,
        channels=recording.channels,
        traces=_levelled(recording.read_samples(first, last)),
        frequencies=frequencies,
        spectra=np.mean(powers, axis=0),
    )


def _levelled(part: np.ndarray) -> np.ndarray:
    """Take each channel's least-squares line away; infinities become NaN."""
    part = np.where(np.isfinite(part), part, np.nan)
    time = np.linspace(-1.0, 1.0, part.shape[1]) if part.shape[1] > 1 else np.zeros(1)
    there = np.isfinite(part)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    weights = there / count
    filled = np.where(there, part, 0.0)
    middle, mean_time = (filled * weights).sum(axis=1, keepdims=True), (time * weights).sum(axis=1, keepdims=True)
    moved = (time - mean_time) * there
    slope = ((filled - middle) * moved).sum(axis=1, keepdims=True) / np.maximum((moved**2).sum(1, keepdims=True), 1e-12)
    return part - middle - slope * (time - mean_time)


def _spectrum(part: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.signal import welch

    return welch(part, rate, nperseg=min(round(_SEGMENT * rate), part.shape[1]), detrend="linear")
