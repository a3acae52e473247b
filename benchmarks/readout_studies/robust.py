"""Electrodes missing where nobody trained without them, and another gain for each recording"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from readout_studies.folds import folds
from readout_studies.methods import BAND_POWER, PAIRS, SHIPPED, Answer, band_power, readout
from readout_studies.scores import Found, compare
from readout_studies.windows import Described

SHARES = (0.25, 0.5)
SPREAD = 0.4
"""Standard deviation of the logarithm of a recording's gain."""


def report(windows: Described, draws: int) -> Iterator[str]:
    """The same models on the same windows, whole and worse; draws are of what is missing."""

    def asked(draw: int) -> dict[str, Described]:
        rng = np.random.default_rng(draw)
        gone = {f"{share:.0%} of the electrodes missing": windows.missing(share, rng) for share in SHARES}
        return {"as recorded": windows} | gone | {"another gain per recording": windows.amplified(SPREAD, rng)}

    given = [asked(draw) for draw in range(draws)]
    shape = (draws, len(windows.windows), len(windows.task.labels))
    methods = (SHIPPED, PAIRS.name, BAND_POWER)
    found = {(case, method): np.full(shape, np.nan) for case in given[0] for method in methods}
    for train, validation, test in folds(windows):
        place = np.isin(windows.subjects, np.unique(test.subjects))
        fits: dict[str, Answer] = {
            SHIPPED: readout(train).answer, PAIRS.name: readout(train, PAIRS).answer,
            BAND_POWER: band_power(train, validation),
        }  # fmt: skip
        for draw, cases in enumerate(given):
            for case, changed in cases.items():
                for method, answer in fits.items():
                    found[case, method][draw, place] = answer(changed.only(place))
    for case in given[0]:
        yield f"{case}:"
        of = {method: Found(windows, found[case, method]) for method in methods}
        yield compare(of, beside=BAND_POWER).markdown()
