"""Resume states of a model that is spread over processes: a folder into which each writes its part.

PyTorch's distributed checkpoint; it is read again by any number of processes, one included. The folder gets its name
when all have written and the disk has it, so a half-written one is never taken. What is in it stands in a JSON file of
ours: PyTorch's own description is a pickle, which runs code when it is read.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import stat
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast
from zipfile import ZipFile

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import _StorageInfo  # where a tensor lies; no public name says it
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)

from neurolm.core import distributed
from neurolm.core.errors import WriteError
from neurolm.core.files import PARTIAL, dump_json
from neurolm.core.small_files import LARGE, parse_json, read_small, require_plain

METADATA = "metadata.json"
"""File of such a folder that says what is in it."""
FORMAT = 1
"""Version of that file."""
_PART = re.compile(r"__\d+_\d+\.distcp")
"""Files into which PyTorch's writer puts tensors."""


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
        writer = _Writer(temporary, sync_files=True, single_file_per_rank=True)
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


class _Writer(dcp.FileSystemWriter):
    """Writes each process's tensors as PyTorch does, and what is in the folder as JSON, where PyTorch pickles it."""

    def finish(self, metadata: dcp.Metadata, results: list[list[Any]]) -> None:
        """Describe what all processes wrote; the main process alone calls this."""
        stored = {written.index: written.storage_data for part in results for written in part}
        text = dump_json({"format": FORMAT, "tensors": list(_described(metadata, stored))})
        with (Path(self.path) / METADATA).open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


class _Reader(dcp.FileSystemReader):
    """Reads such a folder: tensors in files of the folder itself, and nothing else."""

    def read_metadata(self, *arguments: Any, **named: Any) -> dcp.Metadata:
        """Return what is in the folder."""
        folder = Path(self.path)
        found = parse_json(read_small(folder / METADATA, most=LARGE))
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{METADATA} is not of format {FORMAT}")
        tensors: dict[str, dcp.metadata.STORAGE_TYPES] = {}
        stored: dict[dcp.metadata.MetadataIndex, _StorageInfo] = {}
        for entry in found["tensors"]:
            name, size, dtype = str(entry["name"]), _numbers(entry["size"]), getattr(torch, str(entry["dtype"]), None)
            if not isinstance(dtype, torch.dtype):
                raise ValueError(f"{METADATA}: {name}: {entry['dtype']!r} is no type of tensors")
            chunks = []
            for index, chunk in enumerate(entry["chunks"]):
                offsets, (first, length) = _numbers(chunk["offsets"]), _numbers(chunk["bytes"])
                _require_part(folder, chunk["file"], first, length)
                chunks.append(ChunkStorageMetadata(offsets, _numbers(chunk["sizes"])))
                stored[MetadataIndex(name, offsets, index)] = _StorageInfo(chunk["file"], first, length)
            _require_whole(name, size, chunks)
            tensors[name] = TensorStorageMetadata(TensorProperties(dtype=dtype), size, chunks)
        return dcp.Metadata(tensors, storage_data=stored, storage_meta=StorageMeta(load_id=self.load_id))


def _described(metadata: dcp.Metadata, stored: Mapping[MetadataIndex, _StorageInfo]) -> Iterator[dict[str, Any]]:
    for name, tensor in metadata.state_dict_metadata.items():
        assert isinstance(tensor, TensorStorageMetadata), name
        chunks = []
        for chunk in tensor.chunks:
            part = stored[MetadataIndex(name, chunk.offsets)]
            chunks.append(
                {"offsets": list(chunk.offsets), "sizes": list(chunk.sizes), "file": part.relative_path}
                | {"bytes": [part.offset, part.length]}
            )
        dtype = str(tensor.properties.dtype).removeprefix("torch.")
        yield {"name": name, "dtype": dtype, "size": list(tensor.size), "chunks": chunks}


def _numbers(found: Any) -> torch.Size:
    if not isinstance(found, list) or not all(type(n) is int and 0 <= n < 2**62 for n in found):
        raise ValueError(f"{METADATA}: {found!r} are no sizes")
    return torch.Size(found)


def _require_whole(name: str, size: torch.Size, chunks: list[ChunkStorageMetadata]) -> None:
    """Refuse a tensor whose parts do not make up its size: what none of them holds would stay uninitialised."""
    within = all(
        len(chunk.offsets) == len(chunk.sizes) == len(size)
        and all(first + count <= most for first, count, most in zip(chunk.offsets, chunk.sizes, size, strict=True))
        for chunk in chunks
    )
    apart = len({chunk.offsets for chunk in chunks}) == len(chunks)
    if not within or not apart or sum(chunk.sizes.numel() for chunk in chunks) != size.numel():
        raise ValueError(f"{METADATA}: the parts of {name} do not make up its size, {list(size)}")


def _require_part(folder: Path, name: Any, first: int, length: int) -> None:
    """Refuse what is no file of the folder itself, too short for what it should hold, or compressed."""
    if not isinstance(name, str) or not _PART.fullmatch(name):
        raise ValueError(f"{METADATA}: {name!r} is no file of a resume state")
    status = (folder / name).lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size < first + length or not length:
        raise ValueError(f"{name}: not a file of at least {first + length} bytes")
    before = first % mmap.ALLOCATIONGRANULARITY
    with (
        (folder / name).open("rb") as file,
        mmap.mmap(file.fileno(), before + length, offset=first - before, access=mmap.ACCESS_READ) as part,
        ZipFile(cast("IO[bytes]", part)) as parts,  # which passes over what stands before it
    ):
        require_plain(parts, length, pickled=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
