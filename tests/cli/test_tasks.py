"""What `neurolm tasks` prints, its exit status, and that a wrong use is said with its remedy."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.batches.windows import labelled_windows
from neurolm.cli import main
from neurolm.cli.tasks import events
from neurolm.core.errors import ConfigError
from neurolm.store.store import Store
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


@pytest.fixture
def trials_folder(tmp_path: Path, write_edf) -> Path:
    """Three recordings of two people: one with events that come quickly, two without; and what is none."""
    rng = np.random.default_rng(0)
    codes = np.zeros(4000)
    for number, place in enumerate(range(100, 3800, 60)):  # every 0.6 s
        codes[place : place + 5] = 2 if number % 4 == 0 else 1
    info = mne.create_info(["Cz", "Pz", "STI"], 100, ["eeg", "eeg", "stim"])
    raw = mne.io.RawArray(np.vstack([2e-5 * rng.standard_normal((2, 4000)), codes]), info, verbose="error")
    (tmp_path / "anna").mkdir()
    raw.save(tmp_path / "anna" / "oddball_raw.fif", verbose="error")
    write_edf(tmp_path / "anna" / "EO.edf", seed=1)
    write_edf(tmp_path / "ben" / "EC.edf", seed=2)
    (tmp_path / "ben" / "bad.edf").write_bytes(b"rubbish" * 99)
    return tmp_path


def test_events_are_listed_and_what_has_none_is_named(capsys, trials_folder: Path) -> None:
    assert main(["tasks", "table", str(trials_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["46", "1"], ["16", "2"]]
    assert lines[2].startswith("note: passed over: ") and "bad.edf: not an EDF or BDF file" in lines[2]
    assert "note: no events in 2 of 3 files: EO.edf, EC.edf" in lines
    assert lines[-1].startswith("next: the same with --events EVENT=LABEL")
    assert main(["tasks", "table", str(trials_folder / "ben" / "EC.edf")]) == 0
    assert "--from-path EXPRESSION" in capsys.readouterr().out.splitlines()[-1]
    (trials_folder / "empty").mkdir()
    given = [str(trials_folder / name) for name in ("empty", "anna/oddball_raw.fif", "none.edf")]
    assert main(["tasks", "table", *given]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: passed over: ")]
    assert [Path(note.split()[3].rstrip(":")).name for note in notes] == ["empty", "none.edf"]
    assert main(["tasks", "table", str(trials_folder / "ben" / "bad.edf")]) == 2
    assert "not an EDF or BDF file" in capsys.readouterr().err


def test_quick_events_go_all_the_way_to_windows(capsys, trials_folder: Path) -> None:
    """Every stretch of half a second becomes a window of the model, whose shortest is a second."""
    table, store, card = (trials_folder / name for name in ("labels.csv", "store", "oddball.toml"))
    given = ["--events", "1=standard,2=target", "--from", "0", "--to", "0.5", "--task", "oddball", "--out", str(table)]
    assert main(["tasks", "table", str(trials_folder), *given]) == 0
    said = capsys.readouterr().out
    assert f"{table}: 62 stretches in 1 recording" in said
    assert "note: none of these events in 2 of 3 files: EO.edf, EC.edf" in said
    assert "note: 62 stretches shorter than 1 s, the shortest window, were extended to it" in said
    assert "note: 61 stretches begin before the last one has ended" in said
    assert main(["prepare", str(trials_folder), "--out", str(store), "--jobs", "1"]) == 0
    assert main(["tasks", "new", "oddball", "--table", str(table), "--out", str(card)]) == 0
    task = load_task(card)
    assert (task.seconds, task.stride) == (1, 1.0)
    windows = labelled_windows(Store(store), task="oddball", seconds=1, stride=1.0)
    assert Counter(window.label for window in windows) == {"standard": 46, "target": 16}
    assert [window.start for window in windows[:3]] == [200, 320, 440]


def test_labels_come_from_the_names_of_files(capsys, trials_folder: Path) -> None:
    table = trials_folder / "labels.csv"
    assert main(["tasks", "table", str(trials_folder), "--from-path", r"(EO|EC)\.edf"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["1", "EO"], ["1", "EC"]]
    assert "note: no label in the path in 1 of 3 files: oddball_raw.fif" in lines
    given = ["--from-path", r"(EO|EC)\.edf", "--events", "EO=open,EC=closed", "--task", "eyes", "--out", str(table)]
    assert main(["tasks", "table", str(trials_folder), *given]) == 0
    assert table.read_text().splitlines() == [
        "file,start,stop,task,label,subject,split",
        "anna/EO.edf,,,eyes,open,anna,",
        "ben/EC.edf,,,eyes,closed,ben,",
    ]


def test_names_of_events_may_have_commas() -> None:
    assert events("a, b=x,c=y") == {"a, b": "x", "c": "y"}
    for wrong in ("", "a", "a=x,b", "=x"):
        with pytest.raises(ConfigError, match="give the label of every event"):
            events(wrong)


@pytest.mark.parametrize("how", [["--from-path", "_(O|C)"], ["--events", "1=a", "--to", "1"]])
def test_what_no_table_can_name_and_what_is_no_file_is_named_and_passed_over(capsys, trials_folder, how) -> None:
    """One name of Latin-1, from an old disk, costs neither the table nor the other recordings; nor does a pipe."""
    odd = Path(os.fsdecode(os.fsencode(trials_folder) + b"/bad\xff_O.fif"))
    shutil.copy(trials_folder / "anna" / "oddball_raw.fif", odd)
    for name in ("good_O.fif", "good_C.fif"):
        shutil.copy(trials_folder / "anna" / "oddball_raw.fif", trials_folder / name)
    os.mkfifo(trials_folder / "pipe_O.edf")
    (trials_folder / "round_O.edf").symlink_to("round_O.edf")
    out = trials_folder / "labels.csv"
    assert main(["tasks", "table", str(trials_folder), *how, "--task", "t", "--out", str(out)]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert any("bad\\xff_O.fif: its name is not in UTF-8" in note for note in notes)
    assert any(note.endswith("pipes, sockets and devices, passed over: pipe_O.edf") for note in notes)
    assert any(note.endswith("links that lead in a circle, passed over: round_O.edf") for note in notes)
    files = {line.split(",")[0] for line in out.read_text().splitlines()[1:]}
    assert {"good_O.fif", "good_C.fif"} <= files and not any("bad" in file for file in files)
