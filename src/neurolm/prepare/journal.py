"""What a store remembers of its making: settings, sources' states, and the lock of its writer."""

from __future__ import annotations

import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from neurolm.core.config import to_json
from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError, StoreError, WriteError
from neurolm.core.files import PARTIAL, remove_partial, write_text
from neurolm.recording.recording import Annotation
from neurolm.store.manifest import Row
from neurolm.store.shards import is_shard_of, staged_name, staged_state
from neurolm.store.store import FORMAT, SETTINGS, SHARDS, SOURCES, require_format

LOCK = ".lock"


@dataclass(frozen=True)
class Settings:
    """What decides how a corpus is prepared."""

    layout: str
    unknown: str
    unit: str | None
    mains: float | None
    truncated: str = "refuse"


@dataclass(frozen=True)
class SettingsFile:
    """What ``settings.json`` says."""

    format: int
    corpora: dict[str, Settings]


@dataclass(frozen=True)
class FileState:
    """A file of a source, to see whether it changed."""

    name: str
    size: int
    modified: int
    """Nanoseconds."""


@dataclass(frozen=True)
class State:
    """What is kept about a signal's source, from which a preparation goes on and labels can be made again."""

    files: tuple[FileState, ...]
    settings: Settings
    reading: str
    """How the layout says that the source is to be read."""
    mains: float | None
    """The frequency asked for; None: detected."""
    seconds: float
    annotations: tuple[Annotation, ...]
    row: Row

    def line(self) -> str:
        """The state as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


def parse_state(text: str | bytes, *, source: str) -> State:
    """Make a state of a line of JSON.

    Raises
    ------
    StoreError
        If it is none.
    """
    return decode(State, text, source=f"{source}: damaged, or written by another version", error=StoreError)


def packed_states(out: Path, corpus: str) -> dict[str, State]:
    """Return the states of a corpus's recordings that are in a shard, by recording.

    What cannot be read, or lies in a shard that is missing or of another length, counts as not prepared.
    """
    states: dict[str, State] = {}
    for file in sorted((out / SOURCES).glob("*.jsonl")):
        if not is_shard_of(corpus, file.name):
            continue
        try:
            found = [parse_state(line, source=str(file)) for line in file.read_bytes().splitlines()]
        except StoreError:
            continue
        shard = out / SHARDS / file.with_suffix(".i16").name
        end = max((state.row.offset + state.row.size for state in found), default=0)
        if shard.is_file() and shard.stat().st_size == end:
            states |= {state.row.recording: state for state in found if state.row.shard == shard.name}
    return states


def staged(out: Path, recording: str) -> State | None:
    """Return the state of a recording that waits for its shard; None where it does not."""
    file = staged_state(out, recording)
    try:
        state = parse_state(file.read_bytes(), source=str(file))
        size = (out / staged_name(recording)).stat().st_size
    except (FileNotFoundError, NotADirectoryError, StoreError):
        return None
    return state if size == state.row.size else None


class FileStates:
    """The files of a source: those that share its name up to the suffix (header, signal, markers), or its folder's."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[os.DirEntry]]] = {}

    def of(self, path: Path) -> tuple[FileState, ...]:
        """Return the states of a source's files, sorted by name."""
        if path.is_dir():  # formats such as EGI's .mff
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            return tuple(self._state(p.relative_to(path).as_posix(), p.stat()) for p in inside)
        if path.parent not in self._folders:
            by_stem = self._folders[path.parent] = defaultdict(list)
            for entry in os.scandir(path.parent):
                if entry.is_file():
                    by_stem[Path(entry.name).stem].append(entry)
        entries = sorted(self._folders[path.parent][path.stem], key=lambda entry: entry.name)
        return tuple(self._state(entry.name, entry.stat()) for entry in entries)

    @staticmethod
    def _state(name: str, stat: os.stat_result) -> FileState:
        return FileState(name, stat.st_size, stat.st_mtime_ns)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the store for writing; a killed process lets go of it.

    Raises
    ------
    StoreError
        If another process holds it, or the folder cannot be made.
    """
    try:
        if out.is_dir():
            read_settings(out)  # nothing is written into a folder that is not a store
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("w")
    except OSError as error:
        raise WriteError(f"{out}: cannot be a folder for the store ({error.strerror}); choose another") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{out}: another process is preparing into this store; wait for it to end") from error
        yield


def agree(out: Path, corpus: str, settings: Settings) -> None:
    """Make sure that the store's recordings of the corpus were prepared with these settings, or note them down."""
    corpora = read_settings(out)
    remove_partial(out)
    if corpus not in corpora:
        write_settings(out, {**corpora, corpus: settings})
        return
    for name, old in asdict(corpora[corpus]).items():
        new = getattr(settings, name)
        if new != old:
            raise StoreError(
                f"{out}: the recordings of {corpus!r} in this store were prepared with {name}={old!r}, not {new!r}; "
                f"use {name}={old!r}, or prepare into another folder"
            )


def forget(out: Path, corpus: str) -> None:
    """Take a corpus of which nothing is in the store out of the settings, so that others can be tried."""
    corpora = read_settings(out)
    corpora.pop(corpus, None)
    if corpora:
        write_settings(out, corpora)
        return
    for name in (SETTINGS, LOCK):
        (out / name).unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it
        out.rmdir()


def read_settings(out: Path) -> dict[str, Settings]:
    """Return the settings by corpus; none for an empty folder.

    Raises
    ------
    StoreError
        If the folder is something else than a store, or one of another format.
    """
    file = out / SETTINGS
    if not file.is_file():
        if any(path.name != LOCK and path.suffix != PARTIAL for path in out.iterdir()):
            raise StoreError(f"{out}: this folder holds other things than a store; choose a new or empty folder")
        return {}
    text = file.read_bytes()
    require_format(text, str(file))
    try:
        return decode(SettingsFile, text, source=str(file)).corpora
    except ConfigError as error:
        raise StoreError(f"{error}: the store is damaged; prepare into another folder") from error


def write_settings(out: Path, corpora: dict[str, Settings]) -> None:
    """Write the settings by corpus."""
    write_text(out / SETTINGS, to_json(SettingsFile(FORMAT, dict(sorted(corpora.items())))))
