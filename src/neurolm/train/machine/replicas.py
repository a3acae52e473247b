"""One module in several processes: PyTorch's DistributedDataParallel, for a step of several passes.

Each process computes the losses of its share of a step's batch, already divided by what the whole batch holds. So the
gradients are to be summed, not averaged, and only once: while the last pass goes backward.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurolm.core import distributed
from neurolm.train.machine.sharding import is_sharded

_SYNC_BUFFERS = next(
    name  # the first from PyTorch 2.13 on
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel.__init__).parameters
)


class _Passes(nn.Module):
    """A module whose forward pass makes its losses: DistributedDataParallel calls no other method."""

    def __init__(self, module: nn.Module, loss: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self.loss = module, loss

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Make the losses of a pass."""
        return self.loss(*arguments, **named)


class Replicas:
    """Inside a ``with`` block, lets the passes of a module go through DistributedDataParallel.

    At the beginning all processes get the weights and buffers of the main one. Every trainable parameter must have a
    part in the last pass of every process.

    Parameters
    ----------
    module
        What is trained.
    loss
        Its method that makes the losses of a pass.
    """

    def __init__(self, module: nn.Module, loss: Callable[..., Any], device: torch.device) -> None:
        self.alone = loss
        self.joined: DistributedDataParallel | None = None
        if distributed.world() > 1 and not is_sharded(module):
            options: dict[str, Any] = {_SYNC_BUFFERS: False}  # the codebook's moves are summed by the stage
            self.joined = DistributedDataParallel(
                _Passes(module, loss),
                device_ids=[device] if device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                **options,
            )

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, *error: object) -> None:
        if self.joined is not None:
            # An error's traceback would keep these until the group of processes is gone from everywhere else. The
            # last to let go of a group joins its threads, and this one would do so with the interpreter's lock held,
            # for which those threads may be waiting: both would wait for ever.
            self.joined.logger = None
            del self.joined.reducer
            self.joined = None

    def loss(self, *arguments: Any, **named: Any) -> Any:
        """Make the losses of a pass, as the module's own method does, with gradients summed over the processes."""
        return (self.alone if self.joined is None else self.joined)(*arguments, **named)

    def passing(self, *, last: bool) -> AbstractContextManager[None]:
        """The context of a pass, forward and backward: in the last of a step, gradients are summed over processes."""
        return nullcontext() if last or self.joined is None else self.joined.no_sync()

    def backward(self, loss: Tensor) -> None:
        """Go backward from this process's part of the loss."""
        # DistributedDataParallel and FSDP2 divide by the number of processes.
        (loss * distributed.world()).backward()
