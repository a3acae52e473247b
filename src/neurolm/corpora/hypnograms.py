"""Annotations in an EDF+ file of their own, as hypnograms are: whose they are, and when it began

``SC4001EC-Hypnogram.edf`` lies beside ``SC4001E0-PSG.edf``, ``SN001_sleepscoring.edf`` beside ``SN001.edf``: the names
are the same but for their last word, in Sleep-EDF but for the scorer's letter too. Where names do not tell, the start
of the recording does. Times count from the start that the file of annotations states.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from neurolm.core.errors import RecordingError
from neurolm.recording.formats.edf import Header, read_header
from neurolm.recording.formats.edf_annotations import read_annotations
from neurolm.recording.suffixes import EDF_READERS, FOLDERS, main_file, suffix_of
from neurolm.recording.triggers import Mark

_LAST_WORD = re.compile(r"[-_ .][^-_ .]*$")
_NO_DATE = date(1985, 1, 1)
"""What EDF+ has in place of a date that is not to be known."""


@dataclass(frozen=True)
class Pairs:
    """Recordings, and the files of annotations that belong to them."""

    recordings: tuple[Path, ...]
    beside: Mapping[Path, tuple[Path, ...]]
    """Recording → files of annotations."""
    alone: Mapping[Path, str]
    """File of annotations → why it belongs to no recording."""


def annotations_only(path: Path) -> bool:
    """Whether a file is EDF+ or BDF+ without a signal."""
    if suffix_of(path) not in EDF_READERS or not path.is_file():
        return False
    try:
        return not read_header(path).signals
    except (RecordingError, OSError):
        return False


def pair(files: Sequence[Path]) -> Pairs:
    """Find out which of some files, and of those beside them, are recordings, and which are annotations of them.

    Where a file of annotations is named without its recording, the recording is found beside it. Where there is none
    beside it, it is looked for among all that are named: some data sets keep their hypnograms in a folder of their own.
    """
    wanted, folders = set(files), {file.parent for file in files}
    recordings = dict.fromkeys(file for file in files if not annotations_only(file))
    beside: dict[Path, list[Path]] = defaultdict(list)
    alone: dict[Path, str] = {}
    for folder in sorted(folders):
        every = _recordings_in(folder)
        scored = {path: None for path in every if annotations_only(path)}
        names = _Names([path for path in every if path not in scored])
        for file in scored:
            try:
                recording = _recording_of(file, names)
            except RecordingError as error:
                if file in wanted:
                    alone[file] = str(error)
                continue
            if file in wanted or recording in recordings:
                recordings.setdefault(recording)
                beside[recording].append(file)
    everywhere = _Names(list(recordings))
    for file in list(alone):
        with suppress(RecordingError):
            beside[_recording_of(file, everywhere)].append(file)
            del alone[file]
    return Pairs(tuple(recordings), {path: tuple(found) for path, found in beside.items()}, alone)


def read_beside(file: Path, recording: Path) -> tuple[list[Mark], str]:
    """Read a file of annotations that belongs to a recording.

    Returns
    -------
    marks
        Seconds from the start of the recording, seconds, text.
    note
        How many there are, and from when their times were counted if that is not clear.

    Raises
    ------
    RecordingError
        If it cannot be read.
    """
    header = read_header(file)
    shift, note = _shift(header, _header(recording))
    marks = read_annotations(file, header).marks
    said = f"annotations taken from {file.name}: {len(marks)}{note}"
    return [(onset + shift, duration, text) for onset, duration, text in marks], said


def _recordings_in(folder: Path) -> list[Path]:
    """The recordings and files of annotations in a folder; none where it cannot be looked into."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        path
        for path in paths
        if (suffix := suffix_of(path)) and not path.name.startswith(".") and main_file(path)[0] == path
        and (path.is_dir() if suffix in FOLDERS else path.is_file())
    ]  # fmt: skip


class _Names:
    """The recordings of a folder by what their names have in common with those of their annotations."""

    def __init__(self, recordings: Sequence[Path]) -> None:
        self.recordings = recordings
        self._stems: dict[str, list[Path]] = defaultdict(list)
        self._bases: dict[str, list[Path]] = defaultdict(list)
        self._nights: dict[str, list[Path]] = defaultdict(list)
        for path in recordings:
            stem = _stem(path)
            self._stems[stem].append(path)
            self._bases[_base(stem)].append(path)
            self._nights[_without_scorer(_base(stem))].append(path)

    def alike(self, file: Path) -> list[Path]:
        """Return the recordings whose names are most like that of a file of annotations."""
        stem = _stem(file)
        base = _base(stem)
        night = _without_scorer(base)
        return (
            self._stems.get(stem)
            or self._stems.get(base)
            or self._bases.get(base)
            or (self._nights.get(night) if night else None)
            or []
        )


def _recording_of(file: Path, names: _Names) -> Path:
    """The recording that a file of annotations belongs to, by its name, else by its start."""
    found = names.alike(file)
    if len(found) > 1:
        found = _of_its_start(file, found) or found
    if len(found) > 1:
        fitting = ", ".join(path.name for path in found)
        raise RecordingError(f"{file}: its name fits several recordings, {fitting}; rename it")
    found = found or _of_its_start(file, names.recordings)
    if len(found) == 1:
        return found[0]
    what = (
        "several recordings beside it begin when it does" if found else "no recording beside it has its name or start"
    )
    raise RecordingError(f"{file}: annotations only, no signal, and {what}; name it as its recording, x-Hypnogram.edf")


def _of_its_start(file: Path, recordings: Iterable[Path]) -> list[Path]:
    """The recordings that state the very start that a file of annotations states, where that is a date."""
    start = read_header(file).start
    if start is None or start.date() == _NO_DATE:
        return []
    return [path for path in recordings if (header := _header(path)) is not None and header.start == start]


def _shift(file: Header, recording: Header | None) -> tuple[float, str]:
    """Seconds from the start of a recording to that from which a file of annotations counts, and what is said of it.

    Where the header of one is not right, as in files that were made anonymous, both count from the same moment.
    """
    if recording is None or file.start is None or recording.start is None or file.start == recording.start:
        return 0.0, ""
    seconds = (file.start - recording.start).total_seconds()
    if 0 <= seconds < recording.records * recording.duration:
        return seconds, f", {seconds:g} s later, as its header says"
    return 0.0, (
        f", as if it began with the recording: by its header it began at {file.start:%Y-%m-%d %H:%M:%S}, the recording "
        f"at {recording.start:%Y-%m-%d %H:%M:%S}"
    )


def _header(path: Path) -> Header | None:
    """The header of an EDF or BDF file that can be read."""
    try:
        return read_header(path) if suffix_of(path) in EDF_READERS else None
    except (RecordingError, OSError):
        return None


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path) or "")].casefold()


def _base(stem: str) -> str:
    return _LAST_WORD.sub("", stem)


def _without_scorer(base: str) -> str:
    """The name of a night without the letter of who scored it, as Sleep-EDF has it; nothing where there is none."""
    return base[:-1] if re.fullmatch(r"[a-z]+\d+[a-z][a-z\d]", base) else ""
