"""The whole demo as a process of its own, killed in every part and started again: the same bytes in the end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from edfio import Edf, EdfSignal
from rich.console import Console

from neurolm.ask.answer import Answer
from neurolm.core.config import STAGES, to_json
from neurolm.core.decode import load_json
from neurolm.core.errors import ConfigError
from neurolm.demo import ANSWER, REPORT, demo
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.train.loop import SPEED

SUBJECTS = 36  # as many as EEGMAT has, whose split its card gives in numbers
SERVER = """
import importlib, json, os, signal, sys
import mne, sklearn.linear_model, sklearn.metrics, sklearn.pipeline, sklearn.preprocessing
import neurolm.cli.command, neurolm.demo, neurolm.report.drawings.style
from neurolm.cli import main

def killing(function, calls):
    left = iter(range(calls - 1))
    def wrapped(*args, **kwargs):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapped

for line in sys.stdin:
    arguments, kill, log = json.loads(line)
    child = os.fork()
    if child == 0:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1), os.dup2(file, 2)
        for place, calls in kill:
            module, name = place.split(":")
            module = importlib.import_module(module)
            setattr(module, name, killing(getattr(module, name), calls))
        status = main(arguments)
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Imports once; then runs every command in a process forked for it, which may kill itself at a call of a function."""


class Commands:
    """Runs the command line in processes of their own."""

    def __init__(self, log: Path) -> None:
        self.log = log
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, *arguments: object, kill: list[tuple[str, int]] | None = None) -> int:
        """Exit status of a command, negative where a signal ended it."""
        assert self.server.stdin is not None and self.server.stdout is not None
        self.server.stdin.write(json.dumps([[str(a) for a in arguments], kill or [], str(self.log)]) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def stop(self) -> None:
        """End the server."""
        self.server.communicate(timeout=250)


@pytest.fixture(scope="module")
def eegmat(tmp_path_factory, rhythm):
    """Recordings of the layout and the number of EEGMAT's, but of three channels and six seconds."""
    folder = tmp_path_factory.mktemp("demo") / "eegmat"
    folder.mkdir()
    for subject in range(SUBJECTS):
        for number, label in (("1", "No"), ("2", "Yes")):
            signal = rhythm(label, 6, 3, (subject, int(number)))
            signals = [
                EdfSignal(column, 200, label=f"EEG {name}", physical_dimension="uV")
                for column, name in zip(signal.T, ("Fz", "C3", "O1"), strict=True)
            ]
            Edf(signals, data_record_duration=1).write(folder / f"Subject{subject:02}_{number}.edf")
    return folder


@pytest.fixture(scope="module")
def command(eegmat, tmp_path_factory, micro_config, micro_texts):
    """What is given to ``neurolm``, but for the folder."""
    folder = tmp_path_factory.mktemp("demo")
    config = replace(micro_config, recipe="tiny", instruct=replace(micro_config.instruct, evidence=True))
    (folder / "settings.yaml").write_text(to_json(config))  # JSON is YAML too
    for number, text in enumerate(micro_texts):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return ("demo", "--corpus", "eegmat", "--data", eegmat, "--config", folder / "settings.yaml", "--text", folder,
            "--jobs", 1, "--device", "cpu")  # fmt: skip


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    server = Commands(tmp_path_factory.mktemp("demo") / "log.txt")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, commands, command):
    """The folder of a demo that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "demo"
    assert commands.run(*command, "--out", folder) == 0, commands.log.read_text()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, without the date that a report is given, and how long training took."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name != SPEED]
    files = {str(p.relative_to(folder)): p.read_bytes() for p in paths}
    return {name: re.sub(rb"\d{4}-\d\d-\d\d", b"", b) if name == REPORT else b for name, b in files.items()}


def test_killed_in_every_part_and_started_again_it_ends_the_same(tmp_path, commands, command, whole):
    parts = tmp_path / "demo"
    step = "neurolm.train.loop:TrainingProgress"  # made once a step; saves are at steps 2 and 4 of 6
    kills = [
        ([("neurolm.prepare.worker:preprocess_blocks", 40)], []),
        ([(step, 4)], []),
        ([(step, 4 + 5)], ["language"]),
        ([(step, 2 + 1)], ["language", "tokenizer"]),  # before the first save
        ([("neurolm.checkpoint:write_text", 1)], ["language", "tokenizer"]),  # weights written, card not
        ([(step, 2 + 6)], ["language", "tokenizer", "pretrain"]),  # after the last step
        ([("neurolm.checkpoint:write_text", 2)], list(STAGES)),  # arrays of the evidence written, their facts not
        ([("neurolm.evaluation.evaluate:fit_baselines", 1)], list(STAGES)),
    ]
    for kill, finished in kills:
        status = commands.run(*command, "--out", parts, kill=kill)
        assert status == -signal.SIGKILL, commands.log.read_text()
        assert [stage for stage in STAGES if (parts / stage / "config.json").exists()] == finished, kill
        assert not (parts / REPORT).exists()
    assert commands.run(*command, "--out", parts) == 0, commands.log.read_text()
    left, right = contents(whole), contents(parts)
    assert sorted(left) == sorted(right)
    assert left[RESULTS] == right[RESULTS]
    differing = [name for name in left if left[name] != right[name] and not name.endswith(".lock")]
    assert differing == []
    assert {"instruct/evidence.json", "instruct/evidence.safetensors", "instruct/calibration.json"} <= set(left)
    # Given once more, nothing changes.
    assert commands.run(*command, "--out", parts) == 0, commands.log.read_text()
    assert contents(parts) == right


def test_the_answer_is_what_the_evaluation_says_about_the_same_windows(whole, eegmat):
    evaluation, answer = load_evaluation(whole / RESULTS), load_json(Answer, whole / ANSWER)
    (result,) = evaluation.results
    assert (result.task, result.subjects, result.scores.n) == ("eegmat", 5, 5 * 2 * 2)
    assert answer.recording == str(eegmat / "Subject35_2.edf")
    last = [n for n, name in enumerate(result.predictions.recordings) if name.endswith("Subject35_2.edf")]
    assert [result.predictions.starts[n] for n in last] == [window.start for window in answer.timeline] == [0, 2]
    for n, window in zip(last, answer.timeline, strict=True):
        # A store keeps tenths of a microvolt, so not to the last bit.
        assert window.probabilities == pytest.approx(result.predictions.probabilities[n], abs=1e-3)


def test_several_seeds_share_the_store_and_the_split(tmp_path, commands, command, whole):
    out = shutil.copytree(whole, tmp_path / "demo")
    assert commands.run(*command, "--out", out, "--seeds", "0,4") == 0, commands.log.read_text()
    assert "over 2 seeds: mean ± SD" in commands.log.read_text()
    one, two = load_evaluation(out / RESULTS), load_evaluation(out / "seed-4" / RESULTS)
    assert (one.seed, two.seed) == (0, 4)
    assert one.results[0].predictions.subjects == two.results[0].predictions.subjects
    assert one.results[0].predictions.probabilities != two.results[0].predictions.probabilities
    assert one.results[0].baseline == two.results[0].baseline
    assert not (out / "seed-4" / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corpus": "tuab"}, "corpus='tuab': choose one of simulated, eegmat"),
        ({"corpus": "eegmat"}, "needs the folder of its recordings: give data='DIR'"),
    ],
)
def test_a_corpus_that_is_not_there_is_refused_before_any_work(tmp_path, micro_config, arguments, message):
    with pytest.raises(ConfigError, match=message):
        demo(tmp_path / "out", config=micro_config, console=Console(quiet=True), **arguments)
    assert not (tmp_path / "out").exists()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(out: Path, micro_config, message: str, **arguments) -> None:
    """A demo that must not begin, and leave everything as it is."""
    before = tree(out)
    with pytest.raises(ConfigError, match=message):
        demo(out, config=micro_config, console=Console(quiet=True), jobs=1, device="cpu", **arguments)
    assert tree(out) == before


def test_the_demo_of_another_corpus_is_left_alone(tmp_path, micro_config, eegmat, whole):
    out = tmp_path / "out"
    (out / "corpus").mkdir(parents=True)  # as soon as the simulated one has begun
    refused(out, micro_config, "holds a demo of another corpus, simulated; choose another --out", corpus="eegmat",
            data=eegmat)  # fmt: skip
    refused(whole, micro_config, "holds a demo of another corpus, eegmat")


def test_other_recordings_are_refused_before_they_take_the_place_of_those_that_were_learned(
    tmp_path, micro_config, eegmat, whole
):
    some = tmp_path / "some"
    some.mkdir()
    for path in sorted(eegmat.iterdir()):
        name = path.name.replace("Subject00", "Subject36")
        (some / name).symlink_to(path)
    message = r"other recordings \(eegmat/Subject00_1.edf is not in .*some, nor are 1 others\); give their folder"
    refused(whole, micro_config, message, corpus="eegmat", data=some)


def test_too_few_people_are_refused_before_anything_is_prepared_and_folds_take_them(tmp_path, micro_config, eegmat):
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(eegmat.iterdir())[:20]:
        (few / path.name).symlink_to(path)
    message = r"few: the split 26/5/5 is for 36 subjects, but there are 10; add .* by folds \(fold=\)"
    refused(tmp_path / "out", micro_config, message, corpus="eegmat", data=few)
    refused(tmp_path / "out", micro_config, "fold 1/11: there are only 10", corpus="eegmat", data=few, fold=(1, 11))
    (found,) = demo(tmp_path / "out", corpus="eegmat", data=few, config=micro_config, fold=(1, 5), jobs=1, device="cpu",
                    console=Console(quiet=True))  # fmt: skip
    (result,) = found.results
    assert (result.fold, set(result.predictions.subjects)) == ((1, 5), {"eegmat/Subject00", "eegmat/Subject01"})
