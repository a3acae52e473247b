"""A file that is written part by part and is there whole or not at all, even with two writers."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from neurolm.core.errors import WriteError
from neurolm.core.files import PARTIAL


class AtomicFile:
    """A file that takes its place when its ``with`` block ends well, and vanishes when it does not.

    While it is written, its name is unlike that of any other process on any machine: on a cluster, a recording may be
    worked on twice.

    Parameters
    ----------
    path
        Where it will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        unique = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
        self.temporary = path.with_name(f".{path.name}.{unique}{PARTIAL}")
        self.written = 0

    def __enter__(self) -> AtomicFile:
        with written_to(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream: BinaryIO = self.temporary.open("wb")
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Append some bytes.

        Raises
        ------
        WriteError
            If there is no space for them.
        """
        with written_to(self.path):
            self.written += self._stream.write(data)

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            with written_to(self.path), self._stream:
                if kind is None:
                    self._stream.flush()
                    os.fsync(self._stream.fileno())
            if kind is None:
                with written_to(self.path):
                    self.temporary.replace(self.path)
        finally:
            with suppress(OSError):
                self.temporary.unlink(missing_ok=True)


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Turn the errors of the system into one that says what could not be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise WriteError(f"{path}: cannot be written ({reason}); free space, or choose another folder") from error


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file of several parts atomically."""
    with AtomicFile(path) as file:
        for part in parts:
            file.write(part)


def write_lines(path: Path, lines: list[str]) -> None:
    """Make a file of these lines unless it is so already; none where there are no lines."""
    text = "".join(lines)
    if not text:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_parts(path, [text.encode()])
