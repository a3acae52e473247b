"""The recordings that a service has: those of its folder, and those that were uploaded"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from neurolm.core.terminal import printable
from neurolm.recording.options import ReadingOptions
from neurolm.recording.suffixes import walk
from neurolm.server.errors import NoSuch
from neurolm.server.settings import ServerSettings

Origin = Literal["upload", "folder", "example"]
NEAREST = ReadingOptions(unknown="nearest")
FRESH = 2.0
"""Seconds for which the list of the folder is taken as it was."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A recording."""

    id: str
    name: str
    """As it is shown."""
    path: Path
    """The file through which it is opened."""
    origin: Origin
    bytes: int
    reading: ReadingOptions = NEAREST
    scratch: Path
    """A private folder for what is derived of it; it goes with it."""
    used: float
    """Seconds since 1970."""


class Library:
    """Finds recordings by their ids."""

    def __init__(self, settings: ServerSettings) -> None:
        import tempfile

        self.settings = settings
        self.root = Path(tempfile.mkdtemp(prefix="neurolm-"))
        self._uploads: dict[str, Entry] = {}
        self._folder: dict[str, Entry] = {}
        self._read: dict[str, ReadingOptions] = {}
        self._looked = -FRESH
        self._lock = threading.RLock()

    def entries(self) -> list[Entry]:
        """Return all recordings: uploads, the newest first, then those of the folder by their paths."""
        with self._lock:
            self._look()
            return [*reversed(self._uploads.values()), *self._folder.values()]

    def get(self, id: str) -> Entry:
        """Return a recording.

        Raises
        ------
        NoSuch
            If there is none of this id, or not any more.
        """
        with self._lock:
            self._look()
            found = self._uploads.get(id) or self._folder.get(id)
        if found is None:
            raise NoSuch("no such recording; uploads are deleted some time after their last use: upload it again")
        return found

    def add(self, name: str, origin: Origin, fill: Callable[[Path], Path]) -> Entry:
        """Take a recording in.

        Parameters
        ----------
        fill
            Writes its files into a folder and returns the one through which it is opened.
        """
        id = uuid.uuid4().hex
        folder = self.root / id
        scratch = folder / "scratch"
        scratch.mkdir(parents=True, mode=0o700)
        path = fill(folder)
        size = sum(one.stat().st_size for one in folder.iterdir() if one.is_file())
        entry = Entry(id=id, name=printable(name, line=True), path=path, origin=origin, bytes=size, scratch=scratch,
                      used=time.time())  # fmt: skip
        with self._lock:
            self._uploads[id] = entry
        return entry

    def remove(self, id: str) -> None:
        """Delete an upload and what was derived of it."""
        with self._lock:
            found = self._uploads.pop(id, None)
        if found is None:
            raise NoSuch("no such upload")
        shutil.rmtree(self.root / id, ignore_errors=True)

    def touch(self, id: str) -> None:
        """Note that a recording is used now."""
        with self._lock:
            if id in self._uploads:
                self._uploads[id] = replace(self._uploads[id], used=time.time())

    def read_as(self, id: str, reading: ReadingOptions) -> Entry:
        """Set how a recording is read from now on."""
        with self._lock:
            entry = replace(self.get(id), reading=reading)
            self._read[id] = reading
            (self._uploads if id in self._uploads else self._folder)[id] = entry
        return entry

    def shown(self, text: str, id: str | None) -> str:
        """Return a message about a recording as it may be shown: by its name, without the service's own paths."""
        with self._lock:
            entry = self._uploads.get(id or "") or self._folder.get(id or "")
        if entry is None:
            return text
        return text.replace(str(entry.path), entry.name).replace(f"{entry.path.parent}/", "")

    def close(self) -> None:
        """Delete what was uploaded."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _look(self) -> None:
        folder = self.settings.folder
        if folder is None or time.monotonic() - self._looked < FRESH:
            return
        inside = folder.resolve()
        found = {}
        for path in walk(folder).recordings:
            real, name = path.resolve(), path.relative_to(folder).as_posix()
            if not real.is_relative_to(inside):
                continue
            id = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
            scratch = self.root / "folder" / id
            scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
            size = real.stat().st_size if real.is_file() else 0
            found[id] = Entry(
                id=id, name=printable(name, line=True), path=path, origin="folder", bytes=size, scratch=scratch,
                reading=self._read.get(id, NEAREST), used=time.time(),
            )  # fmt: skip
        self._folder, self._looked = found, time.monotonic()
