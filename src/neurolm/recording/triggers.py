"""Trigger channels (BDF's Status, STI 014, an EDF file's Trigger …) become events of the recording

>>> open_recording("biosemi.bdf").annotations
(Annotation(onset=4.0, duration=0.0, text='1'), …)

The text of an event is its code, with the channel's name before it where there are several. Which changes are events is
MNE's rule (`formats.codes`). What such a channel holds that is no event is counted in the recording's notes.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.montage import kind
from neurolm.core.stretches import moment
from neurolm.recording.channels import Channel, RawRecording, Signal
from neurolm.recording.faults import as_recording_error
from neurolm.recording.formats.codes import STATUS_BITS, Codes, Runs, codes_of, find_runs

NOTE = "trigger channel"
"""How notes about such channels begin."""
_FLASHES = re.compile(r"(EEG |POL )?PHO(TIC|TO)?\b.*", re.IGNORECASE)
"""Channels that record light as it is, in no code."""
_SUMS = (re.compile(r"STI ?101"), re.compile(r"STI ?014"))
"""Neuromag's channels that have the codes of all STI channels, the newer one first, as MNE has it."""
_STI = re.compile(r"STI ?\d+")
_STATUS = re.compile(r"status(-\d+)?", re.IGNORECASE)
_NAMED = 8  # codes that a note names at most
_AT_ONCE = 1 << 20
"""Samples of a channel that are read at a time."""
_WHOLE = 1e-3
"""How far a code may be from a whole number, where readers scale them."""
_SAME = 1.5
"""Samples within which an annotation with the same code is the same event: some readers annotate what they find."""

Mark = tuple[float, float, str]
"""Onset and duration in seconds, and text."""


def with_triggers(source: RawRecording) -> RawRecording:
    """Add the events of an opened recording's trigger channels to its annotations.

    These channels are read when channels are loaded for the first time.
    """
    picks = trigger_channels(source.channels)
    if not picks:
        return source
    found: list[tuple[Mark, str, float]] | None = None

    def load(indices: Sequence[int]) -> Signal:
        nonlocal found
        signal = source.load(indices)
        if found is None:
            found = _events(source, picks)
        new = _not_annotated(found, signal.annotations)
        marks = sorted((*signal.annotations, *new), key=lambda mark: mark[:2]) if new else signal.annotations
        return replace(signal, annotations=tuple(marks))

    return replace(source, load=load)


def trigger_channels(channels: Sequence[Channel]) -> list[int]:
    """Return which channels hold codes, by what the file or their names say; one of Neuromag's stands for the rest."""
    found = [
        i for i, channel in enumerate(channels)
        if "stimulus" in (channel.kind, kind(channel.name)) and not _FLASHES.fullmatch(channel.name.strip())
    ]  # fmt: skip
    for pattern in _SUMS:
        if any(pattern.fullmatch(channels[i].name) for i in found):
            return [
                i for i in found if pattern.fullmatch(channels[i].name) or not _STI.fullmatch(channels[i].name)
            ]  # fmt: skip
    return found


def _events(source: RawRecording, picks: Sequence[int]) -> list[tuple[Mark, str, float]]:
    """The events of channels, each with its channel and the seconds within which it is the same as another."""
    found: list[tuple[str, list[int], Codes, float]] = []
    for pick in picks:
        name = source.channels[pick].name
        try:
            with as_recording_error(source.path, "cannot be read"):
                signal = source.load([pick])
                codes = _codes(signal, name)
        except (RecordingError, OSError) as error:
            why = str(error).removeprefix(f"{source.path}: ")
            source.notes.append(f"{NOTE} {name}: its events are left out: {why}")
            continue
        source.notes.extend(_said(name, codes))
        if codes is not None and len(codes.places):
            found.append((name, [moment(signal.stretches, int(place)) for place in codes.places], codes, signal.rate))
    return [
        ((place / rate, 0.0, str(code) if len(found) == 1 else f"{name} {code}"), name, _SAME / rate)
        for name, moments, codes, rate in found
        for place, code in zip(moments, codes.codes, strict=True)
    ]


def _said(name: str, codes: Codes | None) -> Iterator[str]:
    """Notes about what a channel holds."""
    if codes is None:
        yield f"{NOTE} {name} holds no codes (whole numbers that stay for some samples): no events of it"
        return
    if len(codes.places):
        every = np.unique(codes.codes).tolist()
        count = "1 event" if len(codes.places) == 1 else f"{len(codes.places):,} events"
        more = f" and {len(every) - _NAMED} others" if len(every) > _NAMED else ""
        yield f"{NOTE} {name}: {count}, codes {', '.join(map(str, every[:_NAMED]))}{more}"
    if codes.first:
        yield f"{NOTE} {name} begins at {codes.first}, which is taken for no event"
    if codes.lowered:
        yield f"{NOTE} {name}: {codes.lowered:,} changes to a lower code, without 0 between, are taken for no events"
    if codes.negative:
        yield f"{NOTE} {name}: its negative codes are taken without their sign"


def _codes(signal: Signal, name: str) -> Codes | None:
    """What a channel says; None where it is no trigger channel."""
    mask = STATUS_BITS if _STATUS.fullmatch(name.strip()) else -1  # all bits
    if signal.direct is None:
        runs = find_runs(_read(signal))
        runs = None if runs is None else _whole(runs)
    else:
        digital = signal.direct.digital
        parts = (digital(first, last)[0] for first, last in _pieces(signal.samples))
        if digital(0, 0).dtype == np.int32 and mask > 0:  # BDF's Status is bits, whatever scale its header gives
            parts, physical = (part & mask for part in parts), (1.0, 0.0)
        else:
            physical = float(signal.direct.gain[0]), float(signal.direct.offset[0])
        runs = find_runs(parts)
        runs = None if runs is None else _physical(runs, *physical)
    return None if runs is None else codes_of(Runs(runs.places, runs.values & mask))


def _pieces(samples: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + _AT_ONCE, samples)) for first in range(0, samples, _AT_ONCE))


def _read(signal: Signal) -> Iterator[np.ndarray]:
    """A channel's numbers in the unit of the file; what is missing is no code."""
    for first, last in _pieces(signal.samples):
        yield np.nan_to_num(signal.read(first, last)[0] / signal.volts[0], posinf=0.0, neginf=0.0)


def _whole(runs: Runs) -> Runs | None:
    """Whole numbers of runs, None where they are none."""
    rounded = np.rint(runs.values)
    if np.abs(runs.values - rounded).max(initial=0.0) > _WHOLE or np.abs(rounded).max(initial=0.0) > 2**53:
        return None
    return Runs(runs.places, rounded.astype(np.int64))


def _physical(runs: Runs, gain: float, offset: float) -> Runs:
    """The codes of an EDF channel: its physical values where these are whole numbers, else the file's own."""
    physical = runs.values * gain + offset
    rounded = np.rint(physical)
    step = abs(gain) / 2 * (1 + 1e-9)
    apart = len(np.unique(rounded)) == len(np.unique(runs.values))
    if apart and np.abs(physical - rounded).max(initial=0.0) <= step:
        return Runs(runs.places, rounded.astype(np.int64))
    return Runs(runs.places, runs.values.astype(np.int64))


def _not_annotated(found: Sequence[tuple[Mark, str, float]], own: Sequence[Mark]) -> list[Mark]:
    """The events that the file itself does not annotate: at the same time, by its channel or the code at the end."""
    own = sorted(own)
    onsets = [onset for onset, _, _ in own]

    def known(mark: Mark, channel: str, within: float) -> bool:
        near = own[bisect_left(onsets, mark[0] - within) : bisect_right(onsets, mark[0] + within)]
        code = mark[2].rpartition(" ")[2]
        return any(text == channel or re.fullmatch(rf"(.*\D)?0*{code}", text, re.DOTALL) for _, _, text in near)

    return [mark for mark, channel, within in found if not known(mark, channel, within)]
