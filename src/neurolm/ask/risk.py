"""Answers only where they are likely to be right: a threshold for a stated risk.

On validation answers, sorted by the probability of the answer, an upper confidence bound of the share of wrong ones
above a threshold is Clopper and Pearson's, with as many observations as are independent (Korn and Graubard 1998). The
threshold is lowered step by step and the last one before the bound first exceeds the risk is taken: testing in an order
that was fixed beforehand keeps the confidence (Angelopoulos et al. 2021, arXiv 2110.01052).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from neurolm.core.config import require_within
from neurolm.core.errors import ConfigError

CONFIDENCE = 0.9
"""With which the share of wrong answers among those given is below the risk, for people like those of validation."""
STEPS = 40
"""Thresholds that are kept, at equal steps of coverage."""


@dataclass(frozen=True, kw_only=True)
class OperatingPoints:
    """Wrong answers above thresholds, from the highest threshold to the lowest."""

    thresholds: tuple[float, ...] = ()
    """Least probability of an answer that is given."""
    coverages: tuple[float, ...] = ()
    """Share of the validation answers that are given."""
    errors: tuple[float, ...] = ()
    """Share of wrong answers among those."""
    observations: float = 0.0
    """How many independent answers the validation answers count as."""

    def __post_init__(self) -> None:
        require_within(self, thresholds=(0, 1), coverages=(0, 1), errors=(0, 1), observations=(0, 1e12))
        if not len(self.thresholds) == len(self.coverages) == len(self.errors):
            raise ConfigError("thresholds, coverages and errors must be equally many")

    def bound(self, index: int) -> float:
        """Upper confidence bound of the share of wrong answers above a threshold."""
        return upper_bound(self.errors[index], self.coverages[index] * self.observations)

    @property
    def least_risk(self) -> float:
        """The smallest risk that can be promised: what no error at all in the validation answers would prove."""
        return upper_bound(0.0, self.observations) if self.thresholds else 1.0

    @property
    def attained_risk(self) -> float | None:
        """The smallest risk, in hundredths, that there is a threshold for; None if there is none below 1."""
        steps = (step / 100 for step in range(math.ceil(100 * self.least_risk), 100))
        return next((risk for risk in steps if self.threshold(risk) is not None), None)

    def threshold(self, risk: float) -> float | None:
        """Return the threshold with the largest coverage whose risk is at most this; None if there is none."""
        chosen = None
        for index in range(self._first(risk), len(self.coverages)):
            if self.bound(index) > risk:
                break
            chosen = self.thresholds[index]
        return chosen

    def _first(self, risk: float) -> int:
        """Index of the coverage that is tested first; it may depend on numbers of answers, not on which are wrong.

        The smallest coverage at which the bound keeps to the risk with half of it wrong, so that one early error does
        not end it all; with too few answers for that, half of them or as many as could prove it without an error.
        """
        counts = [coverage * self.observations for coverage in self.coverages]
        for index, count in enumerate(counts):
            if upper_bound(risk / 2, count) <= risk:
                return index
        for index, count in enumerate(counts):
            if self.coverages[index] >= 0.5 and upper_bound(0.0, count) <= risk:
                return index
        return len(counts)


NO_POINTS = OperatingPoints()
"""Where there were no validation answers."""


def upper_bound(error: float, observations: float) -> float:
    """One-sided Clopper-Pearson bound of a share of wrong answers; observations need not be whole."""
    wrong = error * observations
    if observations - wrong <= 0:
        return 1.0
    return float(betaincinv(wrong + 1, observations - wrong, CONFIDENCE))


def operating_points(
    probabilities: np.ndarray, labels: np.ndarray, subject: np.ndarray, *, overlap: float = 1.0
) -> OperatingPoints:
    """Thresholds and the errors above them.

    Parameters
    ----------
    probabilities
        Probabilities of the validation answers, shape (n, options).
    labels
        Shape (n,).
    subject
        Number of each answer's subject from 0, shape (n,).
    overlap
        Answers that a moment of EEG is in.
    """
    top = probabilities.max(axis=1)
    wrong = (probabilities.argmax(axis=1) != labels).astype(float)
    order = np.argsort(-top, kind="stable")
    count = len(labels)
    kept = sorted({math.ceil(count * step / STEPS) for step in range(1, STEPS + 1)})
    cumulated = np.cumsum(wrong[order])
    return OperatingPoints(
        thresholds=tuple(float(top[order[k - 1]]) for k in kept),
        coverages=tuple(k / count for k in kept),
        errors=tuple(float(cumulated[k - 1] / k) for k in kept),
        observations=count / design_effect(wrong, subject, least=overlap),
    )


def design_effect(values: np.ndarray, group: np.ndarray, *, least: float = 1.0) -> float:
    """How many observations count as one, since those of a group resemble each other (Kish 1965).

    1 + (m − 1) · ICC, with the intraclass correlation of a one-way analysis of variance and m its group size; not less
    than ``least``, not more than m.

    Parameters
    ----------
    values
        Shape (n,).
    group
        Number of each value's group from 0, shape (n,).
    """
    count = np.bincount(group)
    groups, n = len(count), len(values)
    size = (n - (count**2).sum() / n) / max(1, groups - 1) if groups > 1 else float(n)
    if groups < 2 or n <= groups:
        return max(least, size)
    means = np.bincount(group, weights=values) / count
    between = (count * (means - values.mean()) ** 2).sum() / (groups - 1)
    within = ((values - means[group]) ** 2).sum() / (n - groups)
    total = between + (size - 1) * within
    correlation = max(0.0, (between - within) / total) if total > 0 else 0.0
    return float(min(max(least, 1 + (size - 1) * correlation), max(size, least)))
