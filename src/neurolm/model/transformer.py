"""Pre-norm transformer blocks as in GPT-2, with exact (erf) GELU.

Encoder, decoders and language model consist of them.

Parameter names are GPT-2's, so that its weights and the authors' map one to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurolm.core.config import TransformerConfig
from neurolm.model.attention import Masking, Visibility, attend


@dataclass
class Cache:
    """Keys and values of the places seen so far, so that more can follow without computing these again.

    Attributes
    ----------
    document, step
        int64 (rows, places).
    keys, values
        Per block, (rows, heads, places, head width).
    """

    document: Tensor | None = None
    step: Tensor | None = None
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def extend(self, document: Tensor, step: Tensor) -> Visibility:
        """Announce the places of the next forward pass and return what they see: the cached ones and themselves."""
        if self.document is None or self.step is None:
            self.document, self.step = document, step
        else:
            self.document = torch.cat((self.document, document), 1)
            self.step = torch.cat((self.step, step), 1)
        return Visibility(document, step, self.document, self.step)

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add the new places' keys and values of a block and return those of all places."""
        if layer == len(self.keys):
            self.keys.append(key)
            self.values.append(value)
        else:
            self.keys[layer] = torch.cat((self.keys[layer], key), 2)
            self.values[layer] = torch.cat((self.values[layer], value), 2)
        return self.keys[layer], self.values[layer]

    def fork(self) -> Cache:
        """Return a cache that goes on from here; this one stays as it is. Nothing is copied."""
        return Cache(self.document, self.step, list(self.keys), list(self.values))


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


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.c_attn = nn.Linear(config.width, 3 * config.width, bias=config.bias)
        self.c_proj = nn.Linear(config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor, seen: Visibility | Masking, cache: Cache | None, layer: int) -> Tensor:
        """Mix places: (rows, places, width) to the same shape."""
        rows, places, width = x.shape
        qkv = self.c_attn(x).view(rows, places, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = cache.append(layer, key, value)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, seen, dropout=dropout)
        out = self.c_proj(mixed.transpose(1, 2).reshape(rows, places, width))
        return F.dropout(out, dropout, self.training)


class MLP(nn.Module):
    """The two linear layers of a block."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.c_fc = nn.Linear(config.width, 4 * config.width, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each place by itself."""
        return F.dropout(self.c_proj(F.gelu(self.c_fc(x))), self.dropout, self.training)


class Block(nn.Module):
    """Attention and MLP, each on the normalised stream and added to it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.width, bias=config.bias)
        self.attn = Attention(config)
        self.ln_2 = LayerNorm(config.width, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, seen: Visibility | Masking, cache: Cache | None = None, layer: int = 0) -> Tensor:
        """(rows, places, width) to the same shape."""
        x = x + self.attn(self.ln_1(x), seen, cache, layer)
        return x + self.mlp(self.ln_2(x))


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
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dropout, self.checkpointing = config.dropout, False
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
        how = seen.masking(dropout=self.dropout if self.training else 0.0)
        if cache is not None:
            for layer, block in enumerate(self.blocks):
                x = block(x, how, cache, layer)
            return x
        again = self.checkpointing and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            x = checkpoint(block, x, how, use_reentrant=False) if again else block(x, how)
        return x

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
        if isinstance(part, Transformer):
            part.checkpointing = on
