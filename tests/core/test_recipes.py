"""The recipes against the paper's tables, and against the sizes of the models it published."""

from dataclasses import asdict

import pytest
import torch

from neurolm.core.config import flat
from neurolm.core.errors import ConfigError
from neurolm.core.recipes import RECIPES, recipe
from neurolm.model.neurolm import NeuroLM

PAPER = ("base", "large", "xl")


@pytest.mark.parametrize("name", PAPER)
def test_the_neural_tokenizer_is_the_papers(name):
    tokenizer = recipe(name).model.tokenizer
    assert (tokenizer.encoder.layers, tokenizer.encoder.heads, tokenizer.encoder.width) == (12, 12, 768)
    assert (tokenizer.decoder.layers, tokenizer.decoder.heads, tokenizer.decoder.width) == (4, 12, 768)
    assert not tokenizer.encoder.bias and not tokenizer.decoder.bias
    assert (tokenizer.codes, tokenizer.code_width, tokenizer.decay, tokenizer.commitment) == (8192, 128, 0.99, 1.0)
    assert (tokenizer.channels, tokenizer.seconds, tokenizer.convolution_channels) == (256, 64, 16)
    assert (tokenizer.classifier_width, tokenizer.attention) == (256, "full")
    assert (tokenizer.revive, tokenizer.quantise_from) == (0.0, 0.0)  # ours, for small models


@pytest.mark.parametrize("name", ["tiny", *PAPER])
def test_a_causal_recipe_differs_in_what_its_encoder_sees_alone(name):
    faithful, causal = (dict(flat(asdict(recipe(one)))) for one in (name, f"causal-{name}"))
    assert {key: value for key, value in causal.items() if value != faithful[key]} == {
        "recipe": f"causal-{name}",
        "model.tokenizer.attention": "stair-step",
    }
    assert list(RECIPES) == ["tiny", *PAPER, "causal-tiny", *(f"causal-{one}" for one in PAPER)]


@pytest.mark.parametrize(
    ("name", "layers", "heads", "width"), [("base", 12, 12, 768), ("large", 24, 16, 1024), ("xl", 48, 25, 1600)]
)
def test_the_language_model_is_gpt2(name, layers, heads, width):
    language = recipe(name).model.language
    transformer = language.transformer
    assert (transformer.layers, transformer.heads, transformer.width, transformer.bias) == (layers, heads, width, True)
    assert (language.positions, language.text_tokens) == (1024, 50_257)


@pytest.mark.parametrize("name", PAPER)
def test_the_first_two_stages_are_the_papers(name):
    stage = recipe(name).tokenizer
    assert (stage.learning_rate, stage.final_learning_rate, stage.weight_decay) == (5e-5, 1e-5, 1e-4)
    assert (stage.betas, stage.clip, stage.epochs, stage.steps) == ((0.9, 0.999), 0.0, 50, 0)
    assert (stage.eeg_batch, stage.text_batch, stage.max_patches, stage.text_length) == (64, 16, 1024, 1024)
    assert stage.warmup * stage.epochs == 5
    stage = recipe(name).pretrain
    assert (stage.learning_rate, stage.final_learning_rate, stage.weight_decay) == (6e-4, 6e-5, 0.1)
    assert (stage.betas, stage.clip, stage.epochs, stage.softmax) == ((0.9, 0.95), 1.0, 20, "joint")
    assert (stage.eeg_batch, stage.text_batch, stage.max_patches) == (60, 4, 1024)
    assert stage.warmup * stage.epochs == 2


@pytest.mark.parametrize(("name", "rate", "epochs"), [("base", 5e-4, 5), ("large", 5e-5, 5), ("xl", 2e-5, 3)])
def test_instruction_tuning_is_the_papers(name, rate, epochs):
    stage = recipe(name).instruct
    assert (stage.learning_rate, stage.epochs, stage.steps) == (rate, epochs, 0)
    assert stage.final_learning_rate == pytest.approx(5e-5 if name == "base" else rate / 10)
    assert (stage.eeg_batch, stage.text_batch, stage.max_patches, stage.warmup) == (64, 16, 276, 0.1)
    assert (stage.weight_decay, stage.betas, stage.clip, stage.softmax) == (0.1, (0.9, 0.95), 1.0, "joint")
    assert (stage.augment, stage.balance, stage.average, stage.dropout) == (0.0, False, 0.0, 0.0)
    assert not stage.evidence


def block(width: int, *, bias: bool) -> int:
    """Weights of a GPT-2 block: two norms, attention (3 + 1) and the fourfold feed-forward layer (4 + 4)."""
    return 12 * width**2 + (13 * width if bias else 2 * width)


@pytest.mark.parametrize("name", PAPER)
def test_the_models_have_the_papers_sizes_and_need_no_memory_to_be_counted(name):
    with torch.device("meta"):
        model = NeuroLM(recipe(name).model)
    width, layers = model.config.language.transformer.width, model.config.language.transformer.layers
    trunk = sum(p.numel() for p in model.language.parameters())
    assert trunk == (50_304 + 1024) * width + layers * block(width, bias=True) + 2 * width
    assert model.head.weight.numel() == 58_496 * width
    # What answering needs: encoder, language model, embeddings, head. The paper's table 1 names 254M, 500M and 1696M.
    encoder = sum(p.numel() for p in model.tokenizer.encoder.parameters())
    total = sum(p.numel() for p in (*model.bridge.parameters(), *model.channel_embedding.parameters()))
    total += encoder + trunk + model.head.weight.numel()
    assert total / 1e6 == pytest.approx(
        {"base": 254, "large": 500, "xl": 1696}[name], rel=0.005 if name != "xl" else 0.03
    )
    assert all(p.is_meta for p in model.parameters())


def test_unknown_recipes_are_refused_with_the_names():
    with pytest.raises(ConfigError, match="'huge': choose one of tiny, base, large, xl"):
        recipe("huge")
