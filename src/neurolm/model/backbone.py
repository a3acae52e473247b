"""Language models of `transformers` in the place of GPT-2, with our own rule of who sees whom.

>>> language = new_language(config.language, rows=config.vocabulary.eeg_start)

Their layers call our attention: `transformers` lets an attention be registered by name, and makes no mask for one that
it does not know. So causal masks, sliding windows and packing of its own have no part in it, and what a place sees is
`model.attention` alone, in every layer. Keys and values are those of our ``Cache``; positions are given, and rotated
by the model as it rotates its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurolm.core.backbones import read_settings
from neurolm.core.config import LanguageConfig
from neurolm.core.errors import ConfigError
from neurolm.model.attention import Masking, Visibility
from neurolm.model.gpt2 import GPT2
from neurolm.model.language import LanguageModel
from neurolm.model.transformer import Block, Cache


class Backbone(LanguageModel):
    """A causal language model of `transformers`, built from its configuration, without output layer.

    Parameters
    ----------
    config
        Sizes; its ``backbone`` is the configuration.
    rows
        Rows of the word embedding; ``config.text_tokens`` by default.
    output
        Whether to keep an output layer for text alone, where the model ties none to its word embedding.

    Attributes
    ----------
    checkpointing
        Whether training keeps a block's input alone and runs the block again for its gradients.
    """

    def __init__(self, config: LanguageConfig, rows: int | None = None, *, output: bool = False) -> None:
        super().__init__()
        self.config, self.checkpointing = config, False
        rows = config.text_tokens if rows is None else rows
        self.model = _built(config, rows)
        self.WORDS = words_name(config)
        tied = bool(self.model.config.tie_word_embeddings)
        self.lm_head = None
        if output and not tied:
            self.lm_head = nn.Linear(config.transformer.width, rows, bias=False)
            nn.init.normal_(self.lm_head.weight, std=config.transformer.initial_std)

    @property
    def blocks(self) -> Iterable[nn.Module]:
        """Its transformer blocks: the layers of `transformers`."""
        found = self.model.h if self.config.family == "gpt2" else self.model.layers
        assert isinstance(found, nn.ModuleList)
        return found

    @property
    def input_scale(self) -> float:
        """√width in Gemma, whose embedding multiplies by it."""
        return self.config.transformer.width**0.5 if self.config.family == "gemma3_text" else 1.0

    @property
    def output_rows(self) -> Tensor:
        """The output layer, or the word embedding where they are tied."""
        return super().output_rows if self.lm_head is None else self.lm_head.weight

    def words(self, text: Tensor) -> Tensor:
        """Vectors of text tokens as the first block takes them, ids (rows, places)."""
        return self.model.get_input_embeddings()(text)

    def forward(self, vectors: Tensor, position: Tensor, seen: Visibility, cache: Cache | None = None) -> Tensor:
        """Vectors without position to hidden states, both (rows, places, width); see ``LanguageModel``."""
        dropout = self.config.transformer.dropout if self.training else 0.0
        for block in self.blocks:
            again = {"gradient_checkpointing": self.checkpointing, "_gradient_checkpointing_func": _again}
            block.__dict__.update(again)  # what the library's own switch sets, without its hooks
        vectors = F.dropout(vectors, dropout, self.training)
        if cache is None and (apart := seen.apart(vectors.shape[-1])) is not None:
            row = self._run(apart.take(vectors), apart.take(position), apart.masking, None)
            return apart.put(row, vectors)
        return self._run(vectors, position, seen.masking(dropout=dropout), cache)

    def _run(self, vectors: Tensor, position: Tensor, how: Masking, cache: Cache | None) -> Tensor:
        from neurolm.model.hub_model import Held

        held = None if cache is None else Held(cache.layers)
        hidden: Tensor = self.model(
            inputs_embeds=vectors, position_ids=position, past_key_values=held, use_cache=False, masking=how
        ).last_hidden_state
        if cache is not None and held is not None:
            cache.layers = held.held
        return hidden


_again = functools.partial(checkpoint, use_reentrant=False)


def _built(config: LanguageConfig, rows: int) -> Any:
    try:
        from neurolm.model.hub_model import build
    except ImportError as error:
        raise ConfigError(
            f"a language model of the family {config.family} needs transformers: pip install 'neurolm[backbones]'"
        ) from error
    return build(read_settings(config.backbone), rows=rows, dropout=config.transformer.dropout)


def words_name(config: LanguageConfig) -> str:
    """Name of the word embedding in the state of a language model."""
    if config.own:
        return GPT2.WORDS
    return "model.wte.weight" if config.family == "gpt2" else "model.embed_tokens.weight"


def new_language(config: LanguageConfig, rows: int | None = None, *, output: bool = False) -> LanguageModel:
    """Make a language model with random weights; parameters are those of :class:`Backbone`."""
    return GPT2(config, rows=rows) if config.own else Backbone(config, rows=rows, output=output)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """All transformer blocks of a module, whosever they are: what is compiled, sharded or kept in bfloat16 at once."""
    for part in module.modules():
        if isinstance(part, Block):
            yield part
        elif isinstance(part, Backbone):
            yield from part.blocks
