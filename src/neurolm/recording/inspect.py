"""What is in a recording, and what neurolm would do with it, also where it would refuse it.

>>> found = inspect("night.edf")
>>> found.usable, found.problems, found.planned

A file is opened as ``open_recording`` opens it. If that fails, one condition after the other is given up (that the file
is whole, that all electrodes are known), so that every problem is found and as much is shown as can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.montage import kind
from neurolm.core.physics import RATE, SHORTEST_WINDOW
from neurolm.recording import checks
from neurolm.recording.channels import Channel, RawRecording
from neurolm.recording.electrodes.coverage import Covered, with_amplitudes
from neurolm.recording.electrodes.naming import present
from neurolm.recording.electrodes.selection import Selection, select_electrodes
from neurolm.recording.formats import edf
from neurolm.recording.options import AUTO, BELIEVED, ReadingOptions
from neurolm.recording.preprocess import LOWEST_RATE, detect_mains, preprocess_blocks
from neurolm.recording.readers import as_one_of_many, open_raw
from neurolm.recording.recording import Recording, assemble, decide_unit, is_settled, open_recording
from neurolm.recording.suffixes import EDF_READERS, suffix_of

PATCHES, SECONDS = 1024, 64
"""Patches, and seconds, in the longest sample of the paper (its encoder has embeddings for 64 seconds)."""
_SAMPLE_BYTES = 2  # bytes of a sample in a store
_UNKNOWN = "unknown electrode"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What preparing the recording would store."""

    seconds: float
    patches: int
    """Whole seconds × electrodes."""
    windows: int
    """Samples of at most ``PATCHES`` patches for pretraining."""
    window_seconds: int
    """Length of such a sample; the last one may be shorter."""
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found in a file. What could not be found out is None, or empty."""

    file: Path
    size: int | None
    """Bytes of the file, None where there is none or where the recording is a folder."""
    problems: tuple[str, ...]
    """Why it would be refused: every reason, with its remedy."""
    notes: tuple[str, ...]
    """What would be left out or assumed, and what is odd."""
    coverage: tuple[Covered, ...] = ()
    """How each channel was understood."""
    electrodes: tuple[str, ...] = ()
    """Those that would be read; where it is refused, those that could be, or the file's own names if there are none."""
    rate: float | None = None
    """Samples per second of the electrodes."""
    seconds: float | None = None
    """Length, gaps included."""
    stretches: tuple[tuple[float, float], ...] = ()
    """First and last second of each part that can be used: between gaps, missing samples and what is called bad."""
    unit: str | None = None
    """What the file's numbers were taken for."""
    amplitude: float | None = None
    """Median of the electrodes' robust standard deviations, µV."""
    mains: float | None = None
    """Hz."""
    mains_how: str = ""
    """How the mains frequency was found."""
    band: tuple[float, float] | None = None
    """Hz."""
    annotations: Mapping[str, int] = field(default_factory=dict)
    """Text → how often, inside the recording."""
    outside: int = 0
    """Annotations outside the recording."""
    planned: Planned | None = None
    """None where it would be refused."""
    recording: Recording | None = field(default=None, repr=False, compare=False)

    @property
    def usable(self) -> bool:
        """Whether neurolm would take it."""
        return not self.problems


def inspect(path: Path | str, *, reading: ReadingOptions = BELIEVED, partly: bool = False) -> Inspection:
    """Find out what is in a recording and whether it can be used.

    Parameters
    ----------
    path
        A file (or a folder, for EGI's ``.mff`` and MEF); it need not be readable. Whatever is wrong with it is among
        the ``problems``.
    reading
        How to read it, where the file alone does not say it.
    partly
        Whether it may lack some of the names in a mapping of ``channels``, as one of many recordings.
    """
    path = Path(path).expanduser()
    reading = as_one_of_many(path, reading) if partly else reading
    found = _Finding(path, reading, partly)
    try:
        recording: Recording | None = open_recording(path, reading=reading, partly=partly)
    except RecordingError as error:
        found.refuse(error)
        recording = _as_far_as_possible(found)
    if recording is not None:
        found.notes = [*recording.notes, *found.notes]
        _prepared(found, recording)
    return Inspection(
        file=path,
        size=path.stat().st_size if path.is_file() else None,
        problems=tuple(found.problems),
        notes=tuple(dict.fromkeys(found.notes)),
        recording=recording,
        **found.facts,
    )


@dataclass
class _Finding:
    """What has been found so far."""

    path: Path
    reading: ReadingOptions
    partly: bool
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    empty: bool = False
    """Whether it was refused because none of its channels holds numbers."""

    def refuse(self, error: RecordingError) -> None:
        """Note a reason to refuse, once, without the name of the file."""
        text = str(error).removeprefix(f"{self.path}: ")
        if text not in self.problems:
            self.problems.append(text)


def _as_far_as_possible(found: _Finding) -> Recording | None:
    """Open a refused file under weaker conditions, noting what else would be refused."""
    source = _open_weaker(found)
    if source is None:
        _header(found)
        return None
    selection = _selection(found, source.channels)
    found.facts["coverage"] = selection.coverage
    if not selection.indices:
        found.notes += source.notes
        return None
    unit, reject = found.reading.unit, found.reading.bad_segments == "drop"
    try:
        recording = assemble(source, selection, None if unit == AUTO else unit, reject=reject)
        quality = recording.measure_quality()
    except RecordingError as error:
        found.refuse(error)
        found.notes += source.notes
        return None
    if unit == AUTO:
        before = recording.unit
        fits = decide_unit(quality, before, found.notes)
        recording, quality = assemble(source, selection, fits, reject=reject), quality.scaled(before, fits)
    _judge(found, recording, quality, selection)
    # What the selection left out is said by the refusal already.
    rows = with_amplitudes(selection.coverage, selection.indices, quality.amplitude)
    notes = tuple(note for note in recording.notes if note not in selection.notes)
    return replace(recording, coverage=rows, notes=notes)


def _open_weaker(found: _Finding) -> RawRecording | None:
    weaker = replace(found.reading, truncated="accept")
    for reading in (found.reading,) if found.reading == weaker else (found.reading, weaker):
        try:
            source = open_raw(found.path, reading)
        except RecordingError as error:
            found.refuse(error)
            continue
        if reading != found.reading:
            found.notes.append("what is said here is about the part of the file that is there")
            source.notes[:] = [note for note in source.notes if not note.startswith("truncated:")]
        return source
    return None


def _header(found: _Finding) -> None:
    """What the header of a file that cannot be read says of its channels, for the formats whose header we read."""
    if suffix_of(found.path) not in EDF_READERS or not found.path.is_file():
        return
    try:
        header = edf.read_header(found.path)
    except RecordingError:
        return  # that is among the problems already
    if not header.signals:
        return
    channels = [Channel(s.label, "eeg" if s.unit is not None else "other", s.unit, s.rate) for s in header.signals]
    found.facts["coverage"] = _selection(found, channels).coverage
    if header.records > 0:
        found.facts["seconds"] = header.records * header.duration
        found.notes.append("channels and duration are those of the header; none of the signal was read")


def _selection(found: _Finding, channels: Sequence[Channel]) -> Selection:
    """The electrodes as asked for; else without those that are unknown; else all, by their own names."""
    policy, wanted = found.reading.unknown or "error", found.reading.channels
    if found.partly and isinstance(wanted, Mapping):
        wanted = present(wanted, [channel.name for channel in channels]) or None
    source = str(found.path)
    try:
        return select_electrodes(channels, source=source, unknown=policy, wanted=wanted, cap=found.reading.cap)
    except RecordingError as error:
        found.refuse(error)
    try:
        selection = select_electrodes(channels, source=source, unknown="drop")
    except RecordingError:
        return _as_they_are(channels)
    known = [c for c, row in zip(channels, selection.coverage, strict=True) if not row.detail.startswith(_UNKNOWN)]
    try:
        select_electrodes(known, source=source, unknown=policy)
    except RecordingError as error:
        found.refuse(error)  # different rates, say, which the unknown electrodes hid
    return selection


def _as_they_are(channels: Sequence[Channel]) -> Selection:
    """What may be EEG, by the file's own names, where no electrode is known."""
    kinds = [kind(channel.name) if channel.kind == "eeg" else channel.kind for channel in channels]
    maybe = [i for i, c in enumerate(channels) if kinds[i] in ("eeg", "unknown") and c.unit is not None]
    said = [i for i in maybe if kinds[i] == "eeg"]  # what is slow beside them is no EEG
    rates = Counter(channels[i].rate for i in said or maybe)
    main = max(rates, key=lambda rate: (rate >= LOWEST_RATE, rates[rate], rate), default=None)
    indices = tuple(i for i in maybe if channels[i].rate == main)
    rows = tuple(
        Covered(
            channel=c.name, electrode=None, how="left out", kind=kinds[i], unit=c.unit, rate=c.rate,
            detail=_UNKNOWN if i in maybe else kinds[i],
        )
        for i, c in enumerate(channels)
    )  # fmt: skip
    return Selection(indices, tuple(channels[i].name for i in indices), None, rows, ())


def _judge(found: _Finding, recording: Recording, quality: checks.SignalQuality, selection: Selection) -> None:
    """Note everything that is wrong with the signal."""
    labels = selection.labels
    found.empty = bool(quality.absent.all())
    settled = is_settled(found.reading.unit, quality, recording.unit)
    wrong = checks.refusals(quality, channels=labels, unit=recording.unit, settled=settled)
    if quality.unusable and not quality.flat.all() and found.reading.unknown in (None, "error"):
        wrong.append(checks.useless({labels[i]: why for i, why in quality.unusable.items()}))
    for text in wrong:
        found.refuse(RecordingError(text))
    odd = checks.oddities(quality, channels=labels, rate=recording.rate, unit=recording.unit)
    found.notes += [note for note in odd if settled or not note.startswith(checks.WARNING)]  # else it is a problem


def _prepared(found: _Finding, recording: Recording) -> None:
    """What the recording is, and what preparing it would give."""
    inside = Counter(annotation.text for annotation in recording.annotations)
    electrodes, rows = recording.channels, recording.coverage
    amplitudes = [row.amplitude for row in rows if row.amplitude is not None and row.amplitude > 0]
    found.facts |= {
        "coverage": rows,
        "electrodes": electrodes,
        "rate": recording.rate,
        "seconds": recording.seconds,
        "stretches": tuple((s.start / recording.rate, s.stop / recording.rate) for s in recording.stretches),
        "unit": recording.unit,
        "amplitude": float(np.median(amplitudes)) if amplitudes else None,
        "annotations": dict(inside.most_common()),
        "outside": len(recording._signal.annotations) - len(recording.annotations),
    }
    try:
        mains = found.reading.mains
        hertz, how = (mains, "as given") if mains is not None else detect_mains(recording)
        prepared = preprocess_blocks(recording, mains=hertz)  # nothing is read until its blocks are taken
    except RecordingError as error:
        if not found.empty:  # which is said
            found.refuse(error)
        return
    found.facts |= {"mains": hertz, "mains_how": how, "band": prepared.band}
    found.facts["stretches"] = tuple((s.start / RATE, s.stop / RATE) for s in prepared.stretches)
    found.notes += prepared.notes
    if found.problems:
        return
    count = len(electrodes)
    length = min(SECONDS, PATCHES // count)
    whole = [stretch.samples // RATE for stretch in prepared.stretches]
    windows = [seconds // length + (seconds % length >= SHORTEST_WINDOW) for seconds in whole]
    found.facts["planned"] = Planned(
        seconds=prepared.samples / RATE,
        patches=sum(whole) * count,
        windows=sum(windows),
        window_seconds=length,
        bytes=prepared.samples * count * _SAMPLE_BYTES,
    )
