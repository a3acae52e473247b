"""Atomic writes: a file or folder is there whole or not at all, whatever kills the process."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import math
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from neurolm.core.errors import NeuroLMError, StoreError, WriteError

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
def atomic_folder(path: Path, *, last: str, without: Collection[str] = ()) -> Iterator[Path]:
    """Give a temporary folder, whose files are in ``path`` when the block ends well: all of them, or none.

    A reader takes the folder as complete when ``last`` is there. Where it is, the old folder stays until the new one
    takes its place; what else is in it is kept.

    Parameters
    ----------
    without
        Names of files that belong to the old content, and are not kept.

    Raises
    ------
    WriteError
        If it cannot be written (no space, no permission).
    """
    shown, path = path, path.resolve()
    swap = (path / last).is_file() and os.access(path.parent, os.W_OK) and not path.is_mount()
    temporary = path.with_name(f".{path.name}.{_unique()}{PARTIAL}") if swap else path / f".{_unique()}{PARTIAL}"
    with _writing(shown):
        remove_abandoned(path.parent, f".{path.name}.")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.iterdir():
                _sync(file)
            if swap:
                _take_place(temporary, path, without)
            else:
                (path / last).unlink(missing_ok=True)
                for file in sorted(temporary.iterdir(), key=lambda f: f.name == last):
                    file.replace(path / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _take_place(new: Path, old: Path, without: Collection[str]) -> None:
    """Put a folder where another is, with what else is in that; then ``new`` is the old one."""
    new.chmod(old.stat().st_mode)
    for path in old.iterdir():
        if path.name in without or path.name.endswith(PARTIAL) or (new / path.name).exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link)
        else:
            _link(path, new / path.name)
    exchange(new, old)


def _link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target, follow_symlinks=False)


def exchange(one: Path, other: Path) -> None:
    """Exchange two files or folders: at once where the system can (Linux, macOS), else by renaming one after the other.

    Raises
    ------
    OSError
        If they cannot be; both are where they were.
    """
    library = ctypes.CDLL(None, use_errno=True)
    for name, before in (("renameat2", True), ("renamex_np", False)):  # Linux, macOS
        if (rename := getattr(library, name, None)) is not None:
            here = [ctypes.c_int(_HERE)] if before else []
            paths = [ctypes.c_char_p(os.fsencode(path)) for path in (one, other)]
            if rename(*here, paths[0], *here, paths[1], ctypes.c_uint(_EXCHANGE)) == 0:
                return
    aside = one.with_name(f"{one.name}{PARTIAL}")
    other.rename(aside)
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise
    aside.rename(one)


_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD; RENAME_EXCHANGE of Linux, which is RENAME_SWAP of macOS."""


@contextmanager
def hold(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock, a file that is there meanwhile; a killed process lets go of it.

    Parameters
    ----------
    busy
        Message for the case that another process holds it, which follows who that is.

    Raises
    ------
    StoreError
        If another process holds it.
    """
    while True:
        file = lock.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            who = file.read(_WHO) or "unknown"
            file.close()
            raise StoreError(f"{lock.parent}: {busy} (process {who}); wait for it to end") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if _is_at(file.fileno(), lock):  # else it was removed by the one who held it until a moment ago
            break
        file.close()
    with file:
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


_WHO = 200
"""Characters that are read of who holds a lock."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""Errors of file systems that have no locks."""


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def require_writable(path: Path) -> None:
    """Find out before long work whether a file can be written at its end.

    Raises
    ------
    WriteError
        If it cannot.
    """
    if "\0" in str(path):
        raise WriteError(f"{str(path)!r}: no file can have a name with the character \\0 in it; choose another")
    with _writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        there = next(one for one in (path.parent, *path.absolute().parents) if one.exists())  # no folder is made yet
        probe = there / f".{path.name}.{_unique()}{PARTIAL}"
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_lines(path: Path, lines: list[str]) -> None:
    """Make a file of these lines unless it is so already; none where there are no lines."""
    text = "".join(lines)
    if not text:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_bytes() != text.encode():
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


def remove_abandoned(folder: Path, begins: str = ".") -> None:
    """Remove what processes of this machine that are no more left half written in a folder, not below it."""
    for path in list(folder.glob(f"{begins}*{PARTIAL}")) if folder.is_dir() else ():
        found = re.search(rf"(?:^|\.){re.escape(socket.gethostname())}-(\d+)-\d+\{PARTIAL}$", path.name)
        if found is None or _alive(int(found[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def dump_json(value: Any, **options: Any) -> str:
    """Write plain values and dataclasses as JSON, which knows neither NaN nor infinity: they become null.

    Parameters
    ----------
    value, options
        As for ``json.dumps``.
    """
    try:
        return json.dumps(value, allow_nan=False, default=asdict, **options)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return _finite(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else value


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
