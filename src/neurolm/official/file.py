"""One of the authors' files, from disk or the Hugging Face hub, read without running code in it."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurolm.core.errors import CheckpointError
from neurolm.core.hub_files import hub_folder
from neurolm.core.small_files import require_plain
from neurolm.model.stored import require_stored
from neurolm.official.weights import plain_names

HUB = re.compile(r"(?P<repository>hf://[\w.-]+/[\w.-]+?(?:@[\w./-]+?)?)/(?P<file>[\w./-]+\.\w+)")
TENSORS = "model"
"""Entry of the authors' files that holds the tensors."""
LEFT_BEHIND = ("optimizer",)
"""Entries that are of use only to go on with the authors' own training."""
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_NUMBERS: list[Any] = [
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # NumPy 1 and 2
    np.dtype,
    *(type(np.dtype(code)) for code in ("f4", "f8", "i4", "i8")),
]
"""Numbers of NumPy, such as the learning rate that the authors' schedule puts into the optimizer's state."""


@dataclass(frozen=True, kw_only=True)
class OfficialFile:
    """One of the authors' files, read."""

    source: str
    tensors: dict[str, Tensor]
    """By their official names; mapped from disk."""
    settings: dict[str, Any]
    """Its other entries that are numbers and words: sizes, steps."""
    left: tuple[str, ...]
    """Its other entries."""


def read_official(source: str | Path, *, prefix: str) -> OfficialFile:
    """Read one of the authors' files without running any code that may be in it; tensors stay on disk until used.

    Parameters
    ----------
    source
        Path, or ``hf://ORGANISATION/REPOSITORY/FILE``.
    prefix
        Prefix of names that the expected file has: ``VQ.`` or ``GPT2.``.

    Raises
    ------
    CheckpointError
        If it is not there, not readable, or another kind of file.
    """
    path = _local(str(source))
    remedy = "download it again, or give one of the authors' files"
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{source}: not a whole PyTorch file (cut off, or of another kind); {remedy}")
    try:
        with zipfile.ZipFile(path) as parts:
            require_plain(parts, path.stat().st_size, pickled=True)
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:  # torch's message recommends to load it unsafely
        raise CheckpointError(
            f"{source}: holds more than tensors and numbers, so it is not loaded; {remedy}"
        ) from error
    except Exception as error:  # zip and torch have errors of their own for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{source}: not a whole PyTorch file ({reason}); {remedy}") from error
    tensors = content.get(TENSORS) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        found = ", ".join(map(str, list(content)[:4])) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{source}: not a NeuroLM file: expected an entry {TENSORS!r} of tensors, found {found}")
    require_stored(tensors, source)
    tensors = plain_names(tensors)
    if not any(name.startswith(prefix) for name in tensors):
        swapped = any(name.startswith(("VQ.", "GPT2.")) for name in tensors)
        hint = (
            "give the tokenizer's file (VQ.pt) first, then the language model's" if swapped else "found other tensors"
        )
        raise CheckpointError(f"{source}: has no tensors named {prefix}…: {hint}")
    others = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in content.items()
        if key != TENSORS and key not in LEFT_BEHIND
    }
    settings = {key: value for key, value in others.items() if _is_plain(value)}
    left = tuple(key for key in content if key != TENSORS and key not in settings)
    return OfficialFile(source=str(source), tensors=tensors, settings=settings, left=left)


def _local(source: str) -> Path:
    """Return the path of a file, downloaded first where it is on the hub."""
    if not source.startswith("hf:"):
        path = Path(source)
        if not path.is_file():
            raise CheckpointError(f"{source}: no such file; give a path, or hf://Weibang/NeuroLM/VQ.pt")
        return path
    match = HUB.fullmatch(source)
    if match is None:
        raise CheckpointError(f"{source}: not a file on the hub; write hf://ORGANISATION/REPOSITORY/FILE")
    give = f"download {match['file']} yourself and give its path"
    return hub_folder(match["repository"], [match["file"]], give=give) / match["file"]


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
