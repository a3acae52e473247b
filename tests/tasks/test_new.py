"""Cards that are written are cards that can be read, and say what their table says."""

from pathlib import Path

import pytest

from neurolm.core.errors import ConfigError
from neurolm.tasks.card import load_task
from neurolm.tasks.new import new_card
from neurolm.tasks.task import Task

HEADER = "file,start,stop,task,label,subject,split\n"


def made(tmp_path: Path, lines: list[str], **asked) -> Task:
    """The task of a card that was made from a table."""
    table = tmp_path / "labels.csv"
    table.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(new_card("mine", table=table, **asked), encoding="utf-8")
    return load_task(path)


def test_without_a_table_the_card_is_an_example(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(new_card("mine", question="Is it?", seconds=3, stride=1.5), encoding="utf-8")
    task = load_task(path)
    assert (task.name, task.question, task.labels, task.seconds, task.stride) == (
        "mine",
        "Is it?",
        ("Yes", "No"),
        3,
        1.5,
    )
    assert task.metrics == ("balanced_accuracy", "auroc", "auc_pr", "ece")
    assert path.read_text().count("# ") > 8


def test_many_labels_get_letters_and_the_shortest_stretch_the_window(tmp_path: Path) -> None:
    task = made(
        tmp_path, ["a,0,5.5,mine,walk,p,", 'a,6,20,mine,"sit, still.",p,', "b,,,mine,rest,q,", "b,0,1,other,x,q,"]
    )
    assert task.labels == ("sit, still.", "walk", "rest")
    assert [o.letter for o in task.options] == ["A", "B", "C"]
    assert task.options[0].text == "sit, still"
    assert (task.seconds, task.stride, task.split_fractions) == (5, 5, (0.6, 0.2, 0.2))


def test_of_two_labels_the_negative_one_comes_second(tmp_path: Path) -> None:
    task = made(tmp_path, ["a,0,30,mine,rest,p,", "a,30,60,mine,Tremor,p,"])
    assert [(o.text, o.label, o.letter) for o in task.options] == [("Yes", "Tremor", None), ("No", "rest", None)]
    assert task.seconds == 10
    assert task.question == "Does this EEG segment show Tremor?"


@pytest.mark.parametrize("labels", [("20 Hz", "30 Hz"), ("left", "right"), ("7", "12"), ("eyes closed", "eyes open")])
def test_two_labels_of_a_kind_are_not_called_yes_and_no(tmp_path: Path, labels: tuple[str, str]) -> None:
    task = made(tmp_path, [f"a,0,30,mine,{labels[1]},p,", f"a,30,60,mine,{labels[0]},p,"])
    assert [(o.text, o.label) for o in task.options] == [(label, label) for label in labels]
    assert task.question == f"Which of these does this EEG segment show, {labels[0]} or {labels[1]}?"
    assert "auroc" in task.metrics  # the first is the positive one


def test_recordings_labelled_as_a_whole_leave_the_window_open(tmp_path: Path) -> None:
    assert made(tmp_path, ["a,,,mine,Yes,p,", "b,,,mine,No,q,"]).seconds == 10


@pytest.mark.parametrize(
    ("parts", "rule", "by_trial", "fractions"),
    [
        (("train", "validation", "test", "train"), True, True, None),  # a trains and is tested
        (("train", "test", "train", "test"), True, False, None),
        (("", "test", "", "test"), True, False, (0.8, 0.2, 0.0)),
        (("", "", "", ""), False, False, (0.6, 0.2, 0.2)),
    ],
)
def test_the_split_is_that_of_the_table(tmp_path: Path, parts, rule, by_trial, fractions) -> None:
    lines = [
        f"{'ab'[n % 2]},{n},{n + 1},mine,{label},{'ab'[n % 2]},{parts[n]}"
        for n, label in enumerate(("x", "y", "y", "x"))
    ]
    task = made(tmp_path, lines)
    assert (task.split_rule is not None, task.split_by_trial, task.split_fractions) == (rule, by_trial, fractions)


def test_measurements_become_ranges(tmp_path: Path) -> None:
    task = made(tmp_path, [f"{n},,,mine,{20.5 + n},p{n}," for n in range(40)])
    assert task.bins is not None and (task.bins[0], task.bins[-1], len(task.options)) == (20.0, 60.0, 4)
    counts = [0] * 4
    for n in range(40):
        counts[task.index(str(20.5 + n))] += 1
    assert counts == [10] * 4
    few = made(tmp_path, [f"{n},,,mine,{n % 5},p{n}," for n in range(40)])
    assert few.bins is None and few.labels == ("1", "2", "3", "4", "0")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,0,1,other,x,p,"], r"no labels of the task 'mine'; its labels are of other: name the card so"),
        (["a,0,1,mine,Yes,p,", "a,1,2,mine,YES,p,"], r"the labels 'YES' and 'Yes' of task mine differ in capitals"),
        (["a,0,1,mine,x,p,"], r"the only label of task mine is 'x'; a question needs two answers"),
        ([f"a,{n},{n + 1},mine,l{n},p," for n in range(27)], r"27 labels of task mine, and a question has at most 26"),
    ],
)
def test_tables_that_make_no_question_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(tmp_path, lines)
