"""Whether EEG is like that of the training: its amplitude and band powers against the training range.

The range of a task is kept beside a checkpoint as ``training_range.json``. A window is described by its log amplitude
and log band powers, over its electrodes once as the median and once as the largest. How far outside the others a
training person's own windows lie is found by leaving each person out in turn, and that is what a new person is allowed
to differ: so people like those of the training are rarely warned about, as in conformal prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurolm.ask import ALLOWED
from neurolm.batches.loader import Sample
from neurolm.checkpoint import SideFile
from neurolm.core.config import require_within
from neurolm.core.errors import ConfigError
from neurolm.core.physics import PATCH, RATE, SCALE

BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
"""Hz; the last one ends below the mains of either continent."""
STATISTICS = ("typical electrode", "strongest electrode")
FEATURES = tuple(f"{what}, {where}" for where in STATISTICS for what in ("amplitude", *BANDS))
QUANTILES = (0.005, 0.995)
"""Quantiles of the training windows between which EEG is inside the range."""
WRONG_WARNINGS = 0.05
"""Share of people like those of the training that may be warned about, as far as so many people can tell."""
SMALLEST = 1e-3
"""µV, so that silence has a logarithm."""
_LOGARITHM = (-20, 20)  # log10 of µV²: beyond what any amplifier or its numbers reach


@dataclass(frozen=True, kw_only=True)
class TrainingRange:
    """What the training windows of a task were like, feature by feature, in log10 of µV or µV²."""

    task: str
    low: tuple[float, ...]
    """Lower quantile of the training windows, for each of ``FEATURES``."""
    high: tuple[float, ...]
    spread: tuple[float, ...]
    """Standard deviation over the training windows: the unit of the margin."""
    margin: float
    """How far beyond the quantiles is still like the training, in spreads."""
    windows: int
    subjects: int

    def __post_init__(self) -> None:
        require_within(self, low=_LOGARITHM, high=_LOGARITHM, spread=(1e-3, 20), margin=(0, 1e3), windows=(0, 1e12),
                       subjects=(0, 1e12))  # fmt: skip
        if not len(self.low) == len(self.high) == len(self.spread) == len(FEATURES):
            raise ConfigError(f"low, high and spread must have {len(FEATURES)} numbers each")

    def excess(self, features: np.ndarray) -> np.ndarray:
        """How far beyond the quantiles each feature of each window lies, in spreads; 0 inside. Same shape."""
        low, high, spread = (np.array(values) for values in (self.low, self.high, self.spread))
        return np.maximum(0, np.maximum(low - features, features - high)) / spread

    def unlike(self, features: np.ndarray) -> np.ndarray:
        """Whether each window lies outside the range and its margin, bool (windows,); from (windows, features)."""
        return np.any(self.excess(features) > self.margin, axis=1)


@dataclass(frozen=True, kw_only=True)
class Ranges(SideFile):
    """Ranges of all tasks of a model."""

    FILE = "training_range.json"

    tasks: tuple[TrainingRange, ...] = ()

    def of(self, task: str) -> TrainingRange | None:
        """Return the range of a task, if there is one."""
        return next((found for found in self.tasks if found.task == task), None)


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """How unlike the training windows a recording is."""

    outside: float
    """Share of windows outside the range and its margin."""
    warning: str | None
    """What to tell a user; None where the recording is like the training."""


def describe(samples: Sequence[Sample]) -> np.ndarray:
    """Features of windows, float64 (windows, len(FEATURES)), in log10."""
    return np.array([_features(sample) for sample in samples]).reshape(len(samples), len(FEATURES))


def _features(sample: Sample) -> np.ndarray:
    patches = patch_power(sample.patches)
    names, electrode = np.unique(sample.channel, return_inverse=True)
    total = np.zeros((len(names), patches.shape[1]))
    np.add.at(total, electrode, patches)
    return electrode_features(total / np.bincount(electrode)[:, None])


def patch_power(patches: np.ndarray) -> np.ndarray:
    """Power of patches, (patches, 200) in units of 100 µV, in all and in each of ``BANDS``: float64 (patches, 6)."""
    microvolts = patches.astype(np.float64) * SCALE
    microvolts = microvolts - microvolts.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(microvolts * np.hanning(PATCH), axis=1)) ** 2
    frequency = np.fft.rfftfreq(PATCH, 1 / RATE)
    power = [spectrum[:, (frequency >= low) & (frequency < high)].mean(axis=1) for low, high in BANDS.values()]
    return np.stack([(microvolts**2).mean(axis=1), *power], axis=1)


def electrode_features(power: np.ndarray) -> np.ndarray:
    """Features of a window, float64 (len(FEATURES),), of its electrodes' mean power over patches, (electrodes, 6)."""
    logs = np.log10(power + SMALLEST**2)
    return np.concatenate([np.median(logs, axis=0), logs.max(axis=0)])


def measure_range(task: str, features: np.ndarray, subjects: Sequence[str]) -> TrainingRange:
    """Return the range of a task's training windows.

    Parameters
    ----------
    features
        What ``describe`` returned, shape (windows, features).
    subjects
        Subject of each window.
    """
    names, subject = np.unique(np.asarray(subjects), return_inverse=True)
    spread = np.maximum(features.std(axis=0), 0.01)

    def quantiles(kept: np.ndarray) -> TrainingRange:
        low, high = np.quantile(features[kept], QUANTILES, axis=0)
        return TrainingRange(
            task=task, low=tuple(low.tolist()), high=tuple(high.tolist()), spread=tuple(spread.tolist()), margin=0.0,
            windows=int(kept.sum()), subjects=len(np.unique(subject[kept])),
        )  # fmt: skip

    whole = quantiles(np.ones(len(features), bool))
    if len(names) < 2:
        return whole
    beyond = [
        float(np.quantile(quantiles(subject != who).excess(features[subject == who]).max(axis=1), 1 - ALLOWED))
        for who in range(len(names))
    ]
    # The rank of split conformal prediction; with few people it is the most unlike of them.
    rank = min(len(names), int(np.ceil((1 - WRONG_WARNINGS) * (len(names) + 1))))
    return replace(whole, margin=sorted(beyond)[rank - 1])


def compare(known: TrainingRange, features: np.ndarray) -> Novelty:
    """Compare windows of a recording, features of shape (windows, features), with a range."""
    excess = known.excess(features)
    beyond = excess > known.margin
    outside = float(beyond.any(axis=1).mean())
    if outside <= ALLOWED:
        return Novelty(outside=outside, warning=None)
    worst = int(beyond.mean(axis=0).argmax())
    far = features[beyond[:, worst], worst]
    below = float(np.median(far)) < known.low[worst]
    distance = float(np.median(known.low[worst] - far if below else far - known.high[worst]))
    name, _, where = FEATURES[worst].partition(", ")
    what = f"the {name}" if name == "amplitude" else f"the {name} power"
    warning = (
        f"unlike the training data: {outside:.0%} of the windows lie outside its range; mainly {what} of the {where} "
        f"is {_decibels(10 * distance)} {'below' if below else 'above'} it there: expect worse answers and "
        "probabilities that are too sure"
    )
    return Novelty(outside=outside, warning=warning)


def _decibels(distance: float) -> str:
    """Write a distance that may be small: where training people hardly differ, little is outside already."""
    return f"{distance:.0f} dB" if distance >= 1 else f"{distance:.1f} dB" if distance >= 0.05 else "less than 0.1 dB"
