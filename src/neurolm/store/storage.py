"""Bytes of a store's files, wherever they lie: on a disk (``preadv``) or in object storage (fsspec).

No position in a file is kept, so threads and forked processes can share what is open.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from neurolm.core.errors import StoreError
from neurolm.core.small_files import LARGE

HELD_OPEN = 256
"""Files that a store keeps open."""
BLOCK = 1 << 22
"""Bytes read at a time where a whole file is read."""


class Storage(Protocol):
    """Reads files by their name below a folder."""

    def size(self, name: str) -> int | None:
        """Size of a file in bytes; None if there is no such file."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Size in bytes of each file in a folder, by name."""

    def read_into(self, name: str, offset: int, target: memoryview) -> int:
        """Fill a buffer from an offset in a file; returns how many bytes the file had."""


def open_storage(path: Path | str) -> Storage:
    """Return what reads a folder: a path of this machine, or a URL such as ``s3://bucket/store``.

    Raises
    ------
    StoreError
        If this kind of URL is unknown.
    """
    if isinstance(path, str) and "://" in path:
        return ObjectStorage(path)
    return LocalStorage(Path(path))


def read_whole(storage: Storage, name: str) -> bytes:
    """Return the content of a file of at most ``LARGE`` bytes.

    Raises
    ------
    StoreError
        If it is larger.
    """
    size = storage.size(name) or 0
    if size > LARGE:
        raise StoreError(f"{name}: {size:,} bytes, and such a file has at most {LARGE:,}: the store is damaged")
    content = bytearray(size)
    got = storage.read_into(name, 0, memoryview(content))
    return bytes(content[:got])


def read_blocks(storage: Storage, name: str, offset: int, size: int, *, block: int = BLOCK) -> Iterator[memoryview]:
    """Yield a stretch of a file in blocks; fewer bytes where the file ends. A block is valid until the next."""
    buffer = memoryview(bytearray(min(block, size)))
    while size:
        got = storage.read_into(name, offset, buffer[: min(block, size)])
        if not got:
            return
        yield buffer[:got]
        offset, size = offset + got, size - got


class LocalStorage(Storage):
    """Files on a disk.

    Parameters
    ----------
    folder
        The folder of the store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._forget()

    def _forget(self) -> None:
        self._open: dict[str, _Descriptor] = {}
        self._lock, self._process = Lock(), os.getpid()

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    def size(self, name: str) -> int | None:
        file = self.folder / name
        return file.stat().st_size if file.is_file() else None

    def sizes(self, folder: str) -> dict[str, int]:
        path = self.folder / folder
        if not path.is_dir():
            return {}
        with os.scandir(path) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def read_into(self, name: str, offset: int, target: memoryview) -> int:
        descriptor, filled = self._descriptor(name), 0
        while filled < len(target):
            got = _read_into(descriptor.number, target[filled:], offset + filled)
            if not got:
                break
            filled += got
        return filled

    def _descriptor(self, name: str) -> _Descriptor:
        if self._process != os.getpid():  # forked, perhaps while another thread held the lock
            self._forget()
        found = self._open.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._open:
                opened = _Descriptor(self.folder / name)
                while len(self._open) >= HELD_OPEN:
                    del self._open[next(iter(self._open))]
                self._open[name] = opened
                return opened
            return self._open[name]


class _Descriptor:
    """An open file that closes when nobody reads from it any more."""

    def __init__(self, path: Path) -> None:
        try:
            # Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
            self.number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError as error:
            raise StoreError(
                f"{path}: no such file: the store was changed or damaged since it was opened; open it again"
            ) from error

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def _read_into(descriptor: int, target: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [target], offset)
    data = os.pread(descriptor, len(target), offset)  # older macOS
    target[: len(data)] = data
    return len(data)


class ObjectStorage(Storage):
    """Files in object storage, or whatever else fsspec reaches; a read is one request for a range.

    Parameters
    ----------
    url
        As fsspec takes it: ``s3://bucket/store``, ``gs://…``, ``https://…``, ``memory://store``.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._process = -1
        self._system: Any = None
        self._files()

    def __getstate__(self) -> dict[str, object]:
        return {"url": self.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["url"])  # type: ignore[misc]

    def _files(self) -> Any:
        """The file system, made anew in a forked process: the connections of its parent are not its own."""
        if self._process == os.getpid():
            return self._system
        import fsspec

        try:
            self._system, self._root = fsspec.core.url_to_fs(self.url, skip_instance_cache=self._process != -1)
        except (ImportError, ValueError) as error:
            raise StoreError(f"{self.url}: this kind of address cannot be read here: {error}") from error
        self._process = os.getpid()
        return self._system

    def size(self, name: str) -> int | None:
        files = self._files()
        try:
            found = files.info(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.url}/{name}: cannot be reached: {error}") from error
        return int(found["size"]) if found["type"] == "file" else None

    def sizes(self, folder: str) -> dict[str, int]:
        files = self._files()
        try:
            found = files.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{self.url}/{folder}: cannot be listed: {error}") from error
        return {entry["name"].rsplit("/", 1)[-1]: int(entry["size"]) for entry in found if entry["type"] == "file"}

    def read_into(self, name: str, offset: int, target: memoryview) -> int:
        if not target:
            return 0
        files = self._files()
        try:
            data = files.cat_file(f"{self._root}/{name}", start=offset, end=offset + len(target))
        except FileNotFoundError as error:
            raise StoreError(
                f"{self.url}/{name}: no such file: the store was changed or damaged since it was opened; open it again"
            ) from error
        except OSError as error:
            raise StoreError(f"{self.url}/{name}: cannot be read: {error}") from error
        target[: len(data)] = data
        return len(data)
