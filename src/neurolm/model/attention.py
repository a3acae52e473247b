"""The one attention rule: a place sees its own document up to its own step.

A place sees the places of its own document whose step is not later than its own.

Full attention, the stair-step mask, padding, packing and the key-value cache all follow from it (see ``batch``).
Padding is document ``PADDING`` and sees padding, so that no row of the softmax is empty.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128
"""FlexAttention skips blocks of this many queries by this many keys; shorter queries gain nothing from it."""


class Masking(NamedTuple):
    """Who sees whom, as the attention of a device takes it: made before the blocks run, so that these can be compiled
    without looking at the layout."""

    mask: Tensor | None
    """bool (rows, 1, queries, keys); None: all see all, or ``causal``, or ``blocks`` say it."""
    causal: bool = False
    """Whether every query sees itself and what stands before it."""
    blocks: Any = None
    """A ``BlockMask`` where FlexAttention is to be used."""


class Visibility:
    """Who sees whom in a packed layout: made once, then used by all blocks.

    Parameters
    ----------
    document, step
        Document and step of each query, int64 (rows, queries).
    key_document, key_step
        The same of the keys, int64 (rows, keys); the queries are the keys by default.
    """

    def __init__(
        self, document: Tensor, step: Tensor, key_document: Tensor | None = None, key_step: Tensor | None = None
    ) -> None:
        assert document.shape == step.shape and document.ndim == 2
        self.document, self.step = document, step
        self.key_document = document if key_document is None else key_document
        self.key_step = step if key_step is None else key_step
        assert self.key_document.shape == self.key_step.shape and len(self.key_step) == len(step)

    @functools.cached_property
    def mask(self) -> Tensor:
        """True where a query sees a key: bool (rows, 1, queries, keys)."""
        same = self.document[:, None, :, None] == self.key_document[:, None, None, :]
        return same & (self.key_step[:, None, None, :] <= self.step[:, None, :, None])

    @functools.cached_property
    def all(self) -> bool:
        """Whether every query sees every key, so that no mask is needed."""
        return bool(self.mask.all())

    @functools.cached_property
    def causal(self) -> bool:
        """Whether every query sees itself and what stands before it, as in text alone: half of the scores."""
        queries, keys = self.mask.shape[-2:]
        return queries == keys and bool((self.mask == self.mask.new_ones(queries, keys).tril()).all())

    @functools.cached_property
    def block_mask(self) -> Any:
        """The same rule for FlexAttention, which computes no block of the score matrix that nobody sees."""
        from torch.nn.attention.flex_attention import create_block_mask  # slow to import, and used on GPUs alone

        document, step, key_document, key_step = self.document, self.step, self.key_document, self.key_step

        def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (document[row, query] == key_document[row, key]) & (key_step[row, key] <= step[row, query])

        rows, queries = document.shape
        return create_block_mask(
            sees, rows, None, queries, key_document.shape[1], device=str(document.device), BLOCK_SIZE=BLOCK
        )

    def masking(self, *, dropout: float = 0.0) -> Masking:
        """Return what ``attend`` takes on the layout's device.

        Parameters
        ----------
        dropout
            Share of the attention weights that is dropped. FlexAttention has none, so it is used without only.
        """
        if not self.document.is_cuda:
            shortcut = self.all or self.causal
            return Masking(None if shortcut else self.mask, causal=self.causal and not self.all)
        if not dropout and self.document.shape[1] >= BLOCK and has_triton():
            return Masking(None, blocks=self.block_mask)
        return Masking(self.mask)  # looking whether a shortcut will do would make the host wait for the device


class Branches(Visibility):
    """Alternative continuations of what is cached, side by side in a row: each sees the cache and itself only.

    Parameters
    ----------
    seen
        Visibility of the places of all continuations, which come last among the keys.
    branch
        int64 (places,), which continuation each place belongs to, the same in every row.
    """

    def __init__(self, seen: Visibility, branch: Tensor) -> None:
        super().__init__(seen.document, seen.step, seen.key_document, seen.key_step)
        self.branch = branch

    @functools.cached_property
    def mask(self) -> Tensor:
        """True where a query sees a key: bool (rows, 1, queries, keys)."""
        places = len(self.branch)
        own = self.branch[:, None] == self.branch
        cached = own.new_ones(places, self.key_step.shape[1] - places)
        return super().mask & torch.cat((cached, own), 1)

    def masking(self, *, dropout: float = 0.0) -> Masking:
        """Return what ``attend`` takes: the mask, since continuations are short."""
        return Masking(self.mask)


def visibility(
    document: Tensor, step: Tensor, key_document: Tensor | None = None, key_step: Tensor | None = None
) -> Visibility:
    """Return who sees whom; see :class:`Visibility`."""
    return Visibility(document, step, key_document, key_step)


def attend(query: Tensor, key: Tensor, value: Tensor, seen: Visibility | Masking, *, dropout: float = 0.0) -> Tensor:
    """Attention of the queries to the keys that they see.

    Parameters
    ----------
    query, key, value
        (rows, heads, places, head width).
    seen
        Who sees whom.
    dropout
        Share of the attention weights that is dropped.

    Returns
    -------
    Tensor
        (rows, heads, queries, head width).
    """
    mask, causal, blocks = seen.masking(dropout=dropout) if isinstance(seen, Visibility) else seen
    if blocks is not None:
        from torch.nn.attention.flex_attention import flex_attention

        if torch.compiler.is_compiling():
            return flex_attention(query, key, value, block_mask=blocks)
        return _compiled_flex_attention()(query, key, value, block_mask=blocks)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal)


@functools.cache
def has_triton() -> bool:
    """Whether torch can compile for a CUDA device here."""
    return importlib.util.find_spec("triton") is not None


@functools.cache
def _compiled_flex_attention() -> Any:
    # Uncompiled it would build the whole score matrix; on CPU it has no backward pass at all.
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)
