"""How a stage computes on its device: precision, compilation, and what is kept for the backward pass."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from neurolm.core.config import StageConfig
from neurolm.core.errors import ConfigError
from neurolm.model.attention import has_triton
from neurolm.model.backbone import Backbone
from neurolm.model.compilation import compile_model
from neurolm.model.precision import bfloat16_pays, multiplies_bfloat16
from neurolm.model.transformer import Block, set_checkpointing


def product_dtype(config: StageConfig, device: torch.device, *, width: int) -> torch.dtype:
    """Return the precision in which matrices are multiplied: the same in all of a stage, with any number of processes.

    Parameters
    ----------
    width
        Of the model's narrowest transformer blocks: see ``width_of``.

    Raises
    ------
    ConfigError
        If the device cannot multiply in the one that is asked for.
    """
    if config.precision == "bfloat16" and not multiplies_bfloat16(device):
        raise ConfigError(
            f"precision bfloat16: {torch.cuda.get_device_name(device)} cannot multiply in it; use precision float32"
        )
    wanted = config.precision == "bfloat16"
    if config.precision == "auto":
        wanted = bfloat16_pays(device, width=width, places=places_at_once(config), training=True)
    return torch.bfloat16 if wanted else torch.float32


def places_at_once(config: StageConfig) -> int:
    """Return how many patches, or text tokens where a stage has no EEG, may go through the model together."""
    samples, longest = (
        (config.eeg_batch, config.max_patches) if config.eeg_batch else (config.text_batch, config.text_length)
    )
    return min(samples, config.samples_at_once or samples) * longest


def width_of(module: nn.Module) -> int:
    """Return the width of a model's narrowest transformer blocks, as ``RunConfig.width`` has it."""
    own = [len(part.ln_1.weight) for part in module.modules() if isinstance(part, Block)]
    others = [part.config.transformer.width for part in module.modules() if isinstance(part, Backbone)]
    return min(own + others, default=0)


def precision(config: StageConfig, device: torch.device, *, width: int) -> AbstractContextManager[object]:
    """Return the context of a forward pass: in bfloat16, products alone are in it.

    Weights, their gradients, the optimizer's moments, the residual stream, normalisations, the codebook and the losses
    stay in float32.
    """
    dtype = product_dtype(config, device, width=width)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def set_execution(module: nn.Module, config: StageConfig, device: torch.device) -> None:
    """Set what a module keeps for its backward pass, and compile it where the configuration says so.

    Names and values of weights stay as they are.
    """
    set_checkpointing(module, config.checkpointing)
    if config.compile == "always" or (config.compile == "auto" and device.type == "cuda" and has_triton()):
        compile_model(module)
