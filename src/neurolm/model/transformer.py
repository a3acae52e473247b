"""Pre-norm transformer blocks as in GPT-2, with exact (erf) GELU.

Encoder, decoders and language model consist of them.

Parameter names are GPT-2's, so that its weights and the authors' map one to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurolm.core.config import TransformerConfig
from neurolm.model.attention import Masking, Visibility, attend


class KeysValues(NamedTuple):
    """What a block keeps of the places that it saw, each (rows, heads, places, head width)."""

    keys: Tensor
    values: Tensor


@dataclass
class Cache:
    """Keys and values of the places seen so far, so that more can follow without computing these again.

    Attributes
    ----------
    document, step
        int64 (rows, places).
    layers
        Of each block.
    """

    document: Tensor | None = None
    step: Tensor | None = None
    layers: list[KeysValues] = field(default_factory=list)

    def extend(self, document: Tensor, step: Tensor) -> Visibility:
        """Announce the places of the next forward pass and return what they see: the cached ones and themselves."""
        if self.document is None or self.step is None:
            self.document, self.step = document, step
        else:
            self.document = torch.cat((self.document, document), 1)
            self.step = torch.cat((self.step, step), 1)
        return Visibility(document, step, self.document, self.step)

    def fork(self) -> Cache:
        """Return a cache that goes on from here; this one stays as it is. Nothing is copied."""
        return Cache(self.document, self.step, list(self.layers))


class LayerNorm(nn.Module):
    """Layer normalisation with an optional bias."""

    def __init__(self, width: int, *, bias: bool, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a layer in the precision of its weights: float32, or bfloat16 (``precision.keep_in_bfloat16``)."""
    return layer(x.to(layer.weight.dtype))


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.c_attn = nn.Linear(config.width, 3 * config.width, bias=config.bias)
        self.c_proj = nn.Linear(config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor, seen: Visibility | Masking, past: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """Mix places: (rows, places, width) to the same shape, and the keys and values of all places."""
        rows, places, width = x.shape
        qkv = _linear(self.c_attn, x).view(rows, places, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if past is not None and past.keys.shape[2]:
            key, value = torch.cat((past.keys, key), 2), torch.cat((past.values, value), 2)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, seen, dropout=dropout)
        out = self.c_proj(mixed.transpose(1, 2).reshape(rows, places, width))
        return F.dropout(out, dropout, self.training), KeysValues(key, value)


class MLP(nn.Module):
    """The two linear layers of a block."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.c_fc = nn.Linear(config.width, 4 * config.width, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each place by itself."""
        return F.dropout(self.c_proj(F.gelu(_linear(self.c_fc, x))), self.dropout, self.training)


class Block(nn.Module):
    """Attention and MLP, each on the normalised stream and added to it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.width, bias=config.bias)
        self.attn = Attention(config)
        self.ln_2 = LayerNorm(config.width, bias=config.bias)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, seen: Visibility | Masking, past: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues | None]:
        """(rows, places, width) to the same shape.

        What it saw before goes in, and what it has seen comes out where something went in: nothing of a cache is
        looked at or changed here, so that the compiled code is the same for every block and every pass.
        """
        mixed, held = self.attn(self.ln_1(x), seen, past)
        x = x + mixed
        return x + self.mlp(self.ln_2(x)), None if past is None else held


class Transformer(nn.Module):
    """A stack of blocks, without embeddings and final normalisation.

    Parameters
    ----------
    config
        Layers, heads, width, biases, dropout.

    Attributes
    ----------
    checkpointing
        Whether training keeps a block's input alone and runs the block again for its gradients (see
        ``set_checkpointing``).
    compiled
        Whether the blocks are compiled (see ``compile_model``), for layouts of any sizes.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.checkpointing, self.compiled = False, False
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, x: Tensor, seen: Visibility, cache: Cache | None = None) -> Tensor:
        """Run all blocks.

        Parameters
        ----------
        x
            (rows, places, width).
        seen
            Who sees whom; with a cache, what ``cache.extend`` returned for these places.
        cache
            Takes part in the attention and grows by these places.
        """
        x = F.dropout(x, self.dropout, self.training)
        if cache is None and not self.compiled and (apart := seen.apart(x.shape[-1])) is not None:
            return apart.put(self._run(apart.take(x), apart.masking), x)
        how = seen.masking(dropout=self.dropout if self.training else 0.0)
        if cache is not None:
            past = cache.layers or [self._nothing(x)] * len(self.blocks)
            cache.layers = []
            for block, before in zip(self.blocks, past, strict=True):
                x, held = block(x, how, before)
                cache.layers.append(held)
            return x
        return self._run(x, how)

    def _run(self, x: Tensor, how: Masking) -> Tensor:
        again = self.checkpointing and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            x, _ = checkpoint(block, x, how, use_reentrant=False) if again else block(x, how)
        return x

    def _nothing(self, x: Tensor) -> KeysValues:
        """Keys and values of no places."""
        empty = x.new_zeros(len(x), self.heads, 0, x.shape[2] // self.heads)
        return KeysValues(empty, empty)

    @torch.no_grad()
    def scale_residuals(self, *, by_depth: bool) -> None:
        """Divide the initial residual projections by √(2·layers), as GPT-2 does.

        With ``by_depth``, by √(2·layer) with the number of the block, as the official encoder and decoders do.
        """
        for number, block in enumerate(self.blocks, start=1):
            assert isinstance(block, Block)
            divisor = math.sqrt(2 * (number if by_depth else len(self.blocks)))
            block.attn.c_proj.weight.div_(divisor)
            block.mlp.c_proj.weight.div_(divisor)


def initialise(module: nn.Module, *, truncated: bool, std: float) -> None:
    """Set the initial weights of every linear layer and embedding in a module: (truncated) normal, biases zero.

    The official neural transformer truncates, GPT-2 does not.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            (nn.init.trunc_normal_ if truncated else nn.init.normal_)(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def set_checkpointing(module: nn.Module, on: bool) -> None:
    """Set whether the transformers of a module keep only the inputs of their blocks for the backward pass.

    Each block then runs forwards twice: a third more arithmetic, for activations that no longer grow with all that
    happens inside the blocks (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost). Losses and gradients
    stay the same; dropout drops the same places again.
    """
    for part in module.modules():
        if hasattr(part, "checkpointing"):  # a Transformer, or a model of `transformers`
            setattr(part, "checkpointing", on)  # noqa: B010
