"""What `neurolm tasks` prints, its exit status, and that a wrong use is said with its remedy."""

import json
from pathlib import Path

import pytest

from neurolm.cli import main
from neurolm.tasks.card import all_tasks, load_task


def test_all_cards_are_listed_with_the_stores_that_have_labels(capsys, micro_store: Path) -> None:
    assert main(["tasks", "--store", str(micro_store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.split() and line.split()[0] in all_tasks()}
    assert set(rows) == set(all_tasks())
    assert f"{micro_store}: 8 subjects, 8 recordings, Yes 40, No 40" in rows["workload"]
    assert "no store here" in rows["hmc"] and "subjects 100/25/26" in rows["hmc"]
    assert "as labelled, others 80/20 %" in rows["tuab"] and "trials as labelled" in rows["seed"]


def test_stores_below_a_folder_are_counted_as_json(capsys, micro_store: Path) -> None:
    assert main(["tasks", "list", "events", "hmc", "--below", str(micro_store.parent), "--json"]) == 0
    events, hmc = json.loads(capsys.readouterr().out)
    (fit,) = events["stores"]
    assert fit["store"] == str(micro_store) and fit["subjects"] == 8 and hmc["stores"] == []


@pytest.mark.parametrize("name", sorted(all_tasks()))
def test_a_card_is_shown_with_the_very_prompt(capsys, name: str) -> None:
    assert main(["tasks", "show", name]) == 0
    printed = capsys.readouterr().out
    task = load_task(name)
    assert f"\n  {task.prompt}\n" in printed
    assert all(f"\n  {answer}" in printed for answer in task.answers)
    assert all(question in printed for question in (*task.phrasings, *task.held_out_phrasings))


def test_the_exit_status_says_whether_card_and_store_fit(capsys, micro_store: Path) -> None:
    assert main(["tasks", "check", "workload", "--store", str(micro_store)]) == 0
    assert capsys.readouterr().out.endswith("the card and the store fit\n")
    assert main(["tasks", "check", "hmc", "--store", str(micro_store)]) == 1
    assert "problem: no recording has labels of the task 'hmc'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["show"], "neurolm tasks show: TASK is missing: the name of a task"),
        (["check", "hmc"], "--store is missing"),
        (["check", "hmc", "--split", "1"], "neurolm tasks check takes no --split: it takes --store, --json"),
        (
            ["table"],
            "table: FILES is missing: recordings or folders of them (see neurolm tasks table --help)",
        ),
        (["table", "a.fif", "--events", "go=x"], "--out is missing"),
        (["table", "a.fif", "--events", "go", "--task", "x", "--out", "labels.csv"], "give the label of every event"),
        (["new"], "neurolm tasks new: NAME is missing: the name of the new task (see neurolm tasks new --help)"),
        (["new", "a", "b"], "neurolm tasks new: unrecognized arguments: b (see neurolm tasks new --help)"),
        (["list", "nothing"], "no such task card"),
        (["lst"], "neurolm tasks: 'lst' is none of its actions: did you mean list? Give one of list, show, check, new"),
        (["check", "hmc", "--thread", "1"], "neurolm tasks check takes no --thread: it takes --store, --json"),
    ],
)
def test_wrong_use_is_said_with_its_remedy(capsys, tmp_path: Path, monkeypatch, given: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tasks", *given]) == 2
    assert message in capsys.readouterr().err


def test_a_card_is_never_written_over(capsys, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    assert main(["tasks", "new", "mine", "--out", str(out)]) == 0
    written = out.read_text()
    assert main(["tasks", "new", "mine", "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err and out.read_text() == written


def test_flags_may_stand_before_the_action(capsys, micro_store):
    words = ["check", "workload", "--store", str(micro_store)]
    assert main(["tasks", *words, "--json"]) == 0
    expected = capsys.readouterr().out
    assert main(["tasks", "--json", *words]) == 0
    assert capsys.readouterr().out == expected and json.loads(expected)
