"""The treaty between data and model: packed patches and packed tokens.

Every place of a packed row carries the ``document`` it belongs to and its ``step``. The whole attention rule is:
**a place sees the places of its own document whose step is not later than its own.** Full attention is the same
rule with all steps equal, the stair-step mask has the second of the EEG as step, text has a step for every token.
Padding is a document of its own, so it never needs a special case and is never seen.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PADDING = -1
"""``document`` of a place that holds nothing."""
NO_TEXT = -1
"""``text`` of a place that holds a patch or padding."""
NO_PATCH = -1
"""``patch`` (or ``target_patch``) of a place that holds no patch (or predicts none)."""
NO_TARGET = -1
"""``target`` of a place that predicts no text token."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """What the encoder reads: one-second, one-channel patches of EEG, several samples packed in a row.

    All of shape (rows, width) but ``samples``, which is (rows, width, samples per patch).
    """

    samples: Tensor
    """float32, EEG in units of ``physics.SCALE`` (100 µV)."""
    channel: Tensor
    """int64, row of the channel embedding: the electrode's id in ``montage``; ``montage.PAD`` for padding."""
    second: Tensor
    """int64, second within the sample: row of the second embedding."""
    document: Tensor
    """int64, which sample the patch belongs to, unique in its row; ``PADDING`` for none."""

    def to(self, device: torch.device | str) -> Patches:
        """The same on another device."""
        return _to(self, device)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What the language model reads: patches and text, several documents packed in a row.

    All int64 of shape (rows, width).
    """

    document: Tensor
    """Which document the place belongs to, unique in its row; ``PADDING`` for none."""
    step: Tensor
    """Order within the document: a second of EEG is one step, every text token its own, counted on from the EEG."""
    position: Tensor
    """Row of the position embedding: the second for EEG, then counted on for text."""
    text: Tensor
    """Id of the text token, or ``NO_TEXT``."""
    patch: Tensor
    """Index of the patch in the flattened (rows · width) places of :class:`Patches`, or ``NO_PATCH``."""
    target: Tensor
    """Id of the text token to predict at this place, or ``NO_TARGET``."""
    target_patch: Tensor
    """Index of the patch whose code is to be predicted at this place (next second, same channel), or ``NO_PATCH``."""

    def to(self, device: torch.device | str) -> Tokens:
        """The same on another device."""
        return _to(self, device)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's input. ``patches`` is None in a batch of text alone, ``tokens`` in a batch for the tokenizer."""

    patches: Patches | None
    tokens: Tokens | None
    sources: tuple[str, ...] = ()
    """Where each EEG sample came from (``recording@start second``), to name it when something goes wrong."""

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        patches = None if self.patches is None else self.patches.to(device)
        tokens = None if self.tokens is None else self.tokens.to(device)
        return Batch(patches=patches, tokens=tokens, sources=self.sources)


def _to(packed, device):
    return replace(packed, **{f.name: getattr(packed, f.name).to(device, non_blocking=True) for f in fields(packed)})
