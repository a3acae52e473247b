"""Fitting the evidence beside the language model: in seconds, on the training people's windows

Each window is used three times: whole, and with a quarter and half of its electrodes left out, so that the readout
does not lean on a few of them. Strength and slope are those that are likeliest for people left out (`ask.ridge`), or
for one person's recordings or stretches of time (`train.left_out`). How much the language model counts beside it is
fitted on the validation windows of each task: where it hardly reads a task, as often with few people, it would make
good evidence worse.
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
from neurolm.train.left_out import Kind

LEFT_OUT = (0.0, 0.25, 0.5)
"""Shares of the electrodes that the copies of a window lack."""
MOST_ROWS = 4500
"""Copies of windows in a fit whose features outnumber them: it takes the cube of their number."""
_AT_ONCE = 64  # windows that are read and described at a time
_BLOCK = 2048  # features whose spread is computed at a time
SMALLEST_SPREAD = 1e-3
"""Standard deviation of a feature that hardly differs between the training windows."""
WEIGHTS = (0.01, 2.0)
"""The least and the most that the language model counts beside the evidence."""
WEIGHT_SPREAD = 0.5
"""Standard deviation of the prior on the language model's weight."""
PERSON_WORTH = 5.0
"""Independent windows that a validation person's windows are worth, much as they resemble each other."""


def fit_evidence(
    task: Task,
    samples: Sequence[Sample],
    labels: np.ndarray,
    groups: Sequence[str],
    *,
    kind: Kind = "people",
    seed: int = 0,
) -> tuple[TaskEvidence, Readout] | None:
    """Fit the readout of a task.

    Parameters
    ----------
    samples
        Training windows; few are asked for at a time, so that they may be read from a store then.
    labels
        Class of each, integers.
    groups
        What each is left out with: its person, or the like.
    kind
        What groups are.
    seed
        Of the electrodes that are left out.

    Returns
    -------
    TaskEvidence, Readout, or None
        None with fewer than two groups or classes, or without an electrode that two groups have: nothing could be
        learned about others.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2 or len(np.unique(labels)) < 2:
        return None
    have: dict[int, set[int]] = {}
    for sample, number in zip(samples, group.tolist(), strict=True):
        for channel in set(sample.channel.tolist()):
            have.setdefault(channel, set()).add(number)
    electrodes = sorted(channel for channel, numbers in have.items() if len(numbers) > 1)
    if not electrodes:
        return None
    kept = np.arange(len(samples))
    if len(samples) * len(LEFT_OUT) > MOST_ROWS and spectra.count(len(electrodes)) > MOST_ROWS:
        kept = np.unique(np.linspace(0, len(samples) - 1, MOST_ROWS // len(LEFT_OUT)).round().astype(int))
    features = np.empty((len(kept), spectra.count(len(electrodes))), np.float32)
    for first in range(0, len(kept), _AT_ONCE):
        part = kept[first : first + _AT_ONCE].tolist()
        features[first : first + len(part)] = spectra.features([samples[i] for i in part], electrodes)
    found, readout = fit_features(features, labels[kept], group[kept], electrodes=len(electrodes),
                                  classes=len(task.labels), seed=seed)  # fmt: skip
    evidence = TaskEvidence(
        task=task.name, labels=task.labels, electrodes=tuple(NAMES[electrode] for electrode in electrodes),
        strength=found.strength, slope=found.slope, freedom=found.freedom, likelihood=min(0.0, found.likelihood),
        windows=len(kept), subjects=len(names) if kind == "people" else 1, left_out=kind, groups=len(names),
        seconds=float(task.seconds),
    )  # fmt: skip
    return evidence, readout


def fit_features(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
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
    groups
        Number of what each window is left out with, such as its person; at least two. What only one of them has of
        the features is not used: it says nothing about others.
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
    mean, scale = _scaling(features, groups, electrodes)
    readout = Readout(mean, scale, np.zeros((len(mean), 0)), np.zeros(0))
    windows, copies = len(features), len(left_out)
    there = np.isfinite(features[:, : spectra.own(electrodes)]).reshape(windows, electrodes, -1).any(axis=2)
    rng = np.random.default_rng(seed)
    rows = np.empty((copies, windows, len(mean)), np.float32)
    kept = np.stack([_some(there, share, rng) for share in left_out])
    for first in range(0, windows, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        np.multiply(
            readout.standardise(features[part]), spectra.present(kept[:, part])[..., : len(mean)], out=rows[:, part]
        )
    found = ridge.fit(
        rows.reshape(-1, len(mean)), np.tile(labels, copies), np.tile(groups, copies), classes=classes,
        judged=np.arange(copies * windows) < windows,
    )  # fmt: skip
    arrays = (np.nan_to_num(mean), scale, np.where(np.isnan(mean)[:, None], 0, found.weights), found.offset)
    return found, Readout(*(np.asarray(array, np.float32) for array in arrays))


def _scaling(features: np.ndarray, groups: np.ndarray, electrodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each feature, and what it is divided by: its spread, and the root of how many are of its kind.

    The mean of one that fewer than two groups have is NaN: it stays missing.
    """
    mean, spread = np.empty(features.shape[1]), np.empty(features.shape[1])
    numbers = np.unique(groups)
    for first in range(0, features.shape[1], _BLOCK):
        part = slice(first, first + _BLOCK)
        block = features[:, part].astype(float)
        there = np.isfinite(block)
        shared = sum(there[groups == number].any(axis=0).astype(int) for number in numbers) > 1
        count = np.maximum(there.sum(axis=0), 1)
        block[~there] = 0
        centre = block.sum(axis=0) / count
        spread[part] = np.sqrt((np.where(there, block - centre, 0) ** 2).sum(axis=0) / count)
        mean[part] = np.where(shared, centre, np.nan)
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
