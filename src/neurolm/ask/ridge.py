"""Ridge regression to classes whose strength is chosen by leaving each person out, in closed form

A person's rows are left out together, so that what is learned is what people have in common. The predictions for the
person left out follow from the fit on all (the block form of PRESS, Allen 1974), so nothing is fitted anew.

Predictions of classes become log-odds by one factor, the slope. With three classes and more that is not enough: where
one class lies between others (light sleep between waking and deep sleep), its prediction is never the largest. Then a
matrix takes the slope's place: multinomial logistic regression on the predictions, which is discriminant analysis in
the space of the ridge regression (Hastie, Buja and Tibshirani 1995), held near the slope as far as people left out in
turn say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

STRENGTHS = tuple(float(10.0 ** (half / 2)) for half in range(-6, 9))
"""λ in units of the mean eigenvalue of the features' covariance: 10⁻³ to 10⁴ in half decades."""
FREEDOMS = (1.0, 10.0, 100.0)
"""Variances of the prior of the matrix around the slope."""
NEAR = 2
"""Strengths on either side of the one that is best with a slope, that are tried with a matrix."""
LARGEST_SLOPE = 1e3


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """A fitted readout: scores of classes are ``x @ weights + offset``."""

    weights: np.ndarray
    """float64 (features, classes)."""
    offset: np.ndarray
    """float64 (classes,)."""
    strength: float
    """λ, out of ``STRENGTHS``."""
    slope: float
    """Log-odds in a unit of prediction."""
    freedom: float
    """How far the matrix may be from the slope, out of ``FREEDOMS``; 0 where it is the slope."""
    likelihood: float
    """Mean log-likelihood of the people left out."""
    left_out: np.ndarray
    """float64 (rows, classes): the scores of each row by what is learned from other people."""


def fit(
    x: np.ndarray, labels: np.ndarray, people: np.ndarray, *, classes: int, judged: np.ndarray | None = None
) -> Ridge:
    """Fit a readout whose classes weigh the same.

    Parameters
    ----------
    x
        float64 (rows, features).
    labels
        Class of each row, integers.
    people
        Number of each row's person, from 0; at least two people.
    classes
        How many there are; one that no row has gets no score.
    judged
        bool (rows,): rows by whose likelihood λ and slope are chosen; all by default.
    """
    rows = len(x)
    judged = np.ones(rows, bool) if judged is None else judged
    frequency = np.bincount(labels, minlength=classes)
    weight = (rows / np.maximum(frequency, 1) / np.count_nonzero(frequency))[labels]
    root, total = np.sqrt(weight)[:, None], weight.sum()
    targets = np.eye(classes)[labels]
    centre, middle = weight @ x / total, weight @ targets / total
    scaled, wanted = root * (x - centre), root * (targets - middle)
    basis, spectrum, turn = _decompose(scaled)
    inner = basis.T @ wanted
    unit = spectrum.sum() / max(len(spectrum), 1)
    groups = [np.flatnonzero(people == person) for person in np.unique(people)]

    def left_out(strength: float) -> np.ndarray:
        """What others predict for each row, around the classes' means."""
        shrunk = basis / (spectrum + strength * unit)
        missed = wanted - shrunk @ inner
        predicted = np.empty_like(wanted)
        for group in groups:
            hat = shrunk[group] @ basis[group].T + root[group] * root[group].T / total
            predicted[group] = wanted[group] - np.linalg.solve(np.eye(len(group)) - hat, missed[group])
        return predicted / root

    def scored(predicted: np.ndarray, freedoms: tuple[float, ...]) -> _Scaling:
        return _scaling(predicted[judged], labels[judged], weight[judged], people[judged], freedoms)

    every = [left_out(strength) for strength in STRENGTHS]
    plain = int(np.argmax([scored(predicted, ()).likelihood for predicted in every]))
    near = range(max(0, plain - NEAR), min(len(every), plain + NEAR + 1))
    fitted = [(scored(every[place], FREEDOMS), STRENGTHS[place], every[place]) for place in near]
    scaling, strength, predicted = max(fitted, key=lambda one: one[0].likelihood)
    ridge_weights = turn @ (inner / (spectrum + strength * unit)[:, None])
    found = np.empty_like(predicted)
    for group in groups:
        found[group] = scaling.without(int(people[group[0]]), predicted[group])
    return Ridge(
        weights=ridge_weights @ scaling.matrix, offset=scaling.bias - centre @ ridge_weights @ scaling.matrix,
        strength=strength, slope=scaling.slope, freedom=scaling.freedom, likelihood=scaling.likelihood, left_out=found,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Scaling:
    """How predictions become log-odds."""

    slope: float
    freedom: float
    matrix: np.ndarray
    bias: np.ndarray
    by_person: dict[int, tuple[np.ndarray, np.ndarray]]
    """Matrix and bias by the rows of all others; the same as of all where they are the slope."""
    likelihood: float

    def without(self, person: int, predicted: np.ndarray) -> np.ndarray:
        """Scores of a person's rows by what others say."""
        matrix, bias = self.by_person.get(person, (self.matrix, self.bias))
        return predicted @ matrix + bias


def _scaling(
    predicted: np.ndarray, labels: np.ndarray, weight: np.ndarray, people: np.ndarray, freedoms: tuple[float, ...]
) -> _Scaling:
    """Fit what makes log-odds of predictions for people left out; several freedoms are judged by people left out."""
    classes = predicted.shape[1]
    truth = _doubted(labels, classes, len(np.unique(people)))
    slope, likelihood = _slope(predicted, labels, weight, len(np.unique(people)))
    best = _Scaling(
        slope=slope, freedom=0.0, matrix=slope * np.eye(classes), bias=np.zeros(classes), by_person={},
        likelihood=likelihood,
    )  # fmt: skip
    if len(np.unique(labels)) < 3:
        return best
    for freedom in freedoms:
        matrix, bias = _matrix(predicted, truth, weight, slope, freedom)
        by_person, total = {}, 0.0
        for person in np.unique(people).tolist():
            own = people == person
            near = np.vstack([matrix, bias])
            by_person[person] = _matrix(predicted[~own], truth[~own], weight[~own], slope, freedom, near)
            scores = predicted[own] @ by_person[person][0] + by_person[person][1]
            total += float((weight[own, None] * truth[own] * log_softmax(scores, axis=1)).sum())
        if total / weight.sum() > best.likelihood:
            best = _Scaling(
                slope=slope, freedom=freedom, matrix=matrix, bias=bias, by_person=by_person,
                likelihood=total / weight.sum(),
            )  # fmt: skip
    return best


def _matrix(
    predicted: np.ndarray,
    truth: np.ndarray,
    weight: np.ndarray,
    slope: float,
    freedom: float,
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression with a normal prior around ``slope`` × the unit matrix, and no bias."""
    classes = predicted.shape[1]
    centre = np.vstack([slope * np.eye(classes), np.zeros(classes)])
    rows = np.hstack([predicted, np.ones((len(predicted), 1))])
    weight = weight / weight.mean()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        values = flat.reshape(centre.shape)
        logs = log_softmax(rows @ values, axis=1)
        moved = values - centre
        wrong = weight[:, None] * (np.exp(logs) - truth)
        value = -(weight[:, None] * truth * logs).sum() + (moved**2).sum() / (2 * freedom)
        return float(value), (rows.T @ wrong + moved / freedom).ravel()

    found = minimize(loss, (centre if start is None else start).ravel(), jac=True, method="L-BFGS-B").x.reshape(
        centre.shape
    )
    return found[:-1], found[-1]


def _decompose(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows on the axes of their features, the axes' squared lengths, and what turns axes into features.

    In the space of the features or of the rows, whichever is smaller.
    """
    if x.shape[0] >= x.shape[1]:
        spectrum, axes = np.linalg.eigh(x.T @ x)
        kept = spectrum > spectrum.max(initial=0) * 1e-12
        return x @ axes[:, kept], spectrum[kept], axes[:, kept]
    spectrum, axes = np.linalg.eigh(x @ x.T)
    kept = spectrum > spectrum.max(initial=0) * 1e-12
    basis = axes[:, kept] * np.sqrt(spectrum[kept])
    return basis, spectrum[kept], x.T @ (axes[:, kept] / np.sqrt(spectrum[kept]))


def _slope(predicted: np.ndarray, labels: np.ndarray, weight: np.ndarray, people: int) -> tuple[float, float]:
    """The factor that makes log-odds of predictions, and the mean log-likelihood with it."""

    def loss(logarithm: float) -> float:
        logs = log_softmax(np.exp(logarithm) * predicted, axis=1)
        return float(-(weight[:, None] * truth * logs).sum() / weight.sum())

    truth = _doubted(labels, predicted.shape[1], people)
    found = minimize_scalar(loss, bounds=(-np.log(LARGEST_SLOPE), np.log(LARGEST_SLOPE)), method="bounded")
    return float(np.exp(found.x)), -float(found.fun)


def _doubted(labels: np.ndarray, classes: int, people: int) -> np.ndarray:
    """Labels with the doubt that so many people leave about the next one (Laplace's rule of succession): few of them,
    all told apart, do not make anybody certain. float64 (rows, classes)."""
    doubt = 1 / (2 * (people + 1))
    return (1 - doubt) * np.eye(classes)[labels] + doubt / classes
