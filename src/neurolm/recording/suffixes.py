"""Which files are recordings: suffixes, and recordings that consist of several files."""

from __future__ import annotations

import csv
import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neurolm.core.errors import RecordingError
from neurolm.core.names import readable

EDF_READERS = {".edf": "read_raw_edf", ".rec": "read_raw_edf", ".bdf": "read_raw_bdf"}
"""Suffixes of the formats whose header we read ourselves → name of the reader in ``mne.io``."""
MNE_READERS = {
    ".gdf": "read_raw_gdf", ".vhdr": "read_raw_brainvision", ".ahdr": "read_raw_brainvision", ".fif": "read_raw_fif",
    ".fif.gz": "read_raw_fif", ".set": "read_raw_eeglab", ".mff": "read_raw_egi", ".raw": "read_raw_egi",
    ".eeg": "read_raw_nihon", ".lay": "read_raw_persyst", ".data": "read_raw_nicolet", ".cdt": "read_raw_curry",
    ".dap": "read_raw_curry", ".nxe": "read_raw_eximia", ".mefd": "read_raw_mef", ".nedf": "read_raw_nedf",
}  # fmt: skip
"""Suffix → name of the reader in ``mne.io``.

Left out: MEG, NIRS, eye tracking, formats that need arguments, and BCI2000, whose gains MNE 1.13 leaves out."""
FOLDERS = (".mff", ".mefd")
"""Suffixes of the recordings that are folders."""
XDF_SUFFIXES = (".xdf", ".xdfz")
"""Files of the Lab Streaming Layer, with several streams."""
TEXTS = (".csv", ".tsv", ".txt")
"""Suffixes of tables of text, of which few are recordings."""
PLAIN = (*TEXTS, ".parquet", ".npy", ".npz", ".mat")
"""Suffixes of tables and arrays: recordings that are no EEG files."""
WFDB = ".hea"
"""The header of a WFDB record."""
STREAMED = (*XDF_SUFFIXES, ".mat", ".npz")
"""Suffixes of files that can hold several recordings, of which one is named."""
CNT = ".cnt"
"""Neuroscan's files, and ANT's."""
RECORDING_SUFFIXES = (*EDF_READERS, *MNE_READERS, CNT, *XDF_SUFFIXES, WFDB, *PLAIN)
"""Suffixes of the recordings that can be opened."""

COMPANIONS = {
    ".vmrk": (".vhdr",), ".amrk": (".ahdr",), ".eeg": (".vhdr", ".ahdr"), ".dat": (".vhdr", ".lay", ".dap", WFDB),
    ".mat": (WFDB,),
    ".fdt": (".set",), ".head": (".data",), ".rs3": (".dap",), ".21e": (".eeg",), ".pnt": (".eeg",), ".log": (".eeg",),
    ".dpa": ("",), ".dpo": ("",), ".ceo": ("",), ".cef": ("", ".dap"),
}  # fmt: skip
"""Parts of a recording that are opened through another file, where that file is there (Curry's: ``x.cdt.dpa``)."""
_FIF = {
    "eve": "events", "epo": "epochs", "ave": "averages", "cov": "a covariance", "fwd": "a forward solution",
    "inv": "an inverse operator", "trans": "a transformation", "src": "a source space", "bem": "a head model",
    "sol": "a head model", "ica": "an ICA", "proj": "projectors", "dig": "digitised points", "annot": "annotations",
    "tfr": "a time-frequency analysis", "psd": "spectra", "csd": "cross-spectra", "montage": "a montage",
    "stc": "source estimates",
}  # fmt: skip
"""What FIF files hold that are no recordings, by the last part of their names (MNE's naming conventions)."""
_NAMED_FIF = re.compile(rf"[-_]({'|'.join(_FIF)})(-\d+)?\.fif(\.gz)?$")
_NOT_RAW_FIF = re.compile(rf"{_NAMED_FIF.pattern}|_split-(?!01)\d+|[-_](raw|eeg|meg|sss)-\d+\.fif(\.gz)?$")
"""Names of FIF files that hold no recording (MNE's naming conventions), or the later parts of a split one."""
_GLANCE = 1 << 14
"""Bytes of a table that are looked at to tell whether it is a recording."""
_SIDE_TABLE = re.compile(
    r"^(labels|participants|subjects?|readme|changes|licen[cs]e|records|sha256sums|metadata|demographics)\b"
    r"|(^|[_-])(events?|channels|electrodes|scans|sessions|annotations?|markers|labels|participants|spans)\.[a-z]+$"
)
"""Names of tables and texts that lie beside recordings."""


def suffix_of(path: Path) -> str | None:
    """The suffix of a recording's name in ``RECORDING_SUFFIXES``, None if it has none of them."""
    name = path.name.lower()
    return max((s for s in RECORDING_SUFFIXES if name.endswith(s)), key=len, default=None)


def held_by_name(path: Path) -> str | None:
    """What a FIF file holds by its name that is no recording: events, epochs …; None where the name says nothing."""
    found = _NAMED_FIF.search(path.name)
    return None if found is None else _FIF[found[1]]


def main_file(path: Path) -> tuple[Path, list[str]]:
    """Return the file through which a part of a recording is opened, and a note if it is another."""
    for main in COMPANIONS.get(path.suffix.lower(), ()):
        for spelt in (main, main.upper()):
            other = path.with_suffix(spelt)
            if (spelt or suffix_of(other)) and (other.exists() or other.is_symlink()):
                return other, [f"opened through {other.name}"]
    return path, []


def parts_of(path: Path) -> list[Path]:
    """The other files of a recording that are there, if only as links: those of its name, or all in its folder."""
    if path.is_dir():
        return [part for part in path.rglob("*") if not part.is_dir()]
    suffix = path.suffix.lower()
    names = [path.with_suffix(part) for part, mains in COMPANIONS.items() if suffix in mains]
    names += [path.with_name(path.name + part) for part, mains in COMPANIONS.items() if "" in mains]
    names += [part.with_suffix(part.suffix.upper()) for part in names]
    return [part for part in names if part.exists() or part.is_symlink()]


@dataclass(frozen=True)
class Found:
    """What a folder and the folders below it hold."""

    recordings: tuple[Path, ...]
    """Sorted."""
    passed_over: dict[Path, str]
    """What might be a recording or hold some, and why it was not looked at."""

    def notes(self, folder: Path) -> Iterator[str]:
        """Say what was passed over in the folder, a note for each reason."""
        found: dict[str, list[str]] = {}
        for path, reason in self.passed_over.items():
            found.setdefault(reason, []).append(readable(str(path.relative_to(folder))))
        for reason, names in found.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{reason}, passed over: {', '.join(names[:_NAMED])}{more}"


def find_recordings(folder: Path, *, arrays: bool = False) -> list[Path]:
    """Find the recordings in a folder and the folders below it, sorted by path.

    One path for each recording: BrainVision by its header, EEGLAB by its ``.set``, a split FIF by its first part.
    FIF files that hold something else by their name (``-eve.fif``, ``-epo.fif`` …) and hidden files are passed over.
    Tables of text count where their header is that of EEG, and no EEG file beside them has their name.

    Parameters
    ----------
    folder
        The folder.
    arrays
        Whether other tables of numbers and arrays count too: where somebody says what their samples are.

    Raises
    ------
    RecordingError
        If there is no such folder.
    """
    return list(walk(folder, arrays=arrays).recordings)


def walk(folder: Path, *, arrays: bool = False) -> Found:
    """Find the recordings as `find_recordings` does, and what cannot be one: pipes, devices, links that lead nowhere.

    Links to folders are not followed, so that none leads in a circle and no recording is found twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordingError(f"{folder}: no such folder; check the path")
    passed: dict[Path, str] = {}
    paths: list[Path] = []

    def closed(error: OSError) -> None:
        passed[Path(error.filename)] = _CLOSED

    for place, folders, files in os.walk(folder, onerror=closed):
        here = Path(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        whole = [name for name in folders if name.lower().endswith(FOLDERS)]
        links = [name for name in folders if (here / name).is_symlink() and name not in whole]
        folders[:] = [name for name in folders if name not in whole]
        passed |= {here / name: _LINK for name in links}
        paths += [here / name for name in (*whole, *files) if not name.startswith(".")]
    found = []
    own = {path.with_suffix("") for path in paths if (suffix := suffix_of(path)) and suffix not in PLAIN}
    for path in sorted(paths):
        suffix = suffix_of(path)
        if suffix in PLAIN and path.with_suffix("") in own:  # an export of the EEG file of this name, or about it
            continue
        if suffix is None or _NOT_RAW_FIF.search(path.name) or main_file(path)[0] != path:
            continue
        if suffix == ".rec" and path.with_suffix(".edf").exists():  # TUEV keeps its labels in a .rec beside the .edf
            continue
        if (reason := _no_file(path)) is not None:
            passed[path] = reason
        elif path.is_dir() == (suffix in FOLDERS) and _is_recording(path, suffix, arrays=arrays):
            found.append(path)
    return Found(tuple(found), dict(sorted(passed.items())))


_NAMED = 3  # paths that a note names at most
_CLOSED = "folders that may not be read"
_LINK = "links to folders, which are not followed"


def _no_file(path: Path) -> str | None:
    """Say what is no file or folder; None: it is one, or a link to what is not here."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "links that lead in a circle" if error.errno == errno.ELOOP else None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "pipes, sockets and devices"


def _is_recording(path: Path, suffix: str, *, arrays: bool) -> bool:
    """Whether a table or an array is a recording: by its header, or because somebody said so of all that can be."""
    if suffix not in PLAIN:
        return True
    if suffix not in TEXTS:
        return arrays
    if _SIDE_TABLE.search(path.name.lower()):
        return False
    from neurolm.recording.formats import columns, text

    try:
        form = text.sniff(path, _GLANCE)
    except (RecordingError, OSError, ValueError, csv.Error):
        return False
    return columns.is_eeg(form) or (arrays and columns.is_samples(form))
