"""Files that cannot be read: which tool makes one of each that can."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from neurolm.core.errors import argument
from neurolm.recording.suffixes import PLAIN, RECORDING_SUFFIXES, suffix_of, walk

_SAVE = "save its samples with numpy.save (.npy), or as EDF or FIF with MNE"
_NEO = "read it with Neo (pip install neo), or export it as EDF from the amplifier's program"
_HDF5 = "read the array with h5py and save it with numpy.save (.npy)"
_PICKLE = f"such files can run code when they are opened and are never read: load it where you trust it, and {_SAVE}"
_SHEET = "save the sheet as CSV"
_UNPACK = "unpack it first"
_ANALYZER = "export it as EDF or BrainVision from the program that made it"
TOOLS = {
    ".h5": _HDF5, ".hdf5": _HDF5, ".hdf": _HDF5, ".pkl": _PICKLE, ".pickle": _PICKLE,
    ".joblib": _PICKLE, ".pt": _PICKLE,
    ".xlsx": _SHEET, ".xls": _SHEET, ".ods": _SHEET, ".feather": "save it as Parquet (pandas: to_parquet)",
    ".arrow": "save it as Parquet (pyarrow.parquet)", ".nwb": f"read it with pynwb or NeuroConv, and {_SAVE}",
    ".zarr": f"read it with zarr, and {_SAVE}", ".zip": _UNPACK, ".gz": _UNPACK, ".tar": _UNPACK, ".tgz": _UNPACK,
    ".7z": _UNPACK, ".rar": _UNPACK, ".bz2": _UNPACK, ".xz": _UNPACK,
    ".trc": f"Micromed: export it as EDF from Micromed's program, or {_NEO.partition(',')[0]} and save it with MNE",
    ".e": "Nicolet One: export it as EDF from NicoletOne, or read it with FieldTrip",
    ".eas": _ANALYZER, ".sig": _ANALYZER, ".bni": _ANALYZER, ".m00": "Nihon Kohden's ASCII: give the .EEG file itself",
    ".ncs": "Neuralynx: read it with mne.io.read_raw_neuralynx and save it as FIF",
    ".ns1": _NEO, ".ns2": _NEO, ".ns3": _NEO, ".ns4": _NEO, ".ns5": _NEO, ".ns6": _NEO, ".nev": _NEO, ".plx": _NEO,
    ".tev": _NEO, ".smr": _NEO, ".smrx": _NEO, ".rhd": _NEO, ".rhs": _NEO, ".abf": _NEO, ".axgx": _NEO,
    ".acq": "Biopac: read it with bioread (pip install bioread), or export it as EDF from AcqKnowledge",
    ".poly5": "TMSi: read it with TMSi's Python interface, or export it as EDF from Polybench",
    ".ov": "OpenViBE: convert it with OpenViBE's GDF File Writer", ".easy": "give the .nedf file beside it",
    ".besa": "export it as EDF from BESA", ".foc": "export it as EDF from BESA", ".ebm": _ANALYZER,
    ".dat": "BCI2000's are converted by its own tools (BCI2000Export); others need their header (.vhdr, .hea) beside "
    "them",
    ".avg": "averages, no recording", ".erp": "averages, no recording", ".con": "MEG, no EEG", ".sqd": "MEG, no EEG",
    ".ds": "MEG, no EEG", ".snirf": "fNIRS, no EEG", ".nirs": "fNIRS, no EEG", ".wav": f"sound, no EEG; else {_SAVE}",
    ".json": "give the recording that it belongs to", ".bin": f"raw numbers say nothing of themselves: {_SAVE}",
    ".rda": "save the table as CSV from R", ".rds": "save the table as CSV from R",
    ".asc": "if it is a table of numbers, name it .txt", ".ascii": "if it is a table of numbers, name it .txt",
    ".fdt": "give the .set file that it belongs to", ".vmrk": "give the .vhdr file that it belongs to",
}  # fmt: skip
"""Suffix of files that cannot be read → what to do with them."""
_PARTS = (".json", ".fdt", ".vmrk", ".dat")
"""Suffixes of files that lie beside others, in every folder."""
_SHOWN = 8  # kinds of files that are named


def unread(path: Path) -> str:
    """Say that there is no reader for a file, and which tool makes one of it that can be read."""
    tool = TOOLS.get(path.suffix.lower())
    advice = f"{tool}; " if tool else ""
    return f"no reader for the suffix {path.suffix!r}; {advice}those that open: {', '.join(RECORDING_SUFFIXES)}"


def contents(folder: Path) -> str:
    """Say what a folder without recordings holds: ``; it holds 12 .csv, 3 .h5``, and what can be done with it."""
    counts: Counter[str] = Counter()
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        counts.update(Path(name).suffix.lower() or "without a suffix" for name in files if not name.startswith("."))
    if not counts:
        return ""
    shown = ", ".join(f"{count:,} {suffix[:20]}" for suffix, count in counts.most_common(_SHOWN))
    return f"; it holds {shown}{_more(counts)}{_remedies(counts)}"


def others(folder: Path, known: Collection[Path]) -> Iterator[str]:
    """Say which files beside recordings may be recordings too, but are none as they are, and what can be done.

    Parameters
    ----------
    folder
        Where they lie.
    known
        The recordings. What has the name of one of them belongs to it, or is an export of it.
    """
    own = {path.with_suffix("") for path in known}
    arrays = set(walk(folder, arrays=True).recordings) - set(walk(folder).recordings)  # which nobody says the rate of
    found = list(arrays - set(known))
    for place, folders, files in os.walk(folder):
        names = [name for name in (*folders, *files) if not name.startswith(".") and suffix_of(Path(name)) is None]
        found += [Path(place, name) for name in names if _is_other(Path(name))]
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_other(Path(name))]
    counts = Counter(sorted(path.suffix.lower() for path in found if path.with_suffix("") not in own))
    if counts:
        what = "files are no recordings as they are" if counts.total() > 1 else "file is no recording as it is"
        shown = ", ".join(f"{suffix} ({count:,})" for suffix, count in counts.most_common(_SHOWN))
        yield f"{counts.total():,} {what}: {shown}{_more(counts)}{_remedies(counts)}"


def _is_other(name: Path) -> bool:
    return name.suffix.lower() in TOOLS and name.suffix.lower() not in _PARTS


def _more(counts: Counter[str]) -> str:
    return f" and {len(counts) - _SHOWN} other kinds" if len(counts) > _SHOWN else ""


def _remedies(counts: Counter[str]) -> str:
    """What can be done with files of some suffixes, in brackets."""
    remedies = []
    if any(suffix in PLAIN for suffix in counts):
        kinds = ", ".join(suffix for suffix in counts if suffix in PLAIN)
        said = argument(rate=250.0)
        remedies.append(f"{kinds}: if they are EEG, {said} says how many samples a second has")
    remedies += [
        f"{suffix}: {TOOLS[suffix]}" for suffix, _ in counts.most_common() if suffix in TOOLS and suffix not in _PARTS
    ][:3]
    return f" ({'; '.join(remedies)})" if remedies else ""
