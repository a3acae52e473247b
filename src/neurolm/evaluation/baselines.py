"""The baseline that stands beside every figure of ours: log band power and logistic regression on the same split.

It is strong (on EEGMAT well above the published foundation models), quick, and sees exactly the windows, subjects and
units that the model sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neurolm.data.splits import Split
from neurolm.data.store import Store
from neurolm.data.windows import Window
from neurolm.errors import ConfigError, StoreError
from neurolm.metrics import score
from neurolm.montage import RATE
from neurolm.tasks.task import Task

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "low alpha": (8.0, 10.0),
    "high alpha": (10.0, 13.0),
    "low beta": (13.0, 20.0),
    "high beta": (20.0, 30.0),
    "low gamma": (30.0, 45.0),
}
"""Frequency bands in Hz, upper end left out. Low and high alpha answer differently to a task (Klimesch 1999, Brain
Research Reviews 29:169-195); above 45 Hz come the notch of the mains and the muscles."""
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the regularisation (scikit-learn's ``C``) to choose from."""
_FLOOR = 1e-6
"""Power in µV² below which a band is silent, so that the logarithm of a flat channel is finite."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a classifier says about the windows of some subjects."""

    labels: np.ndarray
    """Class of every window, shape (n,)."""
    probabilities: np.ndarray
    """Probability of every option, shape (n, options)."""
    subjects: tuple[str, ...]
    """Subject of every window."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The fitted baseline's predictions; nothing of the test subjects had a part in fitting or choosing it."""

    validation: Predictions
    test: Predictions
    strength: float
    """The regularisation that was best on the validation subjects, out of ``STRENGTHS``."""
    train_windows: int


def band_power(signal: np.ndarray) -> np.ndarray:
    """Return the log power of every band and channel.

    Parameters
    ----------
    signal
        µV at 200 Hz, shape (samples, channels), at least one second.

    Returns
    -------
    numpy.ndarray
        Natural logarithm of the mean power density (µV²/Hz; Welch, segments of 1 s, half overlapping), shape
        (bands, channels).
    """
    from scipy.signal import welch

    frequency, power = welch(signal, fs=RATE, nperseg=RATE, axis=0)
    means = [power[(frequency >= low) & (frequency < high)].mean(axis=0) for low, high in BANDS.values()]
    return np.log(np.stack(means) + _FLOOR)


def band_power_baseline(store: Store, task: Task, split: Split, seed: int = 0) -> Baseline:
    """Fit the baseline on the training subjects and let it answer for the others.

    Parameters
    ----------
    store
        Store with labelled recordings of the task.
    task
        The task; its card gives the windows and the classes.
    split
        Subjects that train, validate and test.
    seed
        Of the solver.

    Returns
    -------
    Baseline
        Predictions for the validation and the test subjects.

    Raises
    ------
    StoreError
        If one of the three parts has no labelled windows, the training windows hold only one class, or a recording's
        channels are not those of the training recordings.
    """
    train = _windows(store, task, split, "train")
    channels = store.rows[train[0].recording].channels
    features, labels = _features(store, train, channels), _classes(task, train)
    found = np.unique(labels)
    if len(found) < 2:
        raise StoreError(
            f"{store.path}: all training windows of task {task.name} are {task.labels[found[0]]!r}: "
            "the baseline needs at least two classes; check the labels or the split"
        )
    validation = _Part.read(store, task, split, "validation", channels)
    models = {strength: _fit(features, labels, strength, seed) for strength in STRENGTHS}
    # max keeps the first of equals: the strongest regularisation
    best = max(STRENGTHS, key=lambda strength: _balanced_accuracy(validation.predict(models[strength])))
    test = _Part.read(store, task, split, "test", channels)
    return Baseline(
        validation=validation.predict(models[best]),
        test=test.predict(models[best]),
        strength=best,
        train_windows=len(train),
    )


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The windows of one part of the split, as features."""

    features: np.ndarray
    labels: np.ndarray
    subjects: tuple[str, ...]
    options: int

    @classmethod
    def read(cls, store: Store, task: Task, split: Split, part: str, channels: Sequence[str]) -> _Part:
        windows = _windows(store, task, split, part)
        return cls(
            features=_features(store, windows, channels),
            labels=_classes(task, windows),
            subjects=tuple(window.subject for window in windows),
            options=len(task.options),
        )

    def predict(self, model: Pipeline) -> Predictions:
        # a class without training windows keeps probability 0
        probabilities = np.zeros((len(self.labels), self.options))
        probabilities[:, model.classes_] = model.predict_proba(self.features)
        return Predictions(labels=self.labels, probabilities=probabilities, subjects=self.subjects)


def _fit(features: np.ndarray, labels: np.ndarray, strength: float, seed: int) -> Pipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, random_state=seed)
    return make_pipeline(StandardScaler(), regression).fit(features, labels)


def _balanced_accuracy(predictions: Predictions) -> float:
    options = predictions.probabilities.shape[1]
    return score(predictions.labels, predictions.probabilities, options=options).balanced_accuracy


def _windows(store: Store, task: Task, split: Split, part: str) -> list[Window]:
    windows = task.windows(store, split, part)
    if not windows:
        subjects = ", ".join(sorted(getattr(split, part))) or "none"
        raise StoreError(
            f"{store.path}: no labelled windows of task {task.name} in the {part} subjects ({subjects}): check the "
            "labels, the window length or the split"
        )
    return windows


def _classes(task: Task, windows: Sequence[Window]) -> np.ndarray:
    try:
        return np.array([task.index(str(window.label)) for window in windows])
    except ConfigError as error:
        raise StoreError(str(error)) from error


def _features(store: Store, windows: Sequence[Window], channels: Sequence[str]) -> np.ndarray:
    """Return log band power, shape (windows, bands · channels), channels in one order for all recordings."""
    features = np.empty((len(windows), len(BANDS), len(channels)))
    for place, window in enumerate(windows):
        row = store.rows[window.recording]
        if set(row.channels) != set(channels):
            raise StoreError(
                f"{store.path}: recording {row.recording} has the channels {', '.join(row.channels)}, and the first "
                f"training recording {', '.join(channels)}: the baseline needs the same in all; "
                "prepare them with the same channels, or split the task"
            )
        power = band_power(store.microvolts(window.recording, window.start, window.seconds * RATE))
        features[place] = power[:, [row.channels.index(name) for name in channels]]
    return features.reshape(len(windows), -1)
