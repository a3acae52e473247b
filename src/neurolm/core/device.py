"""Which processor runs the model, by its name."""

from __future__ import annotations

import torch

from neurolm.core import distributed
from neurolm.core.errors import ConfigError, argument


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name: ``auto`` takes a GPU where there is one, each of several processes its own.

    Raises
    ------
    ConfigError
        If the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and distributed.announced() > 1:
        name = f"cuda:{distributed.local_rank()}"
    if name.split(":")[0] not in ("cpu", "cuda"):
        raise ConfigError(f"{argument(device=name)}: choose auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"{argument(device=name)}: torch sees no CUDA device here; use {argument(device='cpu')} or auto"
        )
    return torch.device(name)
