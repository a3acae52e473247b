"""Several processes that train one model: who is who, and sums over all of them.

Alone, each of these does nothing.

The processes are those that ``torchrun`` started, or anything that sets the same environment variables (``RANK``,
``LOCAL_RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT``). Torch is imported when they are joined, not before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from neurolm.core.errors import ConfigError, NeuroLMError

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher tells each process."""
DEADLINE = 600.0
"""Seconds without a word from another process after which it counts as lost: longer than any save or validation."""
T = TypeVar("T")


class ProcessLost(NeuroLMError):
    """Another process of the job ended, so that this one cannot go on."""


def announced() -> int:
    """Return the number of processes that the launcher says there are: 1 without a launcher.

    Raises
    ------
    ConfigError
        If the launcher left out a variable.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    missing = [name for name in VARIABLES if name not in os.environ]
    if count > 1 and missing:
        raise ConfigError(
            f"WORLD_SIZE={count}, but {', '.join(missing)} is not set: start with torchrun, or set what it sets"
        )
    return count


def local_rank() -> int:
    """Number of this process on its machine: which of its GPUs it takes."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined(*, cuda: bool, deadline: float = DEADLINE) -> Iterator[None]:
    """Join the other processes of the job inside the block.

    Parameters
    ----------
    cuda
        Whether each process has a GPU of its own: its tensors go through NCCL then, those of the CPU through gloo.
    deadline
        Seconds that a process waits for the others before it gives them up.

    Raises
    ------
    ProcessLost
        If another process ends, or is not heard of until the deadline, while this one waits for it.
    """
    if announced() == 1 or _group() is not None:
        yield
        return
    import torch
    import torch.distributed as dist

    if cuda:
        torch.cuda.set_device(local_rank())
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timedelta(seconds=deadline))
    group = dist.group.WORLD
    try:
        yield
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise ProcessLost(
            f"process {rank()} of {world()}: another process of the job ended, see its message; the same command goes "
            "on from the last saved step"
        ) from error
    finally:
        dist.destroy_process_group()
        del (
            group
        )  # its threads end here, in order, not whenever something lets go of it (see train/machine/replicas.py)


def world() -> int:
    """Number of processes that were joined."""
    group = _group()
    return 1 if group is None else group.get_world_size()


def rank() -> int:
    """Number of this process among them, from 0."""
    group = _group()
    return 0 if group is None else group.get_rank()


def is_main() -> bool:
    """Whether this process is the one that writes files and shows progress."""
    return rank() == 0


def total(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place; all get the same bits."""
    if (group := _group()) is not None:
        group.all_reduce(tensor)
    return tensor


def totals(figures: Mapping[str, float]) -> dict[str, float]:
    """Sum named figures over all processes, which must have the same names."""
    if _group() is None or not figures:
        return dict(figures)
    import torch

    names = sorted(figures)
    summed = total(torch.tensor([figures[name] for name in names], dtype=torch.float64)).tolist()
    found = dict(zip(names, summed, strict=True))
    return {name: found[name] for name in figures}


def largest(number: int) -> int:
    """Return the largest of the processes' numbers."""
    if (group := _group()) is None:
        return number
    import torch

    tensor = torch.tensor(number)
    group.all_reduce(tensor, op=group.ReduceOp.MAX)
    return int(tensor)


def broadcast(tensor: Tensor) -> Tensor:
    """Give all processes the main one's values of a tensor, in place."""
    if (group := _group()) is not None:
        group.broadcast(tensor, src=0)
    return tensor


def gather(value: T) -> list[T]:
    """Return the values of all processes, by rank; they are pickled, so this is for rare and small things."""
    if (group := _group()) is None:
        return [value]
    found: list[T | None] = [None] * group.get_world_size()
    group.all_gather_object(found, value)
    return found  # type: ignore[return-value]


def wait() -> None:
    """Wait until all processes are here."""
    if (group := _group()) is not None:
        group.barrier()


def _group() -> ModuleType | None:
    """``torch.distributed`` where processes were joined; whoever has not imported it has joined none."""
    module = sys.modules.get("torch.distributed")
    return module if module is not None and module.is_available() and module.is_initialized() else None


def _is_lost(error: RuntimeError) -> bool:
    """Gloo has no error of its own for a peer that is gone."""
    import torch.distributed as dist

    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(
        sign in text for sign in ("connection closed by peer", "connection reset", "broken pipe", "gloo")
    )
