"""The readout with electrodes left out in expectation: as with endless draws, without any

The sums of squares and products that a ridge regression needs have an expectation in closed form: a product of two
features stays where all their electrodes are there.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from neurolm.ask import ridge, spectra
from neurolm.train.evidence import LEFT_OUT, fit_features
from readout_studies.methods import Fitted
from readout_studies.windows import Described

NAME = "electrodes left out, in expectation"


def expected(train: Described) -> Fitted:
    """Fit it; strength and slope are chosen as `neurolm.ask.ridge.fit` chooses them."""
    labels, classes = train.labels, len(train.task.labels)
    people = np.unique(train.subjects, return_inverse=True)[1]
    scaled = fit_features(
        train.features, labels, people, electrodes=train.electrodes, classes=classes, left_out=LEFT_OUT[:1]
    )[1]
    x, targets = scaled.standardise(train.features), np.eye(classes)[labels]
    weight = (len(x) / np.bincount(labels, minlength=classes) / len(np.unique(labels)))[labels]
    kept, both = _presence(train.electrodes)
    parts = [_Sums.of(x[people == p], targets[people == p], weight[people == p]) for p in range(people.max() + 1)]
    whole = _Sums.total(parts)
    unit = whole.spread(kept, both).trace() / len(kept)
    middle = whole.targets / whole.weight
    every = np.empty((len(ridge.STRENGTHS), len(x), classes))
    for person, part in enumerate(parts):
        own = people == person
        for place, (slopes, offset) in enumerate(whole.less(part).solve(kept, both, unit)):
            every[place, own] = x[own] @ slopes + offset - middle
    # the very same way from predictions to log-odds as the readout's own
    truth = ridge.doubted(every, labels, weight, people)
    scalings = [ridge.scale(predicted, truth, weight, people, ridge.FREEDOMS) for predicted in every]
    best = int(np.argmax([scaling.likelihood for scaling in scalings]))
    slopes, offset = whole.solve(kept, both, unit)[best]
    scaling = scalings[best]

    def answer(windows: Described) -> np.ndarray:
        predicted = scaled.standardise(windows.features) @ slopes + offset - middle
        return softmax(predicted @ scaling.matrix + scaling.bias, axis=1)

    found = np.empty_like(every[best])
    for person in range(len(parts)):
        own = people == person
        found[own] = scaling.without(person, every[best, own])
    return Fitted(answer, scaling.likelihood, softmax(found, axis=1))


def _presence(electrodes: int) -> tuple[np.ndarray, np.ndarray]:
    """How often a feature is there, (features,), and how often two are, (features, features), over the shares."""
    first, second = np.triu_indices(electrodes, 1)
    needed = np.concatenate([np.eye(electrodes, dtype=bool), np.eye(electrodes, dtype=bool)[first] |
                             np.eye(electrodes, dtype=bool)[second]])  # fmt: skip
    count = needed.sum(axis=1)
    union = count[:, None] + count - needed.astype(int) @ needed.T.astype(int)
    chances = 1 - np.array(LEFT_OUT)
    bands = len(spectra.BANDS)
    kept, both = (np.mean([chance**number for chance in chances], axis=0) for number in (count, union))
    return np.repeat(kept, bands), np.repeat(np.repeat(both, bands, axis=0), bands, axis=1)


class _Sums:
    """Weighted sums over windows, of which those of a person can be taken away."""

    def __init__(self, weight, features, targets, squares, products) -> None:
        self.weight, self.features, self.targets, self.squares, self.products = (
            weight, features, targets, squares, products
        )  # fmt: skip

    @classmethod
    def of(cls, x: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> _Sums:
        heavy = weight[:, None] * x
        return cls(weight.sum(), weight @ x, weight @ targets, heavy.T @ x, heavy.T @ targets)

    @classmethod
    def total(cls, parts: list[_Sums]) -> _Sums:
        return cls(*(sum(getattr(part, name) for part in parts) for name in vars(parts[0])))

    def less(self, other: _Sums) -> _Sums:
        return _Sums(*(value - getattr(other, name) for name, value in vars(self).items()))

    def spread(self, kept: np.ndarray, both: np.ndarray) -> np.ndarray:
        """Expected squares and products of the features around their means."""
        mean = kept * self.features / self.weight
        return both * self.squares - self.weight * np.outer(mean, mean)

    def solve(self, kept: np.ndarray, both: np.ndarray, unit: float) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights of the features and what is added, by strength."""
        mean, middle = kept * self.features / self.weight, self.targets / self.weight
        wanted = kept[:, None] * self.products - self.weight * np.outer(mean, middle)
        lengths, axes = np.linalg.eigh(self.spread(kept, both))
        inner = axes.T @ wanted
        slopes = [axes @ (inner / (lengths + strength * unit)[:, None]) for strength in ridge.STRENGTHS]
        return [(one, middle - mean @ one) for one in slopes]
