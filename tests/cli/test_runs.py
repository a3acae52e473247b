"""The verb runs: the list, two runs side by side, their curves as a picture."""

import json

import pytest
from matplotlib.image import imread

from neurolm.cli import FAILED, main
from neurolm.core.config import STAGES
from neurolm.report.drawings.training import compared_curves
from neurolm.train.figures.history import LOG, SPEED, read_log, read_rows


def command(capsys, *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def others(tmp_path, micro_run):
    """A copy of the micro run with other settings and no last stage, half of a log, and one that has not begun."""
    half = micro_run.copy(tmp_path / "runs" / "half", without=("instruct", "evaluation.json"))
    content = json.loads((half / "run.json").read_text())
    content["config"]["tokenizer"]["learning_rate"] = 0.5
    (half / "run.json").write_text(json.dumps(content))
    (half / "pretrain" / "config.json").unlink()
    log = half / "pretrain" / LOG
    text = log.read_text()
    log.write_text(text[: len(text) * 2 // 3])
    begun = tmp_path / "runs" / "begun"
    begun.mkdir()
    (begun / "run.json").write_text((micro_run.folder / "run.json").read_text())
    return half, begun


def test_the_list_has_a_line_for_each_run(capsys, monkeypatch, tmp_path, micro_run, others):
    status, out, _ = command(capsys, "runs", tmp_path / "runs", micro_run.folder)
    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines() if "micro" in line}
    whole, half, begun = lines[str(micro_run.folder)], lines[str(others[0])], lines[str(others[1])]
    assert "language tokenizer pretrain instruct" in whole and "instruct score" in whole and "workload 0." in whole
    assert "language tokenizer" in half and "pretrain 4/6" in half and "pretrain eeg_perplexity" in half
    assert "none" in begun
    monkeypatch.chdir(tmp_path)
    status, out, _ = command(capsys, "runs", "--json")
    assert status == 0 and [run["folder"] for run in json.loads(out)] == ["runs/begun", "runs/half"]
    assert json.loads(out)[1]["stages"]["pretrain"]["step"] == 4
    (tmp_path / "empty").mkdir()
    assert command(capsys, "runs", "empty")[1] == "no runs below empty\n"


def test_damage_and_warnings_are_told_below_the_list(capsys, tmp_path, others):
    half, begun = others
    row = {"step": 3, "kind": "warning", "warning": "loss", "message": "pretrain, step 3: the loss explodes"}
    (half / "pretrain" / LOG).write_text(json.dumps(row) + "\n")
    (begun / "run.json").write_text("{")
    status, out, _ = command(capsys, "runs", tmp_path / "runs")
    assert status == 0
    assert f"{half}: pretrain: pretrain, step 3: the loss explodes" in out
    assert f"{begun / 'run.json'}: damaged" in out


def test_two_runs_side_by_side(capsys, tmp_path, micro_run, others):
    picture = tmp_path / "curves.png"
    status, out, _ = command(capsys, "runs", "compare", micro_run.folder, others[0], "--out", picture)
    assert status == 0
    (setting,) = [line.split() for line in out.splitlines() if line.strip().startswith("tokenizer.learning_rate")]
    assert setting == ["tokenizer.learning_rate", "0.003", "0.5"]
    score = min(row["score"] for row in read_log(micro_run.folder / "instruct") if row["kind"] == "validation")
    (line,) = [line.split() for line in out.splitlines() if line.strip().startswith("instruct: score")]
    assert line[2:] == [f"{score:.4g}", "–"]
    assert "pretrain.clip" not in out
    assert imread(picture).std() > 0.05
    status, out, _ = command(capsys, "runs", "compare", micro_run.folder, others[0], others[1], "--json")
    assert status == 0 and json.loads(out)["settings"] == {"tokenizer.learning_rate": [0.003, 0.5, 0.003]}


def test_the_curves_are_those_of_the_logs(micro_run, others):
    """Every figure is drawn with its own steps and values, in the panel of its stage, with a unit."""
    logs = {
        name: {stage: (read_log(folder / stage), read_rows(folder / stage / SPEED)) for stage in STAGES}
        for name, folder in (("whole", micro_run.folder), ("half", others[0]))
    }
    figure = compared_curves(logs)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}
    assert all(axes.get_xlabel() == "step" and axes.get_ylabel() for axes in panels.values())
    text = panels["pretrain: text"]
    training, validation, half, _ = (line.get_xydata().tolist() for line in text.lines)
    rows = logs["whole"]["pretrain"][0]
    assert training == [[r["step"], r["text"]] for r in rows if r["kind"] == "training"]
    assert validation == [[r["step"], r["text"]] for r in rows if r["kind"] == "validation"]
    assert len(half) == 4
    accuracy = panels["instruct: answers, mean over the tasks"].lines[0].get_xydata()
    last = [row for row in logs["whole"]["instruct"][0] if row["kind"] == "validation"][-1]
    both = [value for name, value in last.items() if name.endswith("/balanced_accuracy")]
    assert len(both) == 2 and accuracy[-1].tolist() == [6, pytest.approx(sum(both) / 2)]
    assert {"language: speed", "tokenizer: codebook", "pretrain: next second's codes"} <= set(panels)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "one"], "which runs? Give the folders of two or more"),
        (["compare", "one", "other"], "one: no run here (run.json is missing)"),
        (["nowhere"], "nowhere: no such folder"),
        (["--out", "x.png"], "neurolm runs list takes no --out: it takes --json"),
    ],
)
def test_what_is_wrong_is_said(capsys, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = command(capsys, "runs", *words)
    assert status == FAILED and message in err


def test_runs_without_a_curve_give_no_picture(capsys, tmp_path, others):
    status, _, err = command(capsys, "runs", "compare", others[1], others[1], "--out", tmp_path / "x.png")
    assert status == FAILED and "no step was logged" in err and not (tmp_path / "x.png").exists()
