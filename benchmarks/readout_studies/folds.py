"""Folds of people: everybody is answered once, by what was learned from others"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from joblib import Parallel, delayed

from neurolm.batches.splits import split_folds
from readout_studies.methods import Answer
from readout_studies.windows import Described

FOLDS = 6


def folds(windows: Described) -> Iterator[tuple[Described, Described, Described]]:
    """Training, validation and test windows of every fold, as `neurolm train --fold` has them."""
    for number in range(1, FOLDS + 1):
        split = split_folds(windows.subjects.tolist(), (number, FOLDS))
        yield windows.people(split.train), windows.people(split.validation), windows.people(split.test)


def out_of_fold(
    windows: Described, fit: Callable[[Described, Described], Answer], asked: Described | None = None
) -> np.ndarray:
    """Answer all windows by folds, float64 (windows, options).

    Parameters
    ----------
    windows
        What is learned from.
    fit
        From training and validation windows to answers.
    asked
        What is answered, where that is something else of the same people.
    """
    asked = windows if asked is None else asked
    found = np.full((len(asked.windows), len(windows.task.labels)), np.nan)
    parts = [(train, validation, asked.people(np.unique(test.subjects))) for train, validation, test in folds(windows)]
    for (_, _, test), answers in zip(parts, Parallel()(delayed(_answer)(fit, *part) for part in parts), strict=True):
        found[np.isin(asked.subjects, test.subjects)] = answers
    assert np.isfinite(found).all()
    return found


def _answer(
    fit: Callable[[Described, Described], Answer], train: Described, validation: Described, test: Described
) -> np.ndarray:
    return fit(train, validation)(test)
