"""Spectra of a whole recording in one pass, and its most typical ten seconds

Power is Welch's (Hann windows of four seconds that overlap by half, each without its mean), as
``scipy.signal.welch(signal, 200, nperseg=800)`` has it; segments lie within the blocks in which a recording is
filtered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.physics import RATE
from neurolm.core.stretches import Spans, Stretches
from neurolm.core.stretches import moment as moment_of
from neurolm.recording.preprocess import preprocess_blocks
from neurolm.recording.recording import Recording

BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
"""Hz, upper end left out; those by which `ask.novelty` compares recordings."""
SEGMENT = 4 * RATE
"""Samples of a segment: lines of 0.25 Hz."""
STEPS = 400
"""Most columns of the spectrogram."""
LEAST_STEP = 4.0
"""Seconds of its narrowest column."""
WINDOW = 10 * RATE
"""Samples of the excerpt, and of the parts that it is chosen from."""
HIGHPASS = 0.5
"""Hz from which the excerpt is drawn: what is slower is drift to the eye."""
_CONTEXT = 10 * RATE  # samples around the excerpt that the high-pass sees


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Power of a recording's electrodes, filtered as the model sees it, against the reference it was recorded with."""

    electrodes: tuple[str, ...]
    frequencies: np.ndarray
    """Hz, (bins,)."""
    power: np.ndarray
    """µV²/Hz, (electrodes, bins): the mean over the recording."""
    segments: int
    """Whose mean they are."""
    step: float
    """Seconds of a column of the spectrogram."""
    spectrogram: np.ndarray
    """µV²/Hz, (columns, bins): the mean over electrodes; NaN where nothing was recorded."""
    band: tuple[float, float]
    """Hz that the filter lets through."""
    excerpt: np.ndarray
    """µV, (electrodes, samples) at 200 Hz: the most typical ten seconds, or all where there are fewer."""
    start: float
    """When they begin, in seconds."""

    def bands(self) -> dict[str, np.ndarray]:
        """Power of each band in µV², (electrodes,): the sum over its bins, as far as the filter lets it through."""
        width = self.frequencies[1] - self.frequencies[0]
        return {
            name: self.power[:, (self.frequencies >= low) & (self.frequencies < min(high, self.band[1]))].sum(axis=1)
            * width
            for name, (low, high) in BANDS.items()
        }


class _Sums:
    """What is added up while blocks go by."""

    def __init__(self, electrodes: int, seconds: float, segment: int) -> None:
        self.segment, self.step = segment, max(LEAST_STEP, seconds / STEPS)
        bins = segment // 2 + 1
        self.power, self.count = np.zeros((electrodes, bins)), 0
        columns = max(1, int(np.ceil(seconds / self.step)))
        self.columns, self.counts = np.zeros((columns, bins)), np.zeros(columns)
        self.levels: list[np.ndarray] = []
        self.places: list[tuple[int, int]] = []
        self.window = 0.5 - 0.5 * np.cos(2 * np.pi / segment * np.arange(segment))
        self.scale = 1 / (RATE * (self.window**2).sum())

    def add(self, block: np.ndarray, first: int, start: int) -> None:
        """Take in a block, (samples, electrodes), by its place among the samples and its moment in time."""
        self._levels(block, first)
        if len(block) < self.segment:
            return
        starts = np.arange(0, len(block) - self.segment + 1, self.segment - self.segment // 2)
        over = np.zeros((len(starts), self.power.shape[1]))
        for place, signal in enumerate(block.T):
            found = self._segments(np.ascontiguousarray(signal, dtype=np.float64))
            self.power[place] += found.sum(axis=0)
            over += found
        self.count += len(starts)
        middles = (start + starts + self.segment / 2) / RATE
        columns = np.minimum((middles / self.step).astype(int), len(self.columns) - 1)
        np.add.at(self.columns, columns, over / block.shape[1])
        np.add.at(self.counts, columns, 1)

    def _segments(self, signal: np.ndarray) -> np.ndarray:
        """Power of every segment of a signal, (segments, bins)."""
        hop = self.segment - self.segment // 2
        parts = np.lib.stride_tricks.sliding_window_view(signal, self.segment)[::hop]
        spectra = np.fft.rfft((parts - parts.mean(axis=1, keepdims=True)) * self.window)
        power = (spectra.real**2 + spectra.imag**2) * self.scale
        power[:, 1 : -1 if self.segment % 2 == 0 else None] *= 2
        return power

    def _levels(self, block: np.ndarray, first: int) -> None:
        """Note how strong each electrode is in each ten seconds."""
        length = min(WINDOW, len(block))
        for begin in range(0, len(block) - length + 1, length):
            part = block[begin : begin + length]
            self.levels.append(np.log(part.std(axis=0) + 1e-3).astype(np.float32))
            self.places.append((first + begin, first + begin + length))

    def typical(self) -> tuple[int, int]:
        """Where the ten seconds lie whose electrodes are nearest to their median strength."""
        longest = max(stop - start for start, stop in self.places)
        whole = [i for i, (start, stop) in enumerate(self.places) if stop - start == longest]
        levels = np.array([self.levels[i] for i in whole])
        return self.places[whole[int(np.abs(levels - np.median(levels, axis=0)).sum(axis=1).argmin())]]


def measure(recording: Recording, *, mains: float | None = None) -> Spectra:
    """Measure the spectra of a recording, in bounded memory; it is read once, and once more around its excerpt.

    Parameters
    ----------
    mains
        Mains frequency in Hz; by default found in the spectrum.

    Raises
    ------
    RecordingError
        If it can no longer be read, is sampled too slowly, or no second of it is left.
    """
    filtered = preprocess_blocks(recording, mains=mains)
    longest = max(stretch.samples for stretch in filtered.stretches)
    sums = _Sums(len(recording.channels), filtered.stretches[-1].stop / RATE, min(SEGMENT, longest // 2 * 2))
    for first, block in filtered.holding([(0, filtered.samples)]):
        sums.add(block, first, moment_of(filtered.stretches, first))
    if not sums.count:
        raise RecordingError(f"{recording.path or 'the recording'}: no second of it is whole; check the file")
    first, last = sums.typical()
    with np.errstate(invalid="ignore"):
        spectrogram = sums.columns / np.where(sums.counts, sums.counts, np.nan)[:, None]
    return Spectra(
        electrodes=recording.channels,
        frequencies=np.fft.rfftfreq(sums.segment, 1 / RATE),
        power=sums.power / sums.count,
        segments=sums.count,
        step=sums.step,
        spectrogram=spectrogram,
        band=filtered.band,
        excerpt=_excerpt(filtered.holding, filtered.stretches, first, last),
        start=moment_of(filtered.stretches, first) / RATE,
    )


def _excerpt(holding: Callable[[Spans], Iterator[tuple[int, np.ndarray]]], stretches: Stretches, first: int,
             last: int) -> np.ndarray:  # fmt: skip
    """The samples between two, without drift: (electrodes, samples)."""
    (stretch,) = [s for s in stretches if s.first <= first < s.first + s.samples]
    begin, end = max(stretch.first, first - _CONTEXT), min(stretch.first + stretch.samples, last + _CONTEXT)
    signal = np.concatenate(list(_cut(holding([(begin, end)]), begin, end))).astype(np.float64).T
    return without_drift(signal)[:, first - begin : last - begin]


def without_drift(signal: np.ndarray) -> np.ndarray:
    """Take what is slower than ``HIGHPASS`` from signals, (…, samples), by a Butterworth filter of order 2 both ways.

    Their ends are mirrored, so that none begins with a step.
    """
    signal = signal - signal.mean(axis=-1, keepdims=True)
    turned = signal[..., ::-1]
    whole = np.concatenate([2 * signal[..., :1] - turned, signal, 2 * signal[..., -1:] - turned], axis=-1)
    hertz = np.fft.rfftfreq(whole.shape[-1], 1 / RATE)
    with np.errstate(divide="ignore"):
        response = 1 / (1 + (HIGHPASS / hertz) ** 4)
    found = np.fft.irfft(np.fft.rfft(whole) * response, whole.shape[-1])
    return found[..., signal.shape[-1] : 2 * signal.shape[-1]]


def _cut(blocks: Iterator[tuple[int, np.ndarray]], begin: int, end: int) -> Iterator[np.ndarray]:
    for at, block in blocks:
        part = block[max(begin - at, 0) : max(end - at, 0)]
        if len(part):
            yield part
