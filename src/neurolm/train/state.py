"""Resume states of a stage: the last few are kept, and a damaged one gives way to the one before it."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from neurolm.files import remove_partial, write_atomic

_NAME = re.compile(r"state-(\d+)\.pt")


def save_state(folder: Path, step: int, content: Mapping[str, Any], *, keep: int = 2) -> None:
    """Write the state before a step, then remove all but the last ``keep``.

    Parameters
    ----------
    step
        The step that comes next.
    content
        Tensors and plain values; read back with ``weights_only=True``.
    keep
        States that are kept: the newest, and others in case the disk damages it.

    Raises
    ------
    WriteError
        If the disk is full, say; the earlier states are as they were.
    """
    save_tensors(folder / f"state-{step:09d}.pt", {**content, "step": step})
    for path in states(folder)[:-keep]:
        path.unlink(missing_ok=True)


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values atomically; through a file of ours, since torch's own hides what the disk says.

    Raises
    ------
    WriteError
        If the disk is full, say.
    """

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save(dict(content), file)

    write_atomic(path, write)


def load_state(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest state that can be read, or None where there is none."""
    for path in reversed(states(folder)):
        try:
            return torch.load(path, weights_only=True, map_location=device)
        except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split())[:120]
            warnings.warn(f"{path}: damaged ({reason}); going on from the state before it", stacklevel=2)
    return None


def states(folder: Path) -> list[Path]:
    """Return the states of a stage, the oldest first."""
    return sorted((p for p in folder.glob("state-*.pt") if _NAME.fullmatch(p.name)), key=lambda p: p.name)


def forget_states(folder: Path) -> None:
    """Remove the states of a stage whose checkpoint is complete, and what a killed process left half written."""
    for path in states(folder):
        path.unlink(missing_ok=True)
    remove_partial(folder)
