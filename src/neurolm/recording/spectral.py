"""Band-pass, notch and resampling in one pass in the frequency domain, with MNE's results.

The result is that of ``mne.filter.filter_data``, ``notch_filter`` and ``resample(npad="auto")`` one after the other, in
a third of the transforms and, because a block needs only its own surroundings, in bounded memory. Why that is the same:

- Both filters are symmetric, and the band-pass takes constants and lines to zero. So the odd reflection at the edges
  that MNE makes anew before every step is the filtered odd reflection of the recording itself: one extension, one
  product of the two kernels' responses. It holds where a recording is longer than half of both (21 s); shorter ones
  take MNE's steps one by one (``filter_short``).
- MNE's resampling evaluates the recording's trigonometric interpolation at N / M samples from one another, where N is a
  power of two and M is rounded: at 250 and 500 Hz the spacing is not quite that of 200 Hz, and the result is off by up
  to half a sample. ``Grid`` has the places; a block interpolates on the nearest regular grid, and the drift from there
  to MNE's is a short Chebyshev series (Jacobi-Anger).
- MNE's transform joins the end of the padding to its beginning. The jump there rings through the recording at the new
  Nyquist frequency, falling with distance (0.1 µV and less). ``Jump`` adds what it adds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from neurolm.recording.filters import Design, Grid, convolve, kernels, output_grid

Read = Callable[[int, int], np.ndarray]
"""First and last sample (exclusive) → numbers of shape (channels, samples)."""

Wanted = Callable[[int, int], bool]
"""First sample and the one after the last → whether they are needed."""

_CHUNK = 4  # channels transformed at a time: pocketfft does so with single precision at once, and they fit the cache
_MARGIN = 1.0  # seconds beyond half a kernel, in which the interpolation of what lies outside a block fades
_FLOAT32_DEVIATION = 500.0  # µV beyond which single precision would cost 1e-4 µV
_THIN = 16  # every so many samples tell a channel's offset and size
_SERIES = 1e-4  # bound on the terms left out of the drift's series at the Nyquist frequency; EEG is far below that
_NEGLIGIBLE = 1e-6  # µV
_JUMP_SECONDS = 1.0  # around a jump that make its ringing


def is_long(samples: int, design: Design) -> bool:
    """Tell whether a recording is long enough for one pass: no reflection then reaches its other end."""
    return samples > _reach(design) + 10


def filter_blocks(
    read: Read, samples: int, *, gain: np.ndarray, design: Design, block: int, wanted: Wanted
) -> Iterator[tuple[int, np.ndarray]]:
    """Filter and resample a recording, block by block.

    Parameters
    ----------
    read
        Reads the recording.
    samples
        Its length; ``is_long`` must hold.
    gain
        Shape (channels,): what one of the numbers is worth in µV. Constants that are added to a channel don't matter.
    design
        What to do.
    block
        Largest number of samples of the result in a block; at least a minute's.
    wanted
        Asked for the first sample of a block and the one after its last: whether to make it. The others are the same.

    Yields
    ------
    int, numpy.ndarray
        The first sample of a block, and float32 of shape (samples, channels), µV; one block after the other.
    """
    grid = output_grid(samples, design)
    count = -(-grid.samples // block)
    edges = [i * grid.samples // count for i in range(count + 1)]
    parts = [part for part in itertools.pairwise(edges) if wanted(*part)]
    if not parts:
        return
    if count == 1:
        whole = read(0, samples)
        read = lambda first, last: whole[:, first:last]  # noqa: E731 - the recording is read once
    jump = None if design.rate == design.target else Jump.of(read, samples, grid, gain, design)
    for first, last in parts:
        one = _Block.of(first, last, grid, design)
        result = one.run(*_extended(read, samples, one.start, one.stop), gain)
        if jump is not None:
            jump.add(result, first)
        yield first, result


def filter_short(signal: np.ndarray, *, design: Design) -> np.ndarray:
    """Filter and resample a recording of any length by MNE's steps one by one, with its padding before each.

    Parameters
    ----------
    signal
        Shape (channels, samples), µV.

    Returns
    -------
    numpy.ndarray
        float32 of shape (samples, channels), µV.
    """
    from scipy import fft

    signal = signal.astype(np.float64)
    samples = signal.shape[1]
    for kernel in kernels(design).each:
        edge = min(len(kernel), samples) - 1
        size = fft.next_fast_len(samples + 2 * edge + len(kernel) - 1, real=True)
        spectrum = fft.rfft(_padded(signal, edge, edge), size)
        spectrum *= fft.rfft(kernel, size)
        signal = fft.irfft(spectrum, size)[:, edge + len(kernel) // 2 :][:, :samples]
    grid = output_grid(samples, design)
    if design.rate != design.target:
        spectrum = fft.rfft(_padded(signal, grid.before, grid.after))
        kept = min(grid.padded, grid.resampled)
        if kept % 2 == 0:
            spectrum[:, kept // 2] *= 2 if kept < grid.padded else 0.5
        signal = fft.irfft(spectrum, grid.resampled) * (grid.resampled / grid.padded)
        signal = signal[:, grid.cut :][:, : grid.samples]
    return np.ascontiguousarray(signal.T, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Block:
    """How some samples of the result come from a part of the recording."""

    start: int
    stop: int
    """The part of the recording that is transformed, beyond its edges where they are reflected."""
    size: int
    """Length of the transform."""
    resized: int
    """Length of the inverse transform."""
    index: int
    """Where in the inverse transform the first sample of the result is."""
    factors: tuple[np.ndarray, ...]
    """For each term of the drift's series, what the spectrum is multiplied with."""
    waves: tuple[np.ndarray, ...]
    """For each term, what the samples of the result are multiplied with."""

    @staticmethod
    def of(first: int, last: int, grid: Grid, design: Design) -> _Block:
        """Plan a block of the samples ``first`` to ``last``, not included, of the result."""
        from scipy import fft

        reach = _reach(design)
        start = math.floor(grid.position(first)) - reach
        stop = math.ceil(grid.position(last - 1)) + reach + 1
        step = Fraction(design.rate / design.target).limit_denominator(1000)
        repeats = fft.next_fast_len(-(-(stop - start) // step.numerator), real=True)
        size, resized = step.numerator * repeats, step.denominator * repeats
        centre = (first + last - 1) // 2
        place = grid.position(centre) - start
        index = round(place * resized / size)
        bins = np.arange(size // 2 + 1 if size <= resized else (resized + 1) // 2)
        response = _response(design, size)[: len(bins)] * (resized / size)
        if size < resized and size % 2 == 0:
            response[-1] /= 2  # the inverse transform has this frequency twice
        shift = place - index * size / resized
        if shift:
            response = response * np.exp(2j * np.pi * shift / size * bins)
        drift = (np.arange(first, last) - centre) * (grid.spacing - size / resized)
        most = float(np.abs(drift[[0, -1]]).max())
        series = _anger(2 * np.pi * most / size * bins)
        return _Block(
            start=start,
            stop=stop,
            size=size,
            resized=resized,
            index=index - (centre - first),
            factors=tuple(response * term for term in series),
            waves=_chebyshev(drift / (most or 1.0), len(series)),
        )

    def run(self, part: np.ndarray, left: int, right: int, gain: np.ndarray) -> np.ndarray:
        """Transform a part of the recording (channels, samples) with so many samples to reflect on either side."""
        result = np.empty((len(self.waves[0]), len(part)), np.float32)
        thin = part[:, ::_THIN].astype(np.float64) * gain[:, None]
        large = thin.std(axis=1) > _FLOAT32_DEVIATION
        work = np.zeros((_CHUNK, self.size), np.float32)
        for first in range(0, len(part), _CHUNK):
            rows = slice(first, first + _CHUNK)
            kind = np.float64 if large[rows].any() else np.float32
            work = work if work.dtype == kind else np.zeros((_CHUNK, self.size), kind)
            values = _reflected(part[rows], left, right, work)
            if kind is np.float64:  # else the step where the transform's ends meet would ring through the block
                _level(values[:, : left + part.shape[1] + right])
            # All rows are transformed, whatever is in them: pocketfft takes longer for three than for four.
            filtered = self._chunk(work)[: len(values)]
            for channel, row in enumerate(filtered, start=first):  # much faster than all at once
                np.multiply(row, kind(gain[channel]), out=result[:, channel], casting="same_kind")
        return result

    def _chunk(self, values: np.ndarray) -> np.ndarray:
        from scipy import fft

        spectrum = fft.rfft(values)[:, : len(self.factors[0])]
        kept = slice(self.index, self.index + len(self.waves[0]))
        total = fft.irfft(spectrum * self.factors[0].astype(spectrum.dtype), self.resized)[:, kept]
        for factor, wave in zip(self.factors[1:], self.waves[1:], strict=True):
            term = fft.irfft(spectrum * factor.astype(spectrum.dtype), self.resized)[:, kept]
            term *= wave.astype(term.dtype)
            total += term
        return total


@dataclass(frozen=True, eq=False)
class Jump:
    """Ringing of the jump where MNE's transform joins the end of the padded recording to its beginning."""

    grid: Grid
    moments: np.ndarray
    """Shape (6, channels), µV: sums around the jump, times cosine and sine at the cut-off, times powers of distance."""

    @staticmethod
    def of(read: Read, samples: int, grid: Grid, gain: np.ndarray, design: Design) -> Jump:
        """Measure the jump: the filtered recording where the padding's ends are reflected from."""
        width = min(round(_JUMP_SECONDS * design.rate), grid.before, grid.after)
        half = kernels(design).half
        moments = np.zeros((6, len(gain)))
        # Padding begins with the negative of the sample `before` and ends with that of the sample `last`.
        last = samples - 1 - grid.after
        parts = ((grid.before - half - width + 1, grid.before + half + 1), (last - half, last + half + width))
        for (start, stop), functional in zip(parts, _jump_functionals(design, width), strict=True):
            part, left, right = _extended(read, samples, start, stop)
            values = _reflected(part, left, right, np.zeros((len(part), stop - start), np.float32))
            moments -= functional @ values.T
        return Jump(grid, moments * gain)

    def add(self, result: np.ndarray, first: int) -> None:
        """Add the ringing to samples (samples, channels) of the result that begin with the sample ``first``."""
        grid = self.grid
        numbers = np.arange(first, first + len(result)) + grid.cut
        nearest = np.minimum(numbers, grid.resampled - numbers)
        sine = np.sin((np.pi / grid.resampled * nearest).astype(np.float32))
        if np.abs(self.moments[:2]).max() / (grid.padded * sine.min()) < _NEGLIGIBLE:
            return
        theta = np.pi / grid.resampled * numbers  # angle from the jump in the circle of MNE's transform
        cosine = np.cos(theta.astype(np.float32))
        peak = 1 / (grid.padded * sine)
        slope = -np.pi * peak * cosine * peak
        curve = np.pi**2 * peak**3  # enough: it matters only close to the jump
        if grid.padded < grid.resampled:
            angle = (theta * grid.padded) % (2 * np.pi)
            slope, peak = -np.pi * peak**2, peak * cosine
        else:  # an even number of frequencies has the last one twice
            angle = np.pi * (numbers % 2) + (theta if grid.resampled % 2 == 0 else 0.0)
        up, across = np.sin(angle.astype(np.float32)), -np.cos(angle.astype(np.float32))
        basis = np.stack([up * peak, across * peak, -up * slope, -across * slope, up * curve, across * curve])
        result += basis.T @ self.moments.astype(np.float32)


def _reach(design: Design) -> int:
    """Samples of the recording on either side that bear on a sample of the result."""
    return kernels(design).half + math.ceil(_MARGIN * design.rate)


@lru_cache(maxsize=8)
def _response(design: Design, size: int) -> np.ndarray:
    """Response of both filters at the frequencies of a transform; real, because the kernels are symmetric."""
    from scipy import fft

    total = kernels(design)
    padded = np.zeros(size)
    padded[: total.half + 1] = total.total[total.half :]
    padded[-total.half :] = total.total[: total.half]
    response: np.ndarray = np.ascontiguousarray(fft.rfft(padded).real)
    return response


@lru_cache(maxsize=8)
def _jump_functionals(design: Design, width: int) -> tuple[np.ndarray, np.ndarray]:
    """What the recording after and before the jump is multiplied with to give its moments.

    Each of shape (6, samples). A taper keeps what lies close to the jump. Moments of the filtered recording are taken
    from the recording itself, by filtering what they are multiplied with.
    """
    total = kernels(design).total
    cutoff = np.pi * min(1.0, design.target / design.rate)
    found = []
    for distance in (np.arange(width), -np.arange(1, width + 1)):
        taper = np.cos(np.pi / 2 * distance / (width + 1)) ** 2
        waves = (taper * np.cos(cutoff * distance), taper * np.sin(cutoff * distance))
        six = np.stack([wave * distance**power for power in (0, 1, 2) for wave in waves])
        filtered = convolve(six, total)
        # Places run against distance: the padding is a reflection.
        ordered = filtered[:, ::-1] if distance[-1] > 0 else filtered
        found.append(np.ascontiguousarray(ordered, dtype=np.float32))
    return found[0], found[1]


def _anger(angles: np.ndarray) -> list[np.ndarray]:
    """Terms of exp(i a x) in Chebyshev polynomials of x (Jacobi-Anger), for angles that are all below 1."""
    most = float(angles[-1])
    if most < _NEGLIGIBLE:
        return [np.ones(1)]
    half = angles / 2
    falling = -(half**2)
    power = np.ones(1)
    terms: list[np.ndarray] = []
    while not terms or 2 * (most / 2) ** len(terms) / math.factorial(len(terms)) > _SERIES:
        order = len(terms)
        bessel = 1 + falling / (order + 1) * (1 + falling / (2 * order + 4) * (1 + falling / (3 * order + 9)))
        terms.append((1 if order == 0 else 2) * 1j**order * (power * bessel))
        power = power * half / (order + 1)
    return terms


def _chebyshev(points: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """Chebyshev polynomials of the first kind, by their recurrence."""
    found = [np.ones(len(points)), points]
    while len(found) < count:
        found.append(2 * points * found[-1] - found[-2])
    return tuple(found[:count])


def _extended(read: Read, samples: int, start: int, stop: int) -> tuple[np.ndarray, int, int]:
    """Read a part that may reach beyond the recording; returns how much of it there is to reflect on either side."""
    first, last = max(start, 0), min(stop, samples)
    return read(first, last), first - start, stop - last


def _reflected(values: np.ndarray, left: int, right: int, work: np.ndarray) -> np.ndarray:
    """Extend (channels, samples) by odd reflection as far as it goes, in an array whose zeros follow it.

    Most of each channel's offset, which single precision could not hold, is left out. Returns the rows that were used.
    """
    count = values.shape[1]
    out = work[: len(values)]
    inner = out[:, left : left + count]
    np.subtract(values, _offset(values).astype(work.dtype), out=inner, casting="same_kind")
    near = min(left, count - 1)
    np.subtract(2 * inner[:, :1], inner[:, near:0:-1], out=out[:, left - near : left])
    near, end = min(right, count - 1), left + count
    np.subtract(2 * inner[:, -1:], inner[:, count - 1 - near : count - 1][:, ::-1], out=out[:, end : end + near])
    return out


def _padded(values: np.ndarray, left: int, right: int) -> np.ndarray:
    """Extend (channels, samples) as MNE does (``pad="reflect_limited"``), offsets and all."""
    count = values.shape[1]
    out = _reflected(values, left, right, np.zeros((len(values), left + count + right)))
    near, end = left - min(left, count - 1), left + count + min(right, count - 1)
    out[:, near:end] += _offset(values)
    return out


def _level(values: np.ndarray) -> None:
    """Take the line through its ends from each channel: the band-pass would make nothing of it."""
    first, last = values[:, :1].copy(), values[:, -1:].copy()
    values -= first + (last - first) * np.linspace(0, 1, values.shape[1])


def _offset(values: np.ndarray) -> np.ndarray:
    """About the mean of each channel: whole, so that taking it from whole numbers rounds nothing."""
    return np.rint(values[:, ::_THIN].mean(axis=1, keepdims=True))
