"""Compiling a model for its device, piece by piece, for batches of any size."""

from __future__ import annotations

from torch import nn

from neurolm.model.language import LanguageModel
from neurolm.model.transformer import Block, Transformer

VARIANTS = 32
"""Most variants of the compiled blocks: for every width of a stack, with and without gradient, precision, kind of mask,
and one row or several. PyTorch would stop compiling at 8 and run what follows as it is, without a word."""


def compile_model(module: nn.Module, *, backend: str = "inductor") -> None:
    """Compile our transformer blocks of a module, and what its language model's loss does to the logits.

    The layers of a model of `transformers` run as they are.

    One block at a time: all blocks of a size share their code, so compiling takes as long for 48 blocks as for one,
    and saving, activation checkpointing and sharding see the same modules as before. Sizes are symbols in the compiled
    code, since a packed batch has other numbers of rows and places at every step.

    Parameters
    ----------
    backend
        As in ``torch.compile``; for tests.
    """
    import torch._dynamo  # slow to import, and most of what uses models does not compile

    name = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
    setattr(torch._dynamo.config, name, max(VARIANTS, getattr(torch._dynamo.config, name)))
    for part in module.modules():
        if isinstance(part, Block):
            part.compile(dynamic=True, backend=backend)
        elif isinstance(part, LanguageModel | Transformer):
            part.compiled = True
