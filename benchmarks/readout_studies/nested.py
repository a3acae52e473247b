"""Which form of the readout the training people themselves choose, and what it is worth for others"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from joblib import Parallel, delayed

from neurolm.core.table import Cell, Table, columns
from readout_studies import expected
from readout_studies.folds import folds
from readout_studies.methods import BAND_POWER, FORMS, band_power, readout
from readout_studies.scores import Found, compare
from readout_studies.windows import Described

NESTED = "the form that training people choose"


def report(windows: Described, draws: int) -> Iterator[str]:
    """Likelihoods of training people left out, form by form and fold by fold; then how others are answered."""
    names = (*(form.name for form in FORMS), expected.NAME)
    answers: dict[str, list[np.ndarray]] = {name: [] for name in (BAND_POWER, *names, NESTED)}
    rows: list[list[Cell]] = []
    parts = list(folds(windows))
    for number, (said, likelihoods) in enumerate(Parallel()(delayed(_fold)(*part, draws) for part in parts), 1):
        best = [max(one, key=one.__getitem__) for one in likelihoods]
        rows += [[str(number), str(draw), *one.values(), best[draw]] for draw, one in enumerate(likelihoods)]
        said[NESTED] = np.stack([_draw(said[name], draw) for draw, name in enumerate(best)])
        for name, given in said.items():
            answers[name].append(given)
    heads = columns("fold", "draw"), columns(*names, form=".3f"), columns("chosen")
    yield Table(columns=[column for part in heads for column in part], groups=[rows]).markdown()
    order = np.concatenate([np.flatnonzero(np.isin(windows.subjects, test.subjects)) for _, _, test in parts])
    found = {name: np.concatenate(given, axis=1)[:, np.argsort(order)] for name, given in answers.items()}
    yield compare({name: Found(windows, one) for name, one in found.items()}, beside=BAND_POWER).markdown()


def _fold(
    train: Described, validation: Described, test: Described, draws: int
) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """What every form says of the test people, (draws, windows, options), and how likely it found training people."""
    fitted = {
        form.name: [readout(train, form, seed=seed) for seed in range(draws if form.drawn else 1)] for form in FORMS
    } | {expected.NAME: [expected.expected(train)]}
    said = {name: np.stack([fit.answer(test) for fit in fits]) for name, fits in fitted.items()}
    likelihoods = [
        {name: fits[min(draw, len(fits) - 1)].likelihood for name, fits in fitted.items()} for draw in range(draws)
    ]
    return said | {BAND_POWER: band_power(train, validation)(test)[None]}, likelihoods


def _draw(given: np.ndarray, draw: int) -> np.ndarray:
    return given[min(draw, len(given) - 1)]
