"""The authors' weights and ours: names and shapes of GitHub 935963004/NeuroLM (MIT), both ways.

Loading is strict: every tensor of the authors' file is used, or listed in ``UNUSED`` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurolm.core.config import LanguageConfig, ModelConfig, TokenizerConfig, TransformerConfig
from neurolm.core.errors import CheckpointError
from neurolm.core.physics import PATCH
from neurolm.model.encoder import FRAMES, STRIDE
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer

TEXT_TOKENS = 50_257
"""GPT-2's tokens, which all official models have."""
HEAD_WIDTH = 64
"""Width of an attention head in all official models and in every GPT-2."""
COMPILED = "_orig_mod."
"""Prefix that ``torch.compile`` puts before names."""

UNUSED = {
    "wte.weight": "GPT-2's word embeddings, kept in the tokenizer's file for the alignment loss only",
    "VQ.quantize.embedding.cluster_size": "cluster sizes of the k-means start, never read",
    "VQ.quantize.embedding.embed_avg": "never updated nor read",
}
"""Official tensors that the method does not use, and what they are."""


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Attention heads, which no tensor's shape tells; 0 takes heads of ``HEAD_WIDTH``, as all official models have."""

    encoder: int = 0
    decoder: int = 0
    language: int = 0


_PARTS = {  # of encoder and decoders, ours to official; the first that fits
    "convolution.linear.": "patch_embed.l.0.",
    "convolution.": "patch_embed.",
    "input.": "patch_embed.",
    "channel_embedding.": "pos_embed.",
    "second_embedding.": "time_embed.",
    "transformer.blocks.": "blocks.",
    "norm.": "fc_norm.",
}
_TOKENIZER = {
    "encoder.": "VQ.encoder.",
    "spectrum_decoder.": "VQ.decoder_freq.",
    "waveform_decoder.": "VQ.decoder_raw.",
    "to_code.": "VQ.encode_task_layer.",
    "spectrum_head.": "VQ.decode_task_layer_freq.",
    "waveform_head.": "VQ.decode_task_layer_raw.",
    "quantizer.codebook": "VQ.quantize.embedding.weight",
    "quantizer.usage": "VQ.quantize.cluster_size",
    "quantizer.initialised": "VQ.quantize.embedding.initted",
    "domain_classifier.": "domain_classifier.",
}
_LANGUAGE = {
    "tokenizer.encoder.": "tokenizer.",
    "bridge.": "encode_transform_layer.",
    "channel_embedding.": "pos_embed.",
    "language.transformer.blocks.": "GPT2.transformer.h.",
    "language.": "GPT2.transformer.",
    "head.": "GPT2.lm_head.",
}
_NESTED = ("VQ.encoder.", "VQ.decoder_freq.", "VQ.decoder_raw.", "tokenizer.")


def tokenizer_from_official(
    state: Mapping[str, Tensor], *, padded_to: int = 0, heads: Heads | None = None
) -> NeuralTokenizer:
    """Build the neural tokenizer of an official state (the ``model`` of ``VQ.pt``); its sizes come from the shapes.

    Parameters
    ----------
    state
        Tensors by their official names.
    padded_to
        As in :class:`~neurolm.core.config.TokenizerConfig`: to give the authors' numbers for samples that they padded.
    heads
        Where they are not of the official width.

    Raises
    ------
    CheckpointError
        If tensors are missing, unknown, or of a wrong shape.
    """
    state = plain_names(state)
    with torch.device("meta"):  # no initial weights, which would be thrown away
        tokenizer = NeuralTokenizer(tokenizer_config(state, padded_to=padded_to, heads=heads))
    _fill(tokenizer, weights_from_official(tokenizer, state, source="official tokenizer"))
    return tokenizer


def neurolm_from_official(
    state: Mapping[str, Tensor],
    tokenizer_state: Mapping[str, Tensor] | None = None,
    *,
    padded_to: int = 0,
    heads: Heads | None = None,
) -> NeuroLM:
    """Build NeuroLM of an official state (the ``model`` of ``NeuroLM-B.pt``); its sizes come from the shapes.

    Parameters
    ----------
    state
        The language model's, which contains the encoder.
    tokenizer_state
        The tokenizer's, for codebook and decoders. Without it the model answers questions, but it has no codes:
        asking for some raises an error.
    padded_to, heads
        As in :func:`tokenizer_from_official`.

    Raises
    ------
    CheckpointError
        If tensors are missing, unknown, or of a wrong shape, or the two encoders differ.
    """
    with torch.device("meta"):
        model = NeuroLM(neurolm_config(state, tokenizer_state, padded_to=padded_to, heads=heads))
    weights = neurolm_weights(model, state, tokenizer_state)
    if tokenizer_state is None:  # initial weights for codebook and decoders
        neural = NeuralTokenizer(model.config.tokenizer).state_dict()
        weights = {f"tokenizer.{name}": value for name, value in neural.items()} | weights
    _fill(model, weights)
    return model


def neurolm_config(
    state: Mapping[str, Tensor],
    tokenizer_state: Mapping[str, Tensor] | None = None,
    *,
    padded_to: int = 0,
    heads: Heads | None = None,
) -> ModelConfig:
    """Sizes of the model of official states; parameters and errors as in :func:`neurolm_from_official`."""
    state, heads = plain_names(state), heads or Heads()
    rows, width = _get(state, "GPT2.transformer.wte.weight").shape
    if tokenizer_state is None:
        neural = _encoder_config(state, padded_to=padded_to, heads=heads)
    else:
        neural = tokenizer_config(plain_names(tokenizer_state), padded_to=padded_to, heads=heads)
    config = ModelConfig(
        tokenizer=neural,
        language=LanguageConfig(
            transformer=_transformer_config(state, "GPT2.transformer.h.", width, heads.language),
            positions=len(_get(state, "GPT2.transformer.wpe.weight")),
            text_tokens=TEXT_TOKENS,
        ),
    )
    if rows != config.vocabulary.eeg_start:
        raise CheckpointError(
            f"official language model: {rows} rows of word embeddings, expected {config.vocabulary.eeg_start}"
        )
    return config


def neurolm_weights(
    model: NeuroLM, state: Mapping[str, Tensor], tokenizer_state: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """State of our model from official states, strictly; nothing is copied, and the model may be on the meta device.

    Raises
    ------
    CheckpointError
        As :func:`neurolm_from_official`.
    """
    state = plain_names(state)
    weights = weights_from_official(model, state, source="official language model")
    if tokenizer_state is None:
        return weights
    neural = weights_from_official(model.tokenizer, plain_names(tokenizer_state), source="official tokenizer")
    for official, ours in official_names(model).items():
        name = ours.removeprefix("tokenizer.")
        if official.startswith("tokenizer.") and not torch.equal(neural[name], weights[ours]):
            raise CheckpointError(
                f"tokenizer and language model do not belong together: {official} of the language model's frozen "
                "encoder is not that of the tokenizer's file"
            )
    return weights | {f"tokenizer.{name}": value for name, value in neural.items()}


def weights_from_official(
    module: NeuralTokenizer | NeuroLM, state: Mapping[str, Tensor], *, source: str
) -> dict[str, Tensor]:
    """Give official tensors our names, strictly: each used or in ``UNUSED``, each of the module's shape.

    Parameters
    ----------
    module
        Module of the state's sizes; only its names and shapes are read, so it may be on the meta device.
    state
        Tensors by their official names, without the prefix of compiled models. They are not copied.
    source
        What to call it in errors.

    Raises
    ------
    CheckpointError
        Naming the first tensors that are missing, unknown or of another shape.
    """
    own, names = module.state_dict(), official_names(module)
    missing = sorted(names.keys() - state.keys())
    unknown = sorted(state.keys() - names.keys() - UNUSED.keys())
    if missing or unknown:
        raise CheckpointError(
            f"{source}: {len(missing)} tensors are missing ({', '.join(missing[:3])}) and {len(unknown)} are unknown "
            f"({', '.join(unknown[:3])}); is it a NeuroLM file, and complete?"
        )
    weights = {}
    for official, ours in names.items():
        value, like = state[official], own[ours]
        if _shape(value) != _shape(like):
            raise CheckpointError(f"{source}: {official} has shape {tuple(value.shape)}, expected {tuple(like.shape)}")
        if not value.is_floating_point():
            raise CheckpointError(f"{source}: {official} holds {value.dtype}, expected floating-point numbers")
        weights[ours] = value.reshape(like.shape).to(like.dtype)
    return weights


def weights_to_official(module: NeuralTokenizer | NeuroLM, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give our tensors the official names and shapes, without copying; of the module only the names are read."""
    state = {}
    for official, ours in official_names(module).items():
        value = weights[ours].detach()
        if official.endswith("initted"):  # a vector of one number there
            value = value.float().reshape(1)
        state[official] = value
    return state


def official_names(module: NeuralTokenizer | NeuroLM) -> dict[str, str]:
    """Official name → our name, of every tensor of ours that the official file holds."""
    table = _TOKENIZER if isinstance(module, NeuralTokenizer) else _LANGUAGE
    names = {}
    for ours in module.state_dict():
        official = _replace(ours, table)
        if official is None:
            continue  # the language model's file holds no codebook and no decoders
        part = next((prefix for prefix in _NESTED if official.startswith(prefix)), None)
        if part is not None:
            rest = official.removeprefix(part)
            official = part + (_replace(rest, _PARTS) or rest)
        names[official] = ours
    return names


def _replace(name: str, table: Mapping[str, str]) -> str | None:
    for ours, official in table.items():
        if name.startswith(ours):
            return official + name.removeprefix(ours)
    return None


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefix of compiled models."""
    return {key.removeprefix(COMPILED): value for key, value in state.items()}


def _fill(module: NeuralTokenizer | NeuroLM, weights: Mapping[str, Tensor]) -> None:
    """Put copies of weights into a module on the meta device."""
    module.load_state_dict({name: value.detach().clone() for name, value in weights.items()}, assign=True)


def _get(state: Mapping[str, Tensor], key: str) -> Tensor:
    """Return a tensor of more than one dimension, from which sizes are read."""
    if key not in state:
        raise CheckpointError(f"not an official NeuroLM state: it has no {key}")
    if state[key].ndim < 2:
        raise CheckpointError(f"not an official NeuroLM state: {key} has shape {tuple(state[key].shape)}")
    return state[key]


def _transformer_config(state: Mapping[str, Tensor], blocks: str, width: int, heads: int) -> TransformerConfig:
    numbers = {key.removeprefix(blocks).split(".")[0] for key in state if key.startswith(blocks)}
    if not numbers:
        raise CheckpointError(f"not an official NeuroLM state: it has no {blocks}0")
    return TransformerConfig(
        layers=len(numbers),
        heads=heads or width // HEAD_WIDTH,
        width=width,
        bias=f"{blocks}0.ln_1.bias" in state,
    )


def tokenizer_config(state: Mapping[str, Tensor], *, padded_to: int = 0, heads: Heads | None = None) -> TokenizerConfig:
    """Sizes of the tokenizer of an official state; parameters and errors as in :func:`tokenizer_from_official`."""
    heads = heads or Heads()
    common = _encoder_sizes(state, "VQ.encoder.", padded_to=padded_to, heads=heads)
    decoded = _get(state, "VQ.decoder_freq.patch_embed.weight")
    codebook = _get(state, "VQ.quantize.embedding.weight")
    return TokenizerConfig(
        decoder=_transformer_config(state, "VQ.decoder_freq.blocks.", len(decoded), heads.decoder),
        codes=len(codebook),
        code_width=codebook.shape[1],
        classifier_width=len(_get(state, "domain_classifier.0.weight")),
        **common,
    )


def _encoder_config(state: Mapping[str, Tensor], *, padded_to: int, heads: Heads) -> TokenizerConfig:
    """Sizes that the language model's file tells; codebook and decoders, which it lacks, are the official ones."""
    codes = len(_get(state, "GPT2.lm_head.weight")) - len(_get(state, "GPT2.transformer.wte.weight"))
    return TokenizerConfig(
        decoder=TransformerConfig(layers=4, heads=12, width=768),
        codes=codes,
        **_encoder_sizes(state, "tokenizer.", padded_to=padded_to, heads=heads),
    )


def _encoder_sizes(state: Mapping[str, Tensor], encoder: str, *, padded_to: int, heads: Heads) -> dict[str, Any]:
    channels, width = _get(state, f"{encoder}pos_embed.weight").shape
    filters = len(_get(state, f"{encoder}patch_embed.conv1.weight"))
    _require_patch(_get(state, f"{encoder}patch_embed.l.0.weight"), filters, f"{encoder}patch_embed.l.0.weight")
    return {
        "encoder": _transformer_config(state, f"{encoder}blocks.", width, heads.encoder),
        "convolution_channels": filters,
        "channels": channels,
        "seconds": len(_get(state, f"{encoder}time_embed.weight")),
        "padded_to": padded_to,
    }


def _require_patch(linear: Tensor, filters: int, name: str) -> None:
    frames = linear.shape[1] / filters
    if frames != FRAMES:
        raise CheckpointError(
            f"{name} has shape {tuple(linear.shape)}, expected ({linear.shape[0]}, {FRAMES * filters}): these weights "
            f"are for patches of about {frames * STRIDE:.0f} samples, and neurolm reads patches of {PATCH} (1 s at "
            "200 Hz) only"
        )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """Shape, where the flag of the codebook, a vector of one there, is the scalar that it is here."""
    return () if tensor.shape == (1,) else tuple(tensor.shape)
