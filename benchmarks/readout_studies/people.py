"""How answers get better with the number of people to learn from"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from joblib import Parallel, delayed

from neurolm.batches.splits import split_folds
from neurolm.batches.windows import spread
from neurolm.core.table import Cell, Table, columns
from neurolm.train.calibrate import MOST_WINDOWS
from readout_studies.folds import FOLDS
from readout_studies.methods import BAND_POWER, SHIPPED, Answer, band_power_alone, readout
from readout_studies.scores import Found
from readout_studies.windows import Described

TESTED = 20
"""People that are set aside where there are enough of them; else folds are tested."""


def report(windows: Described, draws: int, sizes: Sequence[int]) -> Iterator[str]:
    """Learn from so many people, drawn several times, and answer others, who are the same for every number."""
    rows: list[list[Cell]] = []
    every = iter(Parallel()(delayed(_answers)(windows, size, draw) for size in sizes for draw in range(draws)))
    for size in sizes:
        of = [next(every) for _ in range(draws)]
        found = {name: [answers[name] for _, answers in of] for name in (SHIPPED, BAND_POWER)}
        asked = of[0][0]
        for name, given in found.items():
            one = Found(asked, np.stack(given))
            spans = one.resampled()["balanced_accuracy"]
            accuracy = one.each("balanced_accuracy")
            rows.append([str(size), name, accuracy.mean(), accuracy.std(ddof=1) if draws > 1 else None,
                         *np.percentile(spans, [2.5, 97.5]).tolist(),
                         *(one.each(n).mean() for n in ("auroc", "ece", "log_likelihood"))])  # fmt: skip
    heads = ("balanced accuracy", "SD over draws", "95 % from", "to", "AUROC", "calibration error", "log-likelihood")
    table = Table(columns=[*columns("people", "answers of"), *columns(*heads, form=".3f")], groups=[rows])
    yield f"Task {windows.task.name}:"
    yield table.markdown()


def _answers(windows: Described, size: int, draw: int) -> tuple[Described, dict[str, np.ndarray]]:
    """Windows of the people that are tested, and what is said of them by what so many others show."""
    people = np.unique(windows.subjects).tolist()
    rng = np.random.default_rng([size, draw])
    if len(people) > 2 * TESTED:
        parts = [(people[:-TESTED], people[-TESTED:])]
    else:
        tested = [split_folds(people, (number, FOLDS)).test for number in range(1, FOLDS + 1)]
        parts = [([p for p in people if p not in test], list(test)) for test in tested]
    asked = windows.people([p for _, test in parts for p in test])
    found = {name: np.full((len(asked.windows), len(windows.task.labels)), np.nan) for name in (SHIPPED, BAND_POWER)}
    for known, test in parts:
        if size > len(known):
            raise SystemExit(f"{size} people to learn from, but only {len(known)} are not tested: give fewer --sizes")
        train = windows.people(rng.choice(known, size, replace=False).tolist())
        train = train.only(np.array(spread(range(len(train.windows)), MOST_WINDOWS)))
        fits: dict[str, Answer] = {SHIPPED: readout(train, seed=draw).answer, BAND_POWER: band_power_alone(train)}
        place = np.isin(asked.subjects, test)
        for name, answer in fits.items():
            found[name][place] = answer(asked.only(place))
    return asked, found
