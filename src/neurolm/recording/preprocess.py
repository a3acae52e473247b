"""From a recording to what the model sees: 0.1–75 Hz, no mains hum, 200 Hz, µV (paper section 2.1).

``preprocess`` takes a whole recording, ``preprocess_blocks`` one of any length in bounded memory; the results are the
same. They are those of MNE's zero-phase FIR filters and MNE's resampling, which the official preparation uses, computed
in one pass (``spectral``). That resampling may move the signal by up to half a sample (2.5 ms), at 250 and 500 Hz for
example, because it pads with a number of samples that is not a whole number at the new rate (measured with MNE 1.13.2).
We keep that: a model sees what it was made with. Where ``filters`` are ``causal``, the results are those of ``causal``.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import TypeVar

import numpy as np

from neurolm.core.errors import RecordingError, argument
from neurolm.core.physics import BAND, RATE, Filters
from neurolm.core.stretches import Spans, Stretch, Stretches, joined, one_after_another, united, without
from neurolm.recording import causal, checks, spectral
from neurolm.recording.faults import as_recording_error
from neurolm.recording.filters import FULL_BAND_RATE, Design, design_for, notch_fits, output_grid
from neurolm.recording.missing import find_stretches
from neurolm.recording.readers import listening
from neurolm.recording.recording import Recording
from neurolm.recording.welch import welch

T = TypeVar("T")
MAINS = (50.0, 60.0)
"""Mains frequencies in Hz; the first is assumed where the signal does not tell."""
LOWEST_RATE = 100.0
"""Samples per second below which too little of the model's band would be left."""
SHORTEST = 1.0
"""Seconds of the shortest recording that can be used: one patch."""
LONGEST_BLOCK = 600.0
"""Seconds of a recording that are filtered at a time."""
SECONDS_FOR_MAINS = 10.0
"""Seconds of signal below which chance makes lines in its spectrum, and which settle it where filters are causal."""
SHORTEST_BLOCK = 60.0
"""Seconds in the shortest block: what the filter needs around it should not be much more than itself."""
_BLOCK_NUMBERS = 1 << 24  # of a recording that are filtered at a time
_KERNEL_SECONDS = 33.0  # length of MNE's FIR kernel for a 0.1 Hz edge (3.3 / 0.1)
_LINE_RATIO = 3.0  # power of a line over its neighbourhood that counts as hum
_WELCH_SECONDS = 4.0


@dataclass(frozen=True, kw_only=True)
class Preprocessed:
    """A recording as the model sees it."""

    signal: np.ndarray
    """float32 of shape (samples at 200 Hz, channels), µV: the stretches one after another."""
    stretches: Stretches
    """Where they lie in the recording's time, in samples at 200 Hz."""
    mains: float
    """Mains frequency in Hz, given, detected or assumed."""
    band: tuple[float, float]
    """Pass band in Hz; narrower than ``physics.BAND`` where the recording is slow."""
    notes: tuple[str, ...]
    """What was assumed or limited."""


@dataclass(frozen=True, kw_only=True)
class PreprocessedBlocks:
    """A recording as the model sees it, to be taken block by block; what is said of it is known beforehand."""

    stretches: Stretches
    """Where what is kept lies in the recording's time, in samples at 200 Hz; ``first`` counts over the blocks."""
    channels: int
    mains: float
    """Mains frequency in Hz, given, detected or assumed."""
    band: tuple[float, float]
    """Pass band in Hz; narrower than ``physics.BAND`` where the recording is slow."""
    notes: tuple[str, ...]
    """What was assumed or limited."""
    _made: Callable[[spectral.Wanted], Iterator[tuple[int, np.ndarray]]] = field(repr=False)

    @property
    def samples(self) -> int:
        """Length at 200 Hz of all that is kept."""
        return sum(stretch.samples for stretch in self.stretches)

    @property
    def blocks(self) -> Iterator[np.ndarray]:
        """float32 of shape (samples, channels), µV; one after the other they are the stretches. Made anew each time."""
        return (block for _, block in self._made(lambda first, last: True))

    def holding(self, spans: Spans) -> Iterator[tuple[int, np.ndarray]]:
        """Make only the blocks that hold some of the samples, which are counted over the stretches.

        Yields
        ------
        int, numpy.ndarray
            The place of a block's first sample, and the block: the same that it is among all.
        """
        parts = united(spans)

        def wanted(first: int, last: int) -> bool:
            at = bisect_right(parts, first, key=itemgetter(1))
            return at < len(parts) and parts[at][0] < last

        return self._made(wanted)


def preprocess(recording: Recording, *, mains: float | None = None, filters: Filters = "zero-phase") -> Preprocessed:
    """Filter and resample a whole recording: each of its uninterrupted stretches by itself.

    Parameters
    ----------
    recording
        What ``open_recording`` returns.
    mains, filters
        As for ``preprocess_blocks``.

    Raises
    ------
    RecordingError
        If the recording is sampled too slowly, or no second of it is left without gaps, missing samples and what is
        annotated as bad.
    """
    found = preprocess_blocks(recording, mains=mains, filters=filters)
    blocks = found.blocks
    signal = next(blocks)
    if len(signal) < found.samples:
        first, signal = signal, np.empty((found.samples, found.channels), np.float32)
        start = 0
        for block in itertools.chain([first], blocks):
            signal[start : start + len(block)] = block
            start += len(block)
    return Preprocessed(signal=signal, stretches=found.stretches, mains=found.mains, band=found.band, notes=found.notes)


def preprocess_blocks(
    recording: Recording,
    *,
    electrodes: Sequence[int] | None = None,
    mains: float | None = None,
    filters: Filters = "zero-phase",
    block_seconds: float | None = None,
) -> PreprocessedBlocks:
    """Filter and resample a recording of any length in bounded memory.

    Parameters
    ----------
    recording
        What ``open_recording`` returns. It is read while the blocks are taken.
    electrodes
        Places of the electrodes to filter; by default all. What is found about the recording is the same: its mains,
        what is missing, and where blocks begin.
    mains
        Mains frequency in Hz; by default found in the spectrum, where filters are causal in that of the first ten
        seconds.
    filters
        Whether a sample follows from earlier ones alone (``causal``), at the price of a delay.
    block_seconds
        Longest block; by default ten minutes, or less where there are many channels at a high rate. The result
        depends on it by the rounding of single precision only, and never on the machine.

    Raises
    ------
    RecordingError
        If the recording is sampled too slowly, or no second of it is left without gaps, missing samples and what is
        annotated as bad.
    ValueError
        If ``block_seconds`` is less than a minute.
    """
    if block_seconds is not None and not block_seconds >= SHORTEST_BLOCK:
        raise ValueError(f"block_seconds={block_seconds}: give at least {SHORTEST_BLOCK:g}, the filter needs 40")
    _require_rate(recording)
    stretches, left_out = find_stretches(recording, SHORTEST)
    band, hum = band_note(recording.rate), []
    if mains is None:
        mains, found = detect_mains(recording, within=SECONDS_FOR_MAINS if filters == "causal" else None)
        hum = [found]
    design = design_for(recording.rate, mains, filters)
    plan = _plan(recording, stretches, design)
    filtered = recording if electrodes is None else recording.only(electrodes)
    seconds = block_seconds or _block_seconds(recording)
    return PreprocessedBlocks(
        stretches=one_after_another((part.start, part.stop) for _, parts in plan for part in parts),
        channels=len(filtered.channels),
        mains=mains,
        band=design.band,
        notes=(*([band] if band else []), *_short_notes([s for s, _ in plan], design), *left_out, *hum),
        _made=lambda wanted: _reported(filtered, _blocks(filtered, design, seconds, plan, wanted)),
    )


def band_note(rate: float) -> str | None:
    """What is said of a recording whose rate, in Hz, leaves part of the band out."""
    if rate >= FULL_BAND_RATE:
        return None
    high = design_for(rate, MAINS[0]).band[1]
    return f"sampled at {rate:g} Hz: band limited to {high:g} Hz, the model was made for {BAND[1]:g}"


def _require_rate(recording: Recording) -> None:
    if recording.rate < LOWEST_RATE:
        raise RecordingError(
            f"{recording.path or 'the recording'}: {recording.rate:g} samples per second; the model needs frequencies "
            f"that take at least {LOWEST_RATE:g}: use a recording sampled faster"
        )


def _short_notes(stretches: Stretches, design: Design) -> list[str]:
    """What is said where there is less signal than the filter needs."""
    rate, needed = design.rate, causal.SETTLING if design.filters == "causal" else _KERNEL_SECONDS
    short = [stretch for stretch in stretches if stretch.samples / rate < needed]
    if not short:
        return []
    which = f"{short[0].samples / rate:.3g} s long: shorter than"
    if len(stretches) > 1:
        which = f"{len(short):,} of {len(stretches):,} uninterrupted parts last less than"
    if design.filters == "causal":
        return [f"{which} the {needed:g} s in which the {BAND[0]:g} Hz filter settles, so slow waves are not exact"]
    return [f"{which} the {needed:g} s of the {BAND[0]:g} Hz filter, so slow waves at the edges are not exact"]


_Plan = list[tuple[Stretch, tuple[Stretch, ...]]]
"""A stretch to be filtered, and the parts that are kept of it: in time at 200 Hz, ``first`` in the filtered signal."""


def _plan(recording: Recording, stretches: Stretches, design: Design) -> _Plan:
    """Decide what is filtered, and what is kept of it: signal that is annotated as bad is filtered along, as in MNE."""
    scale, plan, end = RATE / recording.rate, [], 0
    bad = [(math.floor(first * scale), math.ceil(last * scale)) for first, last in recording.bad]
    for stretch in stretches:
        start = max(end, round(stretch.start * scale))
        filtered = Stretch(start, output_grid(stretch.samples, design).samples, 0)
        end = filtered.stop
        kept = tuple(part for part in without([filtered], bad) if part.samples >= SHORTEST * RATE)
        if kept:
            plan.append((stretch, kept))
    if not plan:
        raise RecordingError(
            f"{recording.path or 'the recording'}: annotations that begin with BAD leave no {SHORTEST:g} s of it; "
            f"correct them, or choose {argument(bad_segments='keep')}"
        )
    return plan


def _block_seconds(recording: Recording) -> float:
    """Length of a block: fixed by the recording alone, so that results are the same everywhere."""
    fitting = _BLOCK_NUMBERS / (len(recording.channels) * recording.rate)
    return min(max(fitting, SHORTEST_BLOCK), LONGEST_BLOCK)


def _reported(recording: Recording, blocks: Iterator[T]) -> Iterator[T]:
    """What goes wrong while a block is made is an error of the recording; what is done with one between them is not."""
    while True:
        # MNE's warnings about its readers were heard when the recording was opened.
        with listening(), as_recording_error(recording.path, "its samples cannot be read or filtered"):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _blocks(
    recording: Recording, design: Design, seconds: float, plan: _Plan, wanted: spectral.Wanted
) -> Iterator[tuple[int, np.ndarray]]:
    """What is kept of each stretch, with its place in all that is kept."""
    end = 0
    for stretch, kept in plan:
        parts = _Parts([(part.first, part.first + part.samples) for part in kept], end)
        end += sum(part.samples for part in kept)
        for at, block in _filtered(recording, stretch, design, seconds, partial(parts.wanted, wanted)):
            for first, last, place in parts.between(at, at + len(block)):
                yield place, block[first - at : last - at]


@dataclass(frozen=True)
class _Parts:
    """What is kept of a filtered stretch."""

    spans: list[tuple[int, int]]
    """First sample, and the one after the last, in the filtered stretch."""
    before: int
    """Samples that are kept of the stretches before it."""

    def between(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """What is kept between two samples of the filtered stretch, and its place in all that is kept."""
        place = self.before
        for begin, end in self.spans:
            if max(first, begin) < min(last, end):
                yield max(first, begin), min(last, end), place + max(first - begin, 0)
            place += end - begin

    def wanted(self, wanted: spectral.Wanted, first: int, last: int) -> bool:
        """Whether some of what is kept between two samples is wanted, by its place in all that is kept."""
        return any(wanted(place, place + stop - start) for start, stop, place in self.between(first, last))


def _filtered(
    recording: Recording, stretch: Stretch, design: Design, seconds: float, wanted: spectral.Wanted
) -> Iterator[tuple[int, np.ndarray]]:
    if design.filters == "causal":
        yield from causal.filter_blocks(
            lambda first, last: recording.read_finite(stretch.start + first, stretch.start + last),
            stretch.samples, channels=len(recording.channels), design=design, wanted=wanted,
        )  # fmt: skip
        return
    direct = recording._signal.direct
    if not spectral.is_long(stretch.samples, design):
        if wanted(0, output_grid(stretch.samples, design).samples):
            yield 0, spectral.filter_short(recording.read_finite(stretch.start, stretch.stop), design=design)
        return
    if direct is None:
        begin, read, gain = stretch.start, recording.read_finite, np.ones(len(recording.channels))
    else:  # whole numbers, scaled after filtering: half the memory, and exact in single precision
        begin, read, gain = stretch.first, direct.digital, direct.gain * recording._microvolts
    yield from spectral.filter_blocks(
        lambda first, last: read(begin + first, begin + last),
        stretch.samples, gain=gain, design=design, block=round(seconds * RATE), wanted=wanted,
    )  # fmt: skip


def detect_mains(recording: Recording, *, within: float | None = None) -> tuple[float, str]:
    """Find the mains frequency from the spectrum of a part of a recording.

    Parameters
    ----------
    within
        Seconds of what was recorded to look at, from its beginning on; by default all of it.

    Returns
    -------
    mains, note
        50 or 60 Hz, and how it was found; 50 Hz where there is no line or it cannot be seen.
    """
    blocks = recording.blocks() if within is None else joined(recording.stretches, 0, round(within * recording.rate))
    parts = (recording.read_samples(*block) for block in blocks)
    return find_mains(parts, recording.rate, seconds=recording.seconds)


def find_mains(parts: Iterable[np.ndarray], rate: float, *, seconds: float) -> tuple[float, str]:
    """Find the mains frequency as ``detect_mains`` does.

    Parameters
    ----------
    parts
        Of shape (channels, samples), in µV; what is no number counts as 0.
    rate
        Samples per second.
    seconds
        Length of all that they are from.
    """
    if rate < 2 * (MAINS[0] + 1):
        return MAINS[0], f"mains taken as {MAINS[0]:g} Hz: {rate:g} samples per second do not reach it"
    if seconds < SECONDS_FOR_MAINS:
        return MAINS[0], f"mains taken as {MAINS[0]:g} Hz: {seconds:.3g} s are too short to see it"
    taken = [part.astype(np.float32) for part in parts]
    taken = [np.where(checks.is_number(part), part, np.float32(0)) for part in taken]
    segment = round(_WELCH_SECONDS * rate)
    spectra = [welch(part, rate, segment=segment) for part in taken]
    frequencies = max((found for found, _ in spectra), key=len)
    power = np.mean([power for found, power in spectra if len(found) == len(frequencies)], axis=0)
    ratios = [float(np.median(_line_ratio(frequencies, power, line))) for line in MAINS]
    best = int(np.argmax(ratios))
    if ratios[best] < _LINE_RATIO:
        return MAINS[0], f"mains taken as {MAINS[0]:g} Hz: no line at {MAINS[0]:g} or {MAINS[1]:g} Hz in the spectrum"
    done = "removed" if notch_fits(MAINS[best], rate) else "left to the low-pass filter"
    return MAINS[best], f"mains {MAINS[best]:g} Hz: hum of {ratios[best]:.0f} times the power around it, {done}"


def _line_ratio(frequencies: np.ndarray, power: np.ndarray, line: float) -> np.ndarray:
    """Power at a line over the median power around it, for each channel; 0 where the recording does not reach it."""
    distance = np.abs(frequencies - line)
    around = (distance > 1) & (distance < 5)
    if frequencies[-1] < line + 1:
        return np.zeros(len(power))
    return power[:, distance <= 0.5].max(axis=1) / np.maximum(np.median(power[:, around], axis=1), 1e-12)
