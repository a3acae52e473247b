"""Which recordings are meant: by files, folders, patterns, lists and BIDS data sets."""

from __future__ import annotations

import codecs
import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from neurolm.core.amounts import many
from neurolm.core.errors import RecordingError
from neurolm.core.names import readable
from neurolm.recording.suffixes import FOLDERS, PLAIN, main_file, suffix_of, walk
from neurolm.recording.unread import contents

STANDARD_INPUT = "-"
"""Stands for a list of recordings from standard input."""
MANIFEST = "manifest.jsonl"
"""File of a prepared store."""
_BIDS = "dataset_description.json"
_NOT_RAW = ("derivatives", "sourcedata", "code")
"""Folders in the root of a BIDS data set that hold other things than its recordings."""
_OTHER = ("_ieeg", "_meg")
"""How names of recordings end that are no EEG in BIDS."""
_DEEP = 4
"""Folders that the root of a data set lies above one of its folders: subject, session, kind, and a recording's own."""
_ENTITY = r"(?:^|[/_])({}-[A-Za-z0-9+]+)(?=[/_.]|$)"
_SUBJECT, _SESSION = re.compile(_ENTITY.format("sub")), re.compile(_ENTITY.format("ses"))


@dataclass(frozen=True, order=True)
class Stored:
    """Which recording of a store is meant."""

    store: str
    """The store's fingerprint."""
    index: int
    content: str
    """SHA-256 of its signal."""
    size: int
    """Bytes of its signal."""
    subject: str


@dataclass(frozen=True, order=True)
class Source:
    """A recording to be asked about."""

    name: str
    """Its path as it was given, and as it is shown; of a store, its id there behind the store's path."""
    path: Path
    """Absolute, for processes elsewhere; the store's."""
    stored: Stored | None = None
    """Where it is a prepared store's."""

    @property
    def subject(self) -> str | None:
        """Whose it is, as a store or BIDS, in the path, says it: ``sub-01``; None where they do not."""
        return self._entity(_SUBJECT) if self.stored is None else self.stored.subject

    @property
    def session(self) -> str | None:
        """Of which session, as BIDS says it: ``ses-2``."""
        return self._entity(_SESSION)

    @property
    def odd(self) -> bytes:
        r"""Its path as it was given, where the name does not tell it from others: of bytes that are no UTF-8."""
        given = len(Path(self.name).parts)  # an escape in a name has no slash
        path = str(Path(*self.path.parts[-given:]) if self.stored is None else self.path)
        return b"" if readable(path) == path else os.fsencode(path)

    def _entity(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.findall(self.path.as_posix())  # the file's own name is the last to say it
        return found[-1] if found else None


@dataclass
class Sources:
    """The recordings that are meant, and what was noticed while they were looked for."""

    recordings: list[Source]
    """Sorted by name, each once."""
    notes: list[str] = field(default_factory=list)


def find_sources(given: Sequence[str | Path], *, arrays: bool = False) -> Sources:
    """Find the recordings that are meant.

    Parameters
    ----------
    given
        Files; folders, which stand for all recordings in them and below (of a BIDS data set: its raw EEG); prepared
        stores; patterns such as ``archive/**/*.edf``; or ``-``, a list from standard input. Of what a pattern finds,
        only what may be a recording is taken; a file that is named is taken in any case.
    arrays
        Whether tables and arrays in folders count that do not say their rate: where somebody says it.

    Raises
    ------
    RecordingError
        If a file or folder is missing, a pattern or a folder finds nothing, or nothing is given.
    """
    found, notes, twice = dict[Path, Source](), list[str](), 0
    real = cache(_without_links)
    if "" in given:
        raise RecordingError("'': an empty word names no recording; is a variable of the shell not set?")
    for one in map(str, given):
        if is_folder(Path(one)) and _is_there(Path(one) / MANIFEST):
            found |= {real(Path(one)) / source.name: source for source in _of_store(Path(one))}
            continue
        paths, more = _listed(arrays) if one == STANDARD_INPUT else _meant_by(one, arrays)
        notes += more
        for path in paths:
            own = real(path.parent) / path.name
            twice += own in found
            found.setdefault(own, Source(readable(str(path)), path.absolute()))
    if not found:
        raise RecordingError("no recordings were named; give files, folders or patterns such as 'archive/**/*.edf'")
    if twice:
        notes.append(f"named more than once, and asked once: {many(twice, 'recording')}")
    if alike := [name for name, count in Counter(source.name for source in found.values()).items() if count > 1]:
        notes.append(f"{alike[0]}: the name of several recordings, as bytes that are no UTF-8 are written as text")
    return Sources(sorted(found.values()), list(dict.fromkeys(notes)))


def is_input(word: str) -> bool:
    """Whether a word of a command names recordings, and is no question."""
    path = Path(word)
    if word == STANDARD_INPUT or _is_there(path):
        return True
    return (suffix_of(path) is not None and " " not in path.suffix) or bool(_matches(word))


def is_one_file(word: str | Path) -> bool:
    """Whether a word names a single recording."""
    path = Path(word)
    if word == STANDARD_INPUT or (is_folder(path) and not path.name.lower().endswith(FOLDERS)):
        return False
    return _is_there(path) or not _is_pattern(str(word))


def is_folder(path: Path) -> bool:
    """Whether there is a folder, which may be looked at."""
    try:
        return path.is_dir()
    except OSError:  # in a folder that may not be read, or too long for a name
        return False


def _without_links(folder: Path) -> Path:
    """A folder by the path that no links are in, where it may be looked at."""
    try:
        return folder.resolve()
    except (OSError, RuntimeError):
        return folder.absolute()


def _is_there(path: Path) -> bool:
    """Whether there is something, if only a link to what is gone."""
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word)


def _matches(word: str) -> list[str]:
    if not _is_pattern(word):
        return []
    home = os.path.expanduser(word)  # noqa: PTH111 (which raises where there is no such user)
    return sorted(glob.glob(home, recursive=True))  # noqa: PTH207 (it may be absolute)


def _of_store(folder: Path) -> list[Source]:
    """The recordings of a prepared store."""
    from neurolm.store.store import Store

    store = Store(folder)
    return [
        Source(
            f"{readable(str(folder))}/{row.recording}",
            folder.absolute(),
            Stored(store.fingerprint, index, row.sha256, row.size, row.subject),
        )
        for index, row in enumerate(store.rows)
    ]


def _listed(arrays: bool) -> tuple[list[Path], list[str]]:
    """The recordings of a list from standard input, and notes; what is missing in it shows when its turn comes.

    It has one path a line, or sets them apart by NUL as ``find -print0`` does; nothing in it is a pattern.
    """
    content = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)  # which editors on Windows write
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    paths, notes = list[Path](), list[str]()
    for path in (Path(os.fsdecode(line)) for line in lines if line.strip()):
        below, more = _at(path, arrays, empty=True) if is_folder(path) else ([path], [])
        paths += below
        notes += more
    if not paths:
        raise RecordingError("standard input: no recordings in it; give one path a line, as find writes them")
    return paths, notes


def _meant_by(word: str, arrays: bool) -> tuple[list[Path], list[str]]:
    """What a word stands for, and notes."""
    path = Path(word)
    if _is_there(path):
        return _at(path, arrays) if is_folder(path) else ([path], [])
    if not _is_pattern(word):
        raise RecordingError(f"{word}: no such file; give the path of a recording")
    matches, paths, notes, others = _matches(word), list[Path](), list[str](), 0
    tables = list[Path]()
    for match in map(Path, matches):
        if is_folder(match) and suffix_of(match) not in FOLDERS:
            below, more = _at(match, arrays, empty=True)
            paths += below
            notes += more
        elif suffix_of(match) is None or main_file(match)[0] != match or _only_beside(match, word):
            others += 1
        elif _is_table(match):
            tables.append(match)
        else:
            paths.append(match)
    if not paths:
        what = f"matches {many(others, 'file')}, none a recording by its name" if others else "matches no file"
        what = f"matches {many(len(tables), 'table')} of answers, and no recording" if tables else what
        raise RecordingError(f"{word}: {what}; give another pattern, in quotes: 'archive/**/*.edf'")
    if others:
        notes.append(f"{word}: {others:,} of the {len(matches):,} that match are no recordings by their names")
    return list(dict.fromkeys(paths)), [*notes, *_passed(tables)]


def _is_table(path: Path) -> bool:
    """Whether it is a table that an earlier run has written, of answers or features, and no samples."""
    if suffix_of(path) not in PLAIN:
        return False
    from neurolm.ask.table_files import is_table

    return is_table(path)


def _passed(tables: Sequence[Path]) -> list[str]:
    """What is said of the tables of earlier runs."""
    more = f" and {len(tables) - 1:,} more" if len(tables) > 1 else ""
    return [f"tables of answers, passed over: {readable(str(tables[0]))}{more}"] if tables else []


def _bids_root(folder: Path) -> Path | None:
    """The BIDS data set that a folder is, or lies in; None in its derivatives, which are no raw EEG."""
    if (folder / _BIDS).is_file():
        return folder
    below = _without_links(folder)
    for above in list(below.parents)[:_DEEP]:
        if below.name in _NOT_RAW:
            return None
        if (above / _BIDS).is_file():
            return above
        below = above
    return None


def _only_beside(path: Path, word: str) -> bool:
    """Whether a table or an array was found by a pattern that asks for anything: what lies beside recordings."""
    return suffix_of(path) in PLAIN and not word.lower().endswith(PLAIN)


def _at(folder: Path, arrays: bool, *, empty: bool = False) -> tuple[list[Path], list[str]]:
    """The recordings in a folder, and notes; the folder itself where it is one."""
    if suffix_of(folder) in FOLDERS:
        return [folder], []
    found = walk(folder, arrays=arrays)
    tables, paths = list[Path](), list[Path]()
    for path in found.recordings:
        (tables if _is_table(path) else paths).append(path)
    notes = [*found.notes(folder), *_passed(tables)]
    if (root := _bids_root(folder)) is not None:
        raw = [path for path in paths if root != folder or path.relative_to(folder).parts[0] not in _NOT_RAW]
        own = [path for path in raw if not path.with_suffix("").name.endswith(_OTHER)]
        eeg = [path for path in own if path.with_suffix("").name.endswith("_eeg")] or own
        if len(eeg) < len(paths):
            what, others = "a" if root == folder else "in a", len(paths) - len(eeg)
            notes.append(f"{folder}: {what} BIDS data set, of which its raw EEG is taken; {others:,} others are not")
        paths = eeg
    if not paths and not empty:
        said = f" ({'; '.join(notes)})" if notes else ""
        raise RecordingError(f"{folder}: no EEG recordings in this folder{contents(folder)}{said}; give another")
    return paths, notes
