"""Atomic writes: a file or folder is there whole or not at all, whenever the process is killed.

And reading JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurolm.core.errors import WriteError

PARTIAL = ".partial"
"""Suffix of what is still being written; left-overs may be deleted."""


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place.

    Raises
    ------
    WriteError
        If the file cannot be written (no space, no permission).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except Exception as error:
        raise _of_disk(error, path) from error


def _of_disk(error: Exception, path: Path) -> Exception:
    """Return the error to raise: a ``WriteError`` where a disk's is behind it, however a library has wrapped it."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, OSError):
        behind = behind.__cause__ or behind.__context__
    number = re.search(r"\(os error (\d+)\)", str(error))  # of libraries written in Rust, as safetensors
    if behind is None and number is None:
        return error
    reason = os.strerror(int(number[1])) if number else getattr(behind, "strerror", None) or behind
    return WriteError(f"{path}: cannot be written ({reason}); free space, or choose another folder")


def append_text(path: Path, text: str) -> None:
    """Append to a text file, for rows of which a reader leaves out one that was cut off.

    Raises
    ------
    WriteError
        If the file cannot be written (no space, no permission).
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _of_disk(error, path) from error


def parse_json(text: str | bytes) -> Any:
    """Read JSON as ``json.loads`` does, whose every failure is a ValueError here."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left half written in a folder that nobody writes into now."""
    for path in folder.glob(f".*{PARTIAL}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_folder(path: Path, fill: Callable[[Path], None], *, last: str) -> None:
    """Let ``fill`` write files into a temporary folder, then move them into ``path``, the file ``last`` last.

    A reader takes the folder as complete when ``last`` is there, so it is removed first.

    Raises
    ------
    WriteError
        If it cannot be written (no space, no permission).
    """
    try:
        _write_folder(path, fill, last)
    except Exception as error:
        raise _of_disk(error, path) from error


def _write_folder(path: Path, fill: Callable[[Path], None], last: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    temporary = path / f".{os.getpid()}{PARTIAL}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        fill(temporary)
        (path / last).unlink(missing_ok=True)
        for file in sorted(temporary.iterdir(), key=lambda f: f.name == last):
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
            file.replace(path / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
