"""What goes wrong for users, on the command line: status 2 and one message with the file, the finding, the remedy.

Nothing is written half: what was there before is there after, byte for byte, and nothing else.
"""

import json
import os
import re
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
from edfio import Edf, EdfSignal

from neurolm.checkpoint import CONFIG, WEIGHTS, load_card
from neurolm.cli import FAILED, main
from neurolm.core.config import to_json
from neurolm.core.errors import NeuroLMError

QUESTION = "Is this EEG segment of high workload?"
BROKEN = {
    "empty.edf": r"the file is empty \(0 bytes\); copy or download it again",
    "header_only.edf": r"(again|export)",
    "newline_corrupted.edf": r"(again|binary)",
    "noise.edf": r"(again|not an? EDF)",
    "truncated.edf": r"(again|whole)",
}
"""The files of formats/broken and the remedy that is to be said."""
WRONG_UNITS = ("fif/ssvep_subject03_raw.fif", "gdf/ssvep_subject03.gdf")


@pytest.fixture(autouse=True)
def _restore_warnings_and_environment(monkeypatch):
    monkeypatch.setenv("MNE_LOGGING_LEVEL", os.environ.get("MNE_LOGGING_LEVEL", "ERROR"))
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", os.environ.get("TOKENIZERS_PARALLELISM", "false"))
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    with warnings.catch_warnings():
        yield


@pytest.fixture
def refused(capsys, tmp_path):
    """Runs a command that must fail; returns its one message, after comparing what lies in ``tmp_path``."""

    def run(*words) -> str:
        before = tree(tmp_path)
        assert main([str(word) for word in words]) == FAILED
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        progress, *messages = re.split(r"^neurolm: error: ", err, flags=re.MULTILINE)
        assert len(messages) == 1 and "rror" not in progress, err
        assert tree(tmp_path) == before
        return messages[0].strip()

    return run


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def write_edf(path, channels, *, seconds=8, scale=30.0):
    rng = np.random.default_rng(0)
    signals = [
        EdfSignal(scale * rng.standard_normal(seconds * 200), 200, label=name, physical_dimension="uV")
        for name in channels
    ]
    Edf(signals, data_record_duration=1).write(path)
    return path


# --- recordings ---


def test_the_broken_files_are_those_tested(shared):
    assert {p.name for p in (shared / "eeg" / "formats" / "broken").iterdir()} == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(refused, shared, micro_run, name):
    file = shared / "eeg" / "formats" / "broken" / name
    message = refused("ask", file, QUESTION, "--model", micro_run.folder)
    assert message.startswith(f"{file}: ")
    assert re.search(BROKEN[name], message), message


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_of_broken_files_becomes_no_store(refused, shared, tmp_path, name):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(shared / "eeg" / "formats" / "broken" / name, data / name)
    message = refused("prepare", data, "--out", tmp_path / "store", "--jobs", 1)
    assert str(data) in message and name in message
    assert re.search(BROKEN[name], message), message


def test_a_missing_file(refused, tmp_path, micro_run):
    message = refused("ask", tmp_path / "none.edf", QUESTION, "--model", micro_run.folder)
    assert message == f"{tmp_path / 'none.edf'}: no such file; give the path of a recording"
    (tmp_path / "link.edf").symlink_to("../.git/annex/objects/xx/yy/MD5E-s1--ab.edf/MD5E-s1--ab.edf")
    message = refused("ask", tmp_path / "link.edf", QUESTION, "--model", micro_run.folder)
    assert "link.edf: a link to a file that is not there" in message and "datalad get 'link.edf'" in message
    assert "none: no such folder" in refused("prepare", tmp_path / "none", "--out", tmp_path / "store")


def test_a_folder_without_recordings(refused, tmp_path, micro_run):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("nothing here")
    message = refused("prepare", tmp_path / "data", "--out", tmp_path / "store")
    assert message.startswith(f"{tmp_path / 'data'}: no EEG recordings in this folder; give the folder that holds")
    message = refused("ask", tmp_path / "data", QUESTION, "--model", micro_run.folder)
    assert message.startswith(f"{tmp_path / 'data'}: no EEG recordings in this folder; it holds 1 .txt (")


def test_a_file_that_is_no_recording(refused, tmp_path, micro_run):
    (tmp_path / "notes.txt").write_text("nothing here")
    message = refused("ask", tmp_path / "notes.txt", QUESTION, "--model", micro_run.folder)
    assert "no reader for the suffix '.txt'; those that open: .edf" in message


def test_unknown_electrodes(refused, capsys, tmp_path, micro_run):
    file = write_edf(tmp_path / "a.edf", ("EEG C3", "EEG XQ7"))
    message = refused("ask", file, QUESTION, "--model", micro_run.folder, "--unknown", "error")
    assert message.startswith(f"{file}: ") and "XQ7" in message and "drop" in message
    (tmp_path / "data").mkdir()
    file.rename(tmp_path / "data" / "a.edf")
    message = refused("prepare", tmp_path / "data", "--out", tmp_path / "store", "--jobs", 1)
    assert "XQ7" in message and "drop" in message
    # The remedy works.
    assert main(["prepare", str(tmp_path / "data"), "--out", str(tmp_path / "store"), "--unknown", "drop"]) == 0
    assert main(["ask", str(tmp_path / "data" / "a.edf"), QUESTION, "--model", str(micro_run.folder)]) == 0
    assert "XQ7" in capsys.readouterr().out


def test_electrodes_without_eeg(refused, tmp_path, micro_run):
    file = write_edf(tmp_path / "a.edf", ("ECG", "EMG chin"))
    message = refused("ask", file, QUESTION, "--model", micro_run.folder)
    assert message.startswith(f"{file}: no EEG electrode among its 2 channels") and "ECG" in message


@pytest.mark.parametrize("name", WRONG_UNITS)
def test_wrong_units_are_refused_and_the_remedy_works(refused, capsys, shared, micro_run, name):
    """The same recording, whose FIF reads about 1000 times too large and whose GDF about 1000 times too small."""
    file = shared / "eeg" / "formats" / name
    message = refused("ask", file, QUESTION, "--model", micro_run.folder)
    assert message.startswith(f"{file}: ") and "µV; scalp EEG lies between 0.5 and 500 µV" in message
    unit = re.search(r"open it with --unit (\w+)", message)
    assert unit, message
    assert main(["ask", str(file), QUESTION, "--model", str(micro_run.folder), "--unit", unit[1], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answer"] in ("Yes", "No") and len(found["timeline"]) > 100


# --- checkpoints ---


@pytest.fixture
def recording(tmp_path):
    return write_edf(tmp_path / "a.edf", ("C3", "O1"))


@pytest.mark.parametrize("verb", ["ask", "evaluate"])
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            "recipe",
            r"model\.safetensors: does not fit this recipe: .*codebook is \(16, 4\), not \(32, 4\).*Use the rec",
        ),
        ("weights", r"model\.safetensors: cannot be read .*copy or train the checkpoint again"),
        ("no weights", r"model\.safetensors: cannot be read .*copy or train the checkpoint again"),
        ("card", r"config\.json: not valid JSON .*give the folder of a stage"),
        ("text", r"tokenizer\.json: not a tokenizer .*train or download it again"),
        ("version", r"config\.json: format 99, this version reads 1: use neurolm"),
        ("stage", r"made by stage 'pretrain', but 'instruct' is needed here: give that folder"),
        ("unfinished", r"no (complete checkpoint|instruction-tuned model) here.*(train|finish)"),
        ("nothing", r"(no such folder|no complete checkpoint here).*give"),
    ],
)
def test_checkpoints_that_cannot_answer(refused, tmp_path, micro_run, recording, verb, damage, expected):
    folder = micro_run.copy(tmp_path / "run")
    instruct = folder / "instruct"
    card = load_card(instruct)
    given = folder
    if damage == "recipe":
        model = replace(card.run.model, tokenizer=replace(card.run.model.tokenizer, codes=32))
        (instruct / CONFIG).write_text(to_json(replace(card, run=replace(card.run, model=model))))
    elif damage == "weights":
        (instruct / WEIGHTS).write_bytes((instruct / WEIGHTS).read_bytes()[:-100])
    elif damage == "no weights":
        (instruct / WEIGHTS).unlink()
    elif damage == "card":
        (instruct / CONFIG).write_text((instruct / CONFIG).read_text()[:-100])
    elif damage == "text":
        (instruct / "tokenizer.json").write_text("{}")
    elif damage == "version":
        (instruct / CONFIG).write_text(to_json(replace(card, format=99)))
    elif damage == "stage":
        given = folder / "pretrain"
    elif damage == "unfinished":
        (instruct / CONFIG).unlink()
    elif damage == "nothing":
        given = tmp_path / "none"
    words = ("ask", recording, QUESTION) if verb == "ask" else ("evaluate", "--store", micro_run.store)
    message = refused(*words, "--model", given)
    assert re.search(expected, message), message
    assert str(given) in message


def test_a_stage_of_another_recipe(refused, tmp_path, micro_run):
    """Pretrained with 16 codes, to be tuned with 32."""
    out = micro_run.copy(tmp_path / "run", without=("instruct", "run.json"))
    settings = json.loads((micro_run.folder / "run.json").read_text())
    settings["config"]["model"]["tokenizer"]["codes"] = 32
    (out / "run.json").write_text(json.dumps(settings))
    message = refused("train", "instruct", "--store", micro_run.store, "--out", out)
    assert message.startswith(f"{out / 'pretrain'}: of another recipe (micro); train it again")


def test_a_run_begun_with_another_recipe(refused, tmp_path, micro_run):
    out = micro_run.copy(tmp_path / "run", without=("instruct",))
    message = refused("train", "instruct", "--store", micro_run.store, "--out", out, "--recipe", "tiny")
    assert message.startswith(f"{out / 'run.json'}: this run was begun with another config (config.recipe micro then")
    assert "another --out" in message


# --- questions, stores, outputs ---


def test_questions_the_model_does_not_know(refused, micro_run, recording):
    message = refused("ask", recording, "Is it raining?", "--model", micro_run.folder)
    assert "'Is it raining?'" in message and QUESTION in message and "options" in message
    message = refused("ask", recording, "Is it raining?", "--model", micro_run.folder, "--options", "yes")
    assert "at least two different answers" in message


def test_stores_that_are_none(refused, tmp_path, micro_run):
    (tmp_path / "empty").mkdir()
    for store, expected in ((tmp_path / "none", "no such store"), (tmp_path / "empty", "not a store")):
        message = refused("evaluate", "--model", micro_run.folder, "--store", store)
        assert message.startswith(f"{store}: {expected}") and "neurolm prepare" in message
        message = refused("train", "language", "--store", store, "--out", tmp_path / "new")
        assert message.startswith(f"{store}: {expected}")


def test_damaged_stores(refused, tmp_path, micro_run):
    store = tmp_path / "store"
    shutil.copytree(micro_run.store, store)
    signal = next((store / "shards").iterdir())
    signal.write_bytes(signal.read_bytes()[:-2])
    message = refused("evaluate", "--model", micro_run.folder, "--store", store)
    assert message.startswith(f"{signal}: the store is damaged") and "prepare the recordings again" in message


def test_outputs_that_cannot_be_folders(refused, tmp_path, micro_run):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "data").mkdir()
    write_edf(tmp_path / "data" / "a.edf", ("C3", "O1"))
    for words in (("train", "language", "--store", micro_run.store), ("demo",), ("prepare", tmp_path / "data")):
        message = refused(*words, "--out", tmp_path / "file")
        assert str(tmp_path / "file") in message


def test_every_error_is_one_of_ours():
    """So that the command line, which prints the message of a NeuroLMError, knows them all."""
    from neurolm.core import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) > 6 and all(issubclass(kind, NeuroLMError) for kind in kinds)
    assert all(kind.__doc__ for kind in kinds)
