"""Floating-point operations of a training step, from shapes and what is really in its batch.

Counted are the multiplications and additions (two operations) of matrix products and convolutions, forwards and
backwards, for real patches and tokens alone: no padding, no pair of places of which one does not see the other, no
forward pass that is done again to save memory. So the share of a device's rate that a run reaches
(MFU, model FLOPs utilisation; Chowdhery et al. 2022, PaLM, appendix B) does not grow by work that nobody needs.
Normalisations, activations, embeddings, Fourier transforms and the codebook's own moves are left out, as is usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neurolm.core.backbones import read_settings, sizes
from neurolm.core.batch import NO_PATCH, NO_TARGET, PADDING, Batch, Patches, Tokens
from neurolm.core.config import LanguageConfig, LoraConfig, ModelConfig, TokenizerConfig, TransformerConfig
from neurolm.core.physics import PATCH
from neurolm.model.encoder import FRAMES, KERNEL, SPECTRUM

FORWARD, TO_WEIGHTS, TO_INPUT, TO_BOTH = 1, 2, 2, 3
"""Products that a layer takes: its own; and the gradient of its weights, or of its input; and both."""


WITHOUT = LoraConfig()
"""No adapters."""


@dataclass(frozen=True, kw_only=True)
class AttentionSize:
    """How much attention has to do in a batch."""

    places: int
    """Real places."""
    pairs: int
    """Pairs of places, query and key, of which the query sees the key."""


def attention_size(document: Tensor, step: Tensor) -> AttentionSize:
    """Count real places, and who sees whom by the rule in ``batch``.

    Parameters
    ----------
    document, step
        int64 (rows, width).
    """
    real = document != PADDING
    if not real.any():
        return AttentionSize(places=0, pairs=0)
    rows = torch.arange(len(document), device=document.device)[:, None]
    own = (rows * (document.amax() + 1) + document)[real]
    span = step.amax() + 1
    moments, count = (own * span + step[real]).unique(return_counts=True)  # sorted: by document, then by step
    _, index, size = (moments // span).unique_consecutive(return_inverse=True, return_counts=True)
    until = count.cumsum(0)
    before = (until - count)[size.cumsum(0) - size]  # places of the documents before
    return AttentionSize(places=int(until[-1]), pairs=int((count * (until - before[index])).sum()))


def tokenizer_flops(config: TokenizerConfig, patches: Patches, words: int, *, quantise: bool) -> int:
    """Operations of a pass of the tokenizer stage.

    Parameters
    ----------
    patches
        The pass's batch.
    words
        Text tokens that the domain classifier sees.
    quantise
        Whether the codebook has started.
    """
    return tokenizer_pass(config, _encoder_size(config, patches), words, quantise=quantise)


def tokenizer_pass(config: TokenizerConfig, seen: AttentionSize, words: int, *, quantise: bool) -> int:
    """Return the same from the size of the attention."""
    width, decoded, hidden, real = config.encoder.width, config.decoder.width, config.classifier_width, seen.places
    decoder = _dense(real, config.code_width, decoded) + _blocks(config.decoder, seen) + _dense(real, decoded, decoded)
    return (
        _encode(config, seen, training=True)
        + _to_code(config, real, TO_BOTH)
        + (_nearest(config, real) if quantise else 0)
        + 2 * decoder
        + _dense(real, decoded, SPECTRUM + PATCH)
        + _dense(real, width, hidden)
        + _dense(words, width, hidden, products=TO_WEIGHTS)
        + _dense(real + words, hidden, 2)
    )


def language_flops(
    config: ModelConfig, batch: Batch, *, softmax: str, lora: LoraConfig = WITHOUT, new_rows: bool = True
) -> int:
    """Operations of a pass of pretraining or instruction tuning: the frozen encoder's go forwards only.

    Parameters
    ----------
    lora, new_rows
        Adapters, if there are any, as in ``adapters.adapt``: counted as LoRA's, whatever their kind.
    """
    assert batch.tokens is not None
    encoded = None if batch.patches is None else _encoder_size(config.tokenizer, batch.patches)
    codes, text = _count(batch.tokens.target_patch, NO_PATCH), _count(batch.tokens.target, NO_TARGET)
    seen = tokens_size(batch.tokens)
    return language_pass(config, encoded, seen, codes=codes, text=text, softmax=softmax, lora=lora, new_rows=new_rows)


def language_pass(
    config: ModelConfig,
    encoded: AttentionSize | None,
    seen: AttentionSize,
    *,
    codes: int,
    text: int,
    softmax: str,
    lora: LoraConfig = WITHOUT,
    new_rows: bool = True,
) -> int:
    """Return the same from the sizes of the attention and the numbers of targets that are codes and text tokens."""
    language, vocabulary = config.language.transformer, config.vocabulary
    rows = {"eeg": config.tokenizer.codes, "text": vocabulary.text_tokens}
    if softmax == "joint":
        rows = dict.fromkeys(rows, vocabulary.size)
    linear = TO_INPUT if lora.rank else TO_BOTH
    of_codes, of_text = (TO_BOTH if not lora.rank or trained else TO_INPUT for trained in
                         (new_rows, new_rows and softmax == "joint"))  # fmt: skip
    total = _language(config.language, seen, linear=linear, rank=lora.rank)
    total += _dense(codes, language.width, rows["eeg"], products=of_codes)
    total += _dense(text, language.width, rows["text"], products=of_text)
    if encoded is not None:
        features = config.tokenizer.encoder.width
        total += _encode(config.tokenizer, encoded, training=False)
        total += _to_code(config.tokenizer, codes, FORWARD) + _nearest(config.tokenizer, codes)
        if features != language.width:
            total += _dense(encoded.places, features, language.width, products=TO_WEIGHTS)
    return total


def text_flops(config: LanguageConfig, tokens: Tokens) -> int:
    """Operations of a pass of the language stage."""
    targets, width = _count(tokens.target, NO_TARGET), config.transformer.width
    return _language(config, tokens_size(tokens)) + _dense(targets, width, config.text_tokens)


def tokens_size(tokens: Tokens) -> AttentionSize:
    """Return the places and pairs of packed tokens."""
    return attention_size(tokens.document, tokens.step)


def _encoder_size(config: TokenizerConfig, patches: Patches) -> AttentionSize:
    causal = config.attention == "stair-step"
    return attention_size(patches.document, patches.second if causal else torch.zeros_like(patches.second))


def _count(values: Tensor, none: int) -> int:
    return int((values != none).sum())


def _dense(places: int, inputs: int, outputs: int, *, products: int = TO_BOTH) -> int:
    return 2 * places * inputs * outputs * products


def _blocks(
    config: TransformerConfig, seen: AttentionSize, *, products: int = TO_BOTH, linear: int | None = None
) -> int:
    """Blocks of attention (3 · width + width) and MLP (4 · width and back); scores and mixing along the pairs."""
    dense = 12 * _dense(seen.places, config.width, config.width, products=products if linear is None else linear)
    return config.layers * (dense + 2 * _dense(seen.pairs, config.width, 1, products=products))


def _language(config: LanguageConfig, seen: AttentionSize, *, linear: int = TO_BOTH, rank: int = 0) -> int:
    """Blocks of the language model: by the matrices of a block, where it is none of ours; and adapters of a rank."""
    own = config.transformer
    if config.own:  # 16 widths are inputs and outputs of a block's layers
        return _blocks(own, seen, linear=linear) + own.layers * _dense(seen.places, 16 * own.width, rank)
    found = sizes(read_settings(config.backbone))
    dense = 2 * seen.places * found.block_weights * linear + _dense(seen.places, found.block_ends, rank)
    return found.layers * (dense + 2 * _dense(seen.pairs, found.attention_width, 1))


def _encode(config: TokenizerConfig, seen: AttentionSize, *, training: bool) -> int:
    channels, width, products = config.convolution_channels, config.encoder.width, TO_BOTH if training else FORWARD
    frames = seen.places * FRAMES
    first = _dense(frames, KERNEL, channels, products=TO_WEIGHTS if training else FORWARD)  # EEG wants no gradient
    following = 2 * _dense(frames, 3 * channels, channels, products=products)
    linear = _dense(seen.places, FRAMES * channels, width, products=products)
    if config.spectral:
        linear += _dense(seen.places, SPECTRUM, width, products=TO_WEIGHTS if training else FORWARD)
    return first + following + linear + _blocks(config.encoder, seen, products=products)


def _to_code(config: TokenizerConfig, places: int, products: int) -> int:
    width = config.encoder.width
    return _dense(places, width, width + config.code_width, products=products)


def _nearest(config: TokenizerConfig, places: int) -> int:
    return _dense(places, config.code_width, config.codes, products=FORWARD)
