"""Where nothing is to be found, and what besides the task tells two recordings of a person apart"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from neurolm.core.table import Cell, Table, columns
from readout_studies.folds import out_of_fold
from readout_studies.methods import BAND_POWER, GAPS, OWN, SHIPPED, Answer, Form, band_power, readout
from readout_studies.scores import Found, compare
from readout_studies.windows import Described, match_electrodes, match_window

SLOW, FAST = (0, 1, 2, 3), (4, 5, 6)
"""Bands below and above 13 Hz."""


def _readout(train: Described, validation: Described, form: Form = GAPS, seed: int = 0) -> Answer:
    return readout(train, form, seed=seed).answer


def swapped(windows: Described, draws: int) -> Iterator[str]:
    """Labels swapped for a random half of the people: what is left is what the method makes of chance."""
    assert len(windows.task.labels) == 2, "labels are swapped where there are two"
    people, number = np.unique(windows.subjects, return_inverse=True)
    labels, found = [], {SHIPPED: [], BAND_POWER: []}
    for draw in range(draws):
        turned = np.random.default_rng(draw).random(len(people)) < 0.5
        changed = windows.labelled(np.where(turned[number], 1 - windows.labels, windows.labels))
        labels.append(changed.labels)
        found[SHIPPED].append(out_of_fold(changed, partial(_readout, seed=draw)))
        found[BAND_POWER].append(out_of_fold(changed, band_power))
    yield compare({n: Found(windows, np.stack(p), np.stack(labels)) for n, p in found.items()}).markdown()


def halves(windows: Described, draws: int) -> Iterator[str]:
    """Learn from one half of each recording's time, and answer the same and the other half of other people's."""
    del draws  # nothing is drawn here but the electrodes left out, once
    half = windows.halves()
    parts = [windows.only(half == number) for number in (0, 1)]
    names, rows = ("first", "second"), []
    for method, fit in ((SHIPPED, _readout), (BAND_POWER, band_power)):
        for one, train in enumerate(parts):
            for other, asked in enumerate(parts):
                found = Found(asked, out_of_fold(train, fit, asked)[None])
                row: list[Cell] = [method, names[one], names[other]]
                rows.append([*row, *(float(found.each(n)[0]) for n in ("balanced_accuracy", "auroc", "ece"))])
    heads = columns("answers of", "learned from", "asked about")
    figures = columns("balanced accuracy", "AUROC", "calibration error", form=".3f")
    yield Table(columns=[*heads, *figures], groups=[rows]).markdown()
    timed = windows.only(half >= 0).labelled(half[half >= 0])
    yield "Which half of its recording a window is from, learned from other people:"
    found = {
        n: Found(timed, out_of_fold(timed, fit)[None]) for n, fit in ((SHIPPED, _readout), (BAND_POWER, band_power))
    }
    yield compare(found).markdown()


def amplitudes(windows: Described, draws: int) -> Iterator[str]:
    """What is left when amplitudes are matched, and what amplitudes say by themselves."""
    del draws
    level, relative = (Described.of(windows.store, windows.task, change) for change in (match_window, match_electrodes))
    own = partial(_readout, form=OWN)
    cases = {
        "as recorded": (windows, _readout),
        "each window brought to the same power": (level, _readout),
        "each electrode of each window brought to the same power": (relative, _readout),
        "the same, without pairs: relative power alone": (relative, own),
        "the power of each electrode, 1–45 Hz, and nothing else": (windows.amplitudes(), own),
        "1–13 Hz alone": (windows.banded(SLOW), _readout),
        "13–45 Hz alone": (windows.banded(FAST), _readout),
        f"{BAND_POWER}: as recorded": (windows, band_power),
        f"{BAND_POWER}: each window brought to the same power": (level, band_power),
        f"{BAND_POWER}: relative power alone": (relative, band_power),
    }
    found = {name: Found(windows, out_of_fold(given, fit)[None]) for name, (given, fit) in cases.items()}
    yield compare(found, beside="as recorded", what="what is seen").markdown()
