"""Tensors out of a stranger's file: finite, of the type that is expected, no larger than the file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode

from neurolm.core.errors import CheckpointError
from neurolm.core.small_files import require_regular


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


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file of weights; whatever fails in it is an error of the checkpoint."""
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, MemoryError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy or train the checkpoint again") from error


def shapes(file: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in an open file of weights, by name."""
    return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def require_same(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, Tensor], passing_over: Sequence[str], path: Path
) -> None:
    """Refuse a file with other tensors than those that are wanted, or of other shapes; as ``load_into``."""
    passed = tuple(f"{part}." for part in passing_over)
    problems = [f"missing {name}" for name in wanted if name not in found]
    problems += [f"left over {name}" for name in found if name not in wanted and not name.startswith(passed)]
    problems += [
        f"{name} is {found[name]}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name] != tuple(tensor.shape)
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(
            f"{path}: does not fit this recipe: {'; '.join(problems[:3])}{more}. Use the recipe it was trained with"
        )


class NoRandomNumbers(TorchFunctionMode):
    """Initial weights cost next to nothing: for a module whose weights are about to be read."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):  # within functions that look at what they drew
            return args[0].zero_()
        if func in (torch.Tensor.div_, torch.nn.functional.normalize):  # of what was drawn
            return args[0]
        if func is torch.randn:
            func = torch.zeros
        return func(*args, **kwargs)


def load_into(wanted: Mapping[str, Tensor], path: Path, *, passing_over: Sequence[str] = ()) -> None:
    """Read a file of weights into tensors, strictly: each is in the file, in its shape, and the file has no others.

    Parameters
    ----------
    passing_over
        Parts whose tensors need not be wanted; they are not read.

    Raises
    ------
    CheckpointError
        Naming the first tensors that are missing, left over, of another shape or type, or that hold NaN.
    """
    with opened(path) as file, torch.no_grad():
        require_same(shapes(file), wanted, passing_over, path)
        for name, tensor in wanted.items():  # one by one: the weights are in memory once
            tensor.copy_(checked(file.get_tensor(name), tensor.dtype, name, path))


def digest_of(path: Path) -> str:
    """Digest of the tensors in a file of weights: names, types, shapes and values, however the file orders them."""
    found = hashlib.sha256()
    with opened(path) as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
