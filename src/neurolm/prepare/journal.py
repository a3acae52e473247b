"""What a store remembers of its making: settings, an entry for each recording, its writer's lock."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError, StoreError, WriteError, argument
from neurolm.core.files import PARTIAL, append_text, atomic_file, dump_json, hold, remove_partial, write_text
from neurolm.core.montage import resolve
from neurolm.core.names import readable
from neurolm.core.physics import Filters
from neurolm.core.small_files import LARGE, read_small
from neurolm.recording.options import (
    BadSegments,
    DataFormat,
    ReadingOptions,
    Truncated,
    Unit,
    Unknown,
    require_one_of,
)
from neurolm.recording.recording import Annotation
from neurolm.store.manifest import Row
from neurolm.store.shards import in_shard
from neurolm.store.store import FORMAT, SETTINGS, SHARDS, SOURCES, require_format

LOCK = ".lock"
PLAIN = "folder"
"""Layout of a folder without labels."""


@dataclass(frozen=True)
class CorpusSettings:
    """What decides how a corpus is prepared."""

    layout: str
    unknown: Unknown
    unit: Unit | None
    mains: float | None
    truncated: Truncated = "refuse"
    bad_segments: BadSegments = "drop"
    stream: str | int | None = None
    channels: dict[str, str] | tuple[str, ...] | None = None
    cap: str | None = None
    rate: float | None = None
    data_format: DataFormat | None = None
    filters: Filters = "zero-phase"

    @classmethod
    def of(cls, layout: str, reading: ReadingOptions, filters: Filters = "zero-phase") -> CorpusSettings:
        """The settings by which recordings of a layout are read.

        Raises
        ------
        ConfigError
            If ``channels`` names no electrodes, or there are no such filters.
        """
        require_one_of("filters", filters, get_args(Filters))
        given = reading.channels
        channels = dict(given) if isinstance(given, Mapping) else None if given is None else tuple(given)
        electrodes = channels.values() if isinstance(channels, dict) else channels or ()
        if unknown := [electrode for electrode in electrodes if resolve(electrode) is None]:
            raise ConfigError(
                f"{argument(channels=channels)}: {unknown[0]!r} is no known electrode; give names such as Fp1, C3, Oz"
            )
        said = vars(reading) | {"unknown": reading.unknown or "error", "channels": channels}
        return cls(layout, **said, filters=filters)

    @property
    def reading(self) -> ReadingOptions:
        """How the recordings are read."""
        return ReadingOptions(
            **{name: value for name, value in vars(self).items() if name not in ("layout", "filters")}
        )


@dataclass(frozen=True)
class SettingsFile:
    """What ``settings.json`` says."""

    format: int
    corpora: dict[str, CorpusSettings]


@dataclass(frozen=True)
class FileState:
    """A file of a source, to see whether it changed."""

    name: str
    size: int
    modified: int
    """Nanoseconds."""


@dataclass(frozen=True)
class Entry:
    """What is kept about a recording that was prepared, from which a preparation goes on."""

    files: tuple[FileState, ...]
    settings: CorpusSettings
    reading: str
    """How the layout says that the source is to be read."""
    mains: float | None
    """The frequency asked for; None: detected."""
    seconds: float
    annotations: tuple[Annotation, ...] | None
    """Those of the recording, if its labels depend on them; None: not kept, as free text may be about anybody."""
    row: Row

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed when it was prepared."""
        return self.row.notes

    def line(self) -> str:
        """The entry as one line of JSON."""
        return dump_json(_said(asdict(self)), separators=(",", ":")) + "\n"


def _said(content: dict[str, Any]) -> dict[str, Any]:
    """What is written of filters: nothing of the symmetric ones, so that stores of these stay as they were."""
    inner = {name: _said(value) if isinstance(value, dict) else value for name, value in content.items()}
    return {name: value for name, value in inner.items() if (name, value) != ("filters", "zero-phase")}


def parse_entry(text: str | bytes, *, source: str) -> Entry:
    """Parse an entry from a line of JSON.

    Raises
    ------
    StoreError
        If it is not one.
    """
    return decode(Entry, text, source=f"{source}: damaged, or written by another version", error=StoreError)


class Journal:
    """The entries of a corpus: written down as recordings are finished, sorted by id when a preparation ends.

    Parameters
    ----------
    out
        Folder of the store.
    corpus
        Its name.
    """

    def __init__(self, out: Path, corpus: str) -> None:
        self.out, self.file = out, out / SOURCES / f"{corpus}.jsonl"

    def read(self) -> dict[str, Entry]:
        """Return the entries of the recordings that are in the store, by recording; the last one counts.

        What cannot be read (the process was killed while it wrote), or has no shard of its own of the right length,
        counts as not prepared.
        """
        entries: dict[str, Entry] = {}
        for line in self.file.read_bytes().splitlines() if self.file.is_file() else ():
            with suppress(StoreError, OSError, ValueError):
                entry = parse_entry(line, source=str(self.file))
                row = entry.row
                if row == in_shard(row) and (self.out / SHARDS / row.shard).stat().st_size == row.size:
                    entries[row.recording] = entry
        return entries

    def add(self, entry: Entry) -> None:
        """Write an entry down; after a line that a killed process left unfinished, it begins a new one."""
        self.file.parent.mkdir(exist_ok=True)
        append_text(self.file, f"\n{entry.line()}")

    def write(self, entries: Sequence[Entry]) -> None:
        """Make a journal of these entries unless it is so already; none where there are none."""

        def lines() -> Iterator[bytes]:
            return (entry.line().encode() for entry in entries)

        if not entries:
            self.file.unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError), self.file.open("rb") as before:
            if all(old == new for old, new in zip_longest(before, lines())):
                return
        with atomic_file(self.file) as temporary, temporary.open("wb") as stream:
            stream.writelines(lines())


class FileStates:
    """The files of a source: those that share its name up to the suffix (header, signal, markers), or its folder's."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[os.DirEntry]]] = {}

    def of(self, path: Path) -> tuple[FileState, ...]:
        """Return the states of a source's files, sorted by name."""
        if path.is_dir():  # formats such as EGI's .mff
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            return tuple(self._state(readable(p.relative_to(path).as_posix()), p.stat()) for p in inside)
        if path.parent not in self._folders:
            by_stem = self._folders[path.parent] = defaultdict(list)
            for entry in os.scandir(path.parent):
                with suppress(OSError):  # a link that leads to itself
                    if not entry.is_file():
                        continue
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
    with ExitStack() as stack:
        try:
            if out.is_dir():
                read_settings(out)  # nothing is written into a folder that is not a store
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(hold(out / LOCK, "another process is preparing into this store"))
        except OSError as error:
            raise WriteError(f"{out}: cannot be a folder for the store ({error.strerror}); choose another") from error
        yield


def agree(out: Path, corpus: str, settings: CorpusSettings) -> None:
    """Make sure that the store's recordings of the corpus were prepared with these settings, or note them down."""
    corpora = read_settings(out)
    remove_partial(out)
    for other, made in corpora.items():
        if other != corpus and made.filters != settings.filters:
            raise StoreError(
                f"{out}: the recordings of {other!r} in this store were prepared with {argument(filters=made.filters)},"
                f" not {settings.filters!r}, and no model reads both: prepare into another folder"
            )
    if corpus not in corpora:
        write_settings(out, {**corpora, corpus: settings})
        return
    before = asdict(corpora[corpus])
    for name, new in asdict(settings).items():
        old = before[name]
        if new != old and not _may_change(name, old, new):
            how = {"corpus" if name == "layout" else name: old}
            said = f"without {argument(name)}" if old is None else f"with {argument(**how)}"
            raise StoreError(
                f"{out}: the recordings of {corpus!r} in this store were prepared {said}, not {new!r}; prepare {said} "
                "again, or into another folder"
            )
    if settings != corpora[corpus]:
        write_settings(out, {**corpora, corpus: settings})


def _may_change(name: str, old: object, new: object) -> bool:
    """Whether a preparation may go on with another setting: labels were added to a folder, or names are explained.

    The recordings that the names are about are prepared again.
    """
    return (name == "layout" and old == PLAIN) or (name in ("channels", "cap") and new is not None)


def forget(out: Path, corpus: str) -> None:
    """Take a corpus of which nothing is in the store out of the settings, so that others can be tried."""
    corpora = read_settings(out)
    corpora.pop(corpus, None)
    if corpora:
        write_settings(out, corpora)
        return
    for name in (SETTINGS, LOCK):
        (out / name).unlink(missing_ok=True)
    for folder in (out / SHARDS, out / SOURCES, out):
        with suppress(OSError):  # something else is in it
            folder.rmdir()


def read_settings(out: Path) -> dict[str, CorpusSettings]:
    """Return the settings by corpus; none for an empty folder.

    Raises
    ------
    StoreError
        If the folder is not a store, or a store of another format.
    """
    file = out / SETTINGS
    if not file.is_file():
        if any(path.name != LOCK and path.suffix != PARTIAL for path in out.iterdir()):
            raise StoreError(f"{out}: this folder holds other things than a store; choose a new or empty folder")
        return {}
    try:
        text = read_small(file, most=LARGE)
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error}); prepare into another folder") from error
    require_format(text, str(file))
    try:
        return decode(SettingsFile, text, source=str(file)).corpora
    except ConfigError as error:
        raise StoreError(f"{error}: the store is damaged; prepare into another folder") from error


def write_settings(out: Path, corpora: dict[str, CorpusSettings]) -> None:
    """Write the settings by corpus."""
    said = _said(asdict(SettingsFile(FORMAT, dict(sorted(corpora.items())))))
    write_text(out / SETTINGS, dump_json(said, indent=2) + "\n")
