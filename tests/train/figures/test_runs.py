"""What is read of runs from their folders: finished, half done, damaged."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from neurolm.core.config import to_json
from neurolm.core.errors import ConfigError
from neurolm.train.figures.history import LOG, SPEED, read_log, read_rows
from neurolm.train.figures.runs import different_settings, find_runs, side_by_side, summarise


@pytest.fixture
def run(tmp_path, micro_config):
    """Makes a run by hand: its configuration, and rows of some stages; the last is not finished."""

    def make(name, config=micro_config, stages=("language", "tokenizer"), done=1, steps=4):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        content = {"config": json.loads(to_json(config)), "tasks": ["sleep"], "store": "5f3a", "threads": 1}
        (folder / "run.json").write_text(json.dumps(content))
        for place, stage in enumerate(stages):
            (folder / stage).mkdir()
            rows = [{"step": s, "kind": "training", "loss": 3.0 - s / 10, "lr": 0.1} for s in range(steps)]
            rows.insert(2, {"step": 2, "kind": "validation", "score": 1.0, "text": 2.5, "broken": float("nan")})
            rows.insert(4, {"step": 3, "kind": "validation", "score": 1.5, "text": 2.0})
            (folder / stage / LOG).write_text("".join(json.dumps(row) + "\n" for row in rows))
            (folder / stage / SPEED).write_text('{"step": 3, "steps": 6, "tokens_per_second": 50.0}\n')
            if place < done:
                (folder / stage / "config.json").write_text('{"steps": 4}')
        return folder

    return make


def test_how_far_a_run_is(run):
    folder = run("mine")
    found = summarise(folder)
    assert (found.recipe, found.done, found.problems) == ("micro", ("language",), ())
    stage = found.under_way
    assert stage is not None and (stage.stage, stage.step, stage.steps) == ("tokenizer", 4, 6)
    assert stage.training["loss"] == pytest.approx(2.7)
    assert stage.validation == {"step": 3, "score": 1.5, "text": 2.0}
    assert stage.kept == {"step": 2, "score": 1.0, "text": 2.5}  # of the lowest score; NaN is left out
    assert stage.speed["tokens_per_second"] == 50
    language = found.stages[0]
    assert (language.step, language.steps, language.done) == (4, 4, True)


def test_a_real_run_is_read_as_it_is(micro_run):
    found = summarise(micro_run.folder)
    assert found.done == ("language", "tokenizer", "pretrain", "instruct") and found.under_way is None
    assert found.problems == ()
    assert [(stage.step, stage.steps) for stage in found.stages] == [(6, 6)] * 4
    results = json.loads((micro_run.folder / "evaluation.json").read_text())["results"]
    assert found.evaluation == {r["task"]: r["scores"]["balanced_accuracy"] for r in results}
    assert found.stages[3].kept["score"] == min(
        row["score"] for row in read_log(micro_run.folder / "instruct") if row["kind"] == "validation"
    )
    assert found.changed.timestamp() == pytest.approx((micro_run.folder / "evaluation.json").stat().st_mtime, abs=5)


@pytest.mark.parametrize("damage", ["run.json", "language/config.json", "evaluation.json", f"tokenizer/{LOG}"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]", b'"text"', b"[" * 100_000])
def test_damaged_runs_are_listed_with_what_is_damaged(run, damage, content):
    folder = run("mine")
    (folder / damage).write_bytes(content)
    found = summarise(folder)
    expected = 0 if damage.endswith(LOG) and not content else 1
    assert len(found.problems) == expected and all(str(folder / damage) in text for text in found.problems)
    assert len(found.stages) == 2


def test_rows_that_were_cut_off_or_are_none_are_left_out(tmp_path):
    path = tmp_path / LOG
    path.write_bytes(b'{"step": 1, "kind": "training"}\n\n3\n{"step": "x"}\n{"step": true}\n\xff\n{"step": 2, "ki')
    assert read_rows(path) == [{"step": 1, "kind": "training"}]
    assert read_rows(tmp_path / "none") == []


def test_of_one_kind_the_last_row_alone_may_be_read(tmp_path):
    path = tmp_path / LOG
    rows = [{"step": s, "kind": "training" if s % 3 else "validation"} for s in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 8, "kind": "training", "lo')
    found = read_rows(path, last_of="training")
    assert [row["step"] for row in found] == [0, 3, 6, 7]
    assert read_rows(path) == rows


def test_runs_are_found_below_folders_but_not_in_their_own_stages(run, tmp_path):
    outer, inner, other = run("a/demo"), run("a/demo/seed-1"), run("b/c/d")
    shutil.copy(outer / "run.json", outer / "tokenizer" / "run.json")
    (tmp_path / ".hidden").mkdir()
    shutil.copy(outer / "run.json", tmp_path / ".hidden" / "run.json")
    assert find_runs([tmp_path]) == [outer, inner, other]
    assert find_runs([outer, inner]) == [outer, inner]
    with pytest.raises(ConfigError, match=r"nowhere: no such folder"):
        find_runs([tmp_path / "nowhere"])


def test_runs_behind_symbolic_links_are_found_once_and_circles_end(run, tmp_path):
    elsewhere, here = run("elsewhere/one"), run("runs/two")
    (tmp_path / "runs" / "linked").symlink_to(elsewhere)
    (tmp_path / "runs" / "a_latest").symlink_to(here)
    (tmp_path / "runs" / "circle").symlink_to(tmp_path / "runs")
    assert find_runs([tmp_path / "runs"]) == [tmp_path / "runs" / "linked", here]
    (tmp_path / "top").symlink_to(tmp_path / "runs")
    assert len(find_runs([tmp_path / "top"])) == 2


def test_what_differs_between_runs_and_what_they_reached(run, micro_config):
    changed = replace(micro_config, pretrain=replace(micro_config.pretrain, clip=2.0))
    one, other = run("one"), run("other", config=changed, stages=("language",), done=0, steps=3)
    assert different_settings([one, other]) == {"pretrain.clip": [1.0, 2.0]}
    figures = side_by_side([summarise(one), summarise(other)])
    assert figures["language: steps"] == [4, 3] and figures["tokenizer: text"] == [2.5, None]
    assert figures["language: tokens_per_second"] == [50, 50]


def test_listing_runs_needs_no_torch(run, tmp_path):
    run("mine")
    code = (
        "import sys; from neurolm.cli import main\n"
        f"assert main(['runs', {str(tmp_path)!r}]) == 0\n"
        "assert not {'torch', 'mne', 'sklearn', 'matplotlib'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout and "tokenizer 4/6" in done.stdout
