"""The files of an upload on disk: names of our own, and headers that name each other by these"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from neurolm.core.errors import RecordingError
from neurolm.core.small_files import read_small
from neurolm.core.terminal import printable
from neurolm.recording.suffixes import COMPANIONS, FOLDERS, RECORDING_SUFFIXES, WFDB, main_file, suffix_of
from neurolm.recording.unread import unread

STEM = "recording"
"""What every file of an upload is called on disk, before its suffix."""
LONGEST_NAME = 150
"""Characters of a name that are shown."""
_MARKS = (".atr", ".ecg", ".event", ".seizures", ".st", ".hyp", ".ann", ".qrs")
"""Suffixes of what WFDB's annotations of EEG are called."""
_SUFFIXES = sorted(
    {*RECORDING_SUFFIXES, *COMPANIONS, *_MARKS,
     *(f".cdt{part}" for part in (".dpa", ".dpo", ".ceo", ".cef"))} - {*FOLDERS},
    key=len, reverse=True,
)  # fmt: skip
"""Suffixes that a file may have, the longest first."""
MOST_HEADER = 64 << 20
"""Bytes of a header: it is in memory several times while it is rewritten. A million markers take 40 MB."""
_TEXT_HEADERS = (".vhdr", ".ahdr", ".vmrk", ".amrk", ".lay", WFDB)
"""Headers that name other files of their recording as text."""
_NAMED = {
    WFDB: re.compile(r"(?m)^(?![#\s])()([^\s#]+)(?=[ \t])"),
    ".lay": re.compile(r"(?mi)^(File[ \t]*=[ \t]*)([^\r\n]*)"),
}
_BRAINVISION = re.compile(r"(?mi)^((?:DataFile|MarkerFile)[ \t]*=[ \t]*)([^\r\n]*)")


def shown_name(given: str) -> str:
    """Return a file's name as it is shown: the last part of what a request calls it, in which nothing steers."""
    last = re.split(r"[/\\]", given)[-1].strip()
    return printable(last, line=True)[-LONGEST_NAME:] or STEM


def name_on_disk(given: str) -> str:
    """Return the name under which a file is kept: ours, with a suffix that is known.

    Raises
    ------
    RecordingError
        If no format that is read has such a suffix.
    """
    last = shown_name(given).lower()
    found = next((suffix for suffix in _SUFFIXES if last.endswith(suffix)), None)
    if found is None:
        if last.endswith(FOLDERS):
            raise RecordingError(
                f"{shown_name(given)}: such recordings are folders, which cannot be uploaded: start the service with "
                "the folder in which it lies (neurolm serve --folder)"
            )
        raise RecordingError(f"{shown_name(given)}: {unread(Path(PurePosixPath(last).name))}")
    return f"{STEM}{found}"


def main_of(folder: Path, files: Mapping[str, str]) -> Path:
    """Return the file through which an upload is opened.

    Parameters
    ----------
    files
        Names on disk → names as they are shown.

    Raises
    ------
    RecordingError
        If there is none, or there are several: every upload is one recording.
    """
    mains = dict.fromkeys(main_file(folder / name)[0] for name in files)
    found = [path for path in mains if suffix_of(path) is not None]
    if len(found) > 1:
        names = ", ".join(files[path.name] for path in found)
        raise RecordingError(f"{names}: several recordings; upload each by itself, with the files that belong to it")
    if not found:
        (first, *_) = files
        raise RecordingError(f"{files[first]}: {unread(Path(first))}")
    return found[0]


def rename_within(folder: Path, files: Mapping[str, str]) -> None:
    """Let the headers of an upload name its files as they are called on disk, and no others.

    Raises
    ------
    RecordingError
        If a header is too large to be one, or a record of several segments.
    """
    for name in files:
        suffix = name.removeprefix(STEM)
        if suffix not in _TEXT_HEADERS:
            continue
        try:
            raw = read_small(folder / name, most=MOST_HEADER)
        except OSError as error:
            raise RecordingError(f"{files[name]}: {error}; it is no header") from error
        encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
        text = raw.decode(encoding, "replace")
        renamed = _renamed(text, suffix, files)
        if renamed != text:
            (folder / name).write_bytes(renamed.encode(encoding))


def _renamed(text: str, suffix: str, files: Mapping[str, str]) -> str:
    there = [name.removeprefix(STEM) for name in files]

    def own(found: re.Match[str]) -> str:
        named = found[2].strip().strip('"')
        if not named or (suffix == WFDB and named == "~"):
            return found[0]
        wanted = PurePosixPath(re.split(r"[/\\]", named)[-1]).suffix.lower()
        kept = next((one for one in there if wanted and one.endswith(wanted)), wanted)
        return f"{found[1]}{STEM}{kept if re.fullmatch(r'[.a-z0-9]{0,12}', kept) else ''}"

    if suffix != WFDB:
        return _NAMED.get(suffix, _BRAINVISION).sub(own, text)
    first = next(iter(_NAMED[WFDB].finditer(text)), None)
    if first is None:
        return text
    if "/" in first[2]:
        raise RecordingError(
            f"{STEM}{WFDB}: a record of several segments, which cannot be uploaded: start the service with the folder "
            "in which it lies (neurolm serve --folder)"
        )
    return f"{text[: first.start()]}{STEM}{_NAMED[WFDB].sub(own, text[first.end() :])}"
