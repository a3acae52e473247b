"""A model whose weights, gradients and optimizer are spread over the processes: PyTorch's FSDP2.

Each transformer block is gathered for its own forward and backward pass and let go again; what is outside the blocks
(embeddings, head) stays gathered during a pass. What is frozen, the neural tokenizer, is whole in every process: it
has no gradients and no moments, and is much the smaller part of a model that needs this. Outside passes every trainable
parameter is a ``DTensor``; validation gathers all of them once, since each process has other windows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn

from neurolm.core import distributed
from neurolm.core.config import StageConfig
from neurolm.core.errors import ConfigError
from neurolm.model.backbone import blocks

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def shard(module: nn.Module, config: StageConfig, *, loss: Callable[..., Any], device: torch.device) -> None:
    """Spread a module over the processes where the configuration says so and there are several.

    Parameters
    ----------
    module
        On its device, the same in all processes: those of the main one count.
    loss
        Its method that a pass calls: weights are gathered for it from then on.

    Raises
    ------
    ConfigError
        If the batch cannot be dealt out evenly: processes that gather weights together need as many passes each.
    """
    world = distributed.world()
    if world == 1 or not config.shard:
        return
    for name, size in (("eeg_batch", config.eeg_batch), ("text_batch", config.text_batch)):
        if size % world:
            raise ConfigError(
                f"{name}={size} with shard=true must be a multiple of the number of processes, {world}: choose "
                f"{max(world, round(size / world) * world)}, start other processes, or set shard=false"
            )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for tensor in (*module.parameters(), *module.buffers()):
        distributed.broadcast(tensor.detach())
    mesh = init_device_mesh(device.type, (world,))
    frozen = {p for part in module.children() if not _learns(part) for p in part.parameters()}
    for part in list(blocks(module)):
        if _learns(part):  # what is frozen beside adapters is spread, too
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh, ignored_params=frozen)
    register_fsdp_forward_method(module, loss.__name__)


def _learns(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


def is_sharded(module: nn.Module) -> bool:
    """Whether a module is spread over the processes."""
    return bool(_parts(module))


def _parts(module: nn.Module) -> list[FSDPModule]:
    """Parts of a module that are gathered together, itself among them; none without FSDP2, which is slow to import."""
    if (fsdp := sys.modules.get("torch.distributed.fsdp")) is None:
        return []
    return [part for part in module.modules() if isinstance(part, fsdp.FSDPModule)]


def _is_spread(value: Tensor) -> TypeGuard[DTensor]:
    tensors = sys.modules.get("torch.distributed.tensor")
    return tensors is not None and isinstance(value, tensors.DTensor)


@contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Gather all weights in every process inside the block, so that no pass in it concerns another process."""
    parts = _parts(module)
    try:
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(part is not module, recurse=False)


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state of a module with whole tensors; all processes call this, and the main one alone gets any.

    Those that are gathered for it are put on the CPU, one after the other.
    """
    found = {}
    for name, value in module.state_dict().items():
        gathered = value.full_tensor().cpu() if _is_spread(value) else value
        if distributed.is_main():
            found[name] = gathered
    return found


def placed(value: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor as another is: this process's part of it where that is spread over the processes."""
    if not _is_spread(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def load_whole(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole tensors into a module."""
    own = module.state_dict()
    module.load_state_dict({name: placed(value, own.get(name, value)) for name, value in state.items()})


def as_number(norm: Tensor) -> float:
    """Return a norm as a number, the same in all processes though the gradients may be spread over them."""
    return float(norm.full_tensor() if _is_spread(norm) else norm)
