"""How honest the readout's probabilities are, class by class, with and without its matrix"""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import numpy as np

from neurolm.ask import ridge
from neurolm.core.table import Cell, Table, columns
from neurolm.tasks.metrics import BINS, score
from readout_studies.methods import readout
from readout_studies.scores import log_likelihood
from readout_studies.windows import Described

REPEATS = 200
"""Draws of labels by which chance is measured."""


def report(windows: Described, draws: int) -> Iterator[str]:
    """Training people, each by what others showed, and test people of the card's own split."""
    split = windows.task.split(windows.store)
    train, test = windows.people(split.train), windows.people(split.test)
    overall: list[list[Cell]] = []
    by_class: list[list[Cell]] = []
    for name, freedoms in (("slope", ()), ("matrix", ridge.FREEDOMS)):
        with patch.object(ridge, "FREEDOMS", freedoms):
            fits = [readout(train, seed=seed) for seed in range(draws)]
        for part, asked in (("training, left out", train), ("test", test)):
            given = [fit.left_out if asked is train else fit.answer(asked) for fit in fits]
            scores = [score(asked.labels, one, options=one.shape[1]) for one in given]
            likelihood = np.mean([log_likelihood(asked.labels, one) for one in given])
            accuracy, error = (np.mean([getattr(one, n) for one in scores]) for n in ("balanced_accuracy", "ece"))
            honest = np.mean([honest_error(one) for one in given])
            right = np.mean([one.argmax(axis=1) == asked.labels for one in given])
            sure = np.mean([one.max(axis=1) for one in given])
            people = str(len(np.unique(asked.subjects)))
            overall.append([name, part, people, accuracy, right, sure, error, honest, likelihood])
            by_class += _by_class(name, part, asked, np.stack(given))
    heads = (
        columns("log-odds by", "people", "how many"),
        columns("balanced accuracy", "right", "mean top probability", form=".3f"),
        columns("calibration error", "were they honest", "log-likelihood", form=".3f"),
    )
    yield f"Task {windows.task.name}:"
    yield Table(columns=[column for part in heads for column in part], groups=[overall]).markdown()
    figures = columns("share", "mean probability", "found", "calibration error", form=".3f")
    yield Table(columns=[*columns("log-odds by", "people", "class"), *figures], groups=[by_class]).markdown()


def _by_class(name: str, part: str, asked: Described, given: np.ndarray) -> Iterator[list[Cell]]:
    """For each class how often it is, how probable it was called, how often it was found, and its calibration error."""
    for number, label in enumerate(asked.task.labels):
        true = asked.labels == number
        found = np.mean([(one.argmax(axis=1) == number)[true].mean() for one in given])
        error = np.mean([class_error(true, one[:, number]) for one in given])
        yield [name, part, label, true.mean(), given[:, :, number].mean(), found, error]


def honest_error(probabilities: np.ndarray) -> float:
    """Calibration error that so many windows show by chance where the probabilities are what they say."""
    rng, answers, top = np.random.default_rng(0), probabilities.argmax(axis=1), probabilities.max(axis=1)
    drawn = probabilities.cumsum(axis=1)[None] < rng.random((REPEATS, len(top), 1))
    return float(np.mean([class_error(right, top) for right in drawn.sum(axis=2) == answers]))


def class_error(true: np.ndarray, probability: np.ndarray) -> float:
    """Calibration error of one probability of each window, over bins of equal width."""
    place = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
    return float(np.abs(np.bincount(place, weights=true - probability, minlength=BINS)).sum() / len(true))
