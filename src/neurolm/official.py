"""The authors' weights and ours: names and shapes of GitHub 935963004/NeuroLM (MIT), both ways.

Loading is strict: every tensor of the authors' file is used, or listed in ``UNUSED`` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurolm.config import LanguageConfig, ModelConfig, TokenizerConfig, TransformerConfig
from neurolm.errors import CheckpointError
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


def tokenizer_from_official(state: Mapping[str, Tensor], *, padded_to: int = 0) -> NeuralTokenizer:
    """Build the neural tokenizer of an official state (the ``model`` of ``VQ.pt``); all sizes come from its shapes.

    Parameters
    ----------
    state
        Tensors by their official names.
    padded_to
        As in :class:`~neurolm.config.TokenizerConfig`: to give the authors' numbers for samples that they padded.

    Raises
    ------
    CheckpointError
        If tensors are missing, unknown, or of a wrong shape.
    """
    state = _plain(state)
    tokenizer = NeuralTokenizer(_tokenizer_config(state, "VQ.encoder.", whole=True, padded_to=padded_to))
    _load(tokenizer, state, official_names(tokenizer), source="official tokenizer")
    return tokenizer


def tokenizer_to_official(tokenizer: NeuralTokenizer, word_embeddings: Tensor | None = None) -> dict[str, Tensor]:
    """Write a tokenizer under the official names.

    Parameters
    ----------
    tokenizer
        Any.
    word_embeddings
        The ``wte.weight`` that the official file also holds, (tokens, encoder width); left out without.
    """
    state = _save(tokenizer, official_names(tokenizer))
    state["VQ.quantize.embedding.cluster_size"] = state["VQ.quantize.cluster_size"].clone()
    state["VQ.quantize.embedding.embed_avg"] = state["VQ.quantize.embedding.weight"].clone()
    if word_embeddings is not None:
        state["wte.weight"] = word_embeddings
    return state


def neurolm_from_official(
    state: Mapping[str, Tensor], tokenizer_state: Mapping[str, Tensor] | None = None, *, padded_to: int = 0
) -> NeuroLM:
    """Build NeuroLM of an official state (the ``model`` of ``NeuroLM-B.pt``); all sizes come from its shapes.

    Parameters
    ----------
    state
        The language model's, which contains the encoder.
    tokenizer_state
        The tokenizer's, for codebook and decoders. Without it the model answers questions, but it has no codes:
        asking for some raises an error.
    padded_to
        As in :func:`tokenizer_from_official`.

    Raises
    ------
    CheckpointError
        If tensors are missing, unknown, or of a wrong shape, or the two encoders differ.
    """
    state = _plain(state)
    neural = _tokenizer_config(state, "tokenizer.", whole=False, padded_to=padded_to)
    if tokenizer_state is not None:
        tokenizer = tokenizer_from_official(tokenizer_state, padded_to=padded_to)
        neural = tokenizer.config
    rows, width = _get(state, "GPT2.transformer.wte.weight").shape
    model = NeuroLM(
        ModelConfig(
            tokenizer=neural,
            language=LanguageConfig(
                transformer=_transformer_config(state, "GPT2.transformer.h.", width),
                positions=len(_get(state, "GPT2.transformer.wpe.weight")),
                text_tokens=TEXT_TOKENS,
            ),
        )
    )
    if rows != model.vocabulary.eeg_start:
        raise CheckpointError(
            f"official language model: {rows} rows of word embeddings, expected {model.vocabulary.eeg_start}"
        )
    names = official_names(model)
    if tokenizer_state is not None:
        model.tokenizer.load_state_dict(tokenizer.state_dict())
        _require_same_encoder(model, state, names)
    _load(model, state, names, source="official language model")
    return model


def neurolm_to_official(model: NeuroLM) -> dict[str, Tensor]:
    """Write the language model and its encoder under the official names; see ``tokenizer_to_official`` for the rest."""
    return _save(model, official_names(model))


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


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(COMPILED): value for key, value in state.items()}


def _get(state: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise CheckpointError(f"not an official NeuroLM state: it has no {key}")
    return state[key]


def _transformer_config(state: Mapping[str, Tensor], blocks: str, width: int) -> TransformerConfig:
    numbers = {int(key.removeprefix(blocks).split(".")[0]) for key in state if key.startswith(blocks)}
    return TransformerConfig(
        layers=len(numbers),
        heads=width // HEAD_WIDTH,
        width=width,
        bias=f"{blocks}0.ln_1.bias" in state,
    )


def _tokenizer_config(state: Mapping[str, Tensor], encoder: str, *, whole: bool, padded_to: int) -> TokenizerConfig:
    channels, width = _get(state, f"{encoder}pos_embed.weight").shape
    config: dict[str, Any] = {
        "encoder": _transformer_config(state, f"{encoder}blocks.", width),
        "convolution_channels": len(_get(state, f"{encoder}patch_embed.conv1.weight")),
        "channels": channels,
        "seconds": len(_get(state, f"{encoder}time_embed.weight")),
        "padded_to": padded_to,
    }
    if whole:
        decoded = _get(state, "VQ.decoder_freq.patch_embed.weight")
        codebook = _get(state, "VQ.quantize.embedding.weight")
        return TokenizerConfig(
            decoder=_transformer_config(state, "VQ.decoder_freq.blocks.", len(decoded)),
            codes=len(codebook),
            code_width=codebook.shape[1],
            classifier_width=len(_get(state, "domain_classifier.0.weight")),
            **config,
        )
    codes = len(_get(state, "GPT2.lm_head.weight")) - len(_get(state, "GPT2.transformer.wte.weight"))
    return TokenizerConfig(decoder=TransformerConfig(layers=4, heads=12, width=768), codes=codes, **config)


def _load(
    module: NeuralTokenizer | NeuroLM, state: Mapping[str, Tensor], names: Mapping[str, str], *, source: str
) -> None:
    own = module.state_dict()
    missing = sorted(names.keys() - state.keys())
    unknown = sorted(state.keys() - names.keys() - UNUSED.keys())
    if missing or unknown:
        raise CheckpointError(
            f"{source}: {len(missing)} tensors are missing ({', '.join(missing[:3])}) and {len(unknown)} are unknown "
            f"({', '.join(unknown[:3])}); is it a NeuroLM file, and complete?"
        )
    with torch.no_grad():
        for official, ours in names.items():
            if _shape(state[official]) != _shape(own[ours]):
                raise CheckpointError(
                    f"{source}: {official} has shape {tuple(state[official].shape)}, expected {tuple(own[ours].shape)}"
                )
            own[ours].copy_(state[official].reshape(own[ours].shape))


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """Shape, where the flag of the codebook, a vector of one there, is the scalar that it is here."""
    return () if tensor.shape == (1,) else tuple(tensor.shape)


def _save(module: NeuralTokenizer | NeuroLM, names: Mapping[str, str]) -> dict[str, Tensor]:
    own, state = module.state_dict(), {}
    for official, ours in names.items():
        value = own[ours].detach().clone()
        if official.endswith("initted"):
            value = value.float().reshape(1)
        state[official] = value
    return state


def _require_same_encoder(model: NeuroLM, state: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
    own = model.state_dict()
    for official, ours in names.items():
        if official.startswith("tokenizer.") and not torch.equal(
            own[ours], _get(state, official).reshape(own[ours].shape).to(own[ours])
        ):
            raise CheckpointError(
                f"tokenizer and language model do not belong together: {official} of the language model's frozen "
                "encoder is not that of the tokenizer's file"
            )
