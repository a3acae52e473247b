"""Several fine-tuned models on one base: its weights are in memory once, and each answers as if it were alone."""

import shutil
from dataclasses import replace

import mne
import numpy as np
import pytest

import neurolm
from neurolm.checkpoint import load_neurolm
from neurolm.core.config import LoraConfig
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.evaluation.results import RESULTS
from neurolm.model.adapters import own_names
from neurolm.train.instruct import train_instruct
from neurolm.train.run import RUN, open_run

KINDS = {"plain": LoraConfig(rank=2), "other": LoraConfig(rank=3, kind="dora")}


@pytest.fixture(scope="module")
def runs(micro_run, tmp_path_factory):
    """Two runs with the same pretraining, tuned with other adapters and seeds."""
    found = {}
    for seed, (name, lora) in enumerate(KINDS.items()):
        folder = micro_run.copy(
            tmp_path_factory.mktemp("adapters") / name, without=("instruct", "tokenizer", RESULTS, RUN)
        )
        instruct = replace(micro_run.config.instruct, lora=lora, seed=seed, steps=4, learning_rate=3e-2)
        config = replace(micro_run.config, instruct=instruct)
        train_instruct(open_run(folder, config=config, store=micro_run.store, device="cpu"), texts=micro_run.texts)
        found[name] = folder
    return found


@pytest.fixture(scope="module")
def raw(rhythm):
    info = mne.create_info(["C3", "O1"], 200, "eeg")
    return mne.io.RawArray(rhythm("Yes", 14, 2, (1,)).T * 1e-6, info, verbose="error")


def test_the_base_is_in_memory_once(runs):
    models = neurolm.load_adapters(runs, device="cpu")
    places = {}
    for name, model in models.items():
        mine = set(own_names(model.module, new_rows=False).values())
        places[name] = {n: p.data_ptr() for n, p in model.module.named_parameters() if n not in mine}
        others = {p.data_ptr() for n, p in model.module.named_parameters() if n in mine}
        assert not others & set(places[name].values()) and len(mine) >= 10
    assert places["plain"] == places["other"]
    assert any("base_layer" in name for name in places["plain"]) and "language.wte.frozen" in places["plain"]


def test_each_answers_as_if_it_were_alone(runs, raw):
    models = neurolm.load_adapters(runs, device="cpu")
    said = {}
    for name, folder in runs.items():
        question = models[name].questions[-1]
        alone, beside = (model.ask(raw, question) for model in (neurolm.load(folder, device="cpu"), models[name]))
        for one, other in zip(alone.timeline, beside.timeline, strict=True):
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        said[name] = np.array([window.language_model for window in beside.timeline])
    assert np.abs(said["plain"] - said["other"]).max() > 1e-3


def test_in_bfloat16_they_still_share(runs, raw):
    models = neurolm.load_adapters(runs, device="cpu", precision="bfloat16")
    layers = [model.module.language.transformer.blocks[0].mlp.c_fc for model in models.values()]
    assert len({layer.base_layer.weight.data_ptr() for layer in layers}) == 1
    assert {str(layer.base_layer.weight.dtype) for layer in layers} == {"torch.bfloat16"}
    for model in models.values():
        assert 0 < model.ask(raw, model.questions[-1]).probability <= 1


def test_saved_one_is_merged_and_whole(runs, tmp_path):
    model = neurolm.load_adapters(runs, device="cpu")["plain"]
    saved = load_neurolm(model.save_pretrained(tmp_path / "saved"))[0].state_dict()
    merged = load_neurolm(runs["plain"] / "instruct")[0].state_dict()
    assert list(saved) == list(merged)
    for name, value in merged.items():
        np.testing.assert_allclose(saved[name], value, rtol=1e-6, atol=1e-7)


def test_a_base_elsewhere_is_given(runs, tmp_path):
    shutil.copytree(runs["plain"] / "instruct", tmp_path / "alone" / "instruct")
    with pytest.raises(CheckpointError, match="not there"):
        neurolm.load(tmp_path / "alone", device="cpu")
    found = neurolm.load_adapters({"one": tmp_path / "alone"}, base=runs["other"], device="cpu")
    assert found["one"].questions == neurolm.load(tmp_path / "alone", base=runs["other"], device="cpu").questions


def test_what_has_no_common_base_is_refused(runs, micro_run, tmp_path):
    with pytest.raises(ConfigError, match="give at least one"):
        neurolm.load_adapters({})
    with pytest.raises(CheckpointError, match=r"has no adapters; load it with neurolm\.load"):
        neurolm.load_adapters({"one": micro_run.folder})
    other = tmp_path / "run"
    shutil.copytree(runs["other"], other)
    path = other / "instruct" / "adapter.json"
    path.write_text(path.read_text().replace('"weights": "', '"weights": "0'))
    with pytest.raises(CheckpointError, match="adapters of another checkpoint than"):
        neurolm.load_adapters({"one": runs["plain"], "two": other}, device="cpu")
