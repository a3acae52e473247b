"""What a language model is to the rest of the house, whichever it is: GPT-2 here, or one of the hub.

>>> hidden = language(language.words(text), position, seen)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from neurolm.core.batch import NO_TARGET, Tokens
from neurolm.core.config import LanguageConfig
from neurolm.core.errors import CheckpointError
from neurolm.model.attention import Visibility
from neurolm.model.loss import cross_entropy
from neurolm.model.transformer import Cache

OUTPUT = "lm_head.weight"
"""Rows that write text, where they are not those of the word embedding."""


class LanguageModel(nn.Module, ABC):
    """A language model without output layer: an embedding of words, and a stack of blocks.

    Attributes
    ----------
    config
        Sizes.
    compiled
        Whether losses are compiled (see ``compile_model``).
    WORDS
        Name of the word embedding in its state.
    """

    config: LanguageConfig
    compiled: bool = False
    WORDS: str

    @property
    @abstractmethod
    def blocks(self) -> Iterable[nn.Module]:
        """Its transformer blocks, from the first to the last."""

    @abstractmethod
    def words(self, text: Tensor) -> Tensor:
        """Vectors of text tokens as the first block takes them, without position: ids (rows, places)."""

    @property
    def input_scale(self) -> float:
        """What rows of the word embedding are multiplied by before the first block; EEG is, too."""
        return 1.0

    @abstractmethod
    def forward(self, vectors: Tensor, position: Tensor, seen: Visibility, cache: Cache | None = None) -> Tensor:
        """Vectors of words or patches, without position, to hidden states, both (rows, places, width).

        Parameters
        ----------
        position
            int64 (rows, places).
        seen
            Who sees whom; with a cache, what ``cache.extend`` returned for these places.
        cache
            Takes part in the attention and grows by these places.
        """

    @property
    def output_rows(self) -> Tensor:
        """What writes text while there is text alone: by default, as in GPT-2, the word embedding itself."""
        return self.get_parameter(self.WORDS)

    def text_loss(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Next-word loss of text alone.

        Returns
        -------
        tuple of Tensor
            Sum over the targets, and how many there are.
        """
        hidden = self(self.words(tokens.text.clamp(min=0)), tokens.position, Visibility(tokens.document, tokens.step))
        wanted = tokens.target != NO_TARGET
        rows = self.output_rows[: self.config.text_tokens]
        loss = cross_entropy(hidden[wanted], rows, tokens.target[wanted], compiled=self.compiled)
        return loss.sum, wanted.sum()

    @torch.no_grad()
    def take(self, state: Mapping[str, Tensor]) -> Tensor:
        """Take the weights of a model of the same sizes that has at least the rows of the text tokens.

        Rows of the word embedding that it does not have keep their values.

        Returns
        -------
        Tensor
            What writes text in it, (text tokens, width).

        Raises
        ------
        CheckpointError
            If it is of other sizes.
        """
        own, rows = self.state_dict(), self.config.text_tokens
        for key, value in own.items():
            found = tuple(state[key].shape) if key in state else None
            fits = found == value.shape
            if key == self.WORDS and found is not None:
                fits = rows <= found[0] <= len(value) and found[1:] == value.shape[1:]
            if not fits:
                raise CheckpointError(
                    f"the {NAMES.get(self.config.family, self.config.family)} weights do not fit this recipe: {key} "
                    f"has shape {found}, and the model {tuple(value.shape)}. Choose the recipe for this model, or the "
                    "other way round."
                )
        for key, value in own.items():
            value[: len(state[key])] = state[key]
        return state.get(OUTPUT, state[self.WORDS])[:rows]


NAMES = {"gpt2": "GPT-2", "llama": "Llama", "qwen3": "Qwen3", "smollm3": "SmolLM3", "gemma3_text": "Gemma 3"}
"""What families are called in messages and on model cards."""
