"""Which form of the readout the training people themselves choose, and what it is worth for others"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
    answers: dict[str, list[list[np.ndarray]]] = {name: [] for name in (BAND_POWER, *names, NESTED)}
    rows: list[list[Cell]] = []
    order = []
    for number, (train, validation, test) in enumerate(folds(windows), 1):
        order.append(np.flatnonzero(np.isin(windows.subjects, np.unique(test.subjects))))
        fitted = {
            form.name: [readout(train, form, seed=seed) for seed in range(draws if form.drawn else 1)] for form in FORMS
        } | {expected.NAME: [expected.expected(train)]}
        said = {name: [fit.answer(test) for fit in fits] for name, fits in fitted.items()}
        chosen = []
        for seed in range(draws):
            likelihood = {name: fits[min(seed, len(fits) - 1)].likelihood for name, fits in fitted.items()}
            best = max(likelihood, key=likelihood.__getitem__)
            chosen.append(said[best][min(seed, len(said[best]) - 1)])
            rows.append([str(number), str(seed), *likelihood.values(), best])
        for name, given in (said | {BAND_POWER: [band_power(train, validation)(test)], NESTED: chosen}).items():
            answers[name].append(given)
    heads = columns("fold", "draw"), columns(*names, form=".3f"), columns("chosen")
    yield Table(columns=[column for part in heads for column in part], groups=[rows]).markdown()
    back = np.argsort(np.concatenate(order))
    found = {name: np.concatenate([np.stack(one) for one in given], axis=1)[:, back] for name, given in answers.items()}
    yield compare({name: Found(windows, one) for name, one in found.items()}, beside=BAND_POWER).markdown()
