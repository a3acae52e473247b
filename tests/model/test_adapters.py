"""Adapters: what they train, what they leave alone, and that merged they answer the same."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from neurolm.batches.loader import Document, build_batch, sample_from
from neurolm.core.config import LoraConfig
from neurolm.core.errors import ConfigError
from neurolm.model.adapters import adapt, count, merge, own, own_names, sharing
from neurolm.model.neurolm import LastRows, NeuroLM
from neurolm.model.precision import keep_in_bfloat16

KINDS = ("lora", "rslora", "dora", "loha", "lokr")
LAYERS = {"attn.c_attn": (16, 48), "attn.c_proj": (16, 16), "mlp.c_fc": (16, 64), "mlp.c_proj": (64, 16)}
"""Inputs and outputs of the linear layers of the micro language model's only block."""


@pytest.fixture
def model(micro_config) -> NeuroLM:
    torch.manual_seed(3)
    model = NeuroLM(micro_config.model).eval()
    model.tokenizer.quantizer.initialised.fill_(True)
    return model


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    samples = [sample_from(rng.normal(size=(600, 2)), [3, 80]) for _ in range(2)]
    text = [280, *range(5, 20)]  # the separator, and words
    return build_batch(samples, [Document(sample=0, predict_eeg=True), Document(sample=1, text=text, predict_from=5)])


def moved(model: NeuroLM, *, new_rows: bool, seed: int = 4) -> NeuroLM:
    """As a training would have left it: every weight of its own is another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in own(model, new_rows=new_rows).values():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return model


def said(model: NeuroLM, batch) -> list[torch.Tensor]:
    with torch.no_grad():
        loss = model.loss(batch, softmax="joint")
        return [model(batch), loss.eeg, loss.text, model.text_rows, model.eeg_rows]


@pytest.mark.parametrize("kind", KINDS)
def test_at_first_nothing_is_changed_and_the_language_model_is_frozen(model, batch, kind):
    before, plain = said(model, batch), {name: value.clone() for name, value in model.state_dict().items()}
    adapt(model, LoraConfig(rank=2, kind=kind), new_rows=True)
    for now, then in zip(said(model, batch), before, strict=True):
        torch.testing.assert_close(now, then, rtol=1e-6, atol=1e-6)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    beside = {"channel_embedding.weight", "language.wte.trained", "head.trained"}
    assert beside < trained
    inner = {name.partition("blocks.0.")[2] for name in trained - beside}
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in inner} == set(LAYERS)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name.replace(".base_layer", "") for name in frozen} == {
        name for name in plain if name not in ("channel_embedding.weight", "head.weight", "language.wte.weight")
        and not name.startswith(("scaling.", "tokenizer.quantizer"))
    } | {"head.frozen", "language.wte.frozen"}  # fmt: skip


def test_what_is_trained_is_counted(model):
    lora = 3 * sum(inputs + outputs for inputs, outputs in LAYERS.values())
    adapt(model, LoraConfig(rank=3), new_rows=False)
    trained, everything = count(model)
    rows = model.vocabulary.eeg_start - 280
    assert trained == lora + 256 * 16 + rows * 16
    assert everything == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("new_rows", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_merged_the_model_says_the_same(model, batch, kind, new_rows):
    before, names = said(model, batch), list(model.state_dict())
    adapt(model, LoraConfig(rank=2, alpha=3, kind=kind), new_rows=new_rows)
    moved(model, new_rows=new_rows)
    apart = said(model, batch)
    assert max(float((one - other).abs().max()) for one, other in zip(apart[:3], before, strict=False)) > 1e-2
    merge(model)
    assert list(model.state_dict()) == names
    assert isinstance(model.head, nn.Linear) and not hasattr(model.language, "peft_config")
    for one, other in zip(said(model, batch), apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "scale"), [("lora", 5 / 4), ("rslora", 5 / 2)])
def test_the_change_is_the_papers(model, kind, scale):
    """W + alpha / r · B A (Hu et al. 2021, section 4.1), and alpha / √r (Kalajdzievski 2023)."""
    before = model.state_dict()["language.transformer.blocks.0.mlp.c_fc.weight"].clone()
    adapt(model, LoraConfig(rank=4, alpha=5, kind=kind), new_rows=False)
    mine = own(moved(model, new_rows=False), new_rows=False)
    down, up = (mine[f"language.transformer.blocks.0.mlp.c_fc.lora_{part}.weight"].clone() for part in "AB")
    merge(model)
    after = model.state_dict()["language.transformer.blocks.0.mlp.c_fc.weight"]
    torch.testing.assert_close(after, before + scale * up @ down)


def test_alpha_is_twice_the_rank_where_none_is_given(model):
    adapt(model, LoraConfig(rank=4), new_rows=False)
    assert model.language.transformer.blocks[0].attn.c_proj.scaling == {"default": 2.0}


def test_the_last_rows_alone_are_trained():
    torch.manual_seed(0)
    table, ids = nn.Embedding(7, 3), torch.tensor([[0, 4, 5, 6]])
    before = table.weight.detach().clone()
    rows = LastRows(table, 5, scale=2.0)
    torch.testing.assert_close(rows(ids), 2 * before[ids])
    rows(ids).sum().backward()
    assert rows.frozen.grad is None and rows.trained.grad.tolist() == [[2.0] * 3] * 2
    assert rows.frozen.data_ptr() == table.weight.data_ptr()
    with torch.no_grad():
        rows.trained.add_(1)
    back = rows.whole()
    assert back is table
    torch.testing.assert_close(back.weight, torch.cat((before[:5], before[5:] + 1)), rtol=0, atol=0)


def test_several_share_the_memory_of_one_base_and_do_not_disturb_each_other(model, batch):
    before = said(model, batch)
    others = [sharing(model) for _ in range(2)]
    for seed, other in enumerate(others):
        adapt(other, LoraConfig(rank=2, kind=("lora", "dora")[seed]), new_rows=True)
        moved(other, new_rows=True, seed=seed)
    base = {p.data_ptr() for p in model.parameters()}
    for other in others:
        shared = {name for name, p in other.named_parameters() if p.data_ptr() in base}
        mine = set(own_names(other, new_rows=True).values())
        assert shared == {name for name, _ in other.named_parameters()} - mine
    first, second = (said(other, batch)[0] for other in others)
    assert float((first - second).abs().max()) > 1e-2
    for now, then in zip(said(model, batch), before, strict=True):
        assert torch.equal(now, then)
    assert all(p.requires_grad for p in model.language.parameters())


def test_kept_in_bfloat16_they_differ_by_rounding_alone(model, batch):
    adapt(model, LoraConfig(rank=2), new_rows=False)
    exact = said(moved(model, new_rows=False), batch)[0]
    keep_in_bfloat16(model)
    kinds = {name: p.dtype for name, p in model.language.named_parameters()}
    low = {name for name, dtype in kinds.items() if dtype == torch.bfloat16}
    assert low == {name for name in kinds if "blocks" in name and "ln_" not in name and not name.endswith(".bias")} | {
        name for name in kinds if name.endswith("base_layer.bias")
    }
    rounded = said(model, batch)[0]
    assert 0 < float((rounded - exact).abs().max()) < 0.1


@pytest.mark.parametrize("family", ["llama", "qwen3", "smollm3", "gemma3_text"])
def test_language_models_of_transformers_have_them_too(micro_config, hub_language, batch, family):
    """All linear layers of all blocks; word embeddings that are scaled stay so."""
    language = hub_language(family, vocab_size=280, num_hidden_layers=2)
    torch.manual_seed(5)
    model = NeuroLM(replace(micro_config.model, language=language)).eval()
    model.tokenizer.quantizer.initialised.fill_(True)
    before, names = said(model, batch), list(model.state_dict())
    table = type(model.language.get_submodule(model.language.WORDS.removesuffix(".weight")))
    adapt(model, LoraConfig(rank=2), new_rows=True)
    for now, then in zip(said(model, batch), before, strict=True):
        torch.testing.assert_close(now, then, rtol=1e-6, atol=1e-6)
    adapted = {name.rpartition(".lora_A")[0] for name in own_names(model, new_rows=True) if "lora_A" in name}
    assert {name.rpartition(".")[2] for name in adapted} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    } and len(adapted) == 14  # fmt: skip
    apart = said(moved(model, new_rows=True), batch)
    merge(model)
    assert list(model.state_dict()) == names
    assert type(model.language.get_submodule(model.language.WORDS.removesuffix(".weight"))) is table
    for one, other in zip(said(model, batch), apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_without_peft_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"pip install 'neurolm\[lora\]'"):
        adapt(model, LoraConfig(rank=2), new_rows=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": -1}, "rank must be at least 0"), ({"alpha": -1.0}, "alpha must not be negative"),
        ({"dropout": 1.0}, "dropout must be in"), ({"kind": "ia3"}, "kind must be one of lora, rslora, dora"),
        ({"kind": "loha", "dropout": 0.1}, "dropout: loha has none"), ({"rank": 70_000}, "rank must be at most"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        LoraConfig(**changes)


def test_stages_without_a_language_model_that_reads_eeg_have_none(micro_config):
    with pytest.raises(ConfigError, match=r"tokenizer\.lora\.rank: only pretrain and instruct"):
        replace(micro_config, tokenizer=replace(micro_config.tokenizer, lora=LoraConfig(rank=2)))
