"""Uploads on disk: whole or not there, found again after a crash, deleted in time

UPLOADS/INSTANCE/lock                 held as long as the service lives; what a dead one left, the next takes over
UPLOADS/INSTANCE/ID/manifest.json     written last: with it, the upload is there; its time is that of its last use
UPLOADS/INSTANCE/ID/recording.edf     files by names of our own
UPLOADS/INSTANCE/ID/scratch/          what was derived of it
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError, NeuroLMError, argument
from neurolm.core.files import atomic_file, dump_json
from neurolm.core.small_files import read_text

MANIFEST, LOCK, SCRATCH, FOLDER = "manifest.json", "lock", "scratch", "folder"
_ID = re.compile(r"[0-9a-f]{32}")
_COMING = "coming-"
"""How the folder of an upload begins that is not whole yet."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of an upload besides its files."""

    main: str
    """Name on disk of the file through which it is opened."""
    files: dict[str, str]
    """Names on disk → names as they are shown."""
    origin: str
    bytes: int
    reading: dict[str, Any] = field(default_factory=dict)


class Uploads:
    """The folder of one service's uploads, by ids."""

    def __init__(self, root: Path | None) -> None:
        self.kept = root is not None
        """Whether uploads outlive a service that ends as it was asked to: in a folder that was given."""
        self.root = _private(Path(tempfile.gettempdir()) / f"neurolm-{os.geteuid()}") if root is None else _made(root)
        with _alone(self.root):
            self.folder = self.root / f"service-{secrets.token_hex(8)}"
            self.folder.mkdir(mode=0o700)
            self._lock = _try_lock(self.folder / LOCK)
            self._adopt()
        (self.folder / FOLDER).mkdir(mode=0o700)

    def find(self) -> Iterator[tuple[str, Manifest, float]]:
        """Yield what is there: id, manifest, and seconds since 1970 of its last use."""
        for folder in sorted(self.folder.iterdir()):
            if _ID.fullmatch(folder.name):
                with suppress(OSError, NeuroLMError):
                    manifest = decode(Manifest, read_text(folder / MANIFEST))
                    yield folder.name, manifest, (folder / MANIFEST).stat().st_mtime

    @contextmanager
    def coming(self) -> Iterator[tuple[str, Path]]:
        """Give the id and the folder of a new upload; what is in it and was not kept at the end is deleted."""
        id = secrets.token_hex(16)
        folder = self.folder / f"{_COMING}{id}"
        folder.mkdir(mode=0o700)
        (folder / SCRATCH).mkdir(mode=0o700)
        try:
            yield id, folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, id: str, manifest: Manifest) -> Path:
        """Have an upload, whose files are on disk; returns its folder."""
        coming = self.folder / f"{_COMING}{id}"
        self.write(coming, manifest)
        coming.rename(self.folder / id)
        _sync_folder(self.folder)
        return self.folder / id

    def write(self, folder: Path, manifest: Manifest) -> None:
        """Write a manifest, whole or not at all."""
        with atomic_file(folder / MANIFEST) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(dump_json(asdict(manifest)), encoding="utf-8")
        _sync_folder(folder)

    def touch(self, id: str) -> None:
        """Note that it is used now."""
        with suppress(OSError):
            os.utime(self.folder / id / MANIFEST)

    def remove(self, id: str) -> None:
        """Delete an upload; its manifest first, so that no half of one is taken for an upload."""
        folder = self.folder / id
        with suppress(OSError):
            (folder / MANIFEST).unlink()
        shutil.rmtree(folder, ignore_errors=True)

    def scratches(self) -> list[Path]:
        """Return the folders that `scratch_of` has made."""
        return list((self.folder / FOLDER).iterdir())

    def scratch_of(self, name: str) -> Path:
        """Return a private folder for what is derived of a recording that was not uploaded."""
        folder = self.folder / FOLDER / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def close(self) -> None:
        """Delete all, or what is derived alone where uploads are kept."""
        if self.kept:
            shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
            if not any(_ID.fullmatch(one.name) for one in self.folder.iterdir()):
                shutil.rmtree(self.folder, ignore_errors=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def _adopt(self) -> None:
        """Take over the uploads of services that are no more, and delete what else they left."""
        for other in self.root.glob("service-*"):
            if other == self.folder or (held := _try_lock(other / LOCK)) is None:
                continue
            with held:
                for upload in other.iterdir():
                    if _ID.fullmatch(upload.name) and (upload / MANIFEST).is_file():
                        upload.rename(self.folder / upload.name)
                _sync_folder(self.folder)
                shutil.rmtree(other, ignore_errors=True)


def _made(root: Path) -> Path:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{root}: {error.strerror}; give {argument('uploads')} a folder that can be made") from error
    return root.resolve()


def _private(root: Path) -> Path:
    """Make a folder for this user in that of temporary files, where anybody may have put something by its name."""
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"{root}: is not this user's alone, so uploads are not put there; give another folder: "
            f"{argument(uploads='DIR')}"
        )
    return root.resolve()


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other service that starts looks for what dead ones left."""
    with (root / ".lock").open("a") as file:
        (root / ".lock").chmod(0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try_lock(path: Path) -> IO[str] | None:
    """Hold a lock, or return None where another process holds it."""
    try:
        file = path.open("a")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sizes(folder: Path, files: Mapping[str, str]) -> int:
    """Return the bytes of an upload's files."""
    return sum((folder / name).stat().st_size for name in files)
