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

from neurolm.core.batch import PADDING

BLOCK = 128
"""FlexAttention skips blocks of this many queries by this many keys; shorter queries gain nothing from it."""
COPY, CALL = 80, 1_500_000
"""What it costs on a CPU to take documents apart, in pairs of places: for a place, which is copied; and, over the width
of the model, for a group of documents, whose attention is a call of its own."""


class Masking(NamedTuple):
    """Who sees whom, as the attention of a device takes it: made before the blocks run, so that these can be compiled
    without looking at the layout."""

    mask: Tensor | None
    """bool (rows, 1, queries, keys); None: all see all, or ``causal``, or ``blocks`` say it."""
    causal: bool = False
    """Whether every query sees itself and what stands before it."""
    blocks: Any = None
    """A ``BlockMask`` where FlexAttention is to be used."""
    groups: tuple[Alike, ...] = ()
    """Where documents stand one after the other in a single row: each sees itself alone."""


class Alike(NamedTuple):
    """Documents of one length that stand one after the other."""

    documents: int
    length: int
    mask: Tensor | None
    """bool (documents or 1, 1, length, length); None: all see all, or ``causal`` says it."""
    causal: bool


class Apart(NamedTuple):
    """A packed layout with its documents taken apart: in a single row, by their lengths, and without padding."""

    places: Tensor
    """int64 (real places,): where each of the row comes from, in the flattened (rows · width) places."""
    masking: Masking

    def take(self, packed: Tensor) -> Tensor:
        """(rows, width, …) to (1, real places, …)."""
        return packed.flatten(0, 1).index_select(0, self.places)[None]

    def put(self, row: Tensor, like: Tensor) -> Tensor:
        """(1, real places, …) back to the shape of ``like``, (rows, width, …); padding is 0."""
        packed = row.new_zeros(like.flatten(0, 1).shape)
        return packed.index_copy(0, self.places, row[0]).view(like.shape)


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

    def apart(self, width: int) -> Apart | None:
        """Return the layout with its documents taken apart, where that pays for blocks of a width.

        On a CPU attention scores all pairs of places of a row, whoever sees whom, and padding is computed like all
        else. Other devices leave out what nobody sees in other ways.
        """
        if self.document.device.type != "cpu" or self.key_document is not self.document:
            return None
        rows, places = self.document.shape
        lengths, real = self._lengths, int(self._lengths.sum())
        if not real:
            return None
        spared = rows * places**2 - int((lengths**2).sum()) + 2 * width * (rows * places - real)
        groups = len(lengths.unique())
        return self._apart if spared > COPY * real + CALL // width * groups else None

    @functools.cached_property
    def _documents(self) -> Tensor:
        """Which document each real place belongs to, counted over all rows, and where it is: int64 (2, places)."""
        rows = torch.arange(len(self.document))[:, None] * (self.document.amax() + 1)
        places = (self.document.flatten() != PADDING).nonzero()[:, 0]
        _, document = (rows + self.document).flatten()[places].unique(return_inverse=True)
        return torch.stack((document, places))

    @functools.cached_property
    def _lengths(self) -> Tensor:
        """Places of each document, int64 (documents,)."""
        return self._documents[0].bincount()

    @functools.cached_property
    def _apart(self) -> Apart:
        (document, places), lengths = self._documents, self._lengths
        span = len(lengths)
        places = places[(lengths[document] * span + document).argsort(stable=True)]
        sizes, counts = lengths.unique(return_counts=True)
        groups, steps = [], self.step.flatten()[places]
        for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
            own, steps = steps[: count * size].view(count, size), steps[count * size :]
            groups.append(_alike(own))
        return Apart(places, Masking(None, groups=tuple(groups)))


def _alike(step: Tensor) -> Alike:
    """Documents of these steps, int64 (documents, length)."""
    if bool((step == step[0]).all()):
        mask = step[:1, None, None] <= step[:1, None, :, None]
    else:
        mask = step[:, None, None] <= step[:, None, :, None]
    everything = bool(mask.all())
    causal = not everything and bool((mask == torch.ones_like(mask).tril()).all())
    return Alike(len(step), step.shape[1], None if everything or causal else mask, causal)


class Branches(Visibility):
    """Alternative continuations of what is cached, side by side in a row: each sees the cache and itself only.

    Parameters
    ----------
    seen
        Visibility of the places of all continuations, which come last among the keys.
    branch
        int64 (places,), which continuation each place belongs to, the same in every row; or (rows, places).
    """

    def __init__(self, seen: Visibility, branch: Tensor) -> None:
        super().__init__(seen.document, seen.step, seen.key_document, seen.key_step)
        self.branch = branch

    @functools.cached_property
    def mask(self) -> Tensor:
        """True where a query sees a key: bool (rows, 1, queries, keys)."""
        places = self.branch.shape[-1]
        own = self.branch[..., None, :, None] == self.branch[..., None, None, :]
        cached = own.new_ones(*own.shape[:-1], self.key_step.shape[1] - places)
        return super().mask & torch.cat((cached, own), -1)

    def masking(self, *, dropout: float = 0.0) -> Masking:
        """Return what ``attend`` takes: the mask, since continuations are short."""
        return Masking(self.mask)


def visibility(
    document: Tensor, step: Tensor, key_document: Tensor | None = None, key_step: Tensor | None = None
) -> Visibility:
    """Return who sees whom; see :class:`Visibility`."""
    return Visibility(document, step, key_document, key_step)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    seen: Visibility | Masking,
    *,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """Attention of the queries to the keys that they see.

    Parameters
    ----------
    query, key, value
        (rows, heads, places, head width).
    seen
        Who sees whom.
    dropout
        Share of the attention weights that is dropped.
    scale
        What scores are multiplied by; None: 1 / √(head width).

    Returns
    -------
    Tensor
        (rows, heads, queries, head width).
    """
    mask, causal, blocks, groups = seen.masking(dropout=dropout) if isinstance(seen, Visibility) else seen
    if groups:
        return _attend_apart(query, key, value, groups, dropout, scale)
    if blocks is not None:
        from torch.nn.attention.flex_attention import flex_attention

        if torch.compiler.is_compiling():
            return flex_attention(query, key, value, block_mask=blocks, scale=scale)
        return _compiled_flex_attention()(query, key, value, block_mask=blocks, scale=scale)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal, scale=scale
    )


def _attend_apart(
    query: Tensor, key: Tensor, value: Tensor, groups: tuple[Alike, ...], dropout: float, scale: float | None
) -> Tensor:
    """Attention of documents that stand one after the other in a single row, to themselves."""
    sizes = [group.documents * group.length for group in groups]
    parts = []
    for group, *taken in zip(groups, *(x[0].split(sizes, 1) for x in (query, key, value)), strict=True):
        q, k, v = (x.unflatten(1, (group.documents, group.length)).transpose(0, 1) for x in taken)
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=group.mask, dropout_p=dropout, is_causal=group.causal, scale=scale
        )
        parts.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[None].transpose(1, 2)


@functools.cache
def has_triton() -> bool:
    """Whether torch can compile for a CUDA device here."""
    return importlib.util.find_spec("triton") is not None


@functools.cache
def _compiled_flex_attention() -> Any:
    # Uncompiled it would build the whole score matrix; on CPU it has no backward pass at all.
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)
