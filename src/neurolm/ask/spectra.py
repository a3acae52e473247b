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
_AT_ONCE = 1 << 16  # samples, of all electrodes, or features, that are computed at a time


def _transform() -> tuple[np.ndarray, tuple[slice, ...]]:
    """What takes a second to the real and imaginary parts of its spectrum in all bands: its mean taken off, tapered,
    and no frequency that no band wants; and which of them are each band's."""
    hertz = np.fft.rfftfreq(PATCH, 1 / RATE)
    wanted = np.flatnonzero((hertz >= BANDS[0][0]) & (hertz < BANDS[-1][1]))
    waves = _WINDOW[:, None] * np.exp(-2j * np.pi * np.outer(np.arange(PATCH), wanted) / PATCH)
    waves -= waves.mean(axis=0)
    bounds = [(2 * np.searchsorted(hertz[wanted], band)).tolist() for band in BANDS]
    return np.stack([waves.real, waves.imag], axis=2).reshape(PATCH, -1), tuple(slice(*bound) for bound in bounds)


_TRANSFORM, _PARTS = _transform()


def own(electrodes: int) -> int:
    """Features of single electrodes; those of pairs follow."""
    return electrodes * len(BANDS)


def count(electrodes: int) -> int:
    """All features."""
    return own(electrodes) + electrodes * (electrodes - 1) // 2 * len(BANDS)


def features(
    samples: Sequence[Sample], electrodes: Sequence[int], *, dtype: type[np.floating] = np.float64
) -> np.ndarray:
    """Natural logarithms of power densities, (windows, features).

    Parameters
    ----------
    samples
        Windows of EEG.
    electrodes
        Ids of the electrodes that the features are of; what a window lacks of them is NaN.
    dtype
        In which they are kept; they are computed in float64.

    Returns
    -------
    numpy.ndarray
        Of each electrode its bands, then of each pair (first electrode, second electrode) its bands.
    """
    found = np.full((len(samples), count(len(electrodes))), np.nan, dtype)
    place = {electrode: number for number, electrode in enumerate(electrodes)}
    alike: dict[tuple[bytes, bytes], list[int]] = {}
    for number, sample in enumerate(samples):
        alike.setdefault((sample.channel.tobytes(), sample.second.tobytes()), []).append(number)
    for numbers in alike.values():
        sample = samples[numbers[0]]
        known = [channel for channel in dict.fromkeys(sample.channel.tolist()) if channel in place]
        if not known:
            continue
        places = np.array([place[channel] for channel in known])
        many = max(1, _AT_ONCE // max(sample.patches.size, count(len(known))))
        for part in (numbers[first : first + many] for first in range(0, len(numbers), many)):
            power = _cross_power([samples[i] for i in part], known)
            _fill(found, part, power, places, len(electrodes))
    return found


def present(electrodes: np.ndarray) -> np.ndarray:
    """Which features there are, by which electrodes there are: bool (…, electrodes) to (…, features)."""
    first, second = np.triu_indices(electrodes.shape[-1], 1)
    pairs = electrodes[..., first] & electrodes[..., second]
    return np.repeat(np.concatenate([electrodes, pairs], axis=-1), len(BANDS), axis=-1)


def _cross_power(samples: Sequence[Sample], channels: Sequence[int]) -> np.ndarray:
    """Real cross power density in every band, µV²/Hz: float64 (windows, bands, electrodes, electrodes).

    Windows have the same electrodes and seconds. Welch's method, with segments of a second, half overlapping where a
    window has both seconds.
    """
    seconds, row = np.unique(samples[0].second, return_inverse=True)
    column = {channel: number for number, channel in enumerate(channels)}
    mine = np.flatnonzero(np.isin(samples[0].channel, channels))
    places = [column[channel] for channel in samples[0].channel[mine].tolist()]
    signal = np.zeros((len(samples), len(channels), len(seconds), PATCH))
    for one, sample in zip(signal, samples, strict=True):
        one[places, row[mine]] = sample.patches[mine]
    joined = np.flatnonzero(np.diff(seconds) == 1)
    half = PATCH // 2
    between = np.concatenate([signal[:, :, joined, half:], signal[:, :, joined + 1, :half]], axis=3)
    return _banded(np.concatenate([signal, between], axis=2), signal.shape[2] + between.shape[2])


def _banded(segments: np.ndarray, count: int) -> np.ndarray:
    """Real cross power density in every band, µV²/Hz: float64 (windows, bands, electrodes, electrodes).

    Parameters
    ----------
    segments
        Seconds in units of 100 µV, float64 (windows, electrodes, segments, 200); their power is added up.
    count
        By which the sum is divided.
    """
    spectrum = segments @ _TRANSFORM
    density = 2 * SCALE**2 / (RATE * (_WINDOW**2).sum() * count)
    found = np.empty((len(segments), len(BANDS), segments.shape[1], segments.shape[1]))
    for number, part in enumerate(_PARTS):
        width = spectrum.shape[2] * (part.stop - part.start)
        flat = spectrum[..., part].reshape(*spectrum.shape[:2], width)
        found[:, number] = flat @ flat.transpose(0, 2, 1) * (2 * density / (part.stop - part.start))
    return found


def second_power(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a second adds to the cross power of a window that shows it, for windows that are made of seconds.

    Parameters
    ----------
    signal
        float (electrodes, 400), in units of 100 µV: the second, behind the one before it.

    Returns
    -------
    own, between
        Of the second, and of the segment that begins in the middle of the one before, which a window adds where it has
        both: float64 (bands, electrodes, electrodes), µV²/Hz.
    """
    half = PATCH // 2
    segments = np.stack([signal[:, PATCH:], signal[:, half : half + PATCH]]).astype(np.float64)
    own, between = _banded(segments[:, :, None], 1)
    return own, between


def window_features(power: np.ndarray, channels: Sequence[int], electrodes: Sequence[int]) -> np.ndarray:
    """Features of a window as `features` has them, float64 (1, features), of its mean cross power over segments.

    Parameters
    ----------
    power
        float64 (bands, channels, channels).
    channels
        Ids of its electrodes, all among those that the features are of.
    electrodes
        Ids of the electrodes that the features are of.
    """
    found = np.full((1, count(len(electrodes))), np.nan)
    place = {electrode: number for number, electrode in enumerate(electrodes)}
    if len(channels):
        _fill(found, [0], power[None], np.array([place[channel] for channel in channels]), len(electrodes))
    return found


def _fill(found: np.ndarray, rows: Sequence[int], power: np.ndarray, places: np.ndarray, electrodes: int) -> None:
    """Write the features of the electrodes that windows have into their rows."""
    variance = np.diagonal(power, axis1=2, axis2=3).transpose(0, 2, 1)  # (windows, electrodes, bands)
    one, other = np.triu_indices(len(places), 1)
    low, high = np.minimum(places[one], places[other]), np.maximum(places[one], places[other])
    number = low * electrodes - low * (low + 1) // 2 + high - low - 1  # of the pair, in the order of triu_indices
    for row, own, its in zip(rows, variance, power, strict=True):
        found[row, : len(BANDS) * electrodes].reshape(electrodes, -1)[places] = np.log(own + FLOOR)
        difference = own[one] + own[other] - 2 * its[:, one, other].T
        pairs = found[row, len(BANDS) * electrodes :].reshape(-1, len(BANDS))
        pairs[number] = np.log(np.maximum(difference, 0) + PAIR_FLOOR)
