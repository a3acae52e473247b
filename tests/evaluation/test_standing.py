"""How far the model is from the best baseline, and whether that may be chance."""

import re
from dataclasses import replace

import numpy as np
import pytest

from neurolm.evaluation.joined import join
from neurolm.evaluation.results import EVIDENCE_ALONE, BaselineResult, Evaluation, Predictions, TaskResult, scored
from neurolm.evaluation.standing import joined_standing, standing
from neurolm.report import results_table
from neurolm.report.tables import answers_table
from neurolm.tasks.metrics import score

PEOPLE, WINDOWS = 12, 20
LABELS = np.tile([0, 1], PEOPLE * WINDOWS // 2)
SUBJECTS = tuple(f"s{person:02}" for person in range(PEOPLE) for _ in range(WINDOWS))


def answers(share: np.ndarray | float, seed: int = 0) -> np.ndarray:
    """Answers of which this share is right, in each person (people,) or in all."""
    shares = np.broadcast_to(share, PEOPLE)
    right = np.concatenate([np.arange(WINDOWS) < round(s * WINDOWS) for s in shares])
    order = np.random.default_rng(seed).permuted(np.arange(len(LABELS)).reshape(PEOPLE, -1), axis=1).ravel()
    given = np.where(right[np.argsort(order)], LABELS, 1 - LABELS)
    return np.where(np.eye(2)[given], 0.8, 0.2)


def result(ours: np.ndarray, **others: np.ndarray | None) -> TaskResult:
    predictions = Predictions(
        labels=tuple(LABELS.tolist()), probabilities=tuple(map(tuple, ours.tolist())), subjects=SUBJECTS,
        recordings=SUBJECTS, starts=tuple(float(n) for n in range(len(LABELS))),
    )  # fmt: skip
    scores, intervals = scored(LABELS, ours, SUBJECTS, options=2)
    baselines = tuple(
        BaselineResult(name=name, missing="no")
        if given is None
        else BaselineResult(name=name, scores=score(LABELS, given, options=2), probabilities=tuple(map(tuple, given)))
        for name, given in others.items()
    )
    return TaskResult(
        task="t", question="?", options=("Yes", "No"), subjects=PEOPLE, scores=scores,
        interval=intervals.balanced_accuracy, baseline=None, chance=0.5, predictions=predictions, baselines=baselines,
        intervals=intervals,
    )  # fmt: skip


def test_a_difference_that_all_people_share_is_significant_however_much_they_differ() -> None:
    people = np.linspace(0.3, 0.9, PEOPLE)
    found = standing(result(answers(people + 0.1), weak=answers(0.5), strong=answers(people, 1), absent=None))
    assert (found.baseline, found.significant) == ("strong", True)
    assert found.accuracy == pytest.approx(np.mean(np.round(people * WINDOWS) / WINDOWS), abs=0.02)
    assert found.difference == pytest.approx(0.1, abs=0.02)
    assert 0 < found.interval.low < found.difference < found.interval.high
    assert str(found).endswith("significantly ahead") and "not" not in str(found)
    behind = standing(result(answers(people), strong=answers(people + 0.1, 1)))
    assert behind.difference == pytest.approx(-0.1, abs=0.02) and str(behind).endswith("], significantly behind")


def test_a_difference_of_few_people_may_be_chance() -> None:
    up = np.full(PEOPLE, 0.7)
    up[:2] = 0.9, 0.6
    found = standing(result(answers(0.7), strong=answers(up, 1)))
    assert found.difference < 0 < found.interval.high
    pattern = (
        r"best baseline strong 0\.\d{3}; neurolm less strong -0\.\d{3} \[-0\.\d{3}, \+0\.\d{3}\], not significantly"
    )
    assert re.fullmatch(pattern + " behind", str(found))


def test_the_parts_of_the_models_own_answers_are_no_baselines() -> None:
    own = {EVIDENCE_ALONE: answers(0.95)}
    assert standing(result(answers(0.7), **own)) is None
    assert standing(result(answers(0.7), **own, other=answers(0.6))).baseline == "other"


def test_without_answers_or_with_one_person_there_is_no_interval() -> None:
    found = result(answers(0.7), other=answers(0.6))
    bare = replace(found, baselines=(replace(found.baselines[0], probabilities=()),))
    alone = replace(found, predictions=replace(found.predictions, subjects=("s00",) * len(SUBJECTS)))
    for one in (bare, alone):
        assert standing(one).interval is None
        assert str(standing(one)) == "best baseline other 0.600; neurolm less other +0.100"
    assert standing(replace(found, baselines=())) is None


def test_tables_have_the_best_first_and_say_where_the_model_stands() -> None:
    found = result(answers(0.7), weak=answers(0.6), absent=None, strong=answers(0.8))
    shown = results_table(Evaluation(split="test", recipe="tiny", seed=0, results=(found,)))
    assert [row[1] for row in shown.groups[0]] == ["strong", "neurolm", "weak", "absent", "guessing"]
    assert shown.lead == "neurolm"
    assert shown.notes == [f"t: {standing(found)}", "t: absent was not fitted: no"]


def test_of_joined_seeds_it_is_the_difference_of_their_means() -> None:
    others = {"weak": answers(0.6), "strong": answers(0.8)}
    seeds = [result(answers(share, 5), **others) for share in (0.7, 0.75)]
    runs = [Evaluation(split="test", recipe="tiny", seed=n, results=(one,)) for n, one in enumerate(seeds)]
    joined = join([("a", runs[0]), ("b", runs[1])])
    found = joined_standing(joined.tasks[0])
    assert (found.baseline, found.significant) == ("strong", True)
    assert found.difference == pytest.approx(0.725 - 0.8)
    shown = answers_table(joined, joined.tasks[0])
    assert [row[0] for row in shown.groups[0]] == ["strong", "neurolm", "weak", "guessing"]
    assert shown.notes == [str(found)]


def test_a_table_says_where_the_people_tested_had_trained() -> None:
    strangers = result(answers(0.8), strong=answers(0.6, 1))
    said = "says nothing about other people"
    for found, says in ((strangers, False), (replace(strangers, by_trial=True), True)):
        table = results_table(Evaluation(split="test", recipe="tiny", seed=0, results=(found,)))
        assert any(said in note for note in table.notes) == says
