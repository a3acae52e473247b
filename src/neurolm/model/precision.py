"""Where matrix products in bfloat16 pay: one rule for training and for answering."""

from __future__ import annotations

import functools

import torch

LEAST_WIDTH = 256
"""Width of a model's narrowest blocks from which bfloat16 is chosen on a CPU. Narrower ones gain little, and their
answers move more by the rounding."""
LEAST_PLACES = {"answering": 128, "training": 256}
"""Places of a batch from which it pays there (`python benchmarks/precision.py`): training casts the weights anew."""


def bfloat16_pays(device: torch.device, *, width: int, places: int, training: bool) -> bool:
    """Return whether products in bfloat16 are faster than in float32 on a device, for models and batches of a size.

    On GPUs that multiply in it they always are. Of CPUs only those with AMX tiles gain: with AVX512-BF16 alone, PyTorch
    2.13 takes half as long again as in float32.

    Parameters
    ----------
    device
        Where the model runs.
    width
        Of the model's narrowest transformer blocks.
    places
        Patches and text tokens that go through the model together, padding included.
    training
        Whether gradients are wanted, from weights in float32; otherwise the weights are in bfloat16 already.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not _has_tiles():
        return False
    return width >= LEAST_WIDTH and places >= LEAST_PLACES["training" if training else "answering"]


@functools.cache
def _has_tiles() -> bool:
    """Whether this CPU multiplies matrices of bfloat16 in tiles (AMX)."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)  # there is no public name for it
    return bool(supported and supported())
