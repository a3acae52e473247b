"""A recording as the rest of neurolm sees it: electrodes by their official names, and microvolts.

>>> recording = open_recording("night.edf", reading=ReadingOptions(unknown="drop"))
>>> recording.channels, recording.rate, recording.notes
>>> recording.read(30, 60)          # float64 (channels, samples), µV

Opening reads the header, the trigger channels and, to check the signal, at most a minute of it. Whatever is left out or
assumed is said in ``notes``; whatever would make wrong numbers is an error that names the file, what was found, and the
remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.stretches import Stretches, joined, overlapping
from neurolm.recording import checks
from neurolm.recording.channels import RawRecording, Signal
from neurolm.recording.electrodes.coverage import Covered, with_amplitudes
from neurolm.recording.electrodes.derivations import MONTAGES
from neurolm.recording.electrodes.naming import present
from neurolm.recording.electrodes.selection import Selection, select_electrodes
from neurolm.recording.faults import as_recording_error
from neurolm.recording.formats.edf import MICROVOLTS, UNSTATED
from neurolm.recording.interruptions import interpret
from neurolm.recording.options import AUTO, BELIEVED, ReadingOptions, require_one_of
from neurolm.recording.readers import open_mne, open_raw
from neurolm.recording.suffixes import RECORDING_SUFFIXES, find_recordings, suffix_of
from neurolm.recording.triggers import with_triggers

if TYPE_CHECKING:
    import mne

__all__ = [
    "RECORDING_SUFFIXES",
    "Annotation",
    "Covered",
    "Recording",
    "find_recordings",
    "open_recording",
    "suffix_of",
]

FASTEST = 200_000
"""Samples per second beyond which a header is damaged: EEG amplifiers take up to 100,000."""
LONGEST_GAPS = 31
"""Days that may be missing in a recording; more means that the times in the file are damaged."""
_UNSTATED_MEANS = "uV"  # the unit of EEG files that give none; the amplitude check catches those that mean another
_NAMED = 4  # electrodes that a message about NaN names at most


@dataclass(frozen=True)
class Annotation:
    """Something the file says about a stretch of time."""

    onset: float
    """Seconds from the start of the recording."""
    duration: float
    """Seconds; 0 for an instant."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An opened recording; its signal stays in the file until it is read."""

    path: Path | None
    """The file, None for an MNE object that comes from none."""
    channels: tuple[str, ...]
    """Canonical electrode names, each once."""
    rate: float
    """Samples per second."""
    samples: int
    """Length in samples, gaps included."""
    annotations: tuple[Annotation, ...]
    """What the file says about stretches of time, and the events of its trigger channels."""
    notes: tuple[str, ...]
    """What was left out, assumed or noticed while opening."""
    unit: str
    """Unit of the numbers in the file: a key of ``edf.MICROVOLTS``, several joined with ``/``."""
    coverage: tuple[Covered, ...] = field(default=(), repr=False)
    """How each channel of the file was understood; then the electrodes that were made from others."""
    stretches: Stretches = field(repr=False)
    """What was recorded without interruption, as far as header and annotations tell; ``missing.find_stretches`` looks
    at the samples too."""
    start: datetime | None = field(default=None, repr=False)
    """When it began, by the clock of the place, as the file says it; None where it does not."""
    bad: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    """First sample, and the one after the last, of what annotations call bad."""
    extreme: float = field(default=checks.LARGEST, repr=False, compare=False)
    """Microvolts from an electrode's median that are no EEG, where it was found that the rest is."""
    _signal: Signal = field(repr=False, compare=False)
    _microvolts: np.ndarray = field(repr=False, compare=False)
    _weights: np.ndarray | None = field(default=None, repr=False, compare=False)
    _uncalibrated: Mapping[int, str] = field(default_factory=dict, repr=False, compare=False)
    _stated: bool = field(default=True, repr=False, compare=False)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / self.rate

    def read(self, start: float = 0.0, stop: float | None = None) -> np.ndarray:
        """Read a part of the signal.

        Parameters
        ----------
        start, stop
            Seconds from the start of the recording; ``stop`` None is its end. Rounded to whole samples.

        Returns
        -------
        numpy.ndarray
            float64 of shape (channels, samples), µV; NaN where nothing was recorded.

        Raises
        ------
        ValueError
            If the part is not inside the recording.
        RecordingError
            If the file can no longer be read.
        """
        first = round(start * self.rate)
        last = self.samples if stop is None else round(stop * self.rate)
        if not 0 <= first <= last <= self.samples:
            raise ValueError(f"start={start}, stop={stop}: not inside the recording's {self.seconds:g} s")
        return self.read_samples(first, last)

    def only(self, places: Sequence[int]) -> Recording:
        """Return some of the electrodes, by their places in ``channels``; what is said of the recording is of all."""
        chosen = list(places)
        if chosen == list(range(len(self.channels))):
            return self
        sources, weights = chosen, None
        if self._weights is not None:
            weights = self._weights[chosen]
            sources = np.flatnonzero(weights.any(axis=0)).tolist()
            weights = weights[:, sources]
        return replace(
            self,
            channels=tuple(self.channels[place] for place in chosen),
            _signal=self._signal.only(sources),
            _microvolts=self._microvolts[sources],
            _weights=weights,
            _uncalibrated={i: self._uncalibrated[s] for i, s in enumerate(sources) if s in self._uncalibrated},
        )

    def blocks(self) -> list[tuple[int, int]]:
        """Return up to a minute to look at, spread evenly over what was recorded: (first, last) sample of each part."""
        there = sum(stretch.samples for stretch in self.stretches)
        blocks = checks.blocks(there, self.rate)
        return [part for first, last in blocks for part in joined(self.stretches, first, last)]

    def measure_quality(self) -> checks.SignalQuality:
        """Measure up to a minute of the signal of the channels that are read, before electrodes are made from them."""
        blocks = self.blocks()
        found = checks.measure_quality((self._read_sources(first, last) for first, last in blocks), self.rate)
        spans = [(first / self.rate, last / self.rate) for first, last in blocks]
        return replace(found, spans=spans, uncalibrated=self._uncalibrated, stated=self._stated)

    def read_finite(self, first: int, last: int) -> np.ndarray:
        """Read samples for a filter or a model: float64 of shape (channels, samples), µV, none of them NaN or infinite.

        Raises
        ------
        RecordingError
            If one is, naming electrodes and time; or if the file can no longer be read.
        """
        found = self.read_samples(first, last)
        wrong = ~checks.is_number(found)
        if wrong.any():
            where = [
                f"{name} {self._span(first, at)}" for name, at in zip(self.channels, wrong, strict=True) if at.any()
            ]
            more = f" and {len(where) - _NAMED} other electrodes" if len(where) > _NAMED else ""
            raise RecordingError(
                f"{self.path or 'the MNE object'}: NaN or infinite values in {', '.join(where[:_NAMED])}{more}; "
                f"{checks.repair()}"
            )
        return found

    def _span(self, first: int, at: np.ndarray) -> str:
        """When, for a message, a channel has values that it should not have."""
        start, stop = (first + np.flatnonzero(at)[[0, -1]]) / self.rate
        return f"at {start:.2f} s" if start == stop else f"between {start:.2f} and {stop:.2f} s"

    def read_samples(self, first: int, last: int) -> np.ndarray:
        """Read from one sample up to another; else as ``read``."""
        microvolts = self._read_sources(first, last)
        return microvolts if self._weights is None else self._weights @ microvolts

    def _read_sources(self, first: int, last: int) -> np.ndarray:
        parts = overlapping(self.stretches, first, last)
        if len(parts) == 1 and parts[0].samples == last - first:
            return self._read_part(parts[0].first, parts[0].first + last - first)
        found = np.full((len(self._microvolts), last - first), np.nan)
        for part in parts:
            found[:, part.start - first : part.stop - first] = self._read_part(part.first, part.first + part.samples)
        return found

    def _read_part(self, first: int, last: int) -> np.ndarray:
        """Read by the samples' places in the file."""
        with as_recording_error(self.path, f"samples {first:,} to {last:,} cannot be read: the file is damaged"):
            try:
                microvolts = self._signal.read(first, last)
            except OSError as error:
                raise RecordingError(f"{self.path}: cannot be read any more: {error}; is it still there?") from error
        microvolts *= self._microvolts[:, None]
        return microvolts


def open_recording(
    source: Path | str | mne.io.BaseRaw | RawRecording,
    *,
    reading: ReadingOptions = BELIEVED,
    check: bool = True,
    montage: str | None = None,
    partly: bool = False,
) -> Recording:
    """Open a recording of any format in ``RECORDING_SUFFIXES``.

    Parameters
    ----------
    source
        A file (for EGI's ``.mff`` and MEF a folder), an object of MNE's, or what a reader has opened. Side files of
        BIDS beside a file are used.
    reading
        How to read it, where the file alone does not say it.
    check
        Look at up to a minute of the signal, spread over the recording, for NaN, infinite values, flat or saturated
        channels and amplitudes that cannot be EEG.
    montage
        ``"tcp"`` derives the bipolar channels of TUH's montage that have official names (FP1-F7 … P4-O2) from
        electrodes of one reference.
    partly
        Whether the file may lack some of the names in a mapping of ``channels``; where it has none of them, the mapping
        is not for this file.

    Raises
    ------
    RecordingError
        If the file is missing, damaged or of no known format, if it holds no EEG, or if it fails a check.
    ConfigError
        For a montage that does not exist.
    """
    require_one_of("montage", montage, (*MONTAGES, None))
    opened = _open(source, reading)
    unknown, unit, wanted = reading.unknown or "error", reading.unit, reading.channels
    if partly and isinstance(wanted, Mapping):
        wanted = present(wanted, [channel.name for channel in opened.channels]) or None

    def assembled(chosen: Selection) -> Recording:
        return assemble(opened, chosen, taken, reject=reading.bad_segments == "drop")

    def chosen(bad: Mapping[int, str] | None = None) -> Selection:
        return select_electrodes(
            opened.channels, source=opened.name, unknown=unknown, wanted=wanted, montage=montage,
            cap=reading.cap, bad=bad,
        )  # fmt: skip

    selection = chosen()
    taken: str | None = None if unit == AUTO else unit
    recording = assembled(selection)
    if not check and unit != AUTO:
        unscaled = [f"{selection.labels[i]} ({why})" for i, why in recording._uncalibrated.items()]
        more = [f"read as 0: {', '.join(unscaled)}"] if unscaled else []
        return replace(recording, notes=(*recording.notes, *more))
    quality = recording.measure_quality()
    notes: list[str] = []
    if unit == AUTO:
        taken = decide_unit(quality, recording.unit, notes)
        recording, quality = assembled(selection), quality.scaled(recording.unit, taken)
    if check:
        labels, settled = selection.labels, is_settled(unit, quality, recording.unit)
        notes += checks.examine(
            quality, source=opened.name, channels=labels, rate=recording.rate, unit=recording.unit, settled=settled
        )
        unusable = quality.unusable
        if unusable and unknown == "error":
            raise RecordingError(f"{opened.name}: {checks.useless({labels[i]: why for i, why in unusable.items()})}")
        if unusable:
            bad = {selection.indices[i]: why for i, why in unusable.items()}
            recording = assembled(chosen(bad))
    coverage = with_amplitudes(recording.coverage, selection.indices, quality.amplitude)
    extreme = checks.EXTREME if check and checks.plausible(quality.typical) else recording.extreme
    return replace(recording, coverage=coverage, extreme=extreme, notes=(*recording.notes, *notes))


def _open(source: Path | str | mne.io.BaseRaw | RawRecording, reading: ReadingOptions) -> RawRecording:
    if isinstance(source, str | Path):
        return open_raw(Path(source).expanduser(), reading)
    if isinstance(source, RawRecording):
        return with_triggers(source)
    import mne

    if not isinstance(source, mne.io.BaseRaw):
        raise TypeError(f"source is a {type(source).__name__}: give a path or an mne.io.Raw object")
    files = [name for name in source.filenames if name is not None]
    return with_triggers(open_mne(source, Path(files[0]) if files else None))


def assemble(opened: RawRecording, chosen: Selection, unit: str | None, *, reject: bool = True) -> Recording:
    """Make a recording of the chosen channels of an opened file, without looking at its signal.

    Parameters
    ----------
    reject
        Whether what annotations call bad is left out.

    Raises
    ------
    RecordingError
        If there is not one sample.
    """
    with as_recording_error(opened.path, "its samples cannot be found"):
        signal = opened.load(chosen.indices)
    if not 0 < signal.rate <= FASTEST:
        raise RecordingError(
            f"{opened.name}: {signal.rate:g} samples per second by its header, which no amplifier "
            f"for EEG takes (more than 0, at most {FASTEST:,}): the header is damaged; copy or export it again"
        )
    if signal.samples < 1:
        raise RecordingError(f"{opened.name}: there is not one sample in it; copy or export it again")
    declared = [opened.channels[i].unit for i in chosen.indices]
    annotations, more = _annotations(signal)
    marks = [(mark.onset, mark.duration, mark.text) for mark in annotations]
    interrupted = interpret(marks, signal.stretches, signal.rate, reject=reject)
    if signal.stretches[-1].stop - signal.samples > LONGEST_GAPS * 86_400 * signal.rate:
        days = (signal.stretches[-1].stop - signal.samples) / signal.rate / 86_400
        raise RecordingError(
            f"{opened.name}: by the times in the file, {days:,.0f} days of it are missing; they are damaged, or "
            f"recordings were put together that are none (at most {LONGEST_GAPS} days are taken): export each"
        )
    if not interrupted.stretches:
        raise RecordingError(
            f"{opened.name}: its annotations BAD_ACQ_SKIP cover all of it: nothing was recorded; export it again"
        )
    notes = [*opened.notes, *chosen.notes, *more, *interrupted.notes]
    unstated = [i for i, own in zip(chosen.indices, declared, strict=True) if own == UNSTATED]
    if unit is None and unstated:
        names = [chosen.coverage[i].electrode or opened.channels[i].name for i in unstated]
        notes.append(f"no unit given, taken as µV: {', '.join(names)}")
    units = [unit or own or _UNSTATED_MEANS for own in declared]
    microvolts = np.array([MICROVOLTS[own] for own in units]) / np.array(signal.volts)
    whys = {at: why for at, i in enumerate(chosen.indices) if (why := opened.channels[i].uncalibrated)}
    microvolts[list(whys)] = 0.0  # of a signal without a scale nothing is known
    return Recording(
        path=opened.path,
        channels=chosen.electrodes,
        rate=signal.rate,
        samples=signal.stretches[-1].stop,
        annotations=annotations,
        notes=tuple(notes),
        unit="/".join(dict.fromkeys(units)),
        coverage=chosen.coverage,
        stretches=interrupted.stretches,
        start=opened.start,
        bad=interrupted.bad,
        _signal=signal if chosen.weights is None else replace(signal, direct=None),
        _microvolts=microvolts,
        _weights=chosen.weights,
        _uncalibrated=whys,
        _stated=unit is not None or not unstated,
    )


def decide_unit(quality: checks.SignalQuality, unit: str, notes: list[str]) -> str | None:
    """Return the unit that makes EEG of the numbers; None where the file is right, and where no unit does."""
    fits = checks.fitting_unit(quality, unit)
    if fits is None or fits == unit:
        if fits is not None:
            notes.append(f"unit auto: {unit}, as the file says; the typical amplitude is {quality.typical:.3g} µV")
        return None
    typical = quality.scaled(unit, fits).typical
    notes.append(
        f"unit auto: the numbers are taken as {fits}, which makes the typical amplitude {typical:.3g} µV; as {unit} "
        f"it would be {quality.typical:.3g} µV"
    )
    return fits


def is_settled(asked: str | None, quality: checks.SignalQuality, unit: str) -> bool:
    """Whether a unit is right whatever the amplitude, by what was asked for: one unit, or ``auto``, which found one."""
    return asked is not None and (asked != AUTO or checks.fitting_unit(quality, unit) is not None)


def _annotations(signal: Signal) -> tuple[tuple[Annotation, ...], list[str]]:
    """The annotations inside the recording, and notes of what lies outside and was cut off."""
    seconds = signal.stretches[-1].stop / signal.rate
    inside, outside, cut = [], 0, 0
    for onset, duration, text in signal.annotations:
        first, last = max(onset, 0.0), min(onset + duration, seconds)
        nothing = duration > 0 and first == last  # it ends where the recording begins, or begins where that ends
        if not (first <= last and onset <= seconds) or nothing:  # NaN lies nowhere
            outside += 1
            continue
        whole = (first, last) == (onset, onset + duration)
        cut += not whole
        inside.append(Annotation(first, duration if whole else last - first, text))
    notes = [f"annotations outside the recording's {seconds:g} s left out: {outside}"] if outside else []
    if cut:
        notes.append(f"annotations that reach beyond the recording cut off there: {cut}")
    return tuple(inside), notes
