"""Whether a card and a store fit: counts that follow from the labels, and every reason why they do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.store.store import Label, Store
from neurolm.tasks.card import load_task, ranges
from neurolm.tasks.status import check_fit, find_stores
from neurolm.tasks.task import Task


@pytest.fixture
def store_of(tmp_path: Path, write_store):
    """Writes a store of labelled noise: recording → (subject, labels)."""

    def write(recordings: dict[str, tuple[str, list[Label]]], seconds: int = 20) -> Store:
        rng = np.random.default_rng(0)
        return Store(
            write_store(
                tmp_path / "store",
                {
                    name: (subject, ("CZ",), labels, 10 * rng.standard_normal((seconds * 200, 1)))
                    for name, (subject, labels) in recordings.items()
                },
            )
        )

    return write


def workload(**changes) -> Task:
    return replace(load_task("workload"), **changes)


def test_windows_are_counted_per_label_and_part(micro_store: Path) -> None:
    fit = check_fit(load_task("workload"), Store(micro_store))
    assert fit.fits and fit.notes == ()
    assert (fit.recordings, fit.subjects) == (8, 8)
    # 12 s of each label hold 5 windows of 4 s every 2 s; 5 people train, 1 validates, 2 are tested
    assert [(p.part, p.subjects, p.windows) for p in fit.parts] == [
        ("train", 5, {"Yes": 25, "No": 25}),
        ("validation", 1, {"Yes": 5, "No": 5}),
        ("test", 2, {"Yes": 10, "No": 10}),
    ]


def test_a_store_without_labels_of_the_task_names_those_it_has(micro_store: Path) -> None:
    fit = check_fit(load_task("hmc"), Store(micro_store))
    assert (fit.recordings, fit.parts) == (0, ())
    assert fit.problems == (
        "no recording has labels of the task 'hmc': the labels are of events, workload; name the card so",
    )


def test_labels_that_are_not_on_the_card_are_a_problem(store_of) -> None:
    store = store_of({"a": ("a", [Label("workload", "Maybe", 0, 20)])})
    (problem,) = check_fit(workload(), store).problems
    assert problem.startswith("a: task workload has no label 'Maybe'")


def test_all_labels_that_are_not_on_the_card_are_said_with_their_recordings(store_of) -> None:
    names = ["Maybe", "maybe", "Yes", "Maybe", "no"]
    people = {name: (name, [Label("workload", label, 0, 20)]) for name, label in zip("abcde", names, strict=True)}
    (problem,) = check_fit(workload(), store_of(people)).problems
    assert problem == (
        "a and 1 other recording: task workload has no label 'Maybe': its labels are Yes, No; nor 'maybe' (b); nor "
        "'no' (e); correct the labels and prepare again, or add them to the card"
    )


def test_too_few_people_are_a_problem_but_windows_are_counted(store_of) -> None:
    store = store_of({"a": ("a", [Label("workload", "Yes", 0, 10), Label("workload", "No", 10, 20)])})
    fit = check_fit(workload(), store)
    assert [(p.part, p.windows) for p in fit.parts] == [("all", {"Yes": 4, "No": 4})]
    assert "needs as many subjects" in fit.problems[0] and not fit.fits


def test_stretches_shorter_than_a_window_are_told(store_of) -> None:
    people = {name: (name, [Label("workload", "Yes", 0, 3), Label("workload", "No", 3, 20)]) for name in "abc"}
    fit = check_fit(workload(), store_of(people))
    assert fit.notes[:1] == ("3 of 6 labelled stretches are shorter than the window of 4 s and unused",)
    assert fit.problems == ("no training window of 'Yes', which cannot be learned: add some, or take its option out",)


def test_a_part_without_windows_is_a_problem_and_a_class_missing_in_it_a_note(store_of) -> None:
    both = [Label("workload", "Yes", 0, 10), Label("workload", "No", 10, 20)]
    fit = check_fit(workload(), store_of({"a": ("a", both), "b": ("b", both[:1]), "c": ("c", both)}))
    assert fit.fits
    assert fit.notes == ("no validation window of No: its figures say nothing of them",)
    fit = check_fit(
        workload(), store_of({"a": ("a", both), "b": ("b", [Label("workload", "No", 0, 2)]), "c": ("c", both)})
    )
    assert fit.problems == ("no window of 4 s in validation: add recordings, or change the card's seconds or [split]",)


def test_trials_are_counted_where_the_labels_put_them(store_of) -> None:
    labels = [Label("workload", "Yes", 0, 10, "train"), Label("workload", "No", 10, 16, "test")]
    fit = check_fit(
        workload(split_fractions=None, split_rule="by trial", split_by_trial=True), store_of({"a": ("a", labels)})
    )
    assert [p.windows for p in fit.parts] == [{"Yes": 4, "No": 0}, {"Yes": 0, "No": 0}, {"Yes": 0, "No": 2}]


def test_stores_are_found_below_a_folder(tmp_path: Path, micro_store: Path, write_store) -> None:
    for place in ("here", "a/b/store", "a/b/c/d/too-deep"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "manifest.jsonl").touch()
    assert find_stores(tmp_path) == [tmp_path / "a/b/store", tmp_path / "here"]
    assert find_stores(micro_store) == [micro_store]


def test_numbers_are_counted_by_range(store_of) -> None:
    people = {str(age): (str(age), [Label("workload", f"{age}.5", 0, 20)]) for age in (21, 22, 33, 34, 38)}
    bins = (20.0, 30.0, 40.0)
    fit = check_fit(workload(bins=bins, options=ranges(bins), seconds=10, stride=10), store_of(people))
    assert fit.fits
    assert [p.windows for p in fit.parts] == [
        {"20 to 30": 4, "30 to 40": 2},
        {"20 to 30": 0, "30 to 40": 2},
        {"20 to 30": 0, "30 to 40": 2},
    ]


def test_a_label_in_other_capitals_is_asked_about(store_of) -> None:
    store = store_of({"a": ("a", [Label("workload", "no", 0, 20)])})
    (problem,) = check_fit(workload(), store).problems
    assert "task workload has no label 'no': did you mean No? Its labels are Yes, No" in problem


def test_one_recording_under_two_people_is_a_problem(tmp_path, write_store) -> None:
    """Within a corpus always; between two corpora where one side of a split has one copy and not the other."""

    def fit(one: str, other: str) -> tuple[str, ...]:
        rng = np.random.default_rng(0)
        labels = [Label("workload", "Yes", 0, 10), Label("workload", "No", 10, 20)]
        signals = {f"a/{n}": (f"a/{n}", rng.standard_normal((4000, 1))) for n in range(8)}
        copy = signals[one][1]
        recordings = {name: (person, ("CZ",), labels, signal) for name, (person, signal) in signals.items()}
        recordings[other] = (other, ("CZ",), (), copy)
        folder = tmp_path / f"{one}{other}".replace("/", "")
        return check_fit(workload(), Store(write_store(folder, recordings))).problems

    assert fit("a/1", "b/x") == ()  # both are learned from
    (within,), (between,) = fit("a/1", "a/x"), fit("a/7", "b/x")
    assert within.startswith("a/1 of a/1 and a/x of a/x are the same recording under two people")
    assert between.startswith("a/7 of a/7 and b/x of b/x are the same recording under two people")
    assert f"neurolm overlap {tmp_path / 'a7bx'} lists what neurolm prepare --exclude takes" in between


def test_many_copies_are_counted(tmp_path, write_store) -> None:
    labels, signal = [Label("workload", "Yes", 0, 20)], 10 * np.random.default_rng(0).standard_normal((4000, 1))
    store = write_store(tmp_path / "store", {f"a/{n}": (f"a/{n}", ("CZ",), labels, signal) for n in range(9)})
    problems = [
        text for text in check_fit(workload(), Store(store)).problems if "same recording" in text or "so are" in text
    ]
    assert len(problems) == 4 and problems[-1] == "so are 5 more pairs of recordings"


def test_people_who_may_be_one_are_noted(store_of) -> None:
    labels = [Label("workload", "Yes", 0, 10), Label("workload", "No", 10, 20)]
    store = store_of({str(n): (f"c/{one}", labels) for n, one in enumerate(("S01", "s01", "S2", "S3"))})
    assert check_fit(workload(), store).notes == (
        "subjects c/S01 and c/s01 count as 2 people: give them one name if they are one",
    )
