"""Products in bfloat16: where they pay, and weights that are kept in it"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from neurolm.model.backbone import blocks
from neurolm.model.transformer import Block

LEAST_WIDTH = 256
"""Width of a model's narrowest blocks from which bfloat16 is chosen on a CPU. Narrower ones gain little, and their
answers move more by the rounding."""
LEAST_PLACES = {"answering": 128, "training": 256}
"""Places of a batch from which it pays there (`python benchmarks/precision.py`): training casts the weights anew."""


def bfloat16_pays(device: torch.device, *, width: int, places: int, training: bool) -> bool:
    """Return whether products in bfloat16 are faster than in float32 on a device, for models and batches of a size.

    On GPUs that multiply in it they always are. Of CPUs only those with AMX tiles gain: with AVX512-BF16 alone, PyTorch
    2.13 takes longer than in float32 (``docs/benchmarks/train.md``).

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
        return multiplies_bfloat16(device)
    if device.type != "cpu" or not _has_tiles():
        return False
    return width >= LEAST_WIDTH and places >= LEAST_PLACES["training" if training else "answering"]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 at all, however slowly."""
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def keep_in_bfloat16(module: nn.Module) -> None:
    """Keep the weights of the transformer blocks' linear layers in bfloat16, in which these multiply from then on.

    Half of the weights' memory, and no casting at every use as in ``torch.autocast``. Everything else stays in float32:
    embeddings, residual stream, normalisations, the convolution, the projection to codes, the codebook and the output
    layer. Such a module cannot be trained or saved.
    """
    for block in blocks(module):
        for part in block.modules():
            if isinstance(part, nn.Linear):
                part.to(torch.bfloat16)
                if not isinstance(block, Block):  # others do not look at the precision of their weights
                    part.register_forward_pre_hook(_cast)


def _cast(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].to(torch.bfloat16),)


@functools.cache
def _has_tiles() -> bool:
    """Whether this CPU multiplies matrices of bfloat16 in tiles (AMX)."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)  # there is no public name for it
    return bool(supported and supported())
