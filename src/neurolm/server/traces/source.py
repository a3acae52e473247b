"""What a recording shows: channels with kind, unit and electrode, and numbers block by block

Other than a question, a page of traces takes whatever can be read: channels that are no EEG, bad ones, and recordings
that would be refused because an electrode is unknown or most channels are flat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.montage import kind
from neurolm.core.stretches import Stretches, overlapping
from neurolm.core.terminal import printable
from neurolm.recording import checks
from neurolm.recording.channels import Channel, RawRecording, Signal
from neurolm.recording.electrodes.coverage import Covered
from neurolm.recording.electrodes.naming import present
from neurolm.recording.electrodes.selection import Selection, select_electrodes
from neurolm.recording.formats.edf import MICROVOLTS, UNSTATED
from neurolm.recording.options import AUTO, ReadingOptions
from neurolm.recording.readers import open_raw
from neurolm.recording.recording import Recording, assemble, decide_unit
from neurolm.server.traces.order import place

KINDS = ("eeg", "eog", "ecg", "emg", "reference", "other", "unknown")
"""Kinds of channels in the order in which a page shows them; trigger channels are shown as annotations."""
_BY_NAME = ("name", "alias", "given", "cap")
"""Ways in which an electrode is known for certain, see ``coverage.HOW``."""
_ROOM = 20  # taps of a resampling filter on either side, in samples of the slower rate
_FINEST = 1000  # numerator of a ratio of two rates


@dataclass(frozen=True)
class Shown:
    """A channel that is shown."""

    index: int
    """Its place in the file."""
    name: str
    """The canonical name of its electrode, else the file's own; each once."""
    label: str
    """The file's own name."""
    electrode: str | None
    kind: str
    """One of ``KINDS``."""
    unit: str | None
    """``µV``, or None for what is no voltage: then the numbers are the file's."""
    bad: str | None
    """Why the file calls it bad."""
    microvolts: float
    """What 1 of the file's numbers is worth, as its reader gives them out."""
    rate: float


@dataclass(frozen=True)
class Group:
    """Channels of one rate, ready to be read."""

    rows: Sequence[int]
    """Their places among those that are shown."""
    signal: Signal
    rate: float

    @property
    def whole(self) -> bool:
        """Whether the file's own whole numbers can be had."""
        return self.signal.direct is not None


@dataclass(frozen=True)
class Source:
    """An opened recording, ready to be shown."""

    recording: Recording
    """Its time: rate, length, stretches, annotations."""
    channels: tuple[Shown, ...]
    groups: tuple[Group, ...]
    gain: np.ndarray
    """float64 of shape (channels,): microvolts = number × gain + offset."""
    offset: np.ndarray
    start_time: str | None
    """When it began, ISO 8601, where the header says it."""

    def read(self, first: int, last: int) -> list[tuple[Sequence[int], np.ndarray, bool]]:
        """Read samples of all channels, as ``pyramid.Writer.add`` takes them; ``last`` may lie beyond the end."""
        return [
            (group.rows, *_numbers(group, self.recording.stretches, self.recording.rate, first, last))
            for group in self.groups
        ]


def open_source(path: Path, reading: ReadingOptions) -> Source:
    """Open a recording to show it.

    Raises
    ------
    RecordingError
        If its samples cannot be read, or there is no channel to show.
    """
    opened, known = _open(path, reading)
    selection = _selection(opened, reading)
    unit = reading.unit
    recording = assemble(opened, selection, None if unit == AUTO else unit, reject=False)
    if unit == AUTO:
        unit = decide_unit(recording.measure_quality(), recording.unit, [])  # type: ignore[assignment]
    indices = [i for i, c in enumerate(opened.channels) if "stimulus" not in (c.kind, kind(c.name))]
    indices = [i for i in indices if opened.channels[i].rate > 0] or list(selection.indices)
    channels = _ordered(_describe(opened.channels, indices, selection.coverage, unit, known=known))
    groups = _grouped(opened, channels)
    gain, offset = _scaling(channels, groups)
    began = None if opened.start is None else opened.start.isoformat()
    return Source(recording, tuple(channels), groups, gain, offset, began)


def _open(path: Path, reading: ReadingOptions) -> tuple[RawRecording, bool]:
    """Open a file, also one that is not whole, or a table that gives no unit; and whether units are known."""
    plain = replace(reading, unknown="drop")
    whatever = replace(plain, truncated="accept")
    attempts = [(plain, True), (whatever, True), (replace(whatever, unit=reading.unit or "uV"), bool(reading.unit))]
    refusal: RecordingError | None = None
    for how, known in attempts:
        try:
            return open_raw(path, how), known
        except RecordingError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _selection(opened: RawRecording, reading: ReadingOptions) -> Selection:
    """The electrodes as a question would take them; else without unknown ones; else channels by their own names."""
    wanted = reading.channels
    if isinstance(wanted, Mapping):
        wanted = present(wanted, [channel.name for channel in opened.channels]) or None
    for unknown, names in ((reading.unknown or "nearest", wanted), ("drop", wanted), ("drop", None)):
        try:
            return select_electrodes(
                opened.channels, source=opened.name, unknown=unknown, wanted=names, cap=reading.cap
            )
        except RecordingError:
            continue
    return _as_they_are(opened)


def _as_they_are(opened: RawRecording) -> Selection:
    """The channels of the most frequent rate, where no electrode is known."""
    if not opened.channels:
        raise RecordingError(f"{opened.name}: there is no channel in it")
    rate, _ = Counter(channel.rate for channel in opened.channels).most_common(1)[0]
    picks = tuple(i for i, channel in enumerate(opened.channels) if channel.rate == rate)
    rows = tuple(
        Covered(channel=c.name, electrode=None, how="left out", unit=c.unit, kind=_kind(c)) for c in opened.channels
    )
    return Selection(picks, tuple(opened.channels[i].name for i in picks), None, rows, ())


def _kind(channel: Channel) -> str:
    found = kind(channel.name)
    return found if found not in ("eeg", "unknown") else channel.kind


def _describe(
    channels: Sequence[Channel], indices: Sequence[int], coverage: Sequence[Covered], unit: str | None, *, known: bool
) -> list[Shown]:
    found: list[Shown] = []
    for i in indices:
        channel, row = channels[i], coverage[i]
        what = "eeg" if row.electrode else row.kind if row.kind in KINDS else "other"
        own = channel.unit if channel.unit != UNSTATED else "uV"
        if what == "eeg" and unit is not None and own is not None:
            own = unit
        label = printable(channel.name, line=True).strip() or f"channel {i + 1}"
        bad = "marked as bad in the file" if channel.bad else channel.uncalibrated
        name = row.electrode if row.electrode and row.how in _BY_NAME else label
        worth = 0.0 if channel.uncalibrated else MICROVOLTS[own] if own is not None else 1.0
        shown = "µV" if own is not None and known else None
        found.append(Shown(i, name, label, row.electrode, what, shown, bad, worth, channel.rate))
    return found


def _ordered(channels: Sequence[Shown]) -> list[Shown]:
    """As clinical EEG has them: left before right before middle, front before back; then what is no EEG."""
    order = sorted(channels, key=lambda one: (KINDS.index(one.kind), one.electrode is None, *place(one.electrode)))
    taken: set[str] = set()
    found = []
    for one in order:
        name, number = one.name, 2
        while name in taken:
            name, number = f"{one.name} ({number})", number + 1
        taken.add(name)
        found.append(replace(one, name=name))
    return found


def _grouped(opened: RawRecording, channels: Sequence[Shown]) -> tuple[Group, ...]:
    """Channels of each rate, which are read together."""
    groups = []
    for rate in dict.fromkeys(channel.rate for channel in channels):
        rows = [row for row, channel in enumerate(channels) if channel.rate == rate]
        signal = opened.load([channels[row].index for row in rows])
        groups.append(Group(rows, signal, signal.rate))
    return tuple(groups)


def _scaling(channels: Sequence[Shown], groups: Sequence[Group]) -> tuple[np.ndarray, np.ndarray]:
    gain, offset = np.ones(len(channels)), np.zeros(len(channels))
    for group in groups:
        worth = np.array([channels[row].microvolts for row in group.rows]) / np.array(group.signal.volts)
        direct = group.signal.direct
        gain[group.rows] = worth if direct is None else direct.gain * worth
        offset[group.rows] = 0.0 if direct is None else direct.offset * worth
    return gain, offset


def _numbers(group: Group, stretches: Stretches, rate: float, first: int, last: int) -> tuple[np.ndarray, bool]:
    """A group's numbers at the samples of the recording, and whether they are whole."""
    if group.rate == rate:
        direct, parts = group.signal.direct, overlapping(stretches, first, last)
        if direct is not None and len(parts) == 1 and parts[0].samples == last - first:
            return direct.digital(parts[0].first, parts[0].first + last - first), True
        return _read(group, stretches, first, last), group.whole
    return _resampled(group, rate, first, last), False


def _read(group: Group, stretches: Stretches, first: int, last: int) -> np.ndarray:
    """Numbers of a group, by its own samples: float64, NaN where there are none."""
    signal = group.signal
    found = np.full((len(group.rows), last - first), np.nan)
    for part in overlapping(stretches, first, last):
        span = part.first, part.first + part.samples
        got = signal.read(*span) if signal.direct is None else signal.direct.digital(*span)
        found[:, part.start - first : part.stop - first] = got
    if signal.direct is None:
        found[~checks.is_number(found)] = np.nan
    return found


def _resampled(group: Group, rate: float, first: int, last: int) -> np.ndarray:
    """Slower channels as lines between their samples; faster ones without what the recording's rate cannot hold."""
    end = group.signal.stretches[-1].stop
    if group.rate < rate:
        times = np.arange(first, last) * (group.rate / rate)
        begin, stop = int(times[0]), min(int(times[-1]) + 2, end)
        own = _read(group, group.signal.stretches, begin, max(stop, begin + 1))
        at = begin + np.arange(own.shape[1])
        lines = np.array([np.interp(times, at, row) for row in own])
        lines[:, times >= end] = np.nan
        return lines
    from scipy.signal import resample_poly

    ratio = Fraction(rate / group.rate).limit_denominator(_FINEST)
    up, down = ratio.numerator, ratio.denominator
    room = -(-_ROOM // up) * up
    begin = (first // up) * up - room
    start, stop = begin * down // up, (begin + -(-(last - begin + room) // up) * up) * down // up
    own = _read(group, group.signal.stretches, max(start, 0), max(min(stop, end), 1))
    own = np.pad(own, ((0, 0), (max(-start, 0), stop - max(min(stop, end), 1))), mode="edge")
    found = resample_poly(own, up, down, axis=1)[:, first - begin : last - begin]
    found[:, np.arange(first, last) * (group.rate / rate) >= end] = np.nan
    return found
