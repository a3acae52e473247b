"""Which files are recordings: suffixes, and recordings that consist of several files."""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.core.errors import RecordingError

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
RECORDING_SUFFIXES = (*EDF_READERS, *MNE_READERS, ".cnt", ".xdf", ".xdfz")
"""Suffixes of the recordings that can be opened."""

_COMPANIONS = {
    ".vmrk": (".vhdr",), ".amrk": (".ahdr",), ".eeg": (".vhdr", ".ahdr"), ".dat": (".vhdr", ".lay", ".dap"),
    ".fdt": (".set",), ".head": (".data",), ".rs3": (".dap",), ".21e": (".eeg",), ".pnt": (".eeg",), ".log": (".eeg",),
    ".dpa": ("",), ".dpo": ("",), ".ceo": ("",), ".cef": ("", ".dap"),
}  # fmt: skip
"""Parts of a recording that are opened through another file, where that file is there (Curry's: ``x.cdt.dpa``)."""
_NOT_RAW_FIF = re.compile(
    r"[-_](eve|epo|ave|cov|fwd|inv|trans|src|bem|sol|ica|proj|dig|annot|tfr|psd|csd|montage|stc)(-\d+)?\.fif(\.gz)?$"
    r"|_split-(?!01)\d+|[-_](raw|eeg|meg|sss)-\d+\.fif(\.gz)?$"
)
"""Names of FIF files that hold no recording (MNE's naming conventions), or the later parts of a split one."""


def suffix_of(path: Path) -> str | None:
    """The suffix of a recording's name in ``RECORDING_SUFFIXES``, None if it has none of them."""
    name = path.name.lower()
    return max((s for s in RECORDING_SUFFIXES if name.endswith(s)), key=len, default=None)


def main_file(path: Path) -> tuple[Path, list[str]]:
    """Return the file through which a part of a recording is opened, and a note if it is another."""
    for main in _COMPANIONS.get(path.suffix.lower(), ()):
        for spelt in (main, main.upper()):
            other = path.with_suffix(spelt)
            if (spelt or suffix_of(other)) and other.exists():
                return other, [f"opened through {other.name}"]
    return path, []


def find_recordings(folder: Path) -> list[Path]:
    """Find the recordings in a folder and the folders below it, sorted by path.

    One path for each recording: BrainVision by its header, EEGLAB by its ``.set``, a split FIF by its first part.
    FIF files that hold something else by their name (``-eve.fif``, ``-epo.fif`` …) and hidden files are passed over.

    Raises
    ------
    RecordingError
        If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordingError(f"{folder}: no such folder; check the path")
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        inside = any(part.lower().endswith(FOLDERS) for part in parts[:-1])
        suffix = suffix_of(path)
        if hidden or inside or suffix is None or path.is_dir() != (suffix in FOLDERS):
            continue
        if _NOT_RAW_FIF.search(path.name) or main_file(path)[0] != path:
            continue
        if suffix == ".rec" and path.with_suffix(".edf").exists():  # TUEV keeps its labels in a .rec beside the .edf
            continue
        found.append(path)
    return found
