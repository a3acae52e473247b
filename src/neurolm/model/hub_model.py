"""All that touches `transformers`, which takes seconds to import: a model built from its configuration

Nothing is downloaded here, no code that comes with a model is run, and no attention of the library's own is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurolm.core.backbones import FIELDS, OLD_FIELDS, check, plain
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.model.attention import Masking, attend
from neurolm.model.transformer import KeysValues

try:
    from transformers import AutoConfig, AutoModel, DynamicCache
    from transformers.modeling_utils import AttentionInterface
except ImportError as error:
    raise ImportError("language models of the hub need transformers: pip install 'neurolm[backbones]'") from error

ATTENTION = "neurolm"
"""Name under which our attention is registered."""
_DROPOUTS = ("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop")


class Held(DynamicCache):
    """Our cache as the layers of `transformers` fill it: nothing of it is dropped, whatever windows a layer has.

    Attributes
    ----------
    held
        Keys and values of each layer, those of the places under way included.
    """

    def __init__(self, past: Sequence[KeysValues]) -> None:
        super().__init__()
        self.held: list[KeysValues] = list(past)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values of a layer, (rows, heads, places, head width); returns all of them."""
        if layer_idx < len(self.held):
            past = self.held[layer_idx]
            if past.keys.shape[2]:
                key_states = torch.cat((past.keys, key_states), 2)
                value_states = torch.cat((past.values, value_states), 2)
            self.held[layer_idx] = KeysValues(key_states, value_states)
        else:
            assert layer_idx == len(self.held)
            self.held.append(KeysValues(key_states, value_states))
        return key_states, value_states


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    masking: Masking,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Our attention, as layers of `transformers` call it: without ``masking`` it is a TypeError, never a leak."""
    assert attention_mask is None
    if (shared := query.shape[1] // key.shape[1]) > 1:
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    query, key = query.to(value.dtype), key.to(value.dtype)
    return attend(query, key, value, masking, dropout=dropout, scale=scaling).transpose(1, 2), None


AttentionInterface.register(ATTENTION, _attention)


def build(settings: Mapping[str, Any], *, rows: int, dropout: float = 0.0) -> Any:
    """Build the model of a configuration, without output layer, with random weights.

    Parameters
    ----------
    settings
        What `core.backbones.read_settings` returned.
    rows
        Rows of the word embedding.
    dropout
        Share of the attention weights, and in GPT-2 of the rest, that is dropped in training.

    Raises
    ------
    CheckpointError
        If the library refuses the configuration.
    """
    found = _configured(settings)
    found.vocab_size, found.use_cache = rows, False
    for name in _DROPOUTS:
        if hasattr(found, name):
            setattr(found, name, dropout)
    try:
        model = AutoModel.from_config(found, attn_implementation=ATTENTION, trust_remote_code=False)
    except Exception as error:  # of whatever kind the library's own checks raise
        raise CheckpointError(f"backbone: transformers cannot build it ({type(error).__name__}: {error})") from error
    assert model.config._attn_implementation == ATTENTION
    return model.float()


def normalised(found: Mapping[str, Any], source: str) -> str:
    """Return what counts of a model's config.json, as one line of JSON with all defaults written out.

    Raises
    ------
    ConfigError
        If the family is not admitted or a value is not one of a model; the message begins with the source.
    """
    try:
        check(found)
        full = _configured({name: value for name, value in found.items() if name in FIELDS | OLD_FIELDS}).to_dict()
        check(full)
    except (ConfigError, CheckpointError) as error:
        raise ConfigError(f"{source}: {error}") from error
    return plain(full)


def _configured(settings: Mapping[str, Any]) -> Any:
    plain_settings = {name: value for name, value in settings.items() if name != "model_type"}
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    try:
        return AutoConfig.for_model(settings["model_type"], **plain_settings, **special)
    except Exception as error:  # of whatever kind the library's own checks raise
        raise CheckpointError(
            f"transformers refuses it ({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error
