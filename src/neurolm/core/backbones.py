"""Language models that can take GPT-2's place, and their configurations as plain JSON.

A configuration may be a stranger's: it is read here as data, field by field and within bounds, before any library sees
it. It names no code, no file and no address.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from neurolm.core.errors import ConfigError
from neurolm.core.files import dump_json
from neurolm.core.names import choose
from neurolm.core.small_files import parse_json

OWN = "gpt2"
"""The backbone that is no model of `transformers`: our own GPT-2."""
FAMILIES = {
    "gpt2": "GPT-2 as transformers has it, to compare ours with",
    "llama": "Llama 2 and 3, SmolLM and SmolLM2, and others that share their layout",
    "qwen3": "Qwen3, dense",
    "smollm3": "SmolLM3",
    "gemma3_text": "Gemma 3 for text: 270M and 1B",
}
"""Values of ``model_type`` that are admitted: what a document sees, packing, cache and training are proved for each."""
_SIZES = {
    "num_hidden_layers": 200, "num_attention_heads": 65_536, "num_key_value_heads": 65_536, "hidden_size": 65_536,
    "intermediate_size": 2**20, "head_dim": 65_536, "max_position_embeddings": 2**24,
}  # fmt: skip
"""Sizes, and the most that each may be: ``config.DEEPEST`` and the like, before memory of these sizes is taken."""
_MAY_BE_NULL = ("num_key_value_heads", "head_dim", "n_inner")
"""Sizes that follow from the others where a file says null."""
_GPT2 = {
    "n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_embd": "hidden_size",
    "n_positions": "max_position_embeddings", "n_inner": "intermediate_size",
}  # fmt: skip
"""What GPT-2 calls them."""
FIELDS = frozenset(
    (*_SIZES, *_GPT2, "model_type", "hidden_act", "hidden_activation", "activation_function", "initializer_range",
     "rms_norm_eps", "layer_norm_epsilon", "rope_parameters", "attention_bias", "mlp_bias", "tie_word_embeddings",
     "sliding_window", "use_sliding_window", "max_window_layers", "layer_types", "no_rope_layers",
     "no_rope_layer_interval", "query_pre_attn_scalar", "scale_attn_weights", "scale_attn_by_inverse_layer_idx")
)  # fmt: skip
"""Fields that say how a model computes. What else such a file holds is for text generation, or for code."""
OLD_FIELDS = frozenset(("rope_theta", "rope_scaling", "rope_local_base_freq", "sliding_window_pattern"))
"""What files of older versions say in place of ``rope_parameters`` and ``layer_types``."""
REFUSED = {
    "attn_logit_softcapping": "attention scores with a soft cap", "final_logit_softcapping": "logits with a soft cap",
    "quantization_config": "quantised weights", "reorder_and_upcast_attn": "an attention of its own",
    "use_bidirectional_attention": "text that sees what follows it",
}  # fmt: skip
"""Fields that change what a model computes in ways that are not built here, unless they are off."""
_LONGEST, _DEEPEST, _MOST = 1 << 16, 4, 4096
"""Most characters of a configuration, levels of it, and entries of a list or characters of a text within."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large a model is, by its configuration."""

    layers: int
    heads: int
    key_value_heads: int
    head_width: int
    width: int
    inner: int
    positions: int
    gated: bool
    """Whether the MLP has a third matrix, whose product is a gate."""
    initial_std: float

    @property
    def block_weights(self) -> int:
        """Weights of the matrices of a block."""
        attention = 2 * self.width * self.head_width * (self.heads + self.key_value_heads)
        return attention + (3 if self.gated else 2) * self.width * self.inner

    @property
    def block_ends(self) -> int:
        """Inputs and outputs of the linear layers of a block."""
        attention = 4 * self.width + 2 * self.head_width * (self.heads + self.key_value_heads)
        return attention + (3 if self.gated else 2) * (self.width + self.inner)

    @property
    def attention_width(self) -> int:
        """Width of a place's queries."""
        return self.heads * self.head_width


@functools.lru_cache(maxsize=16)
def read_settings(text: str) -> Mapping[str, Any]:
    """Read the configuration of a model of `transformers`, as `plain` wrote it.

    Raises
    ------
    ConfigError
        If it is not such a configuration, or says what no model has.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"backbone: {len(text):,} characters, and a configuration has at most {_LONGEST:,}")
    try:
        found = parse_json(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(
            f"backbone: expected {OWN!r}, or the configuration of another model as JSON, not {text[:60]!r}; "
            "`neurolm train language --backbone` takes a folder or a hub id, and writes it"
        )
    if unknown := sorted(found.keys() - FIELDS):
        raise ConfigError(f"backbone: {unknown[0][:60]!r} is no field of it; known are {', '.join(sorted(FIELDS))}")
    check(found)
    return MappingProxyType(found)


def check(found: Mapping[str, Any]) -> None:
    """Refuse a configuration of a family that is not admitted, or with values that no model has.

    Raises
    ------
    ConfigError
        Naming the field and the value.
    """
    family = found.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ConfigError(f"model_type {str(family)[:60]!r}: no backbone{choose(str(family)[:60], list(FAMILIES))}")
    for name, what in REFUSED.items():
        if found.get(name) not in (None, False):
            raise ConfigError(f"{name}: {what} cannot be computed here; choose another model")
    for name, value in _values(dict(found)):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, str) and len(value) > _MOST:
            raise ConfigError(f"{name}: a text of {len(value):,} characters, which no model has")
        if isinstance(value, int | float) and not abs(value) < 2**31:  # NaN too
            raise ConfigError(f"{name}: {str(value)[:20]} is no value of a model")
    _require_numbers(found)


def _require_numbers(found: Mapping[str, Any]) -> None:
    """Refuse sizes that no model has, and a scale of initial weights that is none."""
    for name, value in found.items():
        most = _SIZES.get(_GPT2.get(name, name))
        if most is None or (value is None and name in _MAY_BE_NULL):
            continue
        if not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most):
            raise ConfigError(f"{name} must be a whole number from 1 to {most:,}, not {_shown(value)}")
    spread = found.get("initializer_range", 0.0)
    if isinstance(spread, bool) or not (isinstance(spread, int | float) and 0 <= spread < 2**31):
        raise ConfigError(f"initializer_range must be a number from 0 on, as 0.02, not {_shown(spread)}")


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)[:20]


def plain(found: Mapping[str, Any]) -> str:
    """Write the fields of a configuration that count as one line of JSON; nothing else of it is kept."""
    return dump_json({name: found[name] for name in sorted(FIELDS & found.keys()) if found[name] is not None})


def sizes(found: Mapping[str, Any]) -> Sizes:
    """Return the sizes in a configuration.

    Raises
    ------
    ConfigError
        If one is missing, or none that a model has.
    """
    _require_numbers(found)
    named = {_GPT2.get(name, name): value for name, value in found.items()}
    try:
        width, heads = named["hidden_size"], named["num_attention_heads"]
        gated, shared = found["model_type"] != OWN, named.get("num_key_value_heads") or heads
        if heads % shared:
            raise ConfigError(f"num_attention_heads {heads} is not a multiple of num_key_value_heads {shared}")
        return Sizes(
            layers=named["num_hidden_layers"],
            heads=heads,
            key_value_heads=shared,
            head_width=named.get("head_dim") or max(1, width // heads),
            width=width,
            inner=named["intermediate_size"] if gated else named.get("intermediate_size") or 4 * width,
            positions=named["max_position_embeddings"],
            gated=gated,
            initial_std=float(named.get("initializer_range", 0.02)),
        )
    except KeyError as error:
        raise ConfigError(f"backbone: {error.args[0]} is missing: use the model's own config.json") from error


def _values(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """All numbers, texts and the like in a value, each with the name of its field."""
    if isinstance(value, dict | list):
        if depth > _DEEPEST or len(value) > _MOST:
            raise ConfigError(f"{name}: {len(value):,} entries at level {depth}, which no model has")
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _values(inner, str(key)[:60] if depth == 0 else name, depth + 1)
    else:
        yield name, value
