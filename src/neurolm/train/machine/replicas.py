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
    """A module whose forward pass is the method that makes its losses: DistributedDataParallel calls no other."""

    def __init__(self, module: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self.run = module, run

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Run the method."""
        return self.run(*arguments, **named)


class Replicas:
    """Inside a ``with`` block, lets a method of a module go through DistributedDataParallel.

    The method is replaced on the module itself, as ``torch.distributed.fsdp.register_fsdp_forward_method`` does it, so
    that a stage calls ``module.loss(...)`` however many processes there are. At the beginning all get the weights and
    buffers of the main process. Every trainable parameter must have a part in the last pass of every process.

    Parameters
    ----------
    module
        What is trained.
    method
        Name of the method that makes its losses.
    """

    def __init__(self, module: nn.Module, method: str, device: torch.device) -> None:
        self.module, self.method = module, method
        self.whole: DistributedDataParallel | None = None
        if distributed.world() > 1 and not is_sharded(module):
            self.own = getattr(module, method)
            options: dict[str, Any] = {_SYNC_BUFFERS: False}  # the codebook's moves are summed by the stage
            self.whole = DistributedDataParallel(
                _Passes(module, self.own),
                device_ids=[device] if device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                **options,
            )

    def __enter__(self) -> Replicas:
        if self.whole is not None:
            setattr(self.module, self.method, self._run)
        return self

    def __exit__(self, *error: object) -> None:
        if self.whole is not None:
            delattr(self.module, self.method)
            # An error's traceback would keep these until the group of processes is gone from everywhere else. The
            # last to let go of a group joins its threads, and this one would do so with the interpreter's lock held,
            # for which those threads may be waiting: both would wait for ever.
            self.whole.logger = None
            del self.whole.reducer
            self.whole = None

    def _run(self, *arguments: Any, **named: Any) -> Any:
        assert self.whole is not None
        # A validation is no business of the other processes.
        return (self.whole if torch.is_grad_enabled() else self.own)(*arguments, **named)

    def passing(self, *, last: bool) -> AbstractContextManager[None]:
        """The context of a pass, forward and backward: in the last of a step, gradients are summed over processes."""
        return nullcontext() if last or self.whole is None else self.whole.no_sync()

    def backward(self, loss: Tensor) -> None:
        """Go backward from this process's part of the loss."""
        # DistributedDataParallel and FSDP2 divide by the number of processes.
        (loss * distributed.world()).backward()
