"""Answers in bfloat16: what is rounded, when it is chosen, and what is said where the calibration was of another."""

import copy
import json

import numpy as np
import pytest
import torch
from edfio import Edf, EdfSignal
from torch import nn

import neurolm
from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.precision import choose_precision
from neurolm.ask.prompt import Prompt, voices
from neurolm.batches.loader import read_sample
from neurolm.batches.windows import labelled_windows
from neurolm.checkpoint import load_neurolm
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.recipes import recipe
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import load_evaluation
from neurolm.model.precision import keep_in_bfloat16
from neurolm.model.transformer import Block
from neurolm.store.store import Store
from neurolm.train.calibrate import calibrate

CPU = torch.device("cpu")
QUESTION = "Is this EEG segment of high workload?"
FITTED = {name: Calibration(tasks=(TaskCalibration(task="t"),), precision=name) for name in ("float32", "bfloat16")}


@pytest.fixture
def run(tmp_path, micro_run):
    return micro_run.copy(tmp_path / "run")


@pytest.fixture
def edf(tmp_path, rhythm):
    signal = rhythm("Yes", 30, 2, (1, 2))
    named = zip(signal.T, ("C3", "O1"), strict=True)
    Edf([EdfSignal(one, 200, label=name, physical_dimension="uV") for one, name in named]).write(
        tmp_path / "recording.edf"
    )
    return tmp_path / "recording.edf"


@pytest.fixture
def asked(micro_run, micro_store):
    module, card, text = load_neurolm(micro_run.folder / "instruct", stage="instruct")
    store, task = Store(micro_store), next(task for task in card.tasks if task.name == "workload")
    with torch.no_grad():  # so that answers depend on what was read
        for parameter in module.parameters():
            parameter.mul_(1 + 2 * (parameter.ndim > 1))
    prompt = Prompt.of(task, text, card.run.model.vocabulary.separator)
    samples = [read_sample(store, window) for window in labelled_windows(store, task="workload", seconds=4, stride=2)]
    return module, prompt, samples[:12]


def test_only_the_linear_layers_of_the_blocks_are_rounded(asked):
    module, prompt, samples = asked
    rounded = copy.deepcopy(module)
    keep_in_bfloat16(rounded)
    inside = {
        f"{name}.{part}.{kind}"
        for name, block in module.named_modules()
        if isinstance(block, Block)
        for part, layer in block.named_modules()
        if isinstance(layer, nn.Linear)
        for kind in ("weight", "bias")
    }
    own = module.state_dict()
    for name, value in rounded.state_dict().items():
        assert value.dtype == (torch.bfloat16 if name in inside else own[name].dtype)
        torch.testing.assert_close(value, own[name].to(value.dtype), rtol=0, atol=0)
    exact = voices(module, prompt, samples, device=CPU)[0]
    found = voices(rounded, prompt, samples, device=CPU)[0]
    assert 0 < np.abs(found - exact).max() < 0.05 * np.ptp(exact)
    alone = voices(rounded, prompt, samples, device=CPU, places=1)[0]
    np.testing.assert_allclose(alone, found, atol=0.01 * np.ptp(exact))


def test_auto_takes_bfloat16_where_it_pays_and_was_calibrated(monkeypatch):
    base, tiny = recipe("base").model, recipe("tiny").model

    def chosen(wanted, config, calibration=None):
        return choose_precision(wanted, config, CPU, calibration=calibration)

    monkeypatch.setattr("neurolm.model.precision._has_tiles", lambda: True)
    assert chosen("auto", base) == chosen("auto", base, FITTED["bfloat16"]) == "bfloat16"
    assert chosen("auto", base, Calibration()) == "bfloat16"  # nothing was fitted
    assert chosen("auto", base, FITTED["float32"]) == chosen("auto", tiny) == "float32"
    assert chosen("bfloat16", tiny, FITTED["float32"]) == "bfloat16"
    monkeypatch.setattr("neurolm.model.precision._has_tiles", lambda: False)
    assert chosen("auto", base) == chosen("auto", base, FITTED["bfloat16"]) == "float32"
    with pytest.raises(ConfigError, match=r"bf16.*bfloat16"):
        chosen("bf16", base)


def test_the_calibration_says_its_precision_and_other_answers_do_too(run, micro_store, edf):
    folder, out = run / "instruct", run / "evaluation.json"
    calibrate(folder, micro_store, precision="bfloat16")
    assert json.loads((folder / Calibration.FILE).read_text())["precision"] == "bfloat16"
    notes = {name: neurolm.load(run, precision=name).ask(edf, QUESTION).notes for name in ("float32", "bfloat16")}
    said = "answered in float32, calibrated in bfloat16"
    assert [any(said in note for note in notes[name]) for name in notes] == [True, False]
    assert neurolm.load(run).precision == "float32"  # a model so narrow is no faster
    evaluate(folder, micro_store, precision="bfloat16", baselines=["linear probe"], out=out)
    rounded = load_evaluation(out)
    exact = evaluate(folder, micro_store, precision="float32", baselines=["linear probe"])
    assert (rounded.precision, exact.precision) == ("bfloat16", "float32")
    for one, other in zip(rounded.results, exact.results, strict=True):
        assert one.predictions.probabilities != other.predictions.probabilities
        assert one.baselines[-1].probabilities == other.baselines[-1].probabilities


def test_features_and_what_is_saved_stay_in_float32(tmp_path, run, edf, monkeypatch):
    exact = neurolm.load(run, precision="float32")
    monkeypatch.setattr("neurolm.ask.precision.bfloat16_pays", lambda *_, **__: True)
    (run / "instruct" / Calibration.FILE).unlink()
    model = neurolm.load(run)
    assert model.precision == "bfloat16"
    wanted, found = exact.embed(edf), model.embed(edf)
    np.testing.assert_array_equal(found.features, wanted.features)
    np.testing.assert_array_equal(found.codes, wanted.codes)
    assert (neurolm.load(run, precision="bfloat16").embed(edf).features != wanted.features).any()
    saved = model.save_pretrained(tmp_path / "saved")
    own = exact.module.state_dict()
    for name, value in load_neurolm(saved)[0].state_dict().items():
        if name in own:
            torch.testing.assert_close(value, own[name], rtol=0, atol=0)


def test_a_checkpoint_of_an_unknown_precision_is_refused(run):
    file = run / "instruct" / Calibration.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"precision": "int8"}))
    with pytest.raises((CheckpointError, ConfigError), match="precision"):
        neurolm.load(run)
