"""The command line: quick where nothing is computed, one clear message and status 2 where something is wrong."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest
import yaml
from rich.console import Console

import neurolm
from neurolm import __version__
from neurolm.ask.answer import Answer, WindowAnswer
from neurolm.ask.question import SIMULATED
from neurolm.cli import FAILED, INTERRUPTED, VERBS, command, main
from neurolm.cli.answers import answer_lines, bar_characters, condense
from neurolm.cli.ask import MODEL_VARIABLE, find_model
from neurolm.cli.command import parse
from neurolm.cli.prepare import following
from neurolm.cli.settings import read_settings
from neurolm.cli.show import Display, losses
from neurolm.cli.values import names_or_pairs
from neurolm.core.config import to_json
from neurolm.core.errors import CheckpointError, ConfigError, argument, flags_in_messages
from neurolm.core.recipes import recipe
from neurolm.prepare.report import PrepareProgress
from neurolm.store.store import Label
from neurolm.train.loop import TrainingProgress

QUESTION = "Is this EEG segment of high workload?"


@pytest.fixture(autouse=True)
def _restore_warnings_and_environment(monkeypatch):
    for name, default in (("MNE_LOGGING_LEVEL", "ERROR"), ("TOKENIZERS_PARALLELISM", "false")):
        monkeypatch.setenv(name, os.environ.get(name, default))
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    with warnings.catch_warnings():
        yield


def run(capsys, *words):
    """Exit status, standard output and standard error of a command."""
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


def error_of(capsys, *words):
    """The message of a command that must fail."""
    status, out, err = run(capsys, *words)
    assert status == FAILED
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("neurolm: error: "), err
    return lines[0].removeprefix("neurolm: error: ")


def test_the_package_is_a_command_too():
    done = subprocess.run(
        [sys.executable, "-m", "neurolm", "--version"], capture_output=True, text=True, check=False, timeout=250
    )
    assert (done.returncode, done.stdout) == (0, f"neurolm {__version__}\n")


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_version_and_help_load_neither_torch_nor_mne(flag):
    code = (
        "import sys; from neurolm.cli import main; status = main(sys.argv[1:]); "
        "heavy = {'torch', 'mne', 'scipy', 'jsonargparse', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code, flag], capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("neurolm ")


def test_import_loads_neither_torch_nor_mne():
    code = "import sys, neurolm; sys.exit(str({'torch', 'mne', 'numpy'} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=250)
    assert done.stderr.strip() == ""


def test_parsing_settings_loads_no_torch():
    code = (
        "import sys; from neurolm.cli.command import parse; from neurolm.cli.settings import read_settings; "
        "read_settings(parse('train', ['language', '--recipe', 'tiny'])); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=250).returncode == 0


def test_help_explains_every_verb_with_an_example(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    lines = out.splitlines()
    for verb in VERBS:
        (place,) = [number for number, line in enumerate(lines) if line.startswith(f"  {verb} ")]
        assert lines[place].endswith(".") and lines[place + 1].strip().startswith(f"neurolm {verb}")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys, verb):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"\n  neurolm {verb}" in out and "None" not in out and "Optional" not in out and "<class" not in out
    assert "learning_rate" not in out.replace("--tokenizer.learning_rate 1e-3", "")


def test_unknown_verb_names_the_verbs(capsys):
    message = error_of(capsys, "trian")
    assert "'trian'" in message
    assert all(verb in message for verb in VERBS)


def test_unknown_flag_names_the_nearest_and_the_valid_ones(capsys):
    message = error_of(capsys, "train", "language", "--sotre", "x")
    assert "--sotre" in message and "did you mean --store?" in message and "--device" in message


def test_unknown_setting_names_the_nearest(capsys):
    assert "did you mean --tokenizer.learning_rate" in error_of(capsys, "demo", "--tokenizer.learning_rat", "1")


def test_missing_value_of_a_flag(capsys):
    assert "--recipe" in error_of(capsys, "train", "language", "--recipe")


def test_unknown_stage_names_the_stages(capsys):
    message = error_of(capsys, "train", "tokeniser")
    assert all(stage in message for stage in ("tokeniser", "language", "tokenizer", "pretrain", "instruct"))


def test_unknown_recipe_names_the_recipes(capsys, tmp_path):
    message = error_of(capsys, "train", "language", "--recipe", "tny", "--store", tmp_path, "--out", tmp_path / "run")
    assert "'tny'" in message and "tiny, base, large, xl" in message
    assert not (tmp_path / "run").exists()


def test_bad_value_of_a_setting_is_told_before_any_work(capsys, tmp_path):
    out = tmp_path / "run"
    assert "softmax" in error_of(capsys, "demo", "--out", out, "--pretrain.softmax", "both")
    assert "tokenizer.steps" in error_of(capsys, "demo", "--out", out, "--tokenizer.steps", "many")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "language", "--out", "run"], ["--store", "neurolm prepare"]),
        (["train", "language", "--store", "nowhere", "--out", "run"], ["nowhere", "neurolm prepare"]),
        (["prepare", "nowhere", "--out", "store"], ["nowhere"]),
        (["prepare", "."], ["--out"]),
        (["ask", "nowhere.edf", QUESTION], ["nowhere.edf", "no such file"]),
        (["evaluate", "--store", "store"], ["--model"]),
        (["evaluate", "--model", "nowhere", "--store", "store"], ["nowhere"]),
        (["evaluate", "nowhere", "--store", "store"], ["nowhere"]),
        (["report", "nowhere"], ["nowhere"]),
        (["report", "."], ["no run here"]),
        (["demo", "--corpus", "eegmat"], ["--data"]),
        (["demo", "--corpus", "tuab"], ["--corpus tuab", "simulated", "eegmat"]),
        (["demo", "--seeds", "0,one"], ["--seeds", "0,one"]),
        (["demo", "--seeds", "1,1"], ["--seeds", "1,1"]),
        (["simulate", "corpus", "--subjects", "0"], ["--subjects 0"]),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_what_is_missing_or_wrong_is_said_and_nothing_is_written(capsys, tmp_path, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    message = error_of(capsys, *words)
    for text in expected:
        assert text in message
    assert list(tmp_path.iterdir()) == []


def test_folder_without_recordings(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("no EEG here")
    message = error_of(capsys, "prepare", tmp_path, "--out", tmp_path / "store")
    assert str(tmp_path) in message and "no EEG recordings" in message
    assert not (tmp_path / "store").exists()


def test_ask_without_a_model_says_how_to_give_one(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    (tmp_path / "a.edf").write_bytes(b"")
    message = error_of(capsys, "ask", "a.edf", QUESTION)
    assert "--model" in message and MODEL_VARIABLE in message and "neurolm demo" in message


def test_ask_with_a_model_folder_that_holds_none(capsys, tmp_path):
    (tmp_path / "a.edf").write_bytes(b"")
    message = error_of(capsys, "ask", tmp_path / "a.edf", QUESTION, "--model", tmp_path)
    assert str(tmp_path) in message and "neurolm train instruct" in message


def test_find_model_prefers_the_given_then_the_environment_then_the_newest_run(capsys, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    with pytest.raises(CheckpointError):
        find_model(None, runs=runs)
    for age, name in ((30, "old"), (10, "new"), (20, "middle/seed-1")):
        card = runs / name / "instruct" / "config.json"
        card.parent.mkdir(parents=True)
        card.write_text("{}")
        os.utime(card, (1_000_000 - age, 1_000_000 - age))
    (runs / "unfinished" / "instruct").mkdir(parents=True)
    assert find_model(None, runs=runs) == runs / "new"
    assert str(runs / "new") in capsys.readouterr().err
    monkeypatch.setenv(MODEL_VARIABLE, "elsewhere")
    assert str(find_model(None, runs=runs)) == "elsewhere"
    assert find_model(tmp_path, runs=runs) == tmp_path


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PermissionError(13, "Permission denied", "/read/only")])
def test_interruption_and_unwritable_folders_are_no_tracebacks(capsys, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("neurolm.cli.command.run", fail)
    status, _, err = run(capsys, "demo")
    if isinstance(error, KeyboardInterrupt):
        assert status == INTERRUPTED and "the same command goes on from here" in err
    else:
        assert status == FAILED and "/read/only" in err and "Permission denied" in err


def test_settings_are_recipe_then_file_then_flags(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("recipe: base\ntokenizer: {learning_rate: 0.01, steps: 7}\npretrain: {clip: 2.0}\n")
    flags = ["language", "--config", str(file), "--tokenizer.steps", "9", "--instruct.betas", "[0.5, 0.6]"]
    config = read_settings(parse("train", flags)).config
    assert config.model == recipe("base").model
    assert (config.tokenizer.learning_rate, config.tokenizer.steps) == (0.01, 9)
    assert config.tokenizer.eeg_batch == recipe("base").tokenizer.eeg_batch
    assert (config.pretrain.clip, config.instruct.betas) == (2.0, (0.5, 0.6))
    assert config.language == recipe("base").language


@pytest.mark.parametrize("name", ["tiny", "base", "large", "xl"])
def test_printed_settings_give_the_same_run(capsys, tmp_path, name):
    assert main(["demo", "--recipe", name, "--print-config"]) == 0
    file = tmp_path / "run.yaml"
    file.write_text(capsys.readouterr().out)
    assert read_settings(parse("demo", ["--config", str(file)])).config == recipe(name)


def test_printed_settings_are_resolved_and_what_is_given_back_prints_the_same(capsys, tmp_path):
    flags = ["--out", str(tmp_path / "run"), "--seed", "3", "--tokenizer.learning-rate", "2e-3", "--print-config"]
    assert main(["train", "tokenizer", "--store", "s", *flags]) == 0
    printed = capsys.readouterr().out
    values = yaml.safe_load(printed)
    assert values["out"] == str(tmp_path / "run") and values["store"] == "s"
    assert values["tokenizer"]["learning_rate"] == 2e-3 and values["pretrain"]["seed"] == 3
    assert not (tmp_path / "run").exists()
    file = tmp_path / "run.yaml"
    file.write_text(printed)
    assert main(["train", "tokenizer", "--config", str(file), "--print_config"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("flag", [["--lora.rank", "16"], ["--lora.rank=16"]])
def test_adapters_are_set_for_both_stages_that_have_them_or_for_one(capsys, flag):
    assert main(["train", "--print-config", *flag, "--instruct.lora.kind", "dora", "--lora.alpha", "8"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    both = {"rank": 16, "alpha": 8.0, "dropout": 0.0, "kind": "lora"}
    assert [shown[stage]["lora"] for stage in ("pretrain", "instruct")] == [both, both | {"kind": "dora"}]
    assert shown["tokenizer"]["lora"]["rank"] == 0
    assert main(["train", "--print-config", "--lora.rang", "16"]) == 2
    assert "did you mean --pretrain.lora.rank?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tokenizer.learning_rate=-1"], "--tokenizer.learning_rate must be positive, not -1.0"),
        (["--tokenizer.learning_rate", "abc"], "--tokenizer.learning_rate: expected float, not abc"),
        (["--tokenizer.softmax", "none"], "--tokenizer.softmax: expected one of range, joint, not none"),
        (["--model.tokenizer.spectrum", "foo"], "--model.tokenizer.spectrum: expected one of amplitude, log, not foo"),
        (["--model.tokenizer.attention", "foo"], "attention: expected one of full, stair-step, not foo"),
        (["--model.tokenizer.codes", "1.5"], "--model.tokenizer.codes: expected int, not 1.5"),
        (["--model.tokenizer.codes", "1"], "--model.tokenizer.codes must be at least 2, not 1"),
        (["--model.tokenizer.encoder.width", "130"], "--model.tokenizer.encoder.width 130 is not a multiple of heads"),
        (["--pretrain.betas", "[0.9,1.5]"], "--pretrain.betas must be in [0, 1), not (0.9, 1.5)"),
        (["--pretrain.keep_states", "0"], "--pretrain.keep_states must be positive, not 0"),
        (["--instruct.steps=-5"], "--instruct.steps must not be negative, but is -5"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--print-config"]])
def test_a_setting_that_is_not_valid_is_named_by_its_flag_before_anything_starts(
    capsys, tmp_path, flags, message, more
):
    found = error_of(capsys, "train", "tokenizer", "--store", "s", "--out", tmp_path / "run", *flags, *more)
    assert message in found and not (tmp_path / "run").exists()


def test_unknown_key_in_a_settings_file_is_an_error(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("tokenizer: {stesp: 7}\n")
    with pytest.raises(
        ConfigError, match=r"run\.yaml: unknown setting tokenizer\.stesp: did you mean tokenizer\.steps"
    ):
        parse("train", ["language", "--config", str(file)])
    for content, message in (
        ("model: {tokenizer: {encoder: {with: 3}}}", r"model\.tokenizer\.encoder\.with: did you mean .*encoder\.width"),
        ("foo: 1", "unknown setting foo; --print-config shows all"),
        ("tokenizer: 3", "tokenizer: expected settings such as .*, found 3"),
        ("pretrain: {steps: 1.5}", r"--pretrain\.steps: expected int, not 1\.5"),
        ("model: {tokenizer: {spectrum: foo}}", r"model\.tokenizer\.spectrum: expected one of amplitude, log, not foo"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigError, match=message):
            parse("train", ["language", "--config", str(file)])


def test_a_run_that_was_begun_keeps_its_settings(tmp_path):
    begun = read_settings(parse("train", ["language", "--tokenizer.steps", "9"])).config
    values = {"config": json.loads(to_json(begun)), "tasks": ["sleep"], "store": "x", "threads": 1}
    (tmp_path / "run.json").write_text(json.dumps(values))
    later = ["pretrain", "--out", str(tmp_path)]
    assert read_settings(parse("train", later)).config == begun
    assert read_settings(parse("train", [*later, "--recipe", "tiny"])).config == begun
    assert read_settings(parse("train", [*later, "--recipe", "base"])).config == recipe("base")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ConfigError, match=r"run\.json"):
        parse("train", later)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Fp1, Fp2", ["Fp1", "Fp2"]),
        ("ch 1=Fp1, ch=2=Fp2", {"ch 1": "Fp1", "ch=2": "Fp2"}),
        ("Fp1,a=Fp1,Fp1,b,c=Fp2,x=C3", {"Fp1,a": "Fp1", "Fp1,b,c": "Fp2", "x": "C3"}),
        (r"r=1\,2=O1, a,b=c=O2", {"r=1,2": "O1", "a,b=c": "O2"}),
    ],
)
def test_channels(text, read):
    assert names_or_pairs(text) == read


@pytest.mark.parametrize("name", ["Fp1,a", "a,b=c", "r=1,2", "a,,b", "C3'", 'C"3', "EEG Fp1 $x"])
def test_a_name_of_any_kind_is_advised_as_a_shell_and_the_flag_take_it(name):
    with flags_in_messages(["channels"]):
        flag, text = shlex.split(argument(channels={name: "Fp1"}))
    assert flag == "--channels" and text.endswith(",…")
    assert names_or_pairs(text.removesuffix(",…")) == {name: "Fp1"}


def test_channels_are_all_named_or_none():
    with pytest.raises(ConfigError, match="give an electrode for all of them"):
        names_or_pairs("ch1=Fp1,Fp2")


def an_answer(windows: int) -> Answer:
    yes = np.linspace(0.9, 0.1, windows)
    return Answer(
        recording="a.edf",
        question=QUESTION,
        options=("Yes", "No"),
        answer="Yes",
        probability=0.625,
        probabilities=(0.625, 0.375),
        timeline=tuple(
            WindowAnswer(start=2.0 * i, stop=2.0 * i + 4, probabilities=(p, 1 - p)) for i, p in enumerate(yes)
        ),
        electrodes=("FZ", "CZ"),
        trained=True,
        calibrated=True,
        notes=("mains taken as 50 Hz",),
    )


def test_answer_is_shown_with_probability_timeline_and_notes():
    lines = answer_lines(an_answer(5), characters="#.")
    text = "\n".join(lines)
    assert lines[:3] == [QUESTION, "Yes, probability 0.62", "a.edf: 5 windows, 2 electrodes"]
    assert "  Yes  ###############.........  0.62" in lines
    assert "  No   #########...............  0.38" in lines
    assert "0:00 – 0:04     Yes  ######################..  0.90" in text
    assert "0:08 – 0:12     No   ######################..  0.90" in text
    assert lines[-1] == "note: mains taken as 50 Hz"


def test_a_probability_for_eeg_unlike_the_training_is_not_shown_without_saying_so():
    assert answer_lines(replace(an_answer(5), outside=0.15))[1] == "Yes, probability 0.62"
    unlike = answer_lines(replace(an_answer(5), outside=1.0))[1]
    assert unlike == "Yes, probability 0.62; 100% of the windows are unlike the training data"


def test_a_model_of_simulated_eeg_gives_no_verdict_without_saying_so():
    told = replace(an_answer(5), notes=(SIMULATED, "mains taken as 50 Hz"))
    assert answer_lines(told)[1] == "Yes, probability 0.62; the model knows simulated EEG only"
    assert answer_lines(replace(told, calibrated=False))[1].endswith("be said; the model knows simulated EEG only")
    assert f"note: {SIMULATED}" in answer_lines(told)


def test_what_is_not_calibrated_is_not_shown_as_certain():
    """A likelihood of 1 is no probability; and no probability is quite 1."""
    certain = replace(an_answer(1), probability=0.9999, probabilities=(0.9999, 0.0001))
    lines = answer_lines(certain, characters="#.")
    assert lines[1] == "Yes, probability >0.99" and "  No   ........................  <0.01" in lines
    for answer, verdict in (
        (replace(certain, calibrated=False), "Yes, not calibrated: how probable it is cannot be said"),
        (
            replace(certain, calibrated=False, trained=False),
            "Yes; a guess: the model was not tuned on this question",
        ),
    ):
        text = "\n".join(answer_lines(answer, characters="#."))
        assert text.splitlines()[1] == verdict
        shown = "  Yes  ########################  likelihood >0.99" if answer.trained else "  Yes"
        assert shown in text.splitlines() and ("likelihood" in text) == answer.trained
        assert "probability" not in text and not re.search(r"\b1\.00|\b100 ?%", text)


@pytest.mark.parametrize("windows", [1, 39, 40, 41, 1000])
def test_timeline_covers_the_recording_in_few_lines(windows):
    answer = an_answer(windows)
    spans = condense(answer, 40)
    assert len(spans) <= 40
    assert (spans[0][0], spans[-1][1]) == (0.0, answer.timeline[-1].stop)
    assert all(abs(sum(mean) - 1) < 1e-9 for _, _, mean in spans)
    assert len(answer_lines(answer)) < 52


def test_no_line_of_the_timeline_bridges_a_gap():
    early, late = an_answer(50).timeline, an_answer(60).timeline
    moved = tuple(replace(window, start=window.start + 999, stop=window.stop + 999) for window in late)
    spans = condense(replace(an_answer(1), timeline=early + moved), 40)
    assert len(spans) == 17 + 20  # three windows a line
    assert [span[:2] for span in spans[15:18]] == [(90.0, 98.0), (96.0, 102.0), (999.0, 1007.0)]


def test_bars_fit_the_terminal():
    assert bar_characters("utf-8") == "█░"
    assert bar_characters("ascii") == "#."
    assert bar_characters(None) == "#."


def test_a_preparation_names_flags_that_it_has(capsys, tmp_path):
    (tmp_path / "raw").mkdir()
    for file, names in {"a": ("ch1", "ch2"), "b": ("C3", "ch2"), "c": ("C3", "C4")}.items():
        noise = np.random.default_rng(0).normal(0, 20, (2, 4000))
        signals = [edfio.EdfSignal(noise[i], 200, label=names[i], physical_dimension="uV") for i in range(2)]
        edfio.Edf(signals).write(tmp_path / "raw" / f"{file}.edf")
    for verb in (("plan", tmp_path / "raw"), ("prepare", tmp_path / "raw", "--out", tmp_path / "store", "--jobs", 1)):
        _, out, _ = run(capsys, *verb)
        assert "ch1, ch2; say what they are with --channels 'ch1=Fp1,…', or rename them in the file" in out
        assert "ch2; leave them out with --unknown drop, or say what they are with --channels 'ch2=Fp1,…', or" in out
    status, out, _ = run(capsys, *verb, "--channels", "ch1=C3,ch2=C4")
    assert status == 0 and "could not be read" not in out


def test_progress_without_a_terminal_is_a_few_plain_lines(capsys, monkeypatch):
    clock = iter(np.arange(0, 1000, 0.5))
    monkeypatch.setattr("neurolm.cli.show.time.monotonic", lambda: float(next(clock)))
    with Display(Console(force_terminal=False)) as display:
        for step in range(1, 201):
            parts = {"eeg": 1.5, "text": 2.5, "loss": 4.0, "lr": 1e-3, "gradient_norm": 9.0}
            display.training(
                TrainingProgress(
                    stage="pretrain", step=step, steps=200, tokens_per_second=1234.5, seconds_left=61, parts=parts
                )
            )
    lines = capsys.readouterr().out.splitlines()
    assert 10 <= len(lines) <= 25
    assert lines[0] == "pretrain: step 1/200  1:01 left  1,234 tokens/s  loss 4  eeg 1.5  text 2.5"
    assert lines[-1].startswith("pretrain: step 200/200")


def test_after_the_last_step_of_the_last_stage_it_is_said_what_takes_its_time(capsys):
    for stage in ("pretrain", "instruct"):
        with Display(Console(force_terminal=False)) as display:
            for step in (1, 2):
                figures = {"tokens_per_second": 10.0, "seconds_left": 1, "parts": {"loss": 1.0}}
                display.training(TrainingProgress(stage=stage, step=step, steps=2, **figures))
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "instruct: all steps are done; the last validation, evidence and calibration follow"
    assert sum("calibration" in line for line in said) == 1


def test_progress_of_recordings_says_hours_of_eeg_an_hour_while_something_is_left(capsys):
    """0.0106 h of EEG in 2 s are 19.08 h an hour."""
    for done, hours, failures, wanted in (
        (5, 0.0106, 1, "5/10  1:01 left  19 h of EEG an hour  1 could not be answered"),
        (10, 0.0001, 0, "10/10  0.18 h of EEG an hour"),
        (10, 0.0, 0, "10/10"),
    ):
        with Display(Console(force_terminal=False)) as display:
            display.answering(PrepareProgress(done, 10, "a.edf", failures, hours, 2.0, 61.0))
        assert capsys.readouterr().out.splitlines() == [f"asking about recordings: {wanted}"]


def test_one_loss_is_not_shown_twice():
    assert losses({"text": 2.5, "loss": 2.5, "lr": 1e-3}) == "text 2.5"


def test_a_terminal_of_80_columns_has_room_for_what_matters():
    console = Console(width=80, force_terminal=True, file=io.StringIO())
    parts = {"commitment": 0.01, "frequency": 1.2, "raw": 1.0, "domain_eeg": 0.7, "domain_text": 0.7, "loss": 3.61}
    with Display(console) as display:
        display.training(
            TrainingProgress(
                stage="tokenizer", step=80, steps=600, tokens_per_second=12345.6, seconds_left=95, parts=parts
            )
        )
        display.bars.refresh()
    assert "step 80/600  1:35 left  12,346 tokens/s  loss 3.61" in console.file.getvalue()


def test_a_count_tells_the_time_left(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 40.0, 40.0])
    monkeypatch.setattr("neurolm.cli.show.time.monotonic", lambda: next(clock))
    with Display(Console(force_terminal=False)) as display:
        count = display.count("preparing")
        count(1, 4, "a.edf")
        count(4, 4, "d.edf")
    assert capsys.readouterr().out.splitlines() == ["preparing: 1/4  0:30 left", "preparing: 4/4  0:00 left"]


def test_a_store_may_lie_in_object_storage():
    assert parse("evaluate", ["--store", "s3://bucket/store"]).store == "s3://bucket/store"
    assert parse("evaluate", ["--store", "some/store"]).store == Path("some/store")


def test_the_help_may_be_cut_by_the_program_that_reads_it():
    command = [sys.executable, "-m", "neurolm", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # as `head` does when it has read enough
        assert (process.stderr.read(), process.wait()) == (b"", 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("evalute x", "unknown verb 'evalute': did you mean evaluate? Choose one of simulate"),
        ("train tokenizer --tokenizer.lr 1", "unknown flag --tokenizer.lr: did you mean --tokenizer.learning_rate?"),
        ("train tokenizer --steps 1", "unknown flag --steps: did you mean --tokenizer.steps?"),
        ("train --lr 1", "did you mean --language.learning_rate, --tokenizer.learning_rate, --pretrain."),
        ("train tokeniser", "stage tokeniser: did you mean tokenizer? Choose one of language, tokenizer"),
        ("train tokenizer --precision bf16", "--precision bf16: did you mean bfloat16? Choose one of auto"),
        ("train tokenizer --recipe tini", "unknown recipe 'tini': did you mean tiny? Choose one of"),
        ("train tokenizer --log-too wandb", "unknown flag --log-too: did you mean --log-to?"),
        ("corpora hcm", "unknown corpus 'hcm': did you mean hmc?"),
        ("tasks show workloda", "no such task card: did you mean workload?"),
        ("train instruct --recipe", "--recipe: expected one argument"),
    ],
)
def test_what_may_be_meant_is_asked(capsys, words, message):
    assert message in error_of(capsys, *words.split())


@pytest.mark.parametrize("words", ["help tasks", "--help tasks", "tasks --help"])
def test_help_of_a_verb_may_be_asked_for_in_either_order(capsys, words):
    with pytest.raises(SystemExit):
        main(words.split())
    assert "neurolm tasks check: Say whether a card and a store fit" in capsys.readouterr().out


def test_help_of_an_action_is_that_of_the_action(capsys):
    for words in ("tasks check --help", "tasks --store x check -h", "store info --help"):
        with pytest.raises(SystemExit):
            main(words.split())
    assert capsys.readouterr().out.count("usage: neurolm tasks check [-h]") == 2


def test_a_forgotten_card_is_named(capsys, tmp_path, write_store, rhythm, micro_texts):
    """Where the store has labels of nothing else, and where it has."""
    own = [Label("drowsy", "Yes", 0, 12), Label("drowsy", "No", 12, 24)]
    both = [*own, *(Label("workload", label.label, label.start, label.stop) for label in own)]

    def store_of(labels: list[Label]) -> str:
        recordings = {f"r{n}": (f"s{n}", ("CZ",), labels, rhythm(None, 24, 1, (n,))) for n in range(5)}
        return str(write_store(tmp_path / f"store{len(labels)}", recordings))

    message = error_of(capsys, "train", "language", "--store", store_of(own), "--out", str(tmp_path / "run"))
    assert "has labels of drowsy, not of a task whose card ships with neurolm: give their cards with --tasks" in message
    assert "drowsy.toml" in message and "neurolm tasks new drowsy" in message
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("\n\n".join(micro_texts))
    small = ["--language.steps", "1", "--text", str(tmp_path / "text"), "--threads", "1"]
    main(["train", "language", "--store", store_of(both), "--out", str(tmp_path / "run"), *small])
    said = capsys.readouterr().err
    assert "note: the store has labels of drowsy too, and no card for them ships with neurolm: --tasks gives" in said


@pytest.mark.parametrize("verb", VERBS)
def test_flags_are_shown_with_hyphens(capsys, verb):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    shown = set(re.findall(r"--[\w-]+(?!\.)\b", capsys.readouterr().out))
    assert [flag for flag in shown if "_" in flag] == []


def test_flags_in_messages_are_as_the_help_has_them_and_underscores_are_taken_too():
    with flags_in_messages(["bad_segments"]):
        assert argument(bad_segments="use") == "--bad-segments use" and argument("accept_licence") == "--accept-licence"
    for flag in ("--log-to", "--log_to"):
        assert command.parse("train", ["language", flag, "wandb"]).log_to == "wandb"


def test_a_settings_file_that_is_not_there_is_called_so(capsys, tmp_path):
    message = error_of(capsys, "train", "language", "--config", tmp_path / "missing.yaml")
    assert "missing.yaml: no such file" in message and "YAML (" not in message


def test_public_names_are_listed():
    assert set(dir(neurolm)) >= {"load", "from_pretrained", "Model", "Answer", "ReadingOptions"}


def test_what_follows_a_preparation_is_a_command_that_works(tmp_path):
    (tmp_path / "labels.csv").write_text("file,start,stop,task,label,subject\n")
    store = Path("store")
    assert list(following(tmp_path, store, ["workload"])) == ["neurolm train language --store store --out RUN"]
    new, train = following(tmp_path, store, ["arith", "workload"])
    assert new == f'neurolm tasks new arith --table {tmp_path / "labels.csv"} --question "…"'
    assert train == "neurolm train language --store store --out RUN --tasks arith.toml,workload"
    for line in (new, train):
        verb, *words = shlex.split(line)[1:]
        command.parse(verb, words)
    (told,) = following(tmp_path, store, [])
    assert "no labels" in told and f"neurolm tasks table {tmp_path}" in told
