"""`neurolm evaluate`: what is chosen on the command line reaches the evaluation, and what is written where."""

import shutil
from dataclasses import replace

import pytest

from neurolm.cli import FAILED, main
from neurolm.evaluation.results import RESULTS, load_evaluation, save_evaluation


@pytest.fixture
def command(capsys, tmp_path, micro_run):
    """Evaluates a copy of the run; gives the exit status, what it printed and the copy's folder."""
    folder = shutil.copytree(micro_run.folder, tmp_path / "run")

    def run(*words: object) -> tuple[int, str, str]:
        status = main(["evaluate", *map(str, words), "--store", str(micro_run.store), "--threads", "1"])
        return status, *capsys.readouterr()

    run.folder = folder
    return run


def test_the_model_may_be_named_without_its_flag(command, micro_run):
    one = command(command.folder, "--baselines", "band-power,majority", "--out", command.folder / "one.json")
    other = command("--model", command.folder, "--baselines", "band-power,majority", "--out", command.folder / "two")
    assert one[0] == other[0] == 0
    assert (command.folder / "one.json").read_bytes() == (command.folder / "two").read_bytes()
    assert (command.folder / "one.json").read_bytes() == (micro_run.folder / RESULTS).read_bytes()
    assert "band power" in one[1] and "majority" in one[1] and "ShallowConvNet" not in one[1]


def test_part_of_an_evaluation_does_not_take_the_place_of_the_whole(command):
    whole = (command.folder / RESULTS).read_bytes()
    status, out, _ = command(command.folder, "--tasks", "events", "--baselines", "none", "--robustness")
    assert status == 0
    assert "balanced accuracy of disturbed windows" in out and "shorter windows" in out
    assert out.splitlines()[-1].endswith(f"events-{RESULTS}")
    (result,) = load_evaluation(command.folder / f"events-{RESULTS}").results
    assert (result.task, result.baselines, len(result.robustness)) == ("events", (), 10)
    assert (command.folder / RESULTS).read_bytes() == whole


def test_the_authors_protocol_is_printed_beside_ours_in_80_columns(command):
    status, out, _ = command(command.folder, "--baselines", "none", "--protocol", "official")
    assert status == 0
    _, _, beside = out.partition("how answers are read")
    assert "its hard" in beside and "parse failures" in beside and "…" not in beside
    assert max(map(len, beside.splitlines()[:-1])) <= 80


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--baselines", "svm"), "unknown baseline 'svm'"),
        (("--tasks", "sleep"), "was not tuned on the task 'sleep'"),
        (("--wording", "none"), "--wording"),
    ],
)
def test_what_there_is_not_is_refused(command, words, expected):
    status, _, error = command(command.folder, *words)
    assert status == FAILED
    assert expected in error


def test_several_runs_are_evaluated_and_joined(command, capsys, tmp_path):
    other = shutil.copytree(command.folder, tmp_path / "other")
    status, out, _ = command(command.folder, other, "--tasks", "workload", "--baselines", "majority")
    assert status == 0
    assert "workload, 2 seeds (0, 0): 2 test subjects" in out and "neurolm less" in out
    for name in ("workload-joined-evaluation.json", "workload-joined-evaluation.html"):
        assert str(tmp_path / name) in out and (tmp_path / name).is_file()
    assert (other / f"workload-{RESULTS}").read_bytes() == (command.folder / f"workload-{RESULTS}").read_bytes()
    again = (tmp_path / "workload-joined-evaluation.json").read_bytes()
    assert main(["evaluate", str(command.folder), str(other), "--tasks", "workload"]) == 0  # as evaluated before
    assert (tmp_path / "workload-joined-evaluation.json").read_bytes() == again
    assert main(["evaluate", str(command.folder), str(other), "--tasks", "events"]) == FAILED
    assert f"events-{RESULTS}: no such file: give --store" in capsys.readouterr().err


def test_a_run_is_no_second_seed_of_itself(capsys, micro_run, tmp_path):
    run = micro_run.copy(tmp_path / "run")
    for again in (run, run / "instruct"):
        assert main(["evaluate", str(run), str(again)]) == FAILED
        assert "give two or more runs, each once" in capsys.readouterr().err
    assert not list(tmp_path.glob("joined*"))


def test_what_was_fitted_stays_as_long_as_the_answers_are_the_same(command):
    path = command.folder / RESULTS
    assert command(command.folder, "--tasks", "all", "--baselines", "majority,tangent-space", "--robustness")[0] == 0
    first = load_evaluation(path)
    names = [baseline.name for baseline in first.results[0].baselines]
    assert names == ["majority", "band power", "tangent space"] and first.results[0].robustness
    status, out, _ = command(command.folder, "--baselines", "none", "--protocol", "official")
    assert status == 0 and "tangent space" in out
    second = load_evaluation(path)
    assert second.results[0].official is not None
    for one, other in zip(first.results, second.results, strict=True):
        assert (one.baselines, one.robustness, one.baseline) == (other.baselines, other.robustness, other.baseline)


def test_the_results_of_another_model_are_not_kept(command):
    path = command.folder / RESULTS
    before = load_evaluation(path)
    (result, *others) = before.results
    flipped = tuple(row[::-1] for row in result.predictions.probabilities)
    changed = replace(result, predictions=replace(result.predictions, probabilities=flipped))
    save_evaluation(path, replace(before, results=(changed, *others)))
    assert command(command.folder, "--baselines", "majority")[0] == 0
    found = {task.task: [b.name for b in task.baselines] for task in load_evaluation(path).results}
    assert found == {result.task: ["majority"], others[0].task: ["majority", "band power"]}
    path.write_text("{")  # damaged: written anew
    assert command(command.folder, "--baselines", "none")[0] == 0
    assert load_evaluation(path).results[0].baselines == ()
