"""Atomic writes: a file or folder is there whole or not at all, whatever kills the process; and JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurolm.core.errors import NeuroLMError, WriteError

PARTIAL = ".partial"
"""Suffix of what is still being written; left-overs may be deleted."""


@contextmanager
def atomic_file(path: Path, *, name: Callable[[], str] | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``path``; what was written there takes its place when the block ends well.

    The temporary name is unlike that of any other process on any machine: on a cluster, a recording may be worked on
    twice at once.

    Parameters
    ----------
    path
        Where it will be.
    name
        Asked at the end for the name to take instead, for files that are named by what they hold.

    Raises
    ------
    WriteError
        If the file cannot be written (no space, no permission).
    """
    temporary = path.with_name(f".{path.name}.{_unique()}{PARTIAL}")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(path if name is None else path.with_name(name()))
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, last: str) -> Iterator[Path]:
    """Give a temporary folder, whose files are moved into ``path`` when the block ends well, the file ``last`` last.

    A reader takes the folder as complete when ``last`` is there, so it is removed first.

    Raises
    ------
    WriteError
        If it cannot be written (no space, no permission).
    """
    temporary = path / f".{_unique()}{PARTIAL}"
    with _writing(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            (path / last).unlink(missing_ok=True)
            for file in sorted(temporary.iterdir(), key=lambda f: f.name == last):
                _sync(file)
                file.replace(path / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_lines(path: Path, lines: list[str]) -> None:
    """Make a file of these lines unless it is so already; none where there are no lines."""
    text = "".join(lines)
    if not text:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def append_text(path: Path, text: str) -> None:
    """Append to a text file, for rows of which a reader leaves out one that was cut off.

    Raises
    ------
    WriteError
        If the file cannot be written (no space, no permission).
    """
    with _writing(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left half written in a folder, and below it, that nobody writes into now."""
    for path in list(folder.rglob(f".*{PARTIAL}")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def parse_json(text: str | bytes) -> Any:
    """Read JSON as ``json.loads`` does, whose every failure is a ValueError here."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name the file where a disk's error is behind the one that is raised, however a library has wrapped it."""
    try:
        yield
    except NeuroLMError:
        raise
    except Exception as error:
        behind: BaseException | None = error
        while behind is not None and not isinstance(behind, OSError):
            behind = behind.__cause__ or behind.__context__
        number = re.search(r"\(os error (\d+)\)", str(error))  # of libraries written in Rust, as safetensors
        if behind is None and number is None:
            raise
        reason = os.strerror(int(number[1])) if number else getattr(behind, "strerror", None) or behind
        raise WriteError(f"{path}: cannot be written ({reason}); free space, or choose another folder") from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _unique() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
