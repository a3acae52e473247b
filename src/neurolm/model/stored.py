"""Tensors out of a stranger's file: finite, of the type that is expected, no larger than the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from neurolm.core.errors import CheckpointError


def checked(tensor: Tensor, dtype: torch.dtype, name: str, source: Path | str) -> Tensor:
    """Return a stored tensor as the type of a module's, if it can stand for it.

    Raises
    ------
    CheckpointError
        If it is of another kind (copying would cast any without a word), or holds NaN or infinite weights.
    """
    if not (tensor.dtype == dtype or (tensor.is_floating_point() and dtype.is_floating_point)):
        raise CheckpointError(f"{source}: {name} is stored as {tensor.dtype}, not as {dtype}: the file is damaged")
    tensor = tensor.to(dtype)  # first: what is finite in float64 may not be in float32
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise CheckpointError(f"{source}: {name} holds NaN or infinite weights: train or copy the checkpoint again")
    return tensor


def require_stored(tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Refuse tensors that only repeat what a pickled file holds: a copy of them would be of any size.

    Raises
    ------
    CheckpointError
        Naming the first.
    """
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if tensor.layout != torch.strided or size > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{source}: {name} of shape {tuple(tensor.shape)} has {size:,} bytes, more than the file holds for it; "
                "the file is damaged: download it again"
            )
