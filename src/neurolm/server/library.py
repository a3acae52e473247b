"""The recordings that a service has: those of its folder, and those that were uploaded"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from neurolm.core.errors import ConfigError, RecordingError, argument
from neurolm.core.terminal import printable
from neurolm.recording.isolation import confine
from neurolm.recording.options import ReadingOptions
from neurolm.recording.suffixes import walk
from neurolm.server.errors import NoSuch
from neurolm.server.naming import LONGEST_NAME, STEM
from neurolm.server.settings import ServerSettings
from neurolm.server.uploads import SCRATCH, Manifest, Uploads, sizes

Origin = Literal["upload", "folder", "example"]
NEAREST = ReadingOptions(unknown="nearest")
"""How a recording is read until somebody says otherwise."""
FRESH, SLOWEST = 2.0, 20.0
"""Seconds for which the list of the folder is taken as it was; and times as long as looking took."""
SWEEP = 60.0
"""Seconds after which it is looked again what is to be deleted."""


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
    """Seconds since 1970 at which it was last used."""
    files: tuple[tuple[str, str], ...] = ()
    """Of an upload: names on disk, and names as they are shown."""


class Library:
    """Finds recordings by their ids."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        if settings.folder is not None and not settings.folder.is_dir():
            raise ConfigError(f"{argument(folder=str(settings.folder))}: no such folder; give one with recordings")
        self._inside = None if settings.folder is None else settings.folder.resolve()
        self._on_disk = Uploads(settings.uploads)
        confine(self._on_disk.folder)
        self._uploads: dict[str, Entry] = {}
        self._folder: dict[str, Entry] = {}
        self._read: dict[str, ReadingOptions] = {}
        self._stale = self._sweep = 0.0
        self._lock = threading.RLock()
        for id, manifest, used in sorted(self._on_disk.find(), key=lambda one: one[2]):
            self._uploads[id] = self._entry(id, manifest, used)

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
            found = self._uploads.get(id)
            if found is None and id not in self._folder:
                self._look()
            found = found or self._folder.get(id)
        if found is None or (found.origin == "folder" and not self._is_inside(found.path)):
            raise NoSuch("no such recording; uploads are deleted some time after their last use: upload it again")
        return found

    @contextmanager
    def coming(self) -> Iterator[tuple[str, Path]]:
        """Give an id and an empty folder for the files of a new upload, deleted unless `add` took them."""
        self.sweep()
        with self._on_disk.coming() as (id, folder):
            yield id, folder

    def add(self, id: str, folder: Path, main: Path, files: dict[str, str], origin: Origin) -> Entry:
        """Have a recording for good, whose files are on disk.

        Parameters
        ----------
        id, folder
            As `coming` gave them.
        main
            The file through which it is opened.
        files
            Names on disk → names as they are shown.
        """
        manifest = Manifest(main=main.name, files=files, origin=origin, bytes=sizes(folder, files))
        self._on_disk.keep(id, manifest)
        entry = self._entry(id, manifest, time.time())
        with self._lock:
            self._uploads[id] = entry
        return entry

    def remove(self, id: str) -> None:
        """Delete an upload and what was derived of it.

        Raises
        ------
        NoSuch
            If there is no such upload.
        RecordingError
            If it is one of the folder.
        """
        with self._lock:
            found = self._uploads.pop(id, None)
        if found is None:
            raise RecordingError(f"{self.get(id).name}: lies in the folder of the service, and stays there")
        self._on_disk.remove(id)

    def touch(self, id: str) -> None:
        """Note that a recording is used now."""
        with self._lock:
            if id in self._uploads:
                self._uploads[id] = replace(self._uploads[id], used=time.time())
                self._on_disk.touch(id)
            elif id in self._folder:  # its derived files are then kept, or have a place again
                with suppress(OSError):
                    self._folder[id].scratch.mkdir(mode=0o700, exist_ok=True)
                    os.utime(self._folder[id].scratch)

    def read_as(self, id: str, reading: ReadingOptions) -> Entry:
        """Set how a recording is read from now on."""
        entry = replace(self.get(id), reading=reading)
        with self._lock:
            if id in self._uploads:
                files = dict(entry.files)
                manifest = Manifest(
                    main=entry.path.name, files=files, origin=entry.origin, bytes=entry.bytes, reading=_said(reading)
                )
                self._on_disk.write(entry.path.parent, manifest)
                self._uploads[id] = entry
            else:
                self._read[id] = reading
                self._folder[id] = entry
        return entry

    def shown(self, text: str, id: str | None) -> str:
        """Return a message about a recording as it may be shown: by its name, without the service's own paths."""
        with self._lock:
            entry = self._uploads.get(id or "") or self._folder.get(id or "")
        if entry is not None:
            text = text.replace(str(entry.path), entry.name).replace(f"{entry.path.parent}/", "")
            text = as_shown(text, dict(entry.files))
        text = text.replace(f"{self._on_disk.folder}/", "")
        return text if self._inside is None else text.replace(f"{self._inside}/", "")

    def sweep(self, *, now: float | None = None) -> None:
        """Delete uploads whose time is over, and what was derived of others and not used for as long."""
        now = time.time() if now is None else now
        with self._lock:
            if now - self._sweep < SWEEP:
                return
            self._sweep = now
            over = [one.id for one in self._uploads.values() if now - one.used > self.settings.keep]
            for id in over:
                self._uploads.pop(id)
        for id in over:
            self._on_disk.remove(id)
        for folder in self._on_disk.scratches():
            if now - folder.stat().st_mtime > self.settings.keep:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Delete what is not to be kept."""
        self._on_disk.close()

    def _entry(self, id: str, manifest: Manifest, used: float) -> Entry:
        folder = self._on_disk.folder / id
        origin: Origin = "example" if manifest.origin == "example" else "upload"
        return Entry(
            id=id, name=manifest.files[manifest.main], path=folder / manifest.main, origin=origin,
            bytes=manifest.bytes, reading=replace(NEAREST, **manifest.reading), scratch=folder / SCRATCH, used=used,
            files=tuple(manifest.files.items()),
        )  # fmt: skip

    def _is_inside(self, path: Path) -> bool:
        assert self._inside is not None
        try:
            return path.resolve(strict=True).is_relative_to(self._inside)
        except (OSError, RuntimeError):
            return False

    def _look(self) -> None:
        """Look anew what the folder holds, unless that was seen a moment ago."""
        folder, began = self._inside, time.monotonic()
        if folder is None or began < self._stale:
            return
        found = {}
        for path in walk(folder).recordings:
            if not self._is_inside(path):  # a link that leads out of the folder, or to nothing
                continue
            name = path.relative_to(folder).as_posix()
            id = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
            status = path.stat()
            state = f"{id}-{status.st_mtime_ns:x}-{status.st_size:x}"
            before = self._folder.get(id)
            if before is None or before.scratch.name != state:
                before = Entry(
                    id=id, name=printable(name, line=True)[-LONGEST_NAME:], path=path, origin="folder",
                    bytes=_bytes(path), scratch=self._on_disk.scratch_of(state), used=time.time(),
                    reading=self._read.get(id, NEAREST),
                )  # fmt: skip
            found[id] = before
        self._folder = found
        took = time.monotonic() - began
        self._stale = time.monotonic() + max(FRESH, SLOWEST * took)


def as_shown(text: str, files: dict[str, str]) -> str:
    """Call the files of an upload in a text as they are shown; what is missing, by the same stem."""
    if not files:
        return text
    text = _COPY_IT.sub(lambda found: (found["tried"] or "") + _UPLOAD_IT, text)
    stem = next(iter(files.values())).rsplit(".", 1)[0]
    return re.sub(rf"\b{STEM}(\.[A-Za-z]\w*(?:\.\w+)?)", lambda found: files.get(found[0], f"{stem}{found[1]}"), text)


_COPY_IT = re.compile(
    r"; copy it beside the header, or correct the line|(?<= is missing); download it too"
    r"|(?:(?<= not found)\.?|(?P<tried>(?<= data file), tried .+?) and .*); copy or export it again"
)
"""Remedies for a part of a recording that is missing on a disk; nobody can put a file beside an upload."""
_UPLOAD_IT = "; upload it together with the file that names it: choose or drop them all at once"


def _said(reading: ReadingOptions) -> dict[str, object]:
    """What differs from how recordings are read until somebody says otherwise."""
    values = asdict(reading)
    return {one.name: values[one.name] for one in fields(reading) if values[one.name] != getattr(NEAREST, one.name)}


def _bytes(path: Path) -> int:
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size
