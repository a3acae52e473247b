"""Samples that are no numbers, or no EEG's: where they are, and what is left without them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.stretches import Stretches, without
from neurolm.recording import checks
from neurolm.recording.recording import Recording

_AT_ONCE = 1 << 16  # samples of a recording that are looked through at a time
_NAMED = 4  # electrodes that a note names at most
_MISSING = "missing samples (NaN or infinite)", "NaN or infinite values"
_BEYOND = (
    f"samples that no electrode gives (more than {checks.EXTREME / 1000:g} mV from the channel's median)",
    "values that no electrode gives",
)
"""What notes and errors call what is left out."""


def find_stretches(recording: Recording, shortest: float) -> tuple[Stretches, list[str]]:
    """Read all of a recording that can hold NaN, or values that no electrode gives, and return what can be used of it.

    Parameters
    ----------
    recording
        What ``open_recording`` returns. EDF and BDF hold whole numbers, mostly of a range that makes reading needless.
    shortest
        Seconds of a stretch below which it is left out.

    Returns
    -------
    stretches, notes
        What holds numbers alone and nothing interrupts, and what has to be said about the rest.

    Raises
    ------
    RecordingError
        If nothing is left, naming electrodes and time; or if the file can no longer be read.
    """
    notes: list[str] = []
    stretches: Stretches = recording.stretches
    if _can_hold_others(recording):
        spans, found, beyond = _missing(recording)
        what, values = _BEYOND if beyond else _MISSING
        if spans:
            stretches = without(stretches, spans)
            notes.append(f"{what}, left out with all electrodes: {_where(recording, found)}")
    rate = recording.rate
    left = [stretch for stretch in stretches if stretch.samples >= shortest * rate]
    if not left:
        name = recording.path or "the MNE object"
        longest = max((stretch.samples for stretch in stretches), default=0) / rate
        if notes:
            others = _one_holds(recording, shortest * rate)
            raise RecordingError(
                f"{name}: {values} in {_where(recording, found)}; no {shortest:g} s without are left: "
                f"{checks.repair(others=others)}"
            )
        raise RecordingError(
            f"{name}: {longest:.3g} s long{' between interruptions' if len(stretches) > 1 else ''}; at least "
            f"{shortest:g} s of EEG is needed"
        )
    if short := len(stretches) - len(left):
        seconds = sum(s.samples for s in stretches) / rate - sum(s.samples for s in left) / rate
        notes.append(f"parts between interruptions shorter than {shortest:g} s, left out: {short:,} ({seconds:,.3g} s)")
    return tuple(left), notes


def _can_hold_others(recording: Recording) -> bool:
    """Whether a recording may hold what is no number, or too large for an electrode, by its format and ranges."""
    direct = recording._signal.direct
    if direct is None:
        return True
    steps = 2.0 ** (8 * direct.bytes - 1)
    largest = (np.abs(direct.gain) * steps + np.abs(direct.offset)) * recording._microvolts
    return not bool((largest <= recording.extreme).all())


def _missing(recording: Recording) -> tuple[list[tuple[int, int]], dict[int, tuple[int, int, int]], bool]:
    """Spans in which an electrode has no number, or one that it cannot have.

    Returns
    -------
    spans, found, beyond
        First sample and the one after the last; electrode → first, last and number of its missing samples; whether
        some of them are numbers.
    """
    spans: list[tuple[int, int]] = []
    found: dict[int, tuple[int, int, int]] = {}
    any_beyond = False
    for first, wrong, beyond in _wrong(recording):
        any_beyond |= beyond
        if not wrong.any():
            continue
        for electrode in np.flatnonzero(wrong.any(axis=1)).tolist():
            at = np.flatnonzero(wrong[electrode])
            begin, _, count = found.get(electrode, (first + int(at[0]), 0, 0))
            found[electrode] = (begin, first + int(at[-1]), count + len(at))
        edges = np.flatnonzero(np.diff(wrong.any(axis=0), prepend=False, append=False))
        for start, stop in (first + edges).reshape(-1, 2).tolist():
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((start, stop))
    return spans, found, any_beyond


def _wrong(recording: Recording) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Yield a piece's first sample, what is wrong in it (electrodes, samples), and whether some of that are numbers."""
    middle: np.ndarray | None = None
    for first, last in _pieces(recording.stretches):
        signal = recording.read_samples(first, last)
        wrong = ~checks.is_number(signal)
        beyond = (np.abs(signal) > recording.extreme) & ~wrong
        if beyond.any():
            middle = _middle(recording) if middle is None else middle
            beyond = (np.abs(signal - middle) > recording.extreme) & ~wrong
        yield first, wrong | beyond, bool(beyond.any())


def _one_holds(recording: Recording, samples: float) -> bool:
    """Whether an electrode has so many samples in a row, of which none is missing or impossible."""
    starts = {stretch.start for stretch in recording.stretches}
    run = np.zeros(len(recording.channels), np.int64)
    for first, wrong, _ in _wrong(recording):
        if first in starts:
            run[:] = 0
        for electrode, row in enumerate(wrong):
            edges = np.concatenate([[-1 - run[electrode]], np.flatnonzero(row), [len(row)]])
            if np.diff(edges).max() > samples:
                return True
            run[electrode] = edges[-1] - edges[-2] - 1
    return False


def _middle(recording: Recording) -> np.ndarray:
    """Each electrode's median over the blocks that are looked at: some amplifiers put EEG on a large offset."""
    signal = np.concatenate([recording.read_samples(*block) for block in recording.blocks()], axis=1)
    finite = [channel[np.isfinite(channel)] for channel in signal]
    return np.array([np.median(channel) if len(channel) else 0.0 for channel in finite])[:, None]


def _pieces(stretches: Stretches) -> Iterator[tuple[int, int]]:
    for stretch in stretches:
        for first in range(stretch.start, stretch.stop, _AT_ONCE):
            yield first, min(first + _AT_ONCE, stretch.stop)


def _where(recording: Recording, found: dict[int, tuple[int, int, int]]) -> str:
    """Electrodes and times, for a message."""
    rate, texts = recording.rate, []
    for electrode, (first, last, count) in sorted(found.items())[:_NAMED]:
        when = f"at {first / rate:.2f} s" if first == last else f"between {first / rate:.2f} and {last / rate:.2f} s"
        share = "" if count == last - first + 1 else f" ({count / rate:,.3g} s in all)"
        texts.append(f"{recording.channels[electrode]} {when}{share}")
    more = f" and {len(found) - _NAMED} other electrodes" if len(found) > _NAMED else ""
    return f"{', '.join(texts)}{more}"
