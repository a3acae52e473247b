"""Fitting the evidence beside the language model: in seconds, on the training people's windows

Each window is used three times: whole, and with a quarter and half of its electrodes left out, so that the readout
does not lean on a few of them. Strength and slope are those that are likeliest for people left out (`ask.ridge`). How
much the language model counts beside it is fitted on the validation windows of each task: where it hardly reads a task,
as often with few people, it would make good evidence worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from neurolm.ask import ridge, spectra
from neurolm.ask.evidence import HALF, Readout, TaskEvidence
from neurolm.batches.loader import Sample
from neurolm.core.montage import NAMES
from neurolm.tasks.task import Task

LEFT_OUT = (0.0, 0.25, 0.5)
"""Shares of the electrodes that the copies of a window lack."""
MOST_ROWS = 4500
"""Copies of windows in a fit whose features outnumber them: it takes the cube of their number."""
SMALLEST_SPREAD = 1e-3
"""Standard deviation of a feature that hardly differs between the training windows."""
WEIGHTS = (0.01, 2.0)
"""The least and the most that the language model counts beside the evidence."""
WEIGHT_SPREAD = 0.5
"""Standard deviation of the prior on the language model's weight."""
PERSON_WORTH = 5.0
"""Independent windows that a validation person's windows are worth, much as they resemble each other."""


def fit_evidence(
    task: Task, samples: Sequence[Sample], labels: np.ndarray, subjects: Sequence[str], *, seed: int = 0
) -> tuple[TaskEvidence, Readout] | None:
    """Fit the readout of a task.

    Parameters
    ----------
    samples
        Training windows.
    labels
        Class of each, integers.
    subjects
        Person of each.
    seed
        Of the electrodes that are left out.

    Returns
    -------
    TaskEvidence, Readout, or None
        None with fewer than two people or classes: nothing could be learned about others.
    """
    names, people = np.unique(np.asarray(subjects), return_inverse=True)
    if len(names) < 2 or len(np.unique(labels)) < 2:
        return None
    electrodes = sorted({int(channel) for sample in samples for channel in np.unique(sample.channel)})
    kept = list(range(len(samples)))
    if len(samples) * len(LEFT_OUT) > MOST_ROWS and spectra.count(len(electrodes)) > MOST_ROWS:
        kept = np.unique(np.linspace(0, len(samples) - 1, MOST_ROWS // len(LEFT_OUT)).round().astype(int)).tolist()
    features = spectra.features([samples[i] for i in kept], electrodes)
    found, readout = fit_features(features, labels[kept], people[kept], electrodes=len(electrodes),
                                  classes=len(task.labels), seed=seed)  # fmt: skip
    evidence = TaskEvidence(
        task=task.name, labels=task.labels, electrodes=tuple(NAMES[electrode] for electrode in electrodes),
        strength=found.strength, slope=found.slope, freedom=found.freedom, likelihood=min(0.0, found.likelihood),
        windows=len(kept), subjects=len(names),
    )  # fmt: skip
    return evidence, readout


def fit_features(
    features: np.ndarray,
    labels: np.ndarray,
    people: np.ndarray,
    *,
    electrodes: int,
    classes: int,
    left_out: Sequence[float] = LEFT_OUT,
    seed: int = 0,
) -> tuple[ridge.Ridge, Readout]:
    """Fit a readout on features of windows.

    Parameters
    ----------
    features
        As `spectra.features` has them, (windows, features); those of single electrodes alone will do.
    labels
        Class of each window, integers.
    people
        Number of each window's person, from 0; at least two people.
    electrodes
        How many the features are of.
    classes
        How many there are.
    left_out
        Share of its electrodes that each copy of a window lacks; the first copy must be whole, as strength and slope
        are chosen by it.
    seed
        Of the electrodes that are left out.
    """
    mean, scale = _scaling(features, electrodes)
    readout = Readout(mean, scale, np.zeros((len(mean), 0)), np.zeros(0))
    whole = readout.standardise(features)
    there = np.isfinite(features[:, : spectra.own(electrodes)]).reshape(len(features), electrodes, -1).any(axis=2)
    rng = np.random.default_rng(seed)
    rows = [whole * spectra.present(_some(there, share, rng))[:, : whole.shape[1]] for share in left_out]
    found = ridge.fit(
        np.concatenate(rows), np.tile(labels, len(rows)), np.tile(people, len(rows)),
        classes=classes, judged=np.arange(len(rows) * len(features)) < len(features),
    )  # fmt: skip
    arrays = (mean, scale, found.weights, found.offset)
    return found, Readout(*(np.asarray(array, np.float32) for array in arrays))


def _scaling(features: np.ndarray, electrodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each feature, and what it is divided by: its spread, and the root of how many are of its kind."""
    mean = np.nan_to_num(np.nanmean(features, axis=0)) if len(features) else np.zeros(features.shape[1])
    spread = np.nan_to_num(np.nanstd(features, axis=0))
    own = spectra.own(electrodes)
    size = np.full(len(mean), max(1, len(mean) - own))
    size[:own] = own
    return mean, np.maximum(spread, SMALLEST_SPREAD) * np.sqrt(size)


def _some(there: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Leave a share of each window's electrodes out, but never all: bool (windows, electrodes)."""
    kept = there & (rng.random(there.shape) >= share)
    none = ~kept.any(axis=1)
    kept[none] = there[none]
    return kept


def fit_weight(said: np.ndarray, shown: np.ndarray, labels: np.ndarray, subjects: Sequence[str]) -> float:
    """How much the language model's log-likelihood counts beside the evidence.

    The likeliest on the validation windows, once both are made as sure as they should be by one temperature, held near
    ``HALF`` the more, the fewer people validate.

    Parameters
    ----------
    said
        The language model's log-likelihoods of a task's validation windows, float64 (windows, options).
    shown
        The evidence of the same windows.
    labels
        Their classes.
    subjects
        Their people.
    """
    independent = PERSON_WORTH * len(set(subjects))
    rows = np.arange(len(labels))

    def loss(weight_and_coldness: np.ndarray) -> float:
        weight, coldness = weight_and_coldness
        logs = log_softmax(np.exp(coldness) * (weight * said + shown), axis=1)
        prior = ((weight - HALF) / WEIGHT_SPREAD) ** 2 + coldness**2
        return float(-independent * logs[rows, labels].mean() + prior / 2)

    found = minimize(loss, np.array([HALF, 0.0]), method="L-BFGS-B", bounds=[WEIGHTS, (-3.0, 3.0)])
    return float(found.x[0])
