"""Filters for EEG that is still coming in: 0.1–75 Hz, no mains hum, 200 Hz, from past samples alone

>>> causal = CausalFilter(channels=32, rate=500.0, mains=50.0)
>>> filtered = causal.push(chunk)       # float32 (channels, samples at 200 Hz), µV: as many as the chunk makes due

A Butterworth high-pass and a notch run at the recording's rate. The low-pass, which resampling needs too, is analogue:
its response to the samples is known at every moment between them, so that any rate becomes 200 Hz with one filter and
no more delay than that filter has. An analogue low-pass is a sum of exponentials in time; each is a recursion over the
samples, and what it has become at the moment of a sample at 200 Hz is one multiplication.

The offline filters (``spectral``) are symmetric: they look as far ahead as back, and delay nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from neurolm.core.physics import RATE
from neurolm.recording.filters import Design, design_for, output_grid

SETTLING = 12.0
"""Seconds after which less than 2 % are left of a jump in the signal."""
DELAY_AT = 10.0
"""Hz at which the delay is stated."""
_HIGH_PASS_ORDER = 2
_HALF_POWER = 0.8  # of the band's lower edge: 84 % of the edge itself passes; the symmetric filter lets half by at 0.5
_LOW_PASS_ORDER = 8  # 35 dB at 125 Hz, which 200 samples per second show as 75 Hz
_NOTCH_WIDTH = 2.0  # Hz between the points of -3 dB
_AT_ONCE = 1 << 18  # numbers that are filtered at a time
_READ_AT_ONCE = 1 << 22  # of a recording; and seconds of it
_READ_SECONDS = 300.0


class CausalFilter:
    """Filters a signal as it comes in, in pieces of any lengths; how it is cut into them changes no result.

    Sample ``k`` of the result is due at ``k / 200`` seconds after the first sample that was pushed, needs nothing that
    is later, and stands for ``delay`` seconds earlier. What is before the first sample is taken to be like it, so that
    an electrode's offset, however large, does not ring.

    Parameters
    ----------
    channels
        Number of channels.
    rate
        Samples per second of what is pushed.
    mains
        Mains frequency in Hz, which is taken out where the rate reaches it; None: nothing is.
    """

    delay: float
    """Seconds by which a rhythm of 10 Hz lags in the result; ``group_delay`` has those of others."""

    def __init__(self, channels: int, rate: float, *, mains: float | None) -> None:
        self.channels, self.rate = channels, rate
        self.design = design_for(rate, mains, "causal")
        self._parts = _Parts.of(self.design)
        self.delay = float(group_delay(self.design, np.array([DELAY_AT]))[0])
        self.reset()

    def reset(self) -> None:
        """Forget all that was pushed: the next sample is the first again, as after a gap."""
        self._offset: np.ndarray | None = None
        self._pushed = self._made = 0
        self._before = np.zeros((len(self._parts.modes), self.channels, 1))
        self._digital = np.zeros((len(self._parts.digital), self.channels, 2))
        self._modes = np.zeros((len(self._parts.modes), 1, self.channels, 2))

    def due(self, samples: int) -> int:
        """How many samples at 200 Hz are due once so many were pushed: those before the one that comes next."""
        near = math.ceil(samples * RATE / self.rate)  # but for rounding
        return next(count for count in (near + 1, near, near - 1) if (count - 1) * self.rate / RATE < samples)

    def push(self, signal: np.ndarray) -> np.ndarray:
        """Filter what has come in.

        Parameters
        ----------
        signal
            Shape (channels, samples), µV, none of it NaN or infinite; any number of samples.

        Returns
        -------
        numpy.ndarray
            float32 of shape (channels, samples at 200 Hz), µV: what is due by now, which may be nothing.

        Raises
        ------
        ValueError
            If the signal has another number of channels.
        """
        if signal.ndim != 2 or len(signal) != self.channels:
            raise ValueError(f"a signal of shape {signal.shape}: (channels, samples) with {self.channels} channels")
        size = max(_AT_ONCE // max(self.channels, 1), 1)
        made = [self._push(signal[:, first : first + size]) for first in range(0, signal.shape[1], size)]
        return made[0] if len(made) == 1 else np.concatenate([np.empty((self.channels, 0), np.float32), *made], axis=1)

    def _push(self, signal: np.ndarray) -> np.ndarray:
        from scipy.signal import sosfilt

        if self._offset is None:
            self._offset = signal[:, :1].astype(np.float64)
        values, self._digital = sosfilt(self._parts.digital, signal - self._offset, zi=self._digital)
        last = self._pushed + values.shape[1]
        moments = np.arange(self._made, self.due(last)) * self.rate / RATE  # in samples
        places = np.floor(moments).astype(np.int64)
        now, past = self._parts.weights(moments - places)
        places -= self._pushed
        made = np.zeros((self.channels, len(places)))
        for mode, section in enumerate(self._parts.modes):
            wave, self._modes[mode] = sosfilt(section[None], values, zi=self._modes[mode])
            wave = np.concatenate([self._before[mode], wave], axis=1)
            made += now[mode] * wave[:, places + 1] + past[mode] * wave[:, places]
            self._before[mode] = wave[:, -1:]
        self._pushed, self._made = last, self._made + len(places)
        return made.astype(np.float32)


def filter_blocks(
    read: Callable[[int, int], np.ndarray],
    samples: int,
    *,
    channels: int,
    design: Design,
    wanted: Callable[[int, int], bool],
) -> Iterator[tuple[int, np.ndarray]]:
    """Filter what was recorded without interruption as it would have been while it came in, block by block.

    What comes before a block is filtered, too, whether or not it is wanted: the filter has to know it.

    Parameters
    ----------
    read
        First sample and the one after the last → float64 (channels, samples), µV.
    samples
        How many there are.
    wanted
        Asked for the first sample of a block and the one after its last: whether it is needed.

    Yields
    ------
    int, numpy.ndarray
        The first sample of a block, and float32 of shape (samples, channels), µV.
    """
    causal = CausalFilter(channels, design.rate, mains=design.notch)
    length = output_grid(samples, design).samples  # of the symmetric filter's result, so that stores are as long
    size = math.ceil(max(min(_READ_AT_ONCE / channels, _READ_SECONDS * design.rate), design.rate))
    edges = [*range(0, samples, size), samples]
    due = [min(causal.due(edge), length) for edge in edges]
    last = max((i for i in range(1, len(edges)) if due[i - 1] < due[i] and wanted(due[i - 1], due[i])), default=0)
    for i in range(1, last + 1):
        made = causal.push(read(edges[i - 1], edges[i]))
        if due[i - 1] < due[i] and wanted(due[i - 1], due[i]):
            yield due[i - 1], np.ascontiguousarray(made[:, : due[i] - due[i - 1]].T)


def response(design: Design, frequencies: np.ndarray) -> np.ndarray:
    """What a design's causal filters make of sines: complex gain at each frequency in Hz, below half of either rate."""
    parts = _Parts.of(design)
    unit = np.exp(-2j * np.pi * np.asarray(frequencies) / design.rate)
    delays = np.stack([unit**0, unit, unit**2])
    digital = np.prod([(section[:3] @ delays) / (section[3:] @ delays) for section in parts.digital], axis=0)
    # Images of a sine, at multiples of the rate from it, that 200 samples per second show at the same frequency.
    shifts = [n * design.rate for n in range(-8, 9) if n * design.rate % design.target == 0]
    return np.asarray(digital * sum(parts.low_pass(np.asarray(frequencies) + shift) for shift in shifts))


def group_delay(design: Design, frequencies: np.ndarray) -> np.ndarray:
    """Seconds by which a design's causal filters delay the envelope of a rhythm at each frequency in Hz."""
    step = 1e-4
    turn = response(design, frequencies + step) / response(design, frequencies - step)
    return np.asarray(-np.angle(turn) / (2 * np.pi * 2 * step))


class _Parts:
    """The filters of a design."""

    def __init__(self, design: Design) -> None:
        from scipy.signal import butter, iirnotch, tf2sos

        low, high = design.band
        self.rate = design.rate
        self.digital = butter(_HIGH_PASS_ORDER, _HALF_POWER * low, "highpass", fs=design.rate, output="sos")
        """Shape (sections, 6): high-pass, and notch if there is one, as SciPy has second-order sections."""
        if design.notch is not None:
            notch = iirnotch(design.notch, design.notch / _NOTCH_WIDTH, fs=design.rate)
            self.digital = np.concatenate([self.digital, tf2sos(*notch)])
        _, poles, self._gain = butter(_LOW_PASS_ORDER, 2 * np.pi * high, analog=True, output="zpk")
        self._poles = poles
        upper = np.flatnonzero(poles.imag > 0)
        """The poles come in conjugate pairs, of which one is enough."""
        self._upper = poles[upper]
        self._residues = np.array([self._gain / np.prod(np.delete(poles[i] - poles, i)) for i in upper])
        self._turns = np.exp(self._upper / design.rate)
        self.modes = np.array([[1, 0, 0, 1, -2 * turn.real, abs(turn) ** 2] for turn in self._turns])
        """Shape (pairs, 6): the recursion of each pair of poles from one sample to the next."""

    @staticmethod
    @lru_cache(maxsize=8)
    def of(design: Design) -> _Parts:
        return _Parts(design)

    def weights(self, late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much of each pair, at a sample and at the one before it, makes the result so many samples later.

        Each of shape (pairs, moments).
        """
        decayed = self._residues[:, None] * np.exp(self._upper[:, None] * late / self.rate) * (2 / self.rate)
        return decayed.real, -(decayed * self._turns.conj()[:, None]).real

    def low_pass(self, frequencies: np.ndarray) -> np.ndarray:
        """Complex gain of the analogue low-pass."""
        factors = self._gain / np.prod(2j * np.pi * frequencies[:, None] - self._poles, axis=1)
        return np.asarray(factors)
