"""Training from the command line: asked to stop it saves, and says so by its exit status; --resume goes on."""

import json
import os
import signal
from pathlib import Path

import pytest

import neurolm
from neurolm.cli import FAILED, INTERRUPTED, PREEMPTED, main
from neurolm.evaluation.results import RESULTS
from neurolm.train.figures.history import LOG
from neurolm.train.instruct import InstructStage

WEIGHTS = "instruct/model.safetensors"
LOGGED = ("--log-to", "tensorboard")


def command(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def folders(tmp_path_factory, micro_run) -> dict[str, Path]:
    """An uninterrupted run, and one that has not begun its last stage."""
    out = tmp_path_factory.mktemp("runs")
    copies = {name: micro_run.copy(out / name, without=("instruct", RESULTS)) for name in ("whole", "parts")}
    assert command("train", "instruct", "--store", micro_run.store, "--out", copies["whole"], "--threads", 1) == 0
    return copies


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, PREEMPTED), (signal.SIGINT, INTERRUPTED)])
def test_a_stopped_stage_is_resumed_by_its_folder_alone(
    capsys, monkeypatch, tmp_path, folders, micro_run, number, status
):
    folder = tmp_path / "parts"
    folder.mkdir()
    for path in folders["parts"].iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "run.json").unlink()
    (folder / "run.json").write_bytes((folders["parts"] / "run.json").read_bytes())
    real = InstructStage.after_step
    steps = []

    def stop(self):
        steps.append(1)
        if len(steps) == 3:
            os.kill(os.getpid(), number)
        return real(self)

    monkeypatch.setattr(InstructStage, "after_step", stop)
    monkeypatch.chdir(tmp_path)
    assert command("train", "instruct", "--store", micro_run.store, "--out", "parts", "--threads", 1, *LOGGED) == status
    assert "instruct: asked to stop, and saved after step 3 of 6; the same command goes on" in capsys.readouterr().err
    monkeypatch.undo()
    assert command("train", "--resume", folder, "--threads", 1, "--workers", 2) == 0
    assert (folder / WEIGHTS).read_bytes() == (folders["whole"] / WEIGHTS).read_bytes()
    assert (folder / "instruct" / LOG).read_bytes() == (folders["whole"] / "instruct" / LOG).read_bytes()
    written = (folder / "instruct" / "tensorboard" / "training").glob("events*")
    assert sorted(path.suffix for path in written) == [".0", ".3"]  # the resumed run logs there as well


def test_resuming_what_was_never_begun_says_so(capsys, tmp_path, micro_run):
    assert command("train", "--resume", tmp_path) == FAILED
    assert "no training was begun there" in capsys.readouterr().err
    settings = tmp_path / "run" / "run.json"
    settings.parent.mkdir()
    settings.write_bytes((micro_run.folder / "run.json").read_bytes())
    for damaged in ("{", "[3]"):
        (settings.parent / "command.json").write_text(damaged)
        assert command("train", "--resume", settings.parent) == FAILED
        assert "command.json: damaged" in capsys.readouterr().err
    assert command("train", "--out", tmp_path) == FAILED
    assert "which stage?" in capsys.readouterr().err


def test_a_fold_is_kept_by_later_stages(capsys, tmp_path, micro_run):
    out = tmp_path / "run"
    given = ["--store", micro_run.store, "--out", out, "--recipe", "tiny", "--threads", 1]
    assert command("train", "language", *given, "--fold", "2") == FAILED
    assert "--fold 2: give which fold tests and how many there are, as in 1/6" in capsys.readouterr().err
    short = ["--language.steps", 1, "--tokenizer.steps", 1]
    assert command("train", "language", *given, *short, "--tasks", "workload", "--fold", "2/3") == 0
    assert command("train", "tokenizer", *given, *short) == 0
    assert json.loads((out / "run.json").read_text())["fold"] == [2, 3]
    assert command("train", "pretrain", *given, *short, "--fold", "1/3") == FAILED
    assert "another fold" in capsys.readouterr().err


def test_a_card_of_ones_own_is_found_by_later_stages_from_anywhere(capsys, monkeypatch, tmp_path, micro_run):
    shipped = (Path(neurolm.__file__).parent / "tasks" / "cards" / "workload.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(shipped.replace("high workload", "much work"), encoding="utf-8")
    given = ["--store", micro_run.store, "--out", tmp_path / "run", "--threads", 1]
    short = ["--recipe", "tiny", "--language.steps", 1, "--tokenizer.steps", 1, "--pretrain.steps", 1]
    monkeypatch.chdir(tmp_path)
    assert command("train", "language", *given, *short, "--tasks", "mine.toml") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command("train", "tokenizer", *given) == 0
    assert command("train", "--resume", tmp_path / "run") == 0
    assert "tokenizer: this stage is finished" in capsys.readouterr().err
    kept = json.loads((tmp_path / "run" / "command.json").read_text())
    assert (kept["stage"], kept["tasks"]) == ("tokenizer", str(tmp_path / "mine.toml"))


def test_a_sink_that_is_missing_or_unknown_is_told_before_anything_starts(capsys, tmp_path, micro_run):
    given = ["train", "language", "--store", micro_run.store, "--out", tmp_path / "run"]
    assert command(*given, "--log-to", "tensorboard,mlflow") == FAILED
    assert "--log-to mlflow: unknown: choose one of tensorboard, wandb, trackio" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("stage", "first"), [("tokenizer", "language"), ("pretrain", "language")])
def test_a_stage_before_its_time_leaves_nothing_behind(capsys, tmp_path, micro_run, stage, first):
    assert command("train", stage, "--store", micro_run.store, "--out", tmp_path / "run") == FAILED
    assert f"the {first} stage is not finished; run `neurolm train {first}` first" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_settings_of_later_stages_are_said_to_be_fixed_by_the_first(capsys, tmp_path, micro_run):
    given = ["--store", micro_run.store, "--out", tmp_path / "run", "--threads", 1]
    assert command("train", "language", *given, "--recipe", "tiny", "--language.steps", 1) == 0
    assert command("train", "tokenizer", *given, "--tokenizer.steps", 1) == FAILED
    message = capsys.readouterr().err
    assert "config.tokenizer.steps 1200 then, 1 now" in message
    assert "the first stage fixes the settings of all: leave them out later, or give the same one" in message
