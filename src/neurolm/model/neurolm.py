"""NeuroLM: a frozen neural tokenizer, and a language model that reads its features:

>>> model = NeuroLM(recipe("base").model)
>>> losses = model.loss(batch, softmax="joint")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolm.core.batch import NO_PATCH, NO_TARGET, Batch, Patches, Tokens
from neurolm.core.config import ModelConfig, Softmax
from neurolm.model.attention import Visibility
from neurolm.model.backbone import new_language
from neurolm.model.loss import cross_entropy
from neurolm.model.scaling import FeatureScaling
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.model.transformer import Cache, initialise


@dataclass(frozen=True, kw_only=True)
class LanguageLosses:
    """Sums over the targets of a batch; divide by the counts (summed over processes) for means."""

    eeg: Tensor
    """Sum of the losses at EEG targets."""
    eeg_count: Tensor
    text: Tensor
    """Sum of the losses at text targets."""
    text_count: Tensor
    eeg_correct: Tensor
    """EEG targets that have the largest logit."""


class LastRows(nn.Module):
    """In the place of an embedding or output layer: its last rows are trained, the others stay as they are.

    Parameters
    ----------
    part
        The layer, whose weight is (rows, width): what is frozen of it is shared, not copied.
    start
        First row that is trained.
    scale
        What the rows are multiplied by as an embedding.
    """

    def __init__(self, part: nn.Embedding | nn.Linear, start: int, *, scale: float = 1.0) -> None:
        super().__init__()
        weight = part.weight.detach()
        self.scale, self._part = scale, (part,)  # in a tuple, so that it is no part of this one
        self.frozen = nn.Parameter(weight[:start], requires_grad=False)
        self.trained = nn.Parameter(weight[start:].clone())

    @property
    def weight(self) -> Tensor:
        """All rows, (rows, width)."""
        return torch.cat((self.frozen, self.trained))

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of ids, as the embedding gives them: the table is not put together for it."""
        start = len(self.frozen)
        ours = nn.functional.embedding((ids - start).clamp(min=0), self.trained)
        others = nn.functional.embedding(ids.clamp(max=start - 1), self.frozen)
        return torch.where((ids < start)[..., None], others, ours) * self.scale

    def whole(self) -> nn.Module:
        """Return the layer in whose place this is, with the rows as they are now."""
        (part,) = self._part
        part.weight = nn.Parameter(self.weight.detach())
        return part


class NeuroLM(nn.Module):
    """The whole model. Only bridge, channel embedding, language model and head are trainable.

    Parameters
    ----------
    config
        Sizes of all parts.
    decoders
        Without the neural tokenizer's decoders it reads EEG, but cannot show it.
    """

    def __init__(self, config: ModelConfig, *, decoders: bool = True) -> None:
        super().__init__()
        self.config, self.vocabulary = config, config.vocabulary
        width, features = config.language.transformer.width, config.tokenizer.encoder.width
        self.tokenizer = NeuralTokenizer(config.tokenizer, decoders=decoders)
        self.tokenizer.requires_grad_(False)
        self.scaling = FeatureScaling(features, config.feature_scale) if config.feature_scale else nn.Identity()
        self.bridge: nn.Module = nn.Identity()
        if features != width:
            self.bridge = nn.Sequential(nn.Linear(features, width), nn.GELU())
            initialise(self.bridge, truncated=True, std=config.language.transformer.initial_std)
        self.channel_embedding = nn.Embedding(config.tokenizer.channels, width)
        self.language = new_language(config.language, rows=self.vocabulary.eeg_start)
        self.head: nn.Linear | LastRows = nn.Linear(width, self.vocabulary.size, bias=False)
        for part in (self.channel_embedding, self.head):
            nn.init.normal_(part.weight, std=config.language.transformer.initial_std)
        self.train(self.training)

    def train(self, mode: bool = True) -> NeuroLM:
        """Set the training mode; the tokenizer is frozen and stays in evaluation mode."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    @torch.no_grad()
    def initialise_language(self, state: Mapping[str, Tensor]) -> None:
        """Start from a language model: trunk, word embeddings and the text rows of the head.

        Where the model ties its output layer to the word embedding, as GPT-2 does, the head's rows begin as those; from
        then on they are weights of their own. Rows that the model does not have (separator, padding, EEG codes) keep
        their initial values, normal with standard deviation .02. (The official code leaves them to PyTorch: N(0, 1) in
        the embedding.)

        Parameters
        ----------
        state
            State of a language model of the same sizes, with at least the rows of the text tokens.

        Raises
        ------
        CheckpointError
            If it is of other sizes.
        """
        written = self.language.take(state)
        self.head.weight[: len(written)] = written

    def features(self, patches: Patches, cache: Cache | None = None) -> Tensor:
        """The frozen encoder's features, (rows, width, encoder width), without gradient."""
        with torch.no_grad():
            return self.tokenizer.encode(patches, cache)

    def embed(self, tokens: Tokens, patches: Patches | None, features: Tensor | None) -> Tensor:
        """Input of the language model, (rows, width, model width): patches and text, without their positions.

        EEG is multiplied by what the model multiplies rows of its word embedding by: it enters as a word would.
        """
        x = self.language.words(tokens.text.clamp(min=0))
        if patches is not None and features is not None:
            eeg = self.bridge(self.scaling(features)) + self.channel_embedding(patches.channel)
            if (scale := self.language.input_scale) != 1:
                eeg = eeg * scale
            chosen = nn.functional.embedding(tokens.patch.clamp(min=0), eeg.flatten(0, 1))
            x = torch.where((tokens.patch != NO_PATCH)[..., None], chosen, x)
        return x

    def forward(self, batch: Batch, *, features: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Hidden states of all places of ``batch.tokens``, (rows, width, model width).

        Parameters
        ----------
        batch
            Tokens, and the patches they refer to.
        features
            ``self.features(batch.patches)`` where the caller has them already.
        cache
            Keys and values of earlier places of the same rows; grows by these.
        """
        tokens = batch.tokens
        assert tokens is not None, "the language model needs tokens"
        if features is None and batch.patches is not None:
            features = self.features(batch.patches)
        place = tokens.document, tokens.step
        seen = Visibility(*place) if cache is None else cache.extend(*place)
        return self.language(self.embed(tokens, batch.patches, features), tokens.position, seen, cache)

    def loss(self, batch: Batch, *, softmax: Softmax = "range") -> LanguageLosses:
        """Losses at the targets of a batch; the encoder runs once, for the input and for the codes to predict.

        Parameters
        ----------
        batch
            Tokens, and the patches they refer to.
        softmax
            ``range``: over the outputs of the target's own modality; ``joint``: over all, as in the paper.
        """
        tokens = batch.tokens
        assert tokens is not None, "the language model needs tokens"
        features = None if batch.patches is None else self.features(batch.patches)
        codes = tokens.target_patch.new_zeros(0)
        if features is not None:
            wanted = tokens.target_patch[tokens.target_patch != NO_PATCH]
            if len(wanted):
                with torch.no_grad():
                    codes = self.tokenizer.codes(features.flatten(0, 1)[wanted])
        return self.loss_of(self(batch, features=features), tokens, codes, softmax=softmax)

    def loss_of(self, hidden: Tensor, tokens: Tokens, codes: Tensor, *, softmax: Softmax = "range") -> LanguageLosses:
        """Losses of hidden states (rows, width, model width).

        Parameters
        ----------
        hidden
            What ``forward`` returned for these tokens.
        tokens
            Where the targets are.
        codes
            int64, the code to predict at each place with a ``target_patch``, in order.
        softmax
            As in ``loss``.
        """
        has_text, has_code = tokens.target != NO_TARGET, tokens.target_patch != NO_PATCH
        text_rows, eeg_rows, shift = self.text_rows, self.eeg_rows, 0
        if softmax == "joint":
            text_rows = eeg_rows = self.head.weight
            shift = self.vocabulary.eeg_start
        compiled = self.language.compiled
        text = cross_entropy(hidden[has_text], text_rows, tokens.target[has_text], compiled=compiled)
        eeg = cross_entropy(hidden[has_code], eeg_rows, codes + shift, compiled=compiled)
        return LanguageLosses(
            eeg=eeg.sum,
            eeg_count=has_code.sum(),
            text=text.sum,
            text_count=has_text.sum(),
            eeg_correct=eeg.correct,
        )

    @property
    def text_rows(self) -> Tensor:
        """Rows of the head that write text, (text tokens, model width)."""
        if isinstance(self.head, LastRows):
            return self.head.frozen
        return self.head.weight[: self.vocabulary.text_tokens]

    @property
    def eeg_rows(self) -> Tensor:
        """Rows of the head that write EEG codes, (codes, model width)."""
        if isinstance(self.head, LastRows):
            return self.head.trained[self.vocabulary.eeg_start - len(self.head.frozen) :]
        return self.head.weight[self.vocabulary.eeg_start :]
