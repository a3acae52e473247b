"""Splits: what the data set says itself holds, the card splits the others, and nobody is on two sides."""

from types import SimpleNamespace
from typing import Any

import pytest

from neurolm.batches.splits import Split, split_folds, split_task
from neurolm.batches.windows import labelled_windows, overlaps, spread, stretches, unlabelled_windows
from neurolm.core.errors import ConfigError, StoreError
from neurolm.store.manifest import SPLITS
from neurolm.store.store import Label, Outline

RATE = 200


def store(*rows: tuple[str, list[Label]], seconds: float = 30.0) -> Any:
    """What splits and windows need to see of a store: per recording its subject and labels."""
    outlines = [
        Outline(f"r{n}", subject, round(seconds * RATE), ("CZ",), tuple(labels))
        for n, (subject, labels) in enumerate(rows)
    ]
    return SimpleNamespace(path="store", outlines=outlines)


def said(split: str | None, start: float = 0.0, stop: float = 30.0, task: str = "t") -> Label:
    return Label(task, "x", start, stop, split)


def official(train: int = 10) -> Any:
    """A corpus with an official test set of two, and one recording of another task."""
    rows = [(f"c/{n:02}", [said(None)]) for n in reversed(range(train))]
    return store(*rows, ("c/a", [said("test")]), ("c/b", [said("test")]), ("c/z", [said(None, task="other")]))


def test_the_data_sets_test_set_is_the_test_set_and_the_card_splits_the_others():
    split = split_task(official(), "t", fractions=(0.8, 0.2, 0.0), given=True)
    assert split == Split(tuple(f"c/{n:02}" for n in range(8)), ("c/08", "c/09"), ("c/a", "c/b"))
    windows = {
        part: labelled_windows(official(), task="t", seconds=10, stride=10, subjects=getattr(split, part))
        for part in SPLITS
    }
    assert {part: len(found) for part, found in windows.items()} == {"train": 24, "validation": 6, "test": 6}


def test_a_data_set_may_say_all_parts():
    rows = [("a", [said("train")]), ("b", [said("validation")]), ("c", [said("test")]), ("d", [said("train")])]
    assert split_task(store(*rows), "t", given=True) == Split(("a", "d"), ("b",), ("c",))
    with pytest.raises(ConfigError, match=r"labels of e do not say .* give fractions for train and validation"):
        split_task(store(*rows, ("e", [said(None)])), "t", given=True)
    mixed = split_task(store(*rows, ("e", [said(None)]), ("f", [said(None)])), "t", fractions=(0.5, 0.5, 0), given=True)
    assert mixed == Split(("a", "d", "e"), ("b", "f"), ("c",))


@pytest.mark.parametrize("other", ["train", "validation", None])
def test_a_subject_on_both_sides_is_refused(other):
    rows = [("c/a", [said("test")]), ("c/b", [said(None)]), ("c/a", [said(other)])]
    with pytest.raises(ConfigError, match=rf"put c/a into several parts of the split \(.*{other}.*a subject must be"):
        split_task(store(*rows), "t", fractions=(0.8, 0.2, 0.0), given=True)


def test_a_split_that_labels_and_card_see_differently_is_refused():
    with pytest.raises(ConfigError, match=r"the labels of task t say .* give rule under \[split\]"):
        split_task(official(), "t", fractions=(0.6, 0.2, 0.2))
    with pytest.raises(ConfigError, match="no label of task t belongs to the test set"):
        split_task(store(("a", [said(None)]), ("b", [said(None)])), "t", fractions=(0.8, 0.2, 0.0), given=True)
    with pytest.raises(ConfigError, match=r"r0: a label of task t has the split 'eval'; it must be one of train, val"):
        split_task(store(("a", [said("eval")])), "t", given=True)
    with pytest.raises(StoreError, match=r"'u'.*other, t"):
        split_task(official(), "u", given=True)


TRIALS = [("train", 0, 10), ("validation", 11, 18), ("test", 19, 29.0025)]


def trials() -> Any:
    """Two subjects with trials in every part."""
    return store(*((s, [said(part, start, stop) for part, start, stop in TRIALS]) for s in ("c/a", "c/b")))


def test_trials_of_one_subject_are_told_apart_by_their_labels():
    split = split_task(trials(), "t", given=True, by_trial=True)
    assert split == Split(("c/a", "c/b"), ("c/a", "c/b"), ("c/a", "c/b"), by_trial=True)
    for part, start, stop in TRIALS:
        windows = labelled_windows(trials(), task="t", seconds=2, stride=2, subjects={"c/a"}, part=part)
        assert {w.recording for w in windows} == {0}
        assert [w.start for w in windows] == list(range(start * RATE, round(stop * RATE) - 399, 400))
        assert {w.span for w in windows} == {(start * RATE, int(stop * RATE))}
    with pytest.raises(ConfigError, match="into several parts of the split"):
        split_task(trials(), "t", given=True)
    with pytest.raises(ConfigError, match="split by trials, but labels of c/c do not say their part"):
        split_task(store(("c/c", [said(None), said("test")])), "t", given=True, by_trial=True)
    rows = [("c/a", [said("train", 0, 10), said("test", 9.5, 20)])]
    with pytest.raises(ConfigError, match=r"for test begins at 9\.5 s, but one for train lasts until 10 s"):
        split_task(store(*rows), "t", given=True, by_trial=True)


def test_unlabelled_windows_pass_over_held_out_trials():
    without = stretches(trials(), task="t", parts=("validation", "test"))
    assert without == {index: [(11 * RATE, 18 * RATE), (19 * RATE, 5801)] for index in (0, 1)}  # 29.0025 s is shared
    windows = unlabelled_windows(trials(), max_patches=8, max_seconds=8, subjects={"c/b"}, without=without)
    assert [(w.start / RATE, w.seconds, w.span) for w in windows] == [(0.0, 8, (0, 2200))]  # 3 s and 1 s are too short
    assert not any(overlaps(w.span, without[w.recording]) for w in windows)
    longer = unlabelled_windows(trials(), max_patches=4, max_seconds=4, without={0: [(0, 6000)], 1: [(900, 1700)]})
    assert [(w.recording, w.start) for w in longer] == [(1, 0), *((1, 1700 + 800 * n) for n in range(5))]


def test_parts_that_touch_do_not_overlap():
    assert not overlaps((0, 100), [(100, 200)]) and not overlaps((200, 300), [(100, 200)])
    assert overlaps((0, 101), [(500, 600), (100, 200)])
    assert not overlaps((0, 1), ())


def test_folds_test_everybody_once():
    people = [f"S{i:02d}" for i in range(10)]
    folds = [split_folds(people[::-1], (number, 4)) for number in range(1, 5)]
    assert sorted(s for fold in folds for s in fold.test) == people
    for fold, following in zip(folds, [*folds[1:], folds[0]], strict=True):
        assert fold.validation == following.test
        assert sorted((*fold.train, *fold.validation, *fold.test)) == people


@pytest.mark.parametrize("fold", [(1, 2), (0, 4), (5, 4), (1, 11)])
def test_folds_that_cannot_be_are_refused(fold):
    with pytest.raises(ConfigError, match=f"fold {fold[0]}/{fold[1]}"):
        split_folds([f"S{i:02d}" for i in range(10)], fold)


def test_windows_are_spread_evenly_with_both_ends():
    assert spread(range(9), 3) == [0, 4, 8]
    assert spread(range(3), 9) == [0, 1, 2]
    assert spread([], 4) == []
