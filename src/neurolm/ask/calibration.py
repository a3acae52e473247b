"""From likelihoods to probabilities that can be believed: temperature, pooling, abstaining.

A task's calibration is fitted on the answers to its validation windows, after instruction tuning, and lies beside the
checkpoint as ``calibration.json``. A checkpoint without it answers with temperature 1 and gains nothing from pooling.

- **Temperature** (Guo et al. 2017, arXiv 1706.04599): log-likelihoods are divided by it.
- **Pooling**: the mean log-odds of n windows counts n / (1 + (n − 1) ρ) times, where ρ is the correlation of the
  windows of a stretch: 0 if each window were new evidence, 1 if all said the same. This is the design effect of cluster
  samples (Kish 1965).
- **Abstaining**: thresholds with the number of wrong answers above them, from which a threshold is chosen for a risk.

Few validation people say little, so both fits are held back: the temperature towards 1 (a normal prior on its
logarithm, and windows that count as often as they are independent), ρ towards 1, where it stays with few stretches.
docs/benchmarks/answers.md has the measurements behind the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import expit, log_softmax, logit, softmax, stdtrit

from neurolm.ask.risk import NO_POINTS, OperatingPoints, design_effect, operating_points
from neurolm.checkpoint import SideFile
from neurolm.core.amounts import many
from neurolm.core.config import require_within

TEMPERATURE_SPREAD = 0.2
"""Standard deviation of the prior on the logarithm of the temperature."""
LEAST_STRETCHES = 20
"""Stretches of several windows that ρ is fitted on; with fewer it is 1, so that pooling makes no answer surer."""
CORRELATION_PRIOR = 0.5
"""Weight of the prior that holds ρ near 1: ρ to this power."""
LARGEST_LOG_TEMPERATURE = 3.0
BLOCKS = 5
"""Parts of a recording whose means give the interval: the longer they are, the less they depend on each other."""
LEVEL = 0.9
"""Coverage of the interval."""
_COUNT = (0, 1e12)


@dataclass(frozen=True, kw_only=True)
class TaskCalibration:
    """What makes the likelihoods of one task's answers probabilities."""

    task: str
    temperature: float = 1.0
    """Divides log-likelihoods."""
    correlation: float = 1.0
    """ρ: how much the windows of a stretch say the same."""
    windows: int = 0
    """Validation windows it was fitted on, …"""
    stretches: int = 0
    """… labelled stretches they come from, …"""
    subjects: int = 0
    """… and people."""
    per_window: OperatingPoints = NO_POINTS
    """Errors above thresholds of the probability of a window's answer."""
    pooled: OperatingPoints = NO_POINTS
    """The same for answers pooled over a stretch."""

    def __post_init__(self) -> None:
        most = np.exp(LARGEST_LOG_TEMPERATURE)
        require_within(self, temperature=(0.99 / most, 1.01 * most), correlation=(0, 1), windows=_COUNT,
                       stretches=_COUNT, subjects=_COUNT)  # fmt: skip

    def log_probabilities(self, likelihoods: np.ndarray) -> np.ndarray:
        """Calibrated log-probabilities of windows.

        Parameters
        ----------
        likelihoods
            Log-likelihoods, shape (windows, options).

        Returns
        -------
        np.ndarray
            float64, same shape.
        """
        return log_softmax(np.asarray(likelihoods, float) / self.temperature, axis=-1)

    def probabilities(self, likelihoods: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of windows, shape (windows, options)."""
        return softmax(np.asarray(likelihoods, float) / self.temperature, axis=-1)

    def weight(self, windows: int) -> float:
        """How many independent windows so many windows of a stretch are worth."""
        return float(worth(windows, self.correlation))

    def pool(self, likelihoods: np.ndarray) -> np.ndarray:
        """Probability of each option over all windows of a stretch, shape (options,); from shape (windows, options)."""
        return pool(self.log_probabilities(likelihoods), correlation=self.correlation)

    def interval(self, likelihoods: np.ndarray, *, overlap: float = 1.0) -> tuple[float, float] | None:
        """Where the pooled probability of the likeliest option would lie for other EEG of the same recording.

        Student's interval over the means of ``BLOCKS`` consecutive parts (batch means), on the log-odds: windows
        overlap and depend on each other, the means of long parts hardly do. It says how much the windows differ, not
        how far the model may be wrong about this person.

        Parameters
        ----------
        likelihoods
            Log-likelihoods in the order of time, shape (windows, options).
        overlap
            Windows that a moment is in.

        Returns
        -------
        tuple of float or None
            Bounds of the ``LEVEL`` interval; None with too few windows.
        """
        windows = len(likelihoods)
        if windows < BLOCKS * max(overlap, 1):
            return None
        pooled = self.pool(likelihoods)
        top = int(pooled.argmax())
        others = np.delete(pooled, top) / np.delete(pooled, top).sum()
        logs = self.log_probabilities(likelihoods)
        odds = self.weight(windows) * (logs[:, top] - np.delete(logs, top, axis=1) @ others)
        length = windows // BLOCKS
        means = odds[windows - BLOCKS * length :].reshape(BLOCKS, length).mean(axis=1)
        half = stdtrit(BLOCKS - 1, (1 + LEVEL) / 2) * means.std(ddof=1) / np.sqrt(BLOCKS)
        centre = logit(pooled[top])
        return float(expit(centre - half)), float(expit(centre + half))


@dataclass(frozen=True, kw_only=True)
class Calibration(SideFile):
    """Calibrations of all tasks of a model."""

    FILE = "calibration.json"

    tasks: tuple[TaskCalibration, ...] = ()
    evidence: str = ""
    """Digest of the evidence that the answers rest on; empty where they rest on none."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the language model's products, when it gave the answers."""

    def of(self, task: str) -> TaskCalibration | None:
        """Return the calibration of a task, if there is one."""
        return next((found for found in self.tasks if found.task == task), None)

    @property
    def described(self) -> tuple[str, ...]:
        """A line for each task: what was fitted, and on whom."""
        return tuple(
            f"{task.task}: temperature {task.temperature:.2f}, windows of a stretch correlated {task.correlation:.2f}; "
            f"from {many(task.windows, 'window')}, {task.stretches} stretches, {many(task.subjects, 'person')}"
            f"{', answered in bfloat16' if self.precision == 'bfloat16' else ''}"
            for task in self.tasks
        )


def worth(windows: int | np.ndarray, correlation: float) -> np.ndarray:
    """How many independent windows so many windows of a stretch are worth."""
    windows = np.asarray(windows)
    return windows / (1 + (windows - 1) * correlation)


def pool(log_probabilities: np.ndarray, *, correlation: float = 1.0) -> np.ndarray:
    """Probability of each option over all windows of a stretch.

    The mean of the windows' log-odds (not of their probabilities, which would let no window be surer than the rest),
    times the number of independent windows.

    Parameters
    ----------
    log_probabilities
        Log-probabilities of the windows, shape (windows, options).
    correlation
        ρ: 1 counts all windows as one.

    Returns
    -------
    np.ndarray
        float64 (options,).
    """
    return softmax(log_probabilities.mean(axis=0) * worth(len(log_probabilities), correlation))


def pool_stretches(log_probabilities: np.ndarray, stretch: np.ndarray, *, correlation: float = 1.0) -> np.ndarray:
    """Pool every stretch, float64 (stretches, options); ``stretch`` numbers each window's from 0."""
    parts = (log_probabilities[stretch == number] for number in range(stretch.max() + 1))
    return np.array([pool(part, correlation=correlation) for part in parts])


def fit(
    task: str,
    likelihoods: np.ndarray,
    labels: np.ndarray,
    *,
    stretches: Sequence[str],
    subjects: Sequence[str],
    overlap: float = 1.0,
) -> TaskCalibration:
    """Fit the calibration of a task.

    Parameters
    ----------
    likelihoods
        Log-likelihoods of the options for every validation window, shape (windows, options).
    labels
        Class of every window, integers, shape (windows,).
    stretches
        Name of the labelled stretch that each window is from.
    subjects
        Subject of each window.
    overlap
        Windows that a moment of EEG is in: window length over stride.
    """
    likelihoods, labels = np.asarray(likelihoods, float), np.asarray(labels, int)
    assert likelihoods.ndim == 2 and len(likelihoods) == len(labels) == len(stretches) == len(subjects) > 0
    names, subject = np.unique(np.asarray(subjects), return_inverse=True)
    first, stretch = np.unique(np.asarray(stretches), return_index=True, return_inverse=True)[1:]
    losses = -log_softmax(likelihoods, axis=1)[np.arange(len(labels)), labels]
    independent = len(labels) / design_effect(losses, subject, least=overlap)
    fitted = TaskCalibration(
        task=task,
        temperature=_temperature(likelihoods, labels, independent),
        windows=len(labels),
        stretches=len(first),
        subjects=len(names),
    )
    fitted = replace(fitted, correlation=_correlation(fitted, likelihoods, labels[first], stretch))
    pooled = pool_stretches(fitted.log_probabilities(likelihoods), stretch, correlation=fitted.correlation)
    return replace(
        fitted,
        per_window=operating_points(fitted.probabilities(likelihoods), labels, subject, overlap=overlap),
        pooled=operating_points(pooled, labels[first], subject[first]),
    )


def _temperature(likelihoods: np.ndarray, labels: np.ndarray, independent: float) -> float:
    from scipy.optimize import minimize_scalar  # slow to import, and answers fit nothing

    def loss(log_temperature: float) -> float:
        given = log_softmax(likelihoods * np.exp(-log_temperature), axis=1)[np.arange(len(labels)), labels]
        return float(-independent * given.mean() + (log_temperature / TEMPERATURE_SPREAD) ** 2 / 2)

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _correlation(fitted: TaskCalibration, likelihoods: np.ndarray, labels: np.ndarray, stretch: np.ndarray) -> float:
    from scipy.optimize import minimize_scalar

    count = np.bincount(stretch)
    several = count > 1
    if several.sum() < LEAST_STRETCHES:
        return 1.0
    sums = [np.bincount(stretch, weights=column) for column in fitted.log_probabilities(likelihoods).T]
    mean = (np.stack(sums, axis=1) / count[:, None])[several]
    count, labels = count[several], labels[several]

    def loss(correlation: float) -> float:
        scaled = mean * worth(count, correlation)[:, None]
        given = log_softmax(scaled, axis=1)[np.arange(len(labels)), labels]
        return float(-given.sum() - CORRELATION_PRIOR * np.log(correlation))

    return float(minimize_scalar(loss, bounds=(1e-3, 1.0), method="bounded").x)
