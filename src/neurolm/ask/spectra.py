"""Log power in bands of each electrode, and of the difference of each pair of them

>>> found = features(samples, electrodes)          # (windows, features), NaN where an electrode is missing
>>> split = own(len(electrodes))                   # the first so many are of electrodes, the rest of pairs

The difference of two electrodes is the same whatever the reference, and shows what lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurolm.batches.loader import Sample
from neurolm.core.physics import PATCH, RATE, SCALE

BANDS = ((1.0, 4.0), (4.0, 8.0), (8.0, 10.0), (10.0, 13.0), (13.0, 20.0), (20.0, 30.0), (30.0, 45.0))
"""Hz, upper end left out; those of the baseline of band power."""
FLOOR = 1e-6
"""µV²/Hz that is added to an electrode's power, so that silence has a logarithm."""
PAIR_FLOOR = 0.01
"""The same for the difference of two electrodes: two that are bridged differ by noise alone."""
_WINDOW = np.hanning(PATCH + 1)[:-1]  # periodic, as in Welch's method


def own(electrodes: int) -> int:
    """Features of single electrodes; those of pairs follow."""
    return electrodes * len(BANDS)


def count(electrodes: int) -> int:
    """All features."""
    return own(electrodes) + electrodes * (electrodes - 1) // 2 * len(BANDS)


def features(samples: Sequence[Sample], electrodes: Sequence[int]) -> np.ndarray:
    """Natural logarithms of power densities, float64 (windows, features).

    Parameters
    ----------
    samples
        Windows of EEG.
    electrodes
        Ids of the electrodes that the features are of; what a window lacks of them is NaN.

    Returns
    -------
    numpy.ndarray
        Of each electrode its bands, then of each pair (first electrode, second electrode) its bands.
    """
    found = np.full((len(samples), count(len(electrodes))), np.nan)
    place = {electrode: number for number, electrode in enumerate(electrodes)}
    for row, sample in zip(found, samples, strict=True):
        channels = list(dict.fromkeys(sample.channel.tolist()))
        known = [channel for channel in channels if channel in place]
        if known:
            _fill(row, _cross_power(sample, known), np.array([place[channel] for channel in known]), len(electrodes))
    return found


def present(electrodes: np.ndarray) -> np.ndarray:
    """Which features there are, by which electrodes there are: bool (…, electrodes) to (…, features)."""
    first, second = np.triu_indices(electrodes.shape[-1], 1)
    pairs = electrodes[..., first] & electrodes[..., second]
    return np.repeat(np.concatenate([electrodes, pairs], axis=-1), len(BANDS), axis=-1)


def _cross_power(sample: Sample, channels: Sequence[int]) -> np.ndarray:
    """Real cross power density of electrodes in every band, µV²/Hz: float64 (bands, electrodes, electrodes).

    Welch's method, with segments of a second, half overlapping where the window has both seconds.
    """
    seconds = np.unique(sample.second)
    column, row = ({number: i for i, number in enumerate(found)} for found in (channels, seconds.tolist()))
    signal = np.zeros((len(seconds), len(channels), PATCH))
    for patch, channel, second in zip(sample.patches, sample.channel.tolist(), sample.second.tolist(), strict=True):
        if channel in column:
            signal[row[second], column[channel]] = patch
    signal *= SCALE
    joined = np.flatnonzero(np.diff(seconds) == 1)
    half = PATCH // 2
    between = np.concatenate([signal[joined, :, half:], signal[joined + 1, :, :half]], axis=2)
    segments = np.concatenate([signal, between])
    segments = (segments - segments.mean(axis=2, keepdims=True)) * _WINDOW
    spectrum = np.fft.rfft(segments, axis=2)
    hertz = np.fft.rfftfreq(PATCH, 1 / RATE)
    density = 2 / (RATE * (_WINDOW**2).sum() * len(segments))
    found = []
    for low, high in BANDS:
        some = spectrum[:, :, (hertz >= low) & (hertz < high)]
        flat = some.transpose(1, 0, 2).reshape(len(channels), -1)
        found.append((flat @ flat.conj().T).real * (density / some.shape[2]))
    return np.stack(found)


def _fill(row: np.ndarray, power: np.ndarray, places: np.ndarray, electrodes: int) -> None:
    """Write the features of the electrodes that a window has into its row."""
    variance = np.diagonal(power, axis1=1, axis2=2)  # (bands, electrodes)
    bands = len(BANDS)
    row[: own(electrodes)].reshape(electrodes, bands)[places] = np.log(variance.T + FLOOR)
    one, other = np.triu_indices(len(places), 1)
    difference = variance[:, one] + variance[:, other] - 2 * power[:, one, other]
    low, high = np.minimum(places[one], places[other]), np.maximum(places[one], places[other])
    number = low * electrodes - low * (low + 1) // 2 + high - low - 1  # of the pair, in the order of triu_indices
    pairs = row[own(electrodes) :].reshape(-1, bands)
    pairs[number] = np.log(np.maximum(difference.T, 0) + PAIR_FLOOR)
