"""The authors' protocol: the word they read, what becomes of the others, and both ways to score it."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics

from neurolm.core.errors import ConfigError
from neurolm.evaluation.official_protocol import UNPARSED, answer_place, answer_words, parse, score_hard
from neurolm.tasks.card import load_task
from neurolm.tasks.task import Option

RESULT_IDX = {"tuab": 7, "tuev": 34, "seed": 11, "hmc": 22, "eegmat": 9, "tusl": 17}
"""Of the official ``train_instruction.py``."""


@pytest.mark.parametrize("name", RESULT_IDX)
def test_reads_the_word_that_the_official_script_reads(name: str) -> None:
    task = load_task(name)
    assert answer_place(task) == RESULT_IDX[name]
    for index, answer in enumerate(task.answers):
        assert parse(task, answer.removesuffix("<|endoftext|>"), ended=True) == index


@pytest.mark.parametrize(
    ("name", "written", "ended", "expected"),
    [
        ("eegmat", " Yes, it", False, UNPARSED),
        ("eegmat", " Yes", True, UNPARSED),  # "Yes<|endoftext|>" is one word in the official script
        ("eegmat", " No and", False, 1),
        ("eegmat", "", True, UNPARSED),
        ("eegmat", "No", False, UNPARSED),  # "Answer:No"
        ("hmc", "B) N", False, 1),
        ("hmc", "B", False, UNPARSED),
        ("hmc", "B)REM", False, 1),  # only the first three characters count
        ("hmc", "Z) ", False, UNPARSED),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(name: str, written: str, ended: bool, expected: int) -> None:
    assert parse(load_task(name), written, ended=ended) == expected


def test_options_that_begin_alike_are_refused() -> None:
    task = load_task("eegmat")
    same = tuple(Option(label=w, text=w) for w in ("eyes open", "eyes closed"))
    with pytest.raises(ConfigError, match="eyes, eyes"):
        answer_words(dataclasses.replace(task, options=same))


def test_failures_of_two_options_are_wrong_and_rank_between() -> None:
    labels, answers = [0, 0, 0, 1, 1], [0, 1, UNPARSED, 1, UNPARSED]
    found = score_hard(labels, answers, options=2)
    assert (found.n, found.parse_failures, found.answers) == (5, 2, tuple(answers))
    assert found.scores.accuracy == 2 / 5
    assert found.scores.balanced_accuracy == pytest.approx((1 / 3 + 1 / 2) / 2)
    # As the official script: its labels are 1 = Yes, 0 = No, a failure is -1, and positive means at least .5.
    truth, given = np.array([1, 1, 1, 0, 0]), np.array([1, 0, -1, 0, -1])
    assert found.as_published.auroc == metrics.roc_auc_score(truth, given)
    assert found.as_published.auc_pr == metrics.average_precision_score(truth, given)
    assert found.as_published.accuracy == metrics.accuracy_score(truth, given >= 0.5)
    assert found.as_published.balanced_accuracy == metrics.balanced_accuracy_score(truth, given >= 0.5)
    assert found.scores.auroc == metrics.roc_auc_score(truth, [1, 0, 0.5, 0, 0.5])
    undecided = score_hard([0, 0, 0, 1, 1], [0, 0, UNPARSED, 1, 1], options=2)
    assert (undecided.scores.auroc, undecided.as_published.auroc) == (1.0, pytest.approx(2 / 3))


def test_failures_of_several_options_are_never_a_class() -> None:
    labels, answers = [0, 1, 2, 2], [0, 1, UNPARSED, UNPARSED]
    found = score_hard(labels, answers, options=3)
    assert found.as_published.balanced_accuracy == 1.0  # the fault: both failures count as the last class
    assert found.scores.balanced_accuracy == pytest.approx(2 / 3)
    assert found.scores.weighted_f1 == pytest.approx(0.5)
    assert found.scores.auroc is None
    assert found.as_published.kappa == metrics.cohen_kappa_score(labels, np.array(answers) % 3)


def test_without_failures_both_ways_agree() -> None:
    found = score_hard([0, 1, 1, 0], [0, 1, 0, 1], options=2)
    assert found.scores == found.as_published
