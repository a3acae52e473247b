"""The doors through which files come in: one reader for each suffix, behind one function, ``open_source``.

Whatever a reader does, the caller gets the same: the channels as the file names them, with what one of its numbers is
worth, and the signal as an MNE object that reads from the file only what is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.data import edf, xdf
from neurolm.data.edf import MICROVOLTS
from neurolm.data.edf_signal import Samples, open_samples
from neurolm.errors import RecordingError

if TYPE_CHECKING:
    import mne

# Suffix → name of the reader in mne.io. Left out: formats of MEG, NIRS and eye tracking, and those that need arguments.
# A format whose reader can crash the interpreter belongs into a subprocess of its own: `_open_with_mne` is the place.
_MNE_READERS = {
    ".gdf": "read_raw_gdf", ".vhdr": "read_raw_brainvision", ".ahdr": "read_raw_brainvision", ".fif": "read_raw_fif",
    ".fif.gz": "read_raw_fif", ".set": "read_raw_eeglab", ".mff": "read_raw_egi", ".raw": "read_raw_egi",
    ".eeg": "read_raw_nihon", ".lay": "read_raw_persyst", ".data": "read_raw_nicolet", ".cdt": "read_raw_curry",
    ".dap": "read_raw_curry", ".nxe": "read_raw_eximia", ".mefd": "read_raw_mef", ".nedf": "read_raw_nedf",
}  # fmt: skip
_OPTIONS: dict[str, dict[str, Any]] = {
    "read_raw_egi": {"events_as_annotations": True},
    "read_raw_nicolet": {"ch_type": "eeg"},
}
_EDF_READERS = {".edf": "read_raw_edf", ".rec": "read_raw_edf", ".bdf": "read_raw_bdf"}
_FOLDERS = (".mff", ".mefd")
RECORDING_SUFFIXES = (*_EDF_READERS, *_MNE_READERS, ".cnt", ".xdf", ".xdfz")
"""Suffixes of the recordings that can be opened."""

_COMPANIONS = {".vmrk": ".vhdr", ".eeg": ".vhdr", ".dat": ".vhdr", ".fdt": ".set"}
"""Parts of a recording that are opened through another file, where that file is there."""
_NOT_RAW_FIF = re.compile(
    r"[-_](eve|epo|ave|cov|fwd|inv|trans|src|bem|sol|ica|proj|dig|annot|tfr|psd|csd|montage|stc)(-\d+)?\.fif(\.gz)?$"
    r"|_split-(?!01)\d+|[-_](raw|eeg|meg|sss)-\d+\.fif(\.gz)?$"
)
"""Names of FIF files that hold no recording (MNE's naming conventions), or the later parts of a split one."""
_NO_BEARING = re.compile(
    r"filter|[Hh]ighpass|[Ll]owpass|encoding|meas_date|measurement date|naming conv|not conform|not unique"
)
"""Warnings of readers that do not concern us: amplifiers' filters, dates, file names, duplicates (noted later)."""
_MNE_TYPES = {"eeg": "eeg", "stim": "stimulus", "eog": "eog", "ecg": "ecg", "emg": "emg", "ref_meg": "reference"}


@dataclass(frozen=True)
class Channel:
    """A channel as the file describes it."""

    name: str
    kind: str
    """What the file says it is, in the words of ``montage.kind``; ``eeg`` where the format cannot say."""
    unit: str | None
    """Unit of the file's numbers: a key of ``MICROVOLTS``, ``UNSTATED``, or None for one that is no voltage."""
    rate: float
    """Samples per second."""
    position: tuple[float, float, float] | None = None
    """x, y, z in metres in head coordinates, where the file has them."""


@dataclass(frozen=True)
class Signal:
    """Some of a file's channels, ready to be read."""

    rate: float
    """Samples per second."""
    samples: int
    """Samples of each channel."""
    volts: tuple[float, ...]
    """What ``read`` makes of one unit of the file's own number, for each channel that was asked for."""
    marks: tuple[tuple[float, float, str], ...]
    """Annotations: seconds from the first sample, seconds, text."""
    read: Callable[[int, int], np.ndarray]
    """First and last sample (exclusive) → float64 of shape (channels that were asked for, samples)."""
    direct: Samples | None = None
    """The file's whole numbers of the same channels, where they can be had without MNE."""


@dataclass(frozen=True)
class Source:
    """An opened file: its channels, and how to get at their signal."""

    path: Path | None
    channels: tuple[Channel, ...]
    load: Callable[[Sequence[int]], Signal]
    notes: list[str] = field(default_factory=list)


def open_source(path: Path) -> Source:
    """Open a file by its suffix, reading its header only.

    Raises
    ------
    RecordingError
        If there is no such file, no reader for it, or the reader cannot read it.
    """
    if not path.exists():
        raise RecordingError(f"{path}: no such file; check the path")
    path, notes = _main_file(path)
    suffix = suffix_of(path)
    if path.is_dir() and suffix not in _FOLDERS:
        raise RecordingError(f"{path}: a folder, not a recording; name a recording in it, or prepare the whole folder")
    if suffix is None:
        raise RecordingError(
            f"{path}: no reader for the suffix {path.suffix!r}; those that open: {', '.join(RECORDING_SUFFIXES)}"
        )
    if path.is_file() and path.stat().st_size == 0:
        raise RecordingError(f"{path}: the file is empty (0 bytes); copy or download it again")
    if suffix in _EDF_READERS:
        source = _open_edf(path, _EDF_READERS[suffix])
    elif suffix in (".xdf", ".xdfz"):
        source = _open_xdf(path)
    else:
        source = _open_with_mne(path, _MNE_READERS.get(suffix) or _cnt_reader(path))
    source.notes[:0] = notes
    return source


def open_mne(raw: mne.io.BaseRaw, path: Path | None = None) -> Source:
    """Take an object of MNE's as an opened file."""
    types = raw.get_channel_types()
    worth = [(_unit_worth(volts), volts) for volts in _volts_per_number(raw)]
    units = [unit or "V" for unit, _ in worth]
    volts = [factor if unit else 1.0 for unit, factor in worth]
    channels = tuple(
        Channel(
            name=name,
            kind=_MNE_TYPES.get(types[i], "other"),
            unit=units[i],
            rate=float(raw.info["sfreq"]),
            position=_position(raw.info["chs"][i]["loc"]),
        )
        for i, name in enumerate(raw.ch_names)
    )

    def load(indices: Sequence[int]) -> Signal:
        return _mne_signal(raw, indices, [volts[i] for i in indices])

    source = Source(path, channels, load)
    if bads := [name for name in raw.info["bads"] if name in raw.ch_names]:
        source.notes.append(f"marked as bad in the file, but kept: {', '.join(bads)}")
    return source


def suffix_of(path: Path) -> str | None:
    """The suffix of a recording's name in ``RECORDING_SUFFIXES``, None if it has none of them."""
    name = path.name.lower()
    return max((s for s in RECORDING_SUFFIXES if name.endswith(s)), key=len, default=None)


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
        inside = any(part.lower().endswith(_FOLDERS) for part in parts[:-1])
        suffix = suffix_of(path)
        if hidden or inside or suffix is None or path.is_dir() != (suffix in _FOLDERS):
            continue
        if _NOT_RAW_FIF.search(path.name) or _main_file(path)[0] != path:
            continue
        found.append(path)
    return found


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Collect the warnings of the readers as notes, instead of letting them through to the user's terminal."""
    notes: list[str] = []
    logger = logging.getLogger("pyxdf.pyxdf")
    handler = logging.Handler()
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield notes
        notes.extend(str(w.message) for w in caught if issubclass(w.category, RuntimeWarning | UserWarning))
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    notes[:] = dict.fromkeys(" ".join(note.split()) for note in notes if not _NO_BEARING.search(note))


def _main_file(path: Path) -> tuple[Path, list[str]]:
    """The file through which a part of a recording is opened."""
    main = _COMPANIONS.get(path.suffix.lower())
    if main is not None and (other := path.with_suffix(main)).exists():
        return other, [f"opened through {other.name}"]
    return path, []


def _open_edf(path: Path, reader: str) -> Source:
    header = edf.read_header(path)
    channels = tuple(Channel(s.label, "eeg" if s.unit is not None else "other", s.unit, s.rate) for s in header.signals)
    source = Source(path, channels, load=lambda indices: _load_edf(path, reader, channels, indices, source.notes))
    source.notes.extend(header.notes)
    return source


def _load_edf(path: Path, reader: str, channels: Sequence[Channel], indices: Sequence[int], notes: list[str]) -> Signal:
    """Read only the wanted channels: with others there, MNE upsamples all of them to the highest rate of the file.

    MNE reads where the samples do not simply follow one another, and annotations.
    """
    direct = open_samples(path, indices)
    if direct is not None and not direct.annotated:
        return Signal(direct.rate, direct.samples, (1.0,) * len(indices), (), direct.read, direct)
    labels = {channels[i].name for i in indices}
    included = [i for i, channel in enumerate(channels) if channel.name in labels]
    raw = _call(path, reader, notes, include=sorted(labels), stim_channel=None)
    assert len(raw.ch_names) == len(included), (raw.ch_names, labels)
    volts = _volts_per_number(raw)
    picks = tuple(included.index(i) for i in indices)
    signal = _mne_signal(raw, picks, [volts[i] for i in picks])
    if direct is None or (direct.rate, direct.samples) != (signal.rate, signal.samples):
        return signal
    return replace(signal, volts=(1.0,) * len(indices), read=direct.read, direct=direct)


def _open_xdf(path: Path) -> Source:
    with listening() as heard:
        contents = xdf.read(path)
    raw = contents.raw
    rate = float(raw.info["sfreq"])
    channels = tuple(
        Channel(name, kind, unit, rate)
        for name, kind, unit in zip(raw.ch_names, contents.kinds, contents.units, strict=True)
    )

    def load(indices: Sequence[int]) -> Signal:
        return _mne_signal(raw, indices, [1.0] * len(indices))  # the numbers were put there as they are

    return Source(path, channels, load, [*contents.notes, *heard])


def _open_with_mne(path: Path, reader: str) -> Source:
    notes: list[str] = []
    source = open_mne(_call(path, reader, notes, **_OPTIONS.get(reader, {})), path)
    source.notes.extend(notes)
    return source


def _call(path: Path, reader: str, notes: list[str], **options: Any) -> mne.io.BaseRaw:
    """Call one of MNE's readers; what it says becomes notes, what goes wrong in it one error."""
    import mne

    read = partial(getattr(mne.io, reader), path, preload=False, verbose="warning", **options)
    try:
        with listening() as heard, mne.utils.use_log_level("warning"):
            try:
                raw = read()
            except Exception as error:
                if "encoding=" not in str(error):
                    raise
                raw = read(encoding="latin1")  # EDF+ annotations should be UTF-8; many programs write Latin-1
    except Exception as error:  # readers of damaged files fail in every way there is
        what = " ".join(str(error).split()) or type(error).__name__
        remedy = "install what it asks for" if isinstance(error, ImportError) else "copy or export it again"
        raise RecordingError(f"{path}: MNE ({reader}) cannot read it: {what[:300]}; {remedy}") from error
    notes.extend(heard)
    return raw


def _cnt_reader(path: Path) -> str:
    """Two formats share the suffix .cnt, and the wrong reader can crash the interpreter: look at the file first."""
    with path.open("rb") as file:
        magic = file.read(12)
    if magic.startswith(b"Version 3"):
        return "read_raw_cnt"
    if magic[:4] in (b"RIFF", b"RF64"):
        return "read_raw_ant"
    raise RecordingError(
        f"{path}: neither Neuroscan ('Version 3.0') nor ANT ('RIFF') wrote this .cnt file, it begins with "
        f"{magic!r}; convert it to EDF or BrainVision"
    )


def _mne_signal(raw: mne.io.BaseRaw, picks: Sequence[int], volts: Sequence[float]) -> Signal:
    """Channels of an MNE object, read when they are needed."""
    order = np.argsort(picks)  # readers want their channels in the order of the file
    ordered = [picks[i] for i in order]

    def read(first: int, last: int) -> np.ndarray:
        found = raw.get_data(picks=ordered, start=first, stop=last, verbose="error")
        numbers = np.empty_like(found, dtype=np.float64)
        numbers[order] = found
        return numbers

    marks = raw.annotations
    # Where the recording has a date, MNE counts from it, not from the first sample that is kept.
    shift = raw.first_time if marks.orig_time is not None else 0.0
    return Signal(
        rate=float(raw.info["sfreq"]),
        samples=int(raw.n_times),
        volts=tuple(volts),
        marks=tuple(
            (float(onset) - shift, float(duration), str(text))
            for onset, duration, text in zip(marks.onset, marks.duration, marks.description, strict=True)
        ),
        read=read,
    )


def _volts_per_number(raw: mne.io.BaseRaw) -> list[float]:
    """The volts that MNE makes of one unit of the file's own number, for each channel.

    MNE keeps this privately. For formats that declare no unit the numbers are taken as volts (FIF) or microvolts
    (EEGLAB), as MNE does.
    """
    count = len(raw.ch_names)
    extras = (getattr(raw, "_raw_extras", None) or [None])[0]
    factors = extras.get("units") if isinstance(extras, dict) else None
    if factors is not None and np.size(factors) == count:  # EDF, BDF, GDF
        return [float(factor) for factor in factors]
    units = getattr(raw, "_orig_units", None) or {}
    if units:  # BrainVision, Curry, MEF …
        known = {name: edf.unit_of(unit) for name, unit in units.items()}
        return [MICROVOLTS.get(known.get(name) or "V", 1e6) * 1e-6 for name in raw.ch_names]
    return [1e-6 if type(raw).__name__ == "RawEEGLAB" else 1.0] * count


def _unit_worth(volts: float) -> str | None:
    """The name of the unit that is worth so many volts."""
    return next((unit for unit, factor in MICROVOLTS.items() if np.isclose(factor * 1e-6, volts, rtol=1e-9)), None)


def _position(loc: np.ndarray) -> tuple[float, float, float] | None:
    x, y, z = (float(v) for v in loc[:3])
    return (x, y, z) if np.isfinite([x, y, z]).all() and any((x, y, z)) else None
