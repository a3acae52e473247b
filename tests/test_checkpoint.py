"""Checkpoints: what is saved comes back, and whatever does not fit is refused with one message that says what to do."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neurolm.ask.prompt import Prompt, likelihoods
from neurolm.batches.loader import build_patches, sample_from
from neurolm.batches.text import TextTokenizer
from neurolm.checkpoint import (
    CONFIG,
    WEIGHTS,
    Card,
    load_card,
    load_neurolm,
    load_tokenizer,
    load_weights,
    save_checkpoint,
)
from neurolm.core.config import to_json
from neurolm.core.decode import decode
from neurolm.core.errors import CheckpointError, NeuroLMError, TextError
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import DECODING
from neurolm.tasks.card import load_task


def test_what_is_saved_comes_back(tmp_path, micro_run, micro_config):
    torch.manual_seed(5)
    model = NeuroLM(micro_config.model)
    text = TextTokenizer.load(micro_run.folder / "language")
    card = Card(
        version="1.2", stage="instruct", steps=7, run=micro_config, tasks=(load_task("sleep"), load_task("workload")),
        electrodes=("C3", "O1"), band=(0.1, 75.0), corpora=("a",), licences=("free µ",),
    )  # fmt: skip
    save_checkpoint(tmp_path / "instruct", card, model.state_dict(), text)
    loaded, loaded_card, loaded_text = load_neurolm(tmp_path / "instruct")
    assert loaded_card == card
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    assert loaded_text.encode("Question: µV?") == text.encode("Question: µV?")
    assert not loaded.training
    assert sorted(p.name for p in (tmp_path / "instruct").iterdir()) == [CONFIG, WEIGHTS, "tokenizer.json"]


def test_the_card_of_a_trained_run_says_what_it_learned_from(micro_run):
    card = load_card(micro_run.folder / "instruct", stage="instruct")
    assert card.electrodes == ("C3", "C4", "CZ", "FZ", "O1", "PZ", "T3")
    assert [task.name for task in card.tasks] == ["events", "workload"]
    assert (card.band, card.corpora, card.licences, card.steps) == ((0.1, 75.0), ("micro",), ("free",), 6)
    assert card.run == micro_run.config
    assert load_card(micro_run.folder / "pretrain").tasks == ()


@pytest.mark.parametrize(
    ("folder", "stage", "message"),
    [
        ("nowhere", None, r"nowhere: no complete checkpoint here \(config\.json is missing\)"),
        ("pretrain", "instruct", r"pretrain: made by stage 'pretrain', but 'instruct' is needed here"),
        ("instruct", "tokenizer", r"instruct: made by stage 'instruct', but 'tokenizer' is needed"),
        ("language", None, r"language/config\.json: unknown field .*not a checkpoint.*give the folder"),
    ],
)
def test_checkpoints_of_another_kind_are_refused(micro_run, folder, stage, message):
    with pytest.raises(CheckpointError, match=message):
        load_card(micro_run.folder / folder, stage=stage)


def test_a_tokenizer_is_no_language_model(micro_run):
    with pytest.raises(CheckpointError, match="has no language model that reads EEG"):
        load_neurolm(micro_run.folder / "tokenizer")
    tokenizer, card = load_tokenizer(micro_run.folder / "tokenizer")
    assert card.stage == "tokenizer" and bool(tokenizer.quantizer.initialised) and not tokenizer.training


def test_another_format_names_the_version_that_reads_it(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    card = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(card | {"format": 99, "version": "9.9"}))
    with pytest.raises(CheckpointError, match=r"format 99, this version reads 1: use neurolm 9\.9"):
        load_card(folder)


def test_settings_that_are_none_are_named_with_what_is_allowed(tmp_path, micro_run):
    path = micro_run.copy(tmp_path / "run") / "instruct" / CONFIG
    content = path.read_text()
    path.write_text(content.replace('"spectrum": "log"', '"spectrum": "foo"'))
    assert path.read_text() != content
    with pytest.raises(CheckpointError) as caught:
        load_card(path.parent)
    says = "run.model.tokenizer.spectrum: expected 'amplitude' or 'log', found 'foo'; not a checkpoint that this"
    assert str(caught.value).startswith(f"{path}: {says}")


@pytest.mark.parametrize("part", ["tokenizer", "language"])
def test_weights_of_another_recipe_are_refused(tmp_path, micro_run, part):
    """The card says one size, the weights are of another: half the layers, or another width."""
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    card = load_card(folder)
    model = card.run.model
    block = model.language.transformer
    if part == "language":
        changed = replace(model, language=replace(model.language, transformer=replace(block, layers=2)))
        message = r"missing language\.transformer\.blocks\.1\..* and \d+ more. Use the recipe it was trained with"
    else:
        changed = replace(model, tokenizer=replace(model.tokenizer, codes=32))
        message = r"tokenizer\.quantizer\.codebook is \(16, 4\), not \(32, 4\)"
    (folder / CONFIG).write_text(to_json(replace(card, run=replace(card.run, model=changed))))
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: does not fit this recipe: .*{message}"):
        load_neurolm(folder)


def test_answers_need_no_decoders(micro_run):
    """Without them the model is smaller, and answers, features and codes are the same to the bit."""
    folder = micro_run.folder / "instruct"
    whole, card, text = load_neurolm(folder)
    lean, _, _ = load_neurolm(folder, decoders=False)
    missing = sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in lean.parameters())
    parts = [getattr(whole.tokenizer, name) for name in DECODING]
    assert missing == sum(p.numel() for part in parts for p in part.parameters()) > 0
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in lean.state_dict().items())
    prompt = Prompt.of(card.tasks[0], text, card.run.model.vocabulary.separator)
    signal = np.random.default_rng(0).standard_normal((400, 2)).astype(np.float32) * 20
    sample = sample_from(signal, np.array([3, 5]))
    answers = [likelihoods(model, prompt, [sample], device=torch.device("cpu")) for model in (whole, lean)]
    np.testing.assert_array_equal(*answers)
    patches = build_patches([sample])[0]
    tokens = [model.tokenizer.tokenize(patches) for model in (whole, lean)]
    assert torch.equal(tokens[0].codes, tokens[1].codes) and torch.equal(tokens[0].features, tokens[1].features)
    assert whole.tokenizer.decode(tokens[0].quantized, patches).waveform.shape[-1] == 200
    with pytest.raises(CheckpointError, match="without its decoders: load it with decoders=True"):
        lean.tokenizer.decode(tokens[1].quantized, patches)


def test_whoever_may_read_the_card_may_read_the_weights(tmp_path, micro_run):
    model, card, text = load_neurolm(micro_run.folder / "instruct")
    save_checkpoint(tmp_path / "saved", card, model.state_dict(), text)
    assert (tmp_path / "saved" / WEIGHTS).stat().st_mode == (tmp_path / "saved" / CONFIG).stat().st_mode


def test_left_over_weights_are_refused(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    save_file(load_file(folder / WEIGHTS) | {"extra.weight": torch.zeros(1)}, folder / WEIGHTS)
    for decoders in (True, False):
        with pytest.raises(CheckpointError, match=r"left over extra\.weight"):
            load_neurolm(folder, decoders=decoders)


@pytest.mark.parametrize("kept", [0, 7, 100, -10])
def test_truncated_weights_are_refused(tmp_path, micro_run, kept):
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read .*copy or train"):
        load_neurolm(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        load_neurolm(folder)


def test_a_damaged_text_tokenizer_is_refused(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(TextError, match=r"tokenizer\.json"):
        load_neurolm(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": "instruct"}', "\udcff"])
def test_a_damaged_card_is_refused(tmp_path, micro_run, content):
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    (folder / CONFIG).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"config\.json.*give the folder of a stage"):
        load_card(folder)


def test_refused_weights_leave_the_module_as_it_was(micro_run, micro_config):
    other = replace(micro_config.model, tokenizer=replace(micro_config.model.tokenizer, codes=32))
    model = NeuroLM(other)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(NeuroLMError):
        load_weights(micro_run.folder / "instruct", model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_cards_survive_json(micro_run):
    card = load_card(micro_run.folder / "instruct")
    assert decode(Card, to_json(card)) == card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.fill_(float("nan")), "holds NaN or infinite weights"),
        (lambda weight: weight.index_fill_(0, torch.tensor([0]), float("-inf")), "holds NaN or infinite weights"),
        (lambda weight: weight.to(torch.complex64), r"is stored as torch\.complex64, not as torch\.float32"),
        (lambda weight: weight > 0, r"is stored as torch\.bool, not as torch\.float32"),
        (lambda weight: weight.to(torch.int8), r"is stored as torch\.int8, not as torch\.float32"),
    ],
)
def test_weights_that_cannot_be_weights_are_refused(tmp_path, micro_run, change, message):
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    weights = load_file(folder / WEIGHTS)
    name = next(name for name, value in weights.items() if value.dim() == 2 and name.startswith("language."))
    weights[name] = change(weights[name].clone())
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: {name} {message}"):
        load_neurolm(folder)


def test_weights_of_half_precision_are_read(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run") / "instruct"
    weights = load_file(folder / WEIGHTS)
    save_file({n: v.bfloat16() if v.is_floating_point() else v for n, v in weights.items()}, folder / WEIGHTS)
    model, _, _ = load_neurolm(folder)
    for name, value in model.state_dict().items():
        expected = weights[name].bfloat16().float() if value.is_floating_point() else weights[name]
        assert torch.equal(value, expected), name
