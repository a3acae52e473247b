"""People with other electrodes in one task, and electrodes that go with the label"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from neurolm.ask import spectra
from readout_studies.folds import folds
from readout_studies.methods import readout
from readout_studies.scores import Found, compare
from readout_studies.windows import Described


def seen(windows: Described, there: np.ndarray) -> Described:
    """The same windows with some of their electrodes: bool (windows, electrodes)."""
    return replace(windows, features=np.where(spectra.present(there), windows.features, np.nan))


def report(windows: Described, draws: int) -> Iterator[str]:
    """Learn from people of three montages, or of one montage for each label; answer them, and others."""
    assert len(windows.task.labels) == 2, "two labels have a montage each"
    every = np.arange(windows.electrodes)
    few = np.isin(every, every[::2][:8])
    person = np.unique(windows.subjects, return_inverse=True)[1]
    thirds = np.stack([np.ones_like(few), few, ~few])
    mixed = seen(windows, thirds[person % 3])
    yield f"people in turn with {len(every)}, {few.sum()} and the {(~few).sum()} other electrodes:"
    yield _asked(windows, {"as recorded": windows}, "everybody has all")
    yield _asked(mixed, {"as learned": mixed, "everybody has all": windows}, "three montages")
    by_label = np.stack([np.ones_like(few), few])
    one, other = (seen(windows, by_label[labels]) for labels in (windows.labels, 1 - windows.labels))
    yield f"all electrodes with {windows.task.labels[0]}, {few.sum()} with {windows.task.labels[1]}:"
    asked = {"as learned": one, "everybody has all": windows, "the other way round": other}
    yield _asked(one, asked, "a montage for each label")
    yield "the same, with labels that say nothing: swapped for half of the people, and montages with them"
    found = []
    for draw in range(draws):
        turned = (np.random.default_rng(draw).random(person.max() + 1) < 0.5)[person]
        swapped = windows.labelled(np.where(turned, 1 - windows.labels, windows.labels))
        given = seen(swapped, by_label[swapped.labels])
        found.append((given.labels, _answers(given, {"": given})[""]))
    labels, answers = (np.stack(part) for part in zip(*found, strict=True))
    yield compare({"a montage for each label": Found(windows, answers, labels)}).markdown()


def _answers(learned: Described, asked: Mapping[str, Described]) -> dict[str, np.ndarray]:
    """Answers of everybody by what was learned from others."""
    found = {name: np.full((len(learned.windows), len(learned.task.labels)), np.nan) for name in asked}
    for train, _, test in folds(learned):
        place = np.isin(learned.subjects, np.unique(test.subjects))
        answer = readout(train).answer
        for name, windows in asked.items():
            found[name][place] = answer(windows.only(place))
    return found


def _asked(learned: Described, asked: Mapping[str, Described], what: str) -> str:
    answers = _answers(learned, asked)
    found = {name: Found(windows, answers[name][None]) for name, windows in asked.items()}
    return compare(found, what=f"learned: {what}; asked").markdown()
