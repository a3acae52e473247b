"""Which reader opens which file: one for each suffix, behind ``open_raw``.

Whatever a reader does, the caller gets the same: the channels as the file names them, with what one of its numbers is
worth, and the signal as an MNE object that reads from the file only what is asked for.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.core.errors import RecordingError, argument
from neurolm.core.montage import resolve
from neurolm.core.small_files import require_regular
from neurolm.core.stretches import overlapping
from neurolm.recording.channels import Channel, RawRecording, Signal
from neurolm.recording.faults import as_recording_error
from neurolm.recording.formats import brainvision, edf, gdf, nedf, persyst, xdf
from neurolm.recording.formats.cnt import inspect_cnt, reader_of
from neurolm.recording.formats.completeness import check_after, check_before
from neurolm.recording.formats.edf import UNSTATED
from neurolm.recording.formats.edf_annotations import read_annotations, record_stretches
from neurolm.recording.formats.edf_signal import open_samples
from neurolm.recording.formats.eeglab import numbers_as_names
from neurolm.recording.isolation import open_isolated
from neurolm.recording.links import require_content
from neurolm.recording.mne_channels import describe_channels
from neurolm.recording.options import BELIEVED, ReadingOptions
from neurolm.recording.plain import open_plain, open_record
from neurolm.recording.sidecar import with_sidecar
from neurolm.recording.suffixes import (
    CNT,
    EDF_READERS,
    FOLDERS,
    MNE_READERS,
    PLAIN,
    STREAMED,
    WFDB,
    XDF_SUFFIXES,
    held_by_name,
    main_file,
    parts_of,
    suffix_of,
)
from neurolm.recording.triggers import with_triggers
from neurolm.recording.unread import unread

if TYPE_CHECKING:
    import mne

_OPTIONS: dict[str, dict[str, Any]] = {
    "read_raw_egi": {"events_as_annotations": True},
    "read_raw_nicolet": {"ch_type": "eeg"},
}
_HEADERS = {"read_raw_brainvision": brainvision.as_specified, "read_raw_persyst": persyst.as_specified}
"""Readers → what gives them the header of a file as they understand it."""
XDF = "pyxdf"
"""The reader of XDF files, beside those of ``mne.io``."""
_NO_BEARING = re.compile(
    r"filter|[Hh]ighpass|[Ll]owpass|encoding|meas_date|measurement date|naming conv|not conform|not unique"
    r"|encountered in|clock-segments differ|effective sampling rate|birthdate"
)
"""Warnings of readers that do not concern us: amplifiers' filters, dates, file names, duplicates (noted later),
arithmetic with positions that are not there, rates of XDF streams (noted later), people."""


def open_raw(path: Path, reading: ReadingOptions = BELIEVED) -> RawRecording:
    """Open a file by its suffix, reading its header only.

    Raises
    ------
    RecordingError
        If there is no such file, no reader for it, or the reader cannot read it.
    """
    require_content(path)
    if not path.exists():
        raise RecordingError(f"{path}: no such file; check the path")
    path, notes = main_file(path)
    for part in (path, *parts_of(path)):
        require_content(part)
    suffix = suffix_of(path)
    if path.is_dir() and suffix not in FOLDERS:
        raise RecordingError(f"{path}: a folder, not a recording; name a recording in it, or prepare the whole folder")
    if suffix is None:
        raise RecordingError(f"{path}: {unread(path)}")
    for part in path.rglob("*") if path.is_dir() else (path,):
        if not part.is_dir():
            _require_file(part)
    if path.is_file() and path.stat().st_size == 0:
        raise RecordingError(f"{path}: the file is empty (0 bytes); copy or download it again")
    if reading.stream is not None and suffix not in STREAMED:
        raise RecordingError(f"{path}: stream is for XDF files, .mat and .npz; leave it out")
    with as_recording_error(path, "cannot be understood"):
        if suffix in EDF_READERS:
            source = _open_edf(path, reading)
        elif suffix in XDF_SUFFIXES:
            check_before(path, suffix, reading.truncated)
            source = open_isolated(open_here, path, XDF, {"stream": reading.stream}, truncated=reading.truncated)
        elif suffix in PLAIN:
            source = open_isolated(open_here, path, suffix, {"reading": reading}, truncated=reading.truncated)
        elif suffix == WFDB:
            source = open_record(path, reading)
        else:
            source = _open_with_mne(path, suffix, reading)
        if suffix not in PLAIN:
            _require_rate(source, reading.rate)
        source.notes[:0] = notes
        return with_triggers(with_sidecar(_measured_in(source, reading.unit)))


def as_one_of_many(path: Path, reading: ReadingOptions) -> ReadingOptions:
    """Return the options without those for other formats: said of many files, they are not about this one."""
    suffix = suffix_of(path)
    return replace(
        reading,
        stream=reading.stream if suffix in STREAMED else None,
        data_format=reading.data_format if suffix == CNT else None,
    )


def _require_file(path: Path) -> None:
    """Refuse pipes and devices, which have no end."""
    try:
        require_regular(path)
    except OSError as error:
        raise RecordingError(f"{path}: {error}; give the recording itself") from error


def open_mne(raw: mne.io.BaseRaw, path: Path | None = None) -> RawRecording:
    """Take an object of MNE's as an opened file."""
    channels, volts = describe_channels(raw)

    def load(indices: Sequence[int]) -> Signal:
        return _mne_signal(raw, indices, [volts[i] for i in indices])

    began = raw.info["meas_date"]
    return RawRecording(path, channels, load, start=None if began is None else began.replace(tzinfo=None))


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


def _open_edf(path: Path, reading: ReadingOptions) -> RawRecording:
    header = edf.read_header(path)
    if not header.signals:
        texts = list(dict.fromkeys(text for _, _, text in read_annotations(path, header).marks))
        said = f", such as {texts[0]!r}" if texts else ""
        raise RecordingError(
            f"{path}: annotations only{said}, no signal, as in a hypnogram; open the recording that it belongs to: "
            "neurolm tasks table makes labels of both"
        )
    header, notes = edf.check_whole(path, header, reading.truncated)
    channels = tuple(
        Channel(s.label, "eeg" if s.unit is not None else "other", s.unit, s.rate, uncalibrated=s.uncalibrated)
        for s in header.signals
    )
    return RawRecording(path, channels, lambda indices: _load_edf(path, header, indices, notes), notes, header.start)


def _load_edf(path: Path, header: edf.Header, indices: Sequence[int], notes: list[str]) -> Signal:
    """Read only the wanted channels: with others there, MNE upsamples all of them to the highest rate of the file."""
    found = read_annotations(path, header, {header.signals[i].label for i in indices})
    notes += [note for note in found.notes if note not in notes]
    samples = open_samples(path, header, indices)
    stretches, said = record_stretches(path, found.onsets, header.duration, header.signals[indices[0]])
    notes += [note for note in said if note not in notes]
    return Signal(samples.rate, samples.samples, (1.0,) * len(indices), found.marks, samples.read, samples, stretches)


def _open_xdf(path: Path, stream: str | int | None, truncated: str) -> RawRecording:
    with listening() as heard:
        contents = xdf.read(path, stream)
    if truncated != "accept" and (damage := [note for note in heard if "corruption" in note]):
        raise RecordingError(
            f"{path}: truncated or damaged: pyxdf {damage[0][:200].rstrip('.')}; copy or export it again; "
            f"{argument(truncated='accept')} takes what it found"
        )
    raw = contents.raw
    rate = float(raw.info["sfreq"])
    channels = tuple(
        Channel(name, kind, unit, rate)
        for name, kind, unit in zip(raw.ch_names, contents.kinds, contents.units, strict=True)
    )

    def load(indices: Sequence[int]) -> Signal:
        signal = _mne_signal(raw, indices, [1.0] * len(indices))  # the numbers were put there as they are
        return replace(signal, annotations=contents.marks, interrupted=contents.stretches)

    return RawRecording(path, channels, load, [*contents.notes, *heard])


def _open_with_mne(path: Path, suffix: str, reading: ReadingOptions) -> RawRecording:
    """Open a file by one of MNE's readers, after the checks that it lacks."""
    samples, notes = check_before(path, suffix, reading.truncated) if path.is_file() else (None, [])
    reader = reader_of(path) if suffix == CNT else MNE_READERS[suffix]
    arguments = dict(_OPTIONS.get(reader, {}))
    if reader == "read_raw_cnt":
        found = inspect_cnt(path, reading.data_format)
        arguments |= {"data_format": found.data_format, "recompute_n_samples": found.recompute}
        notes += found.notes
    elif reading.data_format is not None:
        raise RecordingError(f"{path}: data_format is for Neuroscan's .cnt files; leave it out")
    source = open_isolated(open_here, path, reader, arguments, truncated=reading.truncated)
    source.notes[:0] = notes
    return source if samples is None else _cut(source, samples)


def open_by(opener: Callable[[Path], mne.io.BaseRaw], path: Path) -> RawRecording:
    """Open a file by a function of neurolm's that makes an MNE object of it, with the limits that all readers have.

    What the object has in ``info["description"]`` becomes a note.
    """
    return open_isolated(_opened_by, path, getattr(opener, "__name__", "the corpus's own"), {"opener": opener})


def _opened_by(path: Path, _reader: str, arguments: dict[str, Any], *, truncated: str) -> RawRecording:
    raw = arguments["opener"](path)
    source = open_mne(raw, path)
    return replace(source, notes=[*source.notes, *([raw.info["description"]] if raw.info["description"] else [])])


def open_here(path: Path, reader: str, arguments: dict[str, Any], *, truncated: str = "refuse") -> RawRecording:
    """Open a file by one of MNE's readers, an ``XDF`` file, or one whose suffix is in ``PLAIN``, in this process.

    Raises
    ------
    RecordingError
        If the reader cannot read it, or if it is truncated and ``truncated`` says refuse.
    """
    if reader in PLAIN:
        return open_plain(path, reader, arguments["reading"])
    if reader == XDF:
        return _open_xdf(path, arguments["stream"], truncated)
    notes: list[str] = []
    prepared = _HEADERS[reader](path, notes) if reader in _HEADERS else contextlib.nullcontext(path)
    with prepared as file, numbers_as_names() if reader == "read_raw_eeglab" else contextlib.nullcontext():
        raw = _call(path, reader, notes, file, **arguments)
        if file != path:
            raw.filenames = [Path(name).resolve() for name in raw.filenames if name is not None]
    with as_recording_error(path, f"MNE ({reader}) cannot read it"):
        samples, more = check_after(path, raw, truncated)
        source = open_mne(raw, path)
    source.notes.extend([*notes, *more])
    return source if samples is None else _cut(source, samples)


def _require_rate(source: RawRecording, rate: float | None) -> None:
    """Refuse a rate that is given for a file that says another; no file of EEG leaves it out."""
    own = {channel.rate for channel in source.channels if channel.kind == "eeg" and channel.unit is not None}
    if rate is not None and own and rate not in own:
        said = ", ".join(f"{one:g}" for one in sorted(own))
        raise RecordingError(
            f"{source.name}: {argument(rate=rate)}: its header says {said} samples per second; leave it out, it is for "
            "tables and arrays"
        )


def _measured_in(source: RawRecording, unit: str | None) -> RawRecording:
    """With a unit that is given, electrodes by name are EEG also where the file gives them one that is no voltage."""
    named = [c.name for c in source.channels if c.kind == "other" and c.unit is None and resolve(c.name) is not None]
    if unit is None or not named:
        return source
    channels = tuple(replace(c, kind="eeg", unit=UNSTATED) if c.name in named else c for c in source.channels)
    note = f"taken for EEG because a unit is given, and not the file's, which is no voltage: {', '.join(named)}"
    return replace(source, channels=channels, notes=[*source.notes, note])


def _cut(source: RawRecording, samples: int) -> RawRecording:
    """The part of a truncated recording that is there."""

    def load(indices: Sequence[int]) -> Signal:
        signal = source.load(indices)
        there = min(samples, signal.samples)
        return replace(signal, samples=there, interrupted=overlapping(signal.interrupted, 0, there))

    return replace(source, load=load)


def _call(path: Path, reader: str, notes: list[str], file: Path | None = None, **options: Any) -> mne.io.BaseRaw:
    """Call one of MNE's readers; what it says and prints becomes notes, what goes wrong in it one error.

    A copy of the file may be read in its place.
    """
    import mne

    read = partial(getattr(mne.io, reader), file or path, preload=False, verbose="warning", **options)
    held = held_by_name(path)
    fault = (
        (f"MNE ({reader}) cannot read it",)
        if held is None
        else (f"no recording: by its name it holds {held}", "name the recording itself (as …_raw.fif)")
    )
    with as_recording_error(path, *fault):
        with (
            listening() as heard,
            mne.utils.use_log_level("warning"),
            contextlib.redirect_stdout(io.StringIO()) as printed,
        ):
            try:
                raw = read()
            except Exception as error:
                if "encoding=" not in str(error):
                    raise
                raw = read(encoding="latin1")  # EDF+ annotations should be UTF-8; many programs write Latin-1
            heard += printed.getvalue().splitlines()
        if not isinstance(raw, mne.io.BaseRaw):
            raise TypeError("it holds epochs or averages, not a continuous recording")
    notes.extend(heard)
    return raw


def _mne_signal(raw: mne.io.BaseRaw, picks: Sequence[int], volts: Sequence[float]) -> Signal:
    """Channels of an MNE object, read when they are needed."""
    order = np.argsort(picks)  # readers want their channels in the order of the file
    ordered = [picks[i] for i in order]
    lowest = gdf.lowest(raw, ordered)

    def read(first: int, last: int) -> np.ndarray:
        if nedf.is_nedf(raw) and not raw.preload:
            found = nedf.read(raw, ordered, first, last)
        else:
            found = raw.get_data(picks=ordered, start=first, stop=last, verbose="error")
        if lowest is not None:
            found = gdf.without_missing(found, lowest)
        numbers = np.empty_like(found, dtype=np.float64)
        numbers[order] = found
        return numbers

    marks = raw.annotations
    shift = raw.first_time  # MNE counts from where the recording began, not from the first sample that is kept
    return Signal(
        rate=float(raw.info["sfreq"]),
        samples=int(raw.n_times),
        volts=tuple(volts),
        annotations=tuple(
            (float(onset) - shift, float(duration), str(text))
            for onset, duration, text in zip(marks.onset, marks.duration, marks.description, strict=True)
        ),
        read=read,
        interrupted=gdf.segments(raw),
    )
