"""How a stage computes on its device: precision, compilation, and what is kept for the backward pass."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from neurolm.core.config import StageConfig
from neurolm.core.errors import ConfigError
from neurolm.model.attention import has_triton
from neurolm.model.compilation import compile_model
from neurolm.model.transformer import set_checkpointing


def product_dtype(config: StageConfig, device: torch.device) -> torch.dtype:
    """Return the precision in which matrices are multiplied.

    Raises
    ------
    ConfigError
        If the device cannot multiply in the one that is asked for.
    """
    able = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if config.precision == "bfloat16" and not able:
        raise ConfigError(
            f"precision bfloat16: {torch.cuda.get_device_name(device)} cannot multiply in it; use precision float32"
        )
    wanted = config.precision == "bfloat16" or (config.precision == "auto" and device.type == "cuda" and able)
    return torch.bfloat16 if wanted else torch.float32


def precision(config: StageConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a forward pass: in bfloat16, products alone are in it.

    Weights, their gradients, the optimizer's moments, the residual stream, normalisations, the codebook and the losses
    stay in float32.
    """
    dtype = product_dtype(config, device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def set_execution(module: nn.Module, config: StageConfig, device: torch.device) -> None:
    """Set what a module keeps for its backward pass, and compile it where the configuration says so.

    Names and values of weights stay as they are.
    """
    set_checkpointing(module, config.checkpointing)
    if config.compile == "always" or (config.compile == "auto" and device.type == "cuda" and has_triton()):
        compile_model(module)
