"""Operations of a step: against torch's own counter, and attention's pairs against the mask itself."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from neurolm.batches.loader import Document, build_batch, build_patches, build_tokens, sample_from
from neurolm.core.batch import PADDING, Batch
from neurolm.core.config import LoraConfig
from neurolm.model.adapters import adapt
from neurolm.model.attention import Visibility
from neurolm.model.gpt2 import GPT2
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.train.flops import AttentionSize, attention_size, language_flops, language_pass, text_flops, tokenizer_pass

CHANNELS, SECONDS, WORDS = [3, 80, 7], 5, 11


def samples(count: int, seconds: int = SECONDS):
    rng = np.random.default_rng(0)
    return [sample_from(rng.normal(size=(seconds * 200, len(CHANNELS))), CHANNELS) for _ in range(count)]


def counted(work) -> int:
    """Operations of a forward and a backward pass, by torch's counter; it counts every score, seen or not."""
    in_place = {torch.ops.aten.addmm_: _addmm}  # which torch's counter passes over
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        work().backward()
    return counter.get_total_flops()


def _addmm(_total, left, right, **_) -> int:
    return 2 * left[0] * left[1] * right[1]


def full(document: torch.Tensor) -> AttentionSize:
    rows, width = document.shape
    assert (document != PADDING).all(), "the counter counts padding too"
    return AttentionSize(places=rows * width, pairs=rows * width**2)


@pytest.mark.parametrize("quantise", [True, False])
def test_the_tokenizers_operations_are_those_that_torch_counts(micro_config, quantise):
    config = micro_config.model.tokenizer
    tokenizer = NeuralTokenizer(config)
    tokenizer.quantizer.initialised.fill_(True)
    patches = build_patches(samples(1))[0]
    words = torch.randn(WORDS, config.encoder.width)
    found = counted(lambda: tokenizer.loss(patches, words, 0.5, quantise=quantise).total)
    assert tokenizer_pass(config, full(patches.document), WORDS, quantise=quantise) == found


@pytest.mark.parametrize("softmax", ["range", "joint"])
@pytest.mark.parametrize("width", [16, 24])
def test_the_language_models_operations_are_those_that_torch_counts(micro_config, softmax, width):
    """With a bridge where the widths differ, and without."""
    language = replace(micro_config.model.language, transformer=replace(
        micro_config.model.language.transformer, width=width))  # fmt: skip
    config = replace(micro_config.model, language=language)
    model = NeuroLM(config)
    model.tokenizer.quantizer.initialised.fill_(True)
    batch = build_batch(samples(1), [Document(sample=0, text=range(9), predict_from=4)])
    eeg = build_batch(samples(1), [Document(sample=0, predict_eeg=True)])
    for built in (batch, eeg):
        assert built.tokens is not None and built.patches is not None

        def loss(built: Batch = built) -> torch.Tensor:
            out = model.loss(built, softmax=softmax)
            return out.eeg + out.text

        targets = {
            "codes": int((built.tokens.target_patch >= 0).sum()), "text": int((built.tokens.target >= 0).sum())
        }  # fmt: skip
        assert sum(targets.values()) > 0
        wanted = language_pass(
            config, full(built.patches.document), full(built.tokens.document), softmax=softmax, **targets
        )
        assert counted(loss) == wanted


@pytest.mark.parametrize("softmax", ["range", "joint"])
@pytest.mark.parametrize("new_rows", [True, False])
def test_with_adapters_they_are_fewer_and_those_that_torch_counts(micro_config, softmax, new_rows):
    """No gradient of frozen weights; where one range of outputs alone is new, text has none either."""
    config, lora = replace(micro_config.model, feature_scale=0.0), LoraConfig(rank=2)
    model = NeuroLM(config)
    model.tokenizer.quantizer.initialised.fill_(True)
    adapt(model, lora, new_rows=new_rows)
    batch = build_batch(samples(1), [Document(sample=0, text=range(9), predict_from=4)])
    eeg = build_batch(samples(1), [Document(sample=0, predict_eeg=True)])
    for built in (batch, eeg):
        assert built.tokens is not None and built.patches is not None

        def loss(built: Batch = built) -> torch.Tensor:
            out = model.loss(built, softmax=softmax)
            return out.eeg + out.text

        targets = {
            "codes": int((built.tokens.target_patch >= 0).sum()), "text": int((built.tokens.target >= 0).sum())
        }  # fmt: skip
        sizes = full(built.patches.document), full(built.tokens.document)
        wanted = language_pass(config, *sizes, softmax=softmax, lora=lora, new_rows=new_rows, **targets)
        assert counted(loss) == wanted
        assert wanted < language_pass(config, *sizes, softmax=softmax, **targets)


def test_the_language_stages_operations_are_those_that_torch_counts(micro_config):
    """All of text but the scores: the counter counts those of later tokens too, which nobody sees."""
    config = micro_config.model.language
    model = GPT2(config)
    length = 20
    tokens = build_tokens([Document(text=range(length))])
    found = counted(lambda: model.text_loss(tokens)[0])
    unseen = length**2 - length * (length + 1) // 2
    scores = config.transformer.layers * unseen * config.transformer.width * 2 * 2 * 3
    assert text_flops(config, tokens) == found - scores


def test_places_and_pairs_are_those_of_the_mask():
    drawn = random.Random(0)
    for _ in range(30):
        rows, width = drawn.randint(1, 4), drawn.randint(1, 30)
        document = torch.tensor([[drawn.randint(PADDING, 3) for _ in range(width)] for _ in range(rows)])
        step = torch.tensor([[drawn.randint(0, 5) for _ in range(width)] for _ in range(rows)])
        real = document != PADDING
        mask = Visibility(document, step).mask[:, 0] & real[:, :, None]
        assert attention_size(document, step) == AttentionSize(places=int(real.sum()), pairs=int(mask.sum()))


def test_padding_and_how_samples_are_packed_change_nothing(micro_config):
    parts = samples(2) + samples(1, seconds=2) + samples(1, seconds=3)
    documents = [Document(sample=i, predict_eeg=True) for i in range(len(parts))]
    packed = build_batch(parts, documents)
    padded = build_batch(parts, documents, packed=False)
    assert packed.tokens is not None and padded.tokens is not None
    assert packed.tokens.document.shape != padded.tokens.document.shape
    one = language_flops(micro_config.model, packed, softmax="joint")
    assert one == language_flops(micro_config.model, padded, softmax="joint") > 0
