"""Resume states of a stage: the last few are kept, and a damaged one gives way to the one before it."""

from __future__ import annotations

import pickle
import re
import shutil
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neurolm.core import distributed
from neurolm.core.files import atomic_file, remove_partial
from neurolm.core.small_files import require_plain, require_regular
from neurolm.train.machine.sharding import is_sharded, placed

_NAME = re.compile(r"state-(\d+)(\.pt)?")


def save_state(folder: Path, step: int, content: Mapping[str, Any], *, keep: int = 2, sharded: bool = False) -> None:
    """Write the state before a step, then remove all but the last ``keep``; all processes call this.

    Parameters
    ----------
    step
        The step that comes next.
    content
        Tensors and plain values; read back with ``weights_only=True``.
    sharded
        Whether its tensors are spread over the processes: each writes its part of a folder then. Otherwise the main
        process writes a file.
    keep
        States that are kept: the newest, and others in case the disk damages it.

    Raises
    ------
    WriteError
        If the disk is full, say; the earlier states are as they were.
    """
    if sharded:
        from neurolm.train.machine.sharded_state import save_shards  # slow to import

        save_shards(folder / f"state-{step:09d}", step, content)
    elif distributed.is_main():
        save_tensors(folder / f"state-{step:09d}.pt", {**content, "step": step})
    if distributed.is_main():
        for path in states(folder)[:-keep]:
            _remove(path)


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values atomically; through a file of ours, since torch's own hides what the disk says.

    Raises
    ------
    WriteError
        If the disk is full, say.
    """
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        torch.save(dict(content), file)


def load_tensors(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what ``save_tensors`` wrote, running no code and taking no more memory than the file has bytes.

    Raises
    ------
    ValueError
        If it is no such file. PyTorch raises errors of its own for what is damaged.
    """
    size = require_regular(path)
    with zipfile.ZipFile(path) as parts:
        require_plain(parts, size, pickled=True)
    found = torch.load(path, weights_only=True, map_location=device)
    if not isinstance(found, dict):
        raise ValueError(f"holds {type(found).__name__}, not named tensors")
    return found


def load_state(
    folder: Path, device: torch.device, module: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> dict[str, Any] | None:
    """Return the newest state that can be read, or None where there is none; all processes call this.

    Its tensors are spread over the processes as those of the module are now, however they were saved.

    Parameters
    ----------
    module, optimizer, average
        What it is for; none of them is changed.
    """
    for path in reversed(states(folder)):
        try:
            if path.is_dir():
                from neurolm.train.machine.sharded_state import blank, load_shards

                return load_shards(path, blank(module, optimizer, average))
            return _placed(load_tensors(path, device), module, optimizer)
        except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split())[:120]
            warnings.warn(f"{path}: damaged ({reason}); going on from the state before it", stacklevel=2)
    return None


def states(folder: Path) -> list[Path]:
    """Return the states of a stage, the oldest first."""
    return sorted((p for p in folder.glob("state-*") if _NAME.fullmatch(p.name)), key=lambda p: p.name)


def forget_states(folder: Path) -> None:
    """Remove the states of a stage whose checkpoint is complete, and what a killed process left half written."""
    for path in states(folder):
        _remove(path)
    remove_partial(folder)


def _placed(saved: dict[str, Any], module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Spread whole tensors over the processes where the module's are."""
    if not is_sharded(module):
        return saved
    own = module.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {
        index: {name: placed(v, parameters[index]) if v.ndim else v for name, v in moments.items()}
        for index, moments in saved["optimizer"]["state"].items()
    }
    return saved | {
        "module": {name: placed(value, own[name]) for name, value in saved["module"].items()},
        "optimizer": {**saved["optimizer"], "state": state},
        "average": {name: placed(value, own[name]) for name, value in saved["average"].items()},
    }


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
