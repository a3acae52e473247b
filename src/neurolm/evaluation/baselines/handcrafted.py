"""About a hundred classical features of a window, whatever its electrodes

>>> handcrafted(signal, ("F3", "F4", "O1"))        # {"mean alpha": 1.2, …, "frontal coherence": …}

Powers and their ratios, the slope of the spectrum and the peak of alpha, entropies, fractal dimensions and Hjorth's
parameters as mean and standard deviation over electrodes; powers of regions, asymmetry and coherence. Entropies and
fractal dimensions are antropy's: ``pip install 'neurolm[baselines]'``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from neurolm.core.errors import ConfigError
from neurolm.core.montage import SAME_PLACE
from neurolm.core.physics import RATE

BANDS = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
"""Hz, upper end left out."""
REGIONS = {
    "frontal": ("FP", "AF", "F"),
    "central": ("FC", "C", "CP", "CFC", "CCP"),
    "temporal": ("FT", "T", "TP", "FTT", "TTP", "TPP"),
    "parietal": ("P",),
    "occipital": ("PO", "O", "I", "CB"),
}
"""Letters before the number, or the Z of the midline, of electrodes (of the first one where there are two)."""
BACKGROUND = ((2.0, 7.0), (14.0, 40.0))
"""Hz by which the slope of the spectrum is fitted: without alpha, whose peak stands out of it."""
PEAK = (7.0, 13.5)
"""Hz in which alpha's peak is looked for."""
SLOW = 4
"""Sample entropy, which compares every two moments, is that of the signal below 25 Hz at 50 Hz."""
_FLOOR = 1e-6  # µV²/Hz: a flat channel has logarithms
_NAME = re.compile(r"([A-Z]+?)(?=Z|\d)")
_NUMBER = re.compile(r"\d+")


def handcrafted(signal: np.ndarray, channels: Sequence[str]) -> dict[str, float]:
    """Return the features of a window by their names, the same names for the same channels; none is NaN.

    Parameters
    ----------
    signal
        µV at 200 Hz, shape (samples, channels), at least one second.
    channels
        Names of the electrodes. What they cannot give, a region or an asymmetry, is left out.

    Raises
    ------
    ConfigError
        If antropy is not installed.
    """
    signal = np.ascontiguousarray(signal.T, dtype=np.float64)  # (channels, samples)
    hertz, spectrum = _spectrum(signal)
    density = (np.abs(spectrum) ** 2).mean(axis=0) + _FLOOR  # (channels, frequencies)
    powers = {band: density[:, _within(hertz, span)].mean(axis=1) for band, span in BANDS.items()}
    single = _of_spectrum(hertz, density, powers) | _of_signal(signal)
    found = {}
    for name, values in single.items():
        found[f"mean {name}"], found[f"SD of {name}"] = values.mean(), values.std()
    places = _regions(channels)
    for region, inside in places.items():
        for band, power in powers.items():
            found[f"{region} {band}"] = np.log(power[inside]).mean()
    pairs = _opposite(channels)
    for where, some in (("frontal", pairs[np.isin(pairs, places.get("frontal", [])).all(axis=1)]), ("whole", pairs)):
        for band, power in powers.items() if len(some) else ():
            found[f"{where} asymmetry of {band}"] = np.log(power[some[:, 1]] / power[some[:, 0]]).mean()
    front = places.get("frontal", np.array([], int))
    back = np.concatenate([places.get(name, np.array([], int)) for name in ("parietal", "occipital")])
    for band, span in BANDS.items():
        coherence = _coherence(spectrum[..., _within(hertz, span)])
        if len(pairs):
            found[f"coherence of {band}, left and right"] = coherence[pairs[:, 0], pairs[:, 1]].mean()
        if len(front) and len(back):
            found[f"coherence of {band}, front and back"] = coherence[np.ix_(front, back)].mean()
    return {name: float(np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)) for name, value in found.items()}


def _of_spectrum(hertz: np.ndarray, density: np.ndarray, powers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the power of each electrode says, each shape (channels,)."""
    logs = {band: np.log(power) for band, power in powers.items()}
    share = density[:, _within(hertz, (1, 45))]
    within = hertz[_within(hertz, (1, 45))]
    share = share / share.sum(axis=1, keepdims=True)
    fitted = np.flatnonzero(np.logical_or.reduce([_within(hertz, span) for span in BACKGROUND]))
    line = np.polynomial.polynomial.polyfit(np.log10(hertz[fitted]), np.log10(density[:, fitted]).T, 1)
    near = np.flatnonzero(_within(hertz, PEAK))
    above = np.log10(density[:, near]) - line[0][:, None] - line[1][:, None] * np.log10(hertz[near])
    total = np.log(sum(powers.values()))
    return (
        logs
        | {f"relative {band}": log - total for band, log in logs.items()}
        | {
            "theta / beta": logs["theta"] - logs["beta"],
            "theta / alpha": logs["theta"] - logs["alpha"],
            "alpha / beta": logs["alpha"] - logs["beta"],
            "slowing": np.log((powers["delta"] + powers["theta"]) / (powers["alpha"] + powers["beta"])),
            "slope": line[1],
            "alpha peak in Hz": hertz[near][above.argmax(axis=1)],
            "alpha peak above the slope": above.max(axis=1),
            "spectral edge": within[(share.cumsum(axis=1) >= 0.95).argmax(axis=1)],
            "spectral entropy": -(share * np.log2(share)).sum(axis=1) / np.log2(share.shape[1]),
        }
    )


def _of_signal(signal: np.ndarray) -> dict[str, np.ndarray]:
    """What the course of each electrode's signal says, each shape (channels,)."""
    from scipy.signal import resample_poly

    try:
        import antropy
    except ImportError as error:
        raise ConfigError("classical features need antropy: pip install 'neurolm[baselines]'") from error
    slow = np.ascontiguousarray(resample_poly(signal, 1, SLOW, axis=1))
    spread = signal.std(axis=1)
    centred = (signal - signal.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # of flat channels, whose dimensions are taken for 0
        mobility, complexity = antropy.hjorth_params(signal)
        sampled = np.array([antropy.sample_entropy(row) if row.std() > 0 else 0.0 for row in slow])
        found = {
            "log variance": np.log(spread**2 + _FLOOR),
            "skewness": (centred**3).mean(axis=1),
            "kurtosis": (centred**4).mean(axis=1),
            "mobility": mobility,
            "complexity": complexity,
            "permutation entropy": antropy.perm_entropy(signal, order=4, normalize=True),
            "sample entropy": np.minimum(sampled, np.log(slow.shape[1])),  # infinite where nothing goes on alike
            "Higuchi's dimension": np.array([antropy.higuchi_fd(row) for row in signal]),
            "Katz's dimension": antropy.katz_fd(signal),
            "Petrosian's dimension": antropy.petrosian_fd(signal),
        }
    return {name: np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) for name, values in found.items()}


def _spectrum(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hz, and the spectra of segments of 2 s (or all there is), half overlapping, whose mean square is the power
    density in µV²/Hz: complex (segments, channels, frequencies)."""
    length = min(2 * RATE, signal.shape[1])
    window = np.hanning(length + 1)[:-1]  # periodic, as in Welch's method
    segments = np.lib.stride_tricks.sliding_window_view(signal, length, axis=1)[:, :: length // 2]
    segments = segments - segments.mean(axis=2, keepdims=True)
    spectrum = np.fft.rfft(segments * window, axis=2) * np.sqrt(2 / (RATE * (window**2).sum()))
    return np.fft.rfftfreq(length, 1 / RATE), spectrum.transpose(1, 0, 2)


def _within(hertz: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return (hertz >= span[0]) & (hertz < span[1])


def _coherence(spectrum: np.ndarray) -> np.ndarray:
    """Squared coherence of every two electrodes over segments and frequencies: float64 (channels, channels)."""
    flat = spectrum.transpose(1, 0, 2).reshape(spectrum.shape[1], -1)
    cross = flat @ flat.conj().T
    power = cross.diagonal().real
    floor = _FLOOR * flat.shape[1]
    return np.abs(cross) ** 2 / np.outer(power + floor, power + floor)


def _regions(channels: Sequence[str]) -> dict[str, np.ndarray]:
    """Places of the electrodes of every region that has some."""
    letters = [found[1] if (found := _NAME.match(SAME_PLACE.get(name, name))) else "" for name in channels]
    places = {region: np.flatnonzero(np.isin(letters, names)) for region, names in REGIONS.items()}
    return {region: inside for region, inside in places.items() if len(inside)}


def _opposite(channels: Sequence[str]) -> np.ndarray:
    """Places of electrodes on the left and of those that lie opposite, int (pairs, 2)."""
    return np.array(list(_pairs(channels)), int).reshape(-1, 2)


def _pairs(channels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Odd numbers are on the left, and the next number is opposite: F3 and F4, FP1-F7 and FP2-F8."""
    for place, name in enumerate(channels):
        numbers = [int(number) for number in _NUMBER.findall(name)]
        if numbers and all(number % 2 for number in numbers):
            other = _NUMBER.sub(lambda number: str(int(number[0]) + 1), name)
            if other in channels:
                yield place, list(channels).index(other)
