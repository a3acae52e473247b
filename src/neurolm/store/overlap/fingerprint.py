"""What a signal is recognised by in any copy: codes of the times at which its waves cross zero.

A hash of the bytes is no use for finding a recording again: another format rounds its numbers otherwise, another cut
moves every sample. Here every trace is smoothed to its waves around 4.5 Hz, and each run of ``INTERVALS`` intervals
between zero crossings, about a second, becomes a 60-bit code. Intervals do not depend on the file's format, name,
header, unit, gain, polarity or order of channels, nor on where a recording was cut, and slow drifts and mains hum do
not reach the smoothed trace; so any part of a recording is found in any longer or shorter copy. The idea is that of
audio fingerprints by landmarks (Wang 2003, ISMIR), on intervals instead of spectral peaks.

Another reference changes every channel, but not the difference of two electrodes: differences of neighbours
(``NEIGHBOURS``) are traces too, so a re-referenced or bipolar copy is found where the electrodes have their names.
What is not found: copies re-referenced under other electrode names, played at another speed, or filtered so that
nothing is left around 4.5 Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from neurolm.core.physics import RATE

STEP = 4
"""Samples of the store per sample of the smoothed trace, which has nothing left above 25 Hz."""
WIDTH = 10.0
"""Standard deviation in samples of the Gaussian whose second derivative smooths."""
HALF = 40
"""Samples that the smoothing reaches to each side."""
INTERVALS = 12
"""Intervals in a code: with fewer, different recordings share codes (on EEGMAT's 72 files, 12 gave 33 shared ones
among 2.1 million, 10 gave 1,047)."""
BIN = 3.0
"""Samples of the store per unit of a coded interval, 15 ms. Copies cut at another sample, moved by half a sample and
rounded again keep two thirds of their codes."""
LONGEST = 31
"""Largest interval in units: five bits."""
SELECTED = 32
"""One code of so many is kept, chosen by its value, so that copies keep the same ones."""
NEIGHBOURS = tuple(
    pair for chain in (("FP1", "F3", "C3", "P3", "O1"), ("FP2", "F4", "C4", "P4", "O2")) for pair in pairwise(chain)
)
"""Pairs of electrodes whose difference is a trace of its own: two chains of the usual bipolar montage."""
FREQUENT = 64
"""A code with more places than this says nothing (a test signal, a stuck amplifier)."""
SAME_SHIFT = 1
"""Samples by which the shifts of two codes of one copy may differ."""
LEAST_CODES = 2
"""Codes with the same shift that make a candidate; whether it is a copy is decided by comparing the signals."""
PLACES = 5
"""Places of a candidate at which the signals can be compared."""
SAME_SIGNAL = 0.9
"""Least absolute correlation of two copies, smoothed to the waves that the codes describe: copies stored in another
format, unit or cut reached 0.99, and other recordings none (docs/benchmarks/overlap.md)."""
_WINDOW = 2 * RATE // STEP
_REPEATS = (RATE // STEP, 2 * RATE // STEP)
_BLOCK = 32


@dataclass(frozen=True)
class Codes:
    """Codes and where they are."""

    values: np.ndarray
    """uint64 (codes,)."""
    recordings: np.ndarray
    """int32 (codes,): number of the recording."""
    traces: np.ndarray
    """uint16 (codes,): index in the recording's ``trace_names``."""
    starts: np.ndarray
    """int32 (codes,): where the code begins, in samples from the start of the recording."""

    def __len__(self) -> int:
        return len(self.values)

    def take(self, which: np.ndarray) -> Codes:
        """Return some of them, by index or mask."""
        return Codes(self.values[which], self.recordings[which], self.traces[which], self.starts[which])


def join(parts: Sequence[Codes]) -> Codes:
    """Return the codes of several stretches as one."""
    if not parts:
        return Codes(np.empty(0, np.uint64), np.empty(0, np.int32), np.empty(0, np.uint16), np.empty(0, np.int32))
    fields = zip(*((p.values, p.recordings, p.traces, p.starts) for p in parts), strict=True)
    return Codes(*(np.concatenate(field) for field in fields))


def trace_names(channels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a recording's traces: its channels, then the differences of neighbours among them."""
    return (*channels, *(f"{a}-{b}" for a, b in _pairs(channels)))


def _pairs(channels: Sequence[str]) -> list[tuple[str, str]]:
    return [(a, b) for a, b in NEIGHBOURS if a in channels and b in channels]


def traces(microvolts: np.ndarray, channels: Sequence[str], wanted: Sequence[int] | None = None) -> np.ndarray:
    """Return traces of a stretch of signal.

    Parameters
    ----------
    microvolts
        float32 (samples, channels).
    channels
        Their names.
    wanted
        Indices in ``trace_names``; None: all.

    Returns
    -------
    numpy.ndarray
        float32 (samples, traces).
    """
    pairs = [(channels.index(a), channels.index(b)) for a, b in _pairs(channels)]
    own = len(channels)
    chosen = range(own + len(pairs)) if wanted is None else wanted
    out = np.empty((len(microvolts), len(chosen)), np.float32)
    for column, index in enumerate(chosen):
        if index < own:
            out[:, column] = microvolts[:, index]
        else:
            plus, minus = pairs[index - own]
            np.subtract(microvolts[:, plus], microvolts[:, minus], out=out[:, column])
    return out


def smooth(signal: np.ndarray) -> np.ndarray:
    """Smooth traces to their waves around 4.5 Hz.

    Parameters
    ----------
    signal
        float32 (samples, traces) at the store's rate.

    Returns
    -------
    numpy.ndarray
        float32 (traces, outputs), every ``STEP`` samples from sample ``HALF`` on; none depends on what lies outside of
        the stretch.
    """
    samples, count = signal.shape
    outputs = max(0, (samples - 2 * HALF - 1) // STEP + 1)
    blocks = -(-outputs // _BLOCK)
    advance = _BLOCK * STEP
    padded = np.zeros((blocks * advance + 2 * HALF, count), np.float32)
    padded[: min(samples, len(padded))] = signal[: len(padded)]
    row, column = padded.strides
    seen = np.lib.stride_tricks.as_strided(
        padded, (blocks, _SMOOTHING.shape[1], count), (advance * row, row, column), writeable=False
    )
    smoothed = np.matmul(_SMOOTHING, seen).reshape(blocks * _BLOCK, count)[:outputs]
    return np.ascontiguousarray(smoothed.T)


def _smoothing() -> np.ndarray:
    """Matrix (outputs, inputs) of a block: the same kernel in every row, ``STEP`` further each."""
    time = np.arange(-HALF, HALF + 1) / WIDTH
    kernel = (1 - time**2) * np.exp(-(time**2) / 2)
    kernel -= kernel.mean()  # cut at its ends, the kernel would let a constant through
    matrix = np.zeros((_BLOCK, (_BLOCK - 1) * STEP + len(kernel)), np.float32)
    for output in range(_BLOCK):
        matrix[output, output * STEP : output * STEP + len(kernel)] = kernel
    return matrix


_SMOOTHING = _smoothing()


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlate two stretches that may be the same, smoothed; 0 where that decides nothing.

    Calibration and test signals are alike in all recordings, and large. So the correlation is the median of windows'
    of two seconds, of those that are not like the signal a second or two before or after; if they are the smaller part,
    nothing is decided.

    Parameters
    ----------
    one, other
        float32 (samples, 1), some seconds.
    """
    smoothed = [smooth(stretch)[0] for stretch in (one, other)]
    length = min(_WINDOW, len(smoothed[0]))
    if length == 0:
        return 0.0
    mine, its = (_standardised(np.lib.stride_tricks.sliding_window_view(trace, length)) for trace in smoothed)
    alike = np.abs(mine @ mine.T) >= SAME_SIGNAL
    apart = np.abs(np.subtract.outer(*[np.arange(len(mine))] * 2))
    repeated = (alike & (apart >= _REPEATS[0]) & (apart <= _REPEATS[1])).any(axis=1)
    if repeated.mean() > 0.5:
        return 0.0
    return float(np.median((mine * its).sum(axis=1)[~repeated]))


def _standardised(windows: np.ndarray) -> np.ndarray:
    """Windows without their mean, of length one."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0)


def encode_waves(
    signal: np.ndarray, *, recording: int = 0, start: int = 0, selected: int = SELECTED, wanted: Sequence[int] = ()
) -> Codes:
    """Return the codes of a stretch of traces.

    Parameters
    ----------
    signal
        float32 (samples, traces) at the store's rate.
    recording, start
        What the codes say about where they are: number of the recording, and first sample of the stretch in it.
    selected
        Keep one code of so many.
    wanted
        Which traces these are; by default all.
    """
    smoothed = smooth(signal)
    if smoothed.shape[1] < 4:
        return join([])
    above = smoothed > 0
    trace, index = np.nonzero(above[:, 2:-1] != above[:, 1:-2])
    times = (index + 1 + _crossing(*(smoothed[trace, index + place] for place in range(4)))) * STEP
    units = np.minimum(np.abs(np.diff(times)) / BIN, LONGEST).astype(np.uint64)
    count = max(0, len(times) - INTERVALS)
    values = np.zeros(count, np.uint64)
    for place in range(INTERVALS):
        values |= units[place : place + count] << np.uint64(5 * place)
    kept = np.flatnonzero((trace[:count] == trace[INTERVALS:]) & (_mixed(values) % np.uint64(selected) == 0))
    own = np.asarray(wanted, np.uint16)[trace[kept]] if len(wanted) else trace[kept].astype(np.uint16)
    where = np.full(len(kept), recording, np.int32)
    return Codes(values[kept], where, own, np.rint(times[kept] + (HALF + start)).astype(np.int32))


def _crossing(first: np.ndarray, second: np.ndarray, third: np.ndarray, fourth: np.ndarray) -> np.ndarray:
    """Where the cubic through four equidistant values crosses zero between the second (0) and the third (1).

    A straight line would be off by an amount that depends on where the samples fall: copies cut at another sample would
    keep a quarter of their codes instead of two thirds.
    """
    linear = (-2 * first - 3 * second + 6 * third - fourth) / 6
    square = (first - 2 * second + third) / 2
    cube = (fourth - first + 3 * (second - third)) / 6
    at = second / (second - third)
    for _ in range(2):  # Newton's method
        slope = linear + at * (2 * square + 3 * at * cube)
        value = second + at * (linear + at * (square + at * cube))
        at = np.clip(at - np.divide(value, slope, out=np.zeros_like(value), where=slope != 0), 0, 1)
    return at.astype(np.float64)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Mix the bits of codes (SplitMix64's finaliser), so that any share of them can be chosen evenly."""
    mixed = values.copy()
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


@dataclass(frozen=True)
class Place:
    """Where two stretches share a code."""

    trace: int
    """Which trace of the probe."""
    other_trace: int
    """Which trace of the index."""
    start: int
    """Sample of the probe's recording where the code begins."""


@dataclass(frozen=True)
class Candidate:
    """Two stretches that share codes at one shift."""

    recording: int
    """Which recording of the probe."""
    other: int
    """Which recording of the index."""
    shift: int
    """Samples from the start of ``recording`` to that of ``other``: a sample of the first is this much later there."""
    codes: int
    """How many they share."""
    first: int
    """Sample of the first shared code, in ``other``."""
    last: int
    """Sample of the last shared code, in ``other``."""
    places: tuple[Place, ...]
    """Some of those that they share, spread over all."""


class CodeIndex:
    """Codes of many recordings, in which those of another are looked up.

    Parameters
    ----------
    codes
        Of all recordings.
    """

    def __init__(self, codes: Codes) -> None:
        self.codes = codes.take(np.argsort(codes.values, kind="stable"))

    def find(self, probe: Codes) -> list[Candidate]:
        """Return the recordings of the index that may be copies of recordings of the probe, by recording and shift."""
        left = np.searchsorted(self.codes.values, probe.values, "left")
        counts = np.searchsorted(self.codes.values, probe.values, "right") - left
        counts[counts > FREQUENT] = 0
        asked = np.repeat(np.arange(len(probe)), counts)
        place = np.repeat(left - (np.cumsum(counts) - counts), counts) + np.arange(len(asked))
        one, other = probe.take(asked), self.codes.take(place)
        shifts = other.starts - one.starts
        order = np.lexsort((shifts, other.recordings, one.recordings))
        one, other, shifts = one.take(order), other.take(order), shifts[order]
        new = np.ones(len(order), bool)
        new[1:] = (np.diff(one.recordings) != 0) | (np.diff(other.recordings) != 0) | (np.diff(shifts) > SAME_SHIFT)
        bounds = np.append(np.flatnonzero(new), len(order))
        return [
            _candidate(one.take(group), other.take(group), shifts[group])
            for begin, end in pairwise(bounds.tolist())
            for group in [np.arange(begin, end)]
            if end - begin >= LEAST_CODES
        ]


def _candidate(one: Codes, other: Codes, shifts: np.ndarray) -> Candidate:
    spread = np.unique(np.linspace(0, len(one) - 1, PLACES).round().astype(int))
    order = np.argsort(one.starts, kind="stable")[spread].tolist()
    return Candidate(
        recording=int(one.recordings[0]),
        other=int(other.recordings[0]),
        shift=round(float(np.median(shifts))),
        codes=len({*zip(one.values.tolist(), one.starts.tolist(), strict=True)}),
        first=int(other.starts.min()),
        last=int(other.starts.max()),
        places=tuple(Place(int(one.traces[i]), int(other.traces[i]), int(one.starts[i])) for i in order),
    )
