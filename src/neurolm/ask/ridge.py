"""Ridge regression to classes whose strength is chosen by leaving each person out, in closed form

A person's rows are left out together, so that what is learned is what people have in common. The predictions for the
person left out follow from the fit on all (the block form of PRESS, Allen 1974), so nothing is fitted anew. Where all
rows are of one person, groups of another kind are left out in the same way (`neurolm.train.left_out`).

Predictions of classes become log-odds by one factor, the slope. With three classes and more that is not enough: where
one class lies between others (light sleep between waking and deep sleep), its prediction is never the largest. Then a
matrix takes the slope's place: multinomial logistic regression on the predictions, which is discriminant analysis in
the space of the ridge regression (Hastie, Buja and Tibshirani 1995), held near the slope as far as people left out in
turn say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

STRENGTHS = tuple(float(10.0 ** (half / 2)) for half in range(-6, 9))
"""λ in units of the mean eigenvalue of the features' covariance: 10⁻³ to 10⁴ in half decades."""
FREEDOMS = (1.0, 10.0, 100.0)
"""Variances of the prior of the matrix around the slope."""
NEAR = 2
"""Strengths on either side of the one that is best with a slope, that are tried with a matrix."""
LARGEST_SLOPE = 1e3
_BLOCK = 2048  # rows or features that are converted to float64 at a time
_MOST_STEPS = 50  # of Newton's method, which takes about five


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
    """Mean log-likelihood of the groups left out."""
    left_out: np.ndarray
    """float64 (rows, classes): the scores of each row by what is learned from other groups."""


def fit(
    x: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, classes: int, judged: np.ndarray | None = None
) -> Ridge:
    """Fit a readout whose classes weigh the same.

    Parameters
    ----------
    x
        float32 or float64 (rows, features); what is computed is float64.
    labels
        Class of each row, integers.
    groups
        Number of what each row is left out with, such as its person; at least two different ones.
    classes
        How many there are; one that no row has gets no score.
    judged
        bool (rows,): rows by whose likelihood λ and slope are chosen; all by default.
    """
    rows = len(x)
    judged = np.ones(rows, bool) if judged is None else judged
    frequency = np.bincount(labels, minlength=classes)
    weight = (rows / np.maximum(frequency, 1) / np.count_nonzero(frequency))[labels]
    space = _Space.of(x, weight)
    targets = np.eye(classes)[labels]
    wanted = np.sqrt(weight)[:, None] * (targets - weight @ targets / weight.sum())
    every = space.left_out(wanted, groups, STRENGTHS)
    truth = doubted([predicted[judged] for predicted in every], labels[judged], weight[judged], groups[judged])

    def scored(predicted: np.ndarray, freedoms: tuple[float, ...]) -> _Scaling:
        return scale(predicted[judged], truth, weight[judged], groups[judged], freedoms)

    plain = int(np.argmax([scored(predicted, ()).likelihood for predicted in every]))
    near = range(max(0, plain - NEAR), min(len(every), plain + NEAR + 1))
    fitted = [(scored(every[place], FREEDOMS), STRENGTHS[place], every[place]) for place in near]
    scaling, strength, predicted = max(fitted, key=lambda one: one[0].likelihood)
    weights, middle = space.weights(x, wanted, strength, scaling.matrix)
    found = np.empty_like(predicted)
    for group in np.unique(groups):
        found[groups == group] = scaling.without(int(group), predicted[groups == group])
    return Ridge(
        weights=weights, offset=scaling.bias - middle, strength=strength, slope=scaling.slope,
        freedom=scaling.freedom, likelihood=scaling.likelihood, left_out=found,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Space:
    """Weighted rows around their mean on the principal axes of their features."""

    root: np.ndarray
    """Roots of the rows' weights, (rows,)."""
    centre: np.ndarray
    """Weighted mean of the features."""
    axes: np.ndarray
    """Axes as combinations of features, (features, axes), or of rows, (rows, axes): whichever are fewer."""
    spectrum: np.ndarray
    """Squared lengths of the axes."""
    basis: np.ndarray
    """Rows on the axes, (rows, axes + 1); the last axis is the mean, which nothing shrinks."""

    @classmethod
    def of(cls, x: np.ndarray, weight: np.ndarray) -> _Space:
        """Find the axes, converting few rows or features at a time."""
        root, total = np.sqrt(weight), weight.sum()
        rows, features = x.shape
        centre = sum((weight[part] @ x[part].astype(float) for part in _blocks(rows)), np.zeros(features)) / total
        by_features = rows >= features
        square = np.zeros((min(rows, features),) * 2)
        for part in _blocks(rows if by_features else features):
            if by_features:
                block = root[part, None] * (x[part] - centre)
                square += block.T @ block
            else:
                block = root[:, None] * (x[:, part] - centre[part])
                square += block @ block.T
        spectrum, axes = np.linalg.eigh(square)
        kept = spectrum > spectrum.max(initial=0) * 1e-12
        spectrum, axes = spectrum[kept], axes[:, kept]
        basis = np.empty((rows, len(spectrum) + 1))
        basis[:, -1] = root / np.sqrt(total)
        if by_features:
            for part in _blocks(rows):
                basis[part, :-1] = root[part, None] * (x[part] - centre) @ axes
        else:
            np.multiply(axes, np.sqrt(spectrum), out=basis[:, :-1])
        return cls(root=root, centre=centre, axes=axes, spectrum=spectrum, basis=basis)

    def shrinkage(self, strength: float) -> np.ndarray:
        """What each axis, and the mean, is divided by."""
        unit = self.spectrum.sum() / max(len(self.spectrum), 1)
        return np.append(self.spectrum + strength * unit, 1.0)

    def left_out(self, wanted: np.ndarray, groups: np.ndarray, strengths: tuple[float, ...]) -> list[np.ndarray]:
        """For each strength, what the other groups predict for each row, around the classes' means.

        A group is taken out of its rows' equations, or of the axes', whichever are fewer: both say the same.
        """
        from scipy.linalg import cho_factor, cho_solve  # slow to import, and answers fit nothing

        inner = self.basis.T @ wanted
        found = [np.empty_like(wanted) for _ in strengths]
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            own, its = self.basis[rows], wanted[rows]
            by_axes = 2 * len(rows) > own.shape[1]
            square, others = (own.T @ own, inner - own.T @ its) if by_axes else (np.zeros((0, 0)), its)
            for predicted, strength in zip(found, strengths, strict=True):
                shrinkage = self.shrinkage(strength)
                if by_axes:
                    predicted[rows] = own @ cho_solve(cho_factor(np.diag(shrinkage) - square), others)
                else:
                    half = own / np.sqrt(shrinkage)
                    missed = its - own @ (inner / shrinkage[:, None])
                    predicted[rows] = its - cho_solve(cho_factor(np.eye(len(rows)) - half @ half.T), missed)
        return [predicted / self.root[:, None] for predicted in found]

    def weights(
        self, x: np.ndarray, wanted: np.ndarray, strength: float, matrix: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the features, (features, classes), and what they make of the mean."""
        rows, features = x.shape
        coefficients = (self.basis[:, :-1].T @ wanted / self.shrinkage(strength)[:-1, None]) @ matrix
        if rows >= features:
            found = self.axes @ coefficients
        else:
            by_row = self.root[:, None] * (self.axes @ (coefficients / np.sqrt(self.spectrum)[:, None]))
            found = np.empty((features, matrix.shape[1]))
            for part in _blocks(features):
                found[part] = (x[:, part] - self.centre[part]).T @ by_row
        return found, self.centre @ found


def _blocks(size: int) -> list[slice]:
    return [slice(first, first + _BLOCK) for first in range(0, size, _BLOCK)]


@dataclass(frozen=True, kw_only=True)
class _Scaling:
    """How predictions become log-odds."""

    slope: float
    freedom: float
    matrix: np.ndarray
    bias: np.ndarray
    by_group: dict[int, tuple[np.ndarray, np.ndarray]]
    """Matrix and bias by the rows of all other groups; empty where they are the slope."""
    likelihood: float

    def without(self, group: int, predicted: np.ndarray) -> np.ndarray:
        """Scores of a group's rows by what others say."""
        matrix, bias = self.by_group.get(group, (self.matrix, self.bias))
        return predicted @ matrix + bias


def scale(
    predicted: np.ndarray, truth: np.ndarray, weight: np.ndarray, groups: np.ndarray, freedoms: tuple[float, ...]
) -> _Scaling:
    """Fit what makes log-odds of predictions for groups left out; several freedoms are judged by groups left out."""
    classes, numbers = predicted.shape[1], np.unique(groups).tolist()
    slope, likelihood = _slope(predicted, truth, weight)
    best = _Scaling(
        slope=slope, freedom=0.0, matrix=slope * np.eye(classes), bias=np.zeros(classes), by_group={},
        likelihood=likelihood,
    )  # fmt: skip
    if len(np.unique(truth.argmax(axis=1))) < 3:
        return best
    for freedom in freedoms:
        every = _matrix(predicted, truth, weight, slope, freedom)
        by_group, total = {}, 0.0
        for group in numbers:
            own = groups == group
            values = _matrix(predicted[~own], truth[~own], weight[~own], slope, freedom, every)
            by_group[group] = (values[:-1], values[-1])
            scores = predicted[own] @ values[:-1] + values[-1]
            total += float((weight[own, None] * truth[own] * log_softmax(scores, axis=1)).sum())
        if total / weight.sum() > best.likelihood:
            best = _Scaling(
                slope=slope, freedom=freedom, matrix=every[:-1], bias=every[-1], by_group=by_group,
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
) -> np.ndarray:
    """Multinomial logistic regression with a normal prior around ``slope`` × the unit matrix, and no bias.

    Newton's method, with steps halved where they lead up: float64 (classes + 1, classes), the last row the bias.
    """
    from scipy.linalg import cho_factor, cho_solve

    classes = predicted.shape[1]
    centre = np.vstack([slope * np.eye(classes), np.zeros(classes)])
    rows = np.hstack([predicted, np.ones((len(predicted), 1))])
    weight = weight / weight.mean()
    prior = np.eye(centre.size) / freedom

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(rows @ values, axis=1)
        return float(-(weight @ (truth * logs).sum(axis=1)) + ((values - centre) ** 2).sum() / (2 * freedom)), logs

    values = centre if start is None else start
    value, logs = loss(values)
    for _ in range(_MOST_STEPS):
        share = np.exp(logs)
        gradient = rows.T @ (weight[:, None] * (share - truth)) + (values - centre) / freedom
        curvature = prior + _curvature(rows, share, weight)
        step = cho_solve(cho_factor(curvature), gradient.ravel()).reshape(values.shape)
        if (gain := float((gradient * step).sum())) < 1e-12 * max(1.0, abs(value)):
            break
        size = 1.0
        while (next_value := loss(values - size * step))[0] > value - 1e-4 * size * gain and size > 1e-6:
            size /= 2
        values = values - size * step
        value, logs = next_value
    return values


def _curvature(rows: np.ndarray, share: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Second derivatives of the loss by the values, features outside and classes inside: (size, size)."""
    features, classes = rows.shape[1], share.shape[1]
    each = (rows[:, :, None] * share[:, None, :]).reshape(len(rows), -1)
    found = -(each * weight[:, None]).T @ each
    inside = found.reshape(features, classes, features, classes)
    for number in range(classes):
        inside[:, number, :, number] += rows.T @ (rows * (weight * share[:, number])[:, None])
    return found


def _slope(predicted: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The factor that makes log-odds of predictions, and the mean log-likelihood with it."""
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        logs = log_softmax(np.exp(logarithm) * predicted, axis=1)
        return float(-(weight[:, None] * truth * logs).sum() / weight.sum())

    found = minimize_scalar(loss, bounds=(-np.log(LARGEST_SLOPE), np.log(LARGEST_SLOPE)), method="bounded")
    return float(np.exp(found.x)), -float(found.fun)


def doubted(every: Sequence[np.ndarray], labels: np.ndarray, weight: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Labels with what doubt people, or other groups, leave about the next one: float64 (rows, classes).

    Few of them, all told apart, do not make anybody certain (Laplace's rule of succession). Errors that are made anyway
    say it by themselves: the doubt is less by the share that the best of the predictions gets wrong.
    """
    classes = every[0].shape[1]
    missed = min(float(weight @ (predicted.argmax(axis=1) != labels)) for predicted in every) / weight.sum()
    doubt = max(0.0, 1 / (2 * (len(np.unique(groups)) + 1)) - missed)
    return (1 - doubt) * np.eye(classes)[labels] + doubt / classes
