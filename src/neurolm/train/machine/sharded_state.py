"""Resume states of a model that is spread over processes: a folder into which each writes its part.

PyTorch's distributed checkpoint; it is read again by any number of processes, one included. The folder gets its name
when all have written and the disk has it, so a half-written one is never taken.
"""

from __future__ import annotations

import io
import os
import pickle
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException

from neurolm.core import distributed
from neurolm.core.errors import WriteError
from neurolm.core.files import PARTIAL

METADATA = ".metadata"
"""File of such a folder that says what is in it."""
_SAFE = ("torch.distributed.checkpoint.", "torch.distributed.tensor.")
_SAFE_NAMES = {("pathlib", "PosixPath"), ("pathlib", "WindowsPath"), ("pathlib._local", "PosixPath"),
               ("torch", "Size"), ("torch.serialization", "_get_layout")}  # fmt: skip


def tensors_of(content: Mapping[str, Any], step: int) -> dict[str, Tensor]:
    """Return a resume state as a flat dict of tensors; numbers are tensors too, so nothing is pickled.

    Parameters
    ----------
    content
        ``module``, ``average``: tensors by name; ``optimizer``: its state; ``best``: a number.
    """
    flat = {"step": torch.tensor(step), "best": torch.tensor(content["best"], dtype=torch.float64)}
    for part in ("module", "average"):
        flat |= {f"{part}.{name}": value for name, value in content[part].items()}
    for index, moments in content["optimizer"]["state"].items():
        flat |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    return flat


def blank(module: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return a resume state of the same shapes, to be read into: a damaged one must not spoil the module."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {
        index: {
            "step": torch.zeros((), dtype=torch.float32),
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }
        for index, p in enumerate(parameters)
    }
    return {
        "module": {name: torch.empty_like(value) for name, value in module.state_dict().items()},
        "optimizer": {"state": state, "param_groups": optimizer.state_dict()["param_groups"]},
        "average": {name: torch.zeros_like(value) for name, value in average.items()},
        "best": 0.0,
    }


def save_shards(path: Path, step: int, content: Mapping[str, Any]) -> None:
    """Write a resume state; all processes call this.

    Raises
    ------
    WriteError
        In all, if one of them cannot write.
    """
    temporary = path.with_name(f".{path.name}{PARTIAL}")
    if distributed.is_main():
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)
    distributed.wait()
    try:
        writer = dcp.FileSystemWriter(temporary, sync_files=True, single_file_per_rank=True)
        dcp.save(tensors_of(content, step), storage_writer=writer)
    except CheckpointException as error:
        if distributed.is_main():
            shutil.rmtree(temporary, ignore_errors=True)
        reason = "; ".join(f"process {rank}: {failure[0]}" for rank, failure in sorted(error.failures.items()))
        raise WriteError(f"{path}: cannot be written ({reason}); free space, or choose another folder") from error
    if distributed.is_main():
        temporary.replace(path)
        _sync(path.parent)
    distributed.wait()


def load_shards(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Read a resume state into one made by ``blank``; all processes call this, as many as there are now.

    Raises
    ------
    ValueError
        If it cannot be read, or is of another model.
    """
    flat = tensors_of(content, 0)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
            dcp.load(flat, storage_reader=_Reader(path), no_dist=distributed.world() == 1)
    except CheckpointException as error:
        failures = {type(failure[0]).__name__: str(failure[0]) for failure in error.failures.values()}
        raise ValueError("; ".join(f"{name} {text}" for name, text in failures.items())) from error
    return {**content, "best": float(flat["best"]), "step": int(flat["step"])}


class _Reader(dcp.FileSystemReader):
    """Reads the description of a folder, a pickle, without running anything that is none of PyTorch's own."""

    def read_metadata(self, *arguments: Any, **named: Any) -> Any:
        """Return what is in the folder."""
        assert isinstance(self.path, Path)
        found = _Unpickler(io.BytesIO((self.path / METADATA).read_bytes())).load()
        if getattr(found, "storage_meta", None) is None:
            found.storage_meta = dcp.metadata.StorageMeta()
        found.storage_meta.load_id = self.load_id
        return found


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if not (is_dtype or module.startswith(_SAFE) or (module, name) in _SAFE_NAMES):
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a resume state")
        return super().find_class(module, name)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
