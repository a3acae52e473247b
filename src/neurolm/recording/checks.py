"""Is this EEG? Checks of a recording's signal, on a bounded part of it.

So opening a day of EEG stays cheap.

``measure_quality`` measures and never complains; ``examine`` says what must be refused, and with which remedy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neurolm.core.errors import RecordingError, argument, takes
from neurolm.recording.formats.edf import MICROVOLTS

PLAUSIBLE = (0.5, 500.0)
"""Microvolts between which the robust standard deviation of scalp EEG lies; beyond, the unit is almost always wrong."""
POSSIBLE = (0.25, 2_500.0)
"""Microvolts between which ``auto`` keeps the unit that a file states: what silence, seizures and movement reach.
A wrong unit is wrong by 1,000, which puts ordinary EEG beyond."""
EXTREME = 450_000.0
"""Microvolts from a channel's median that no electrode gives: those reach 300,000, EEG amplifiers 430,000."""
ODD = f"amplitude outside {PLAUSIBLE[0]:g}–{PLAUSIBLE[1]:g} µV"
"""How the note about single channels with an odd amplitude begins."""
WARNING = "warning: "
"""How the note about an amplitude begins that only a unit that was given makes acceptable."""
LARGEST = 1e12
"""Microvolts, a megavolt, beyond which a sample counts as infinite: it would be one in single precision."""
BLOCKS = 6
"""Blocks that are looked at, evenly spread over the recording."""
BLOCK_SECONDS = 10.0
"""Seconds in a block."""
SLOW = 150.0
"""Samples per second below which the model's band (75 Hz) is not all there."""
CLIPPED = 0.01
"""Share of a channel's samples at its own limit above which it is said to be clipped."""
USELESS = 0.5
"""Share above which a clipped channel is as useless as a flat one."""
ALIKE = 0.04
"""Deviation of the difference of two channels, as a share of the weaker one's, below which they show one signal."""
NAMED_PAIRS = 4
"""Pairs of such channels that a note names; more are counted."""
_ORDINARY = 20.0  # microvolts of a healthy adult
_NORMAL = 0.6745  # the median absolute deviation of a normal distribution of standard deviation 1
_ENOUGH_RATE = 250.0  # samples per second kept for the amplitude: noise far above the band says nothing about EEG
_RUN = 3  # samples in a row at a limit, without which it is none: EEG touches its largest value, an amplifier stays
_STEPS = 16  # different values, below which a channel says too little to tell clipping from coarse digits
_FEW_VALUES = 8  # different values that a trigger channel may have


@dataclass(frozen=True)
class SignalQuality:
    """What was measured in the signal of each channel."""

    samples: int
    """Samples of each channel that were looked at."""
    not_finite: np.ndarray
    """int of shape (channels,): number of values that are NaN or infinite."""
    flat: np.ndarray
    """bool: whether the channel is constant in all blocks."""
    clipped: np.ndarray
    """float: share of the samples at the channel's largest or smallest value, where it stays there at times."""
    values: np.ndarray
    """int: different values in the first block, up to ``_STEPS``."""
    amplitude: np.ndarray
    """float: robust standard deviation in µV."""
    loudness: np.ndarray
    """float of shape (blocks, channels): the same of each block that was looked at."""
    difference: np.ndarray
    """float of shape (channels, channels): deviation of the difference of two channels, as a share of the weaker one's
    (median over blocks; infinite where one is flat, and for a channel and itself)."""
    spans: Sequence[tuple[float, float]] = ()
    """Seconds between which each block lies."""
    uncalibrated: Mapping[int, str] = field(default_factory=dict)
    """Index → why nobody can tell the channel's amplitude; it is flat."""
    stated: bool = True
    """Whether the file states a unit."""

    @property
    def missing(self) -> np.ndarray:
        """Share of each channel's values that are NaN or infinite."""
        return self.not_finite / max(self.samples, 1)

    @property
    def absent(self) -> np.ndarray:
        """Whether so much of a channel is missing that it is as useless as a flat one."""
        return self.missing >= USELESS

    @property
    def typical(self) -> float:
        """Median amplitude of the channels that are not flat, in µV; NaN where all are."""
        return float(np.median(self.amplitude[~self.flat])) if not self.flat.all() else float("nan")

    def scaled(self, unit: str, other: str | None) -> SignalQuality:
        """What would have been measured with the numbers taken as another unit; None is the same one."""
        factor = MICROVOLTS[other] / MICROVOLTS[unit] if other is not None and other != unit else 1.0
        scaled = {name: getattr(self, name) * factor for name in ("amplitude", "loudness")}
        return replace(self, **scaled)

    @property
    def unusable(self) -> dict[int, str]:
        """Index → why, for channels that carry no signal."""
        found = {int(i): self.uncalibrated.get(int(i), "flat") for i in np.flatnonzero(self.flat)}
        found |= {int(i): f"missing ({self.missing[i]:.0%} NaN or infinite)" for i in np.flatnonzero(self.absent)}
        return found | {
            int(i): f"saturated ({self.clipped[i]:.0%} at its limits)"
            for i in np.flatnonzero(~self.flat & ~self.absent & (self.clipped >= USELESS))
        }


def blocks(samples: int, rate: float) -> list[tuple[int, int]]:
    """Return the (start, stop) samples of the blocks to look at: the whole recording if it is short."""
    length = max(1, round(BLOCK_SECONDS * rate))
    if samples <= BLOCKS * length:
        starts = list(range(0, samples, length))
    else:
        starts = [round(i * (samples - length) / (BLOCKS - 1)) for i in range(BLOCKS)]
    return [(start, min(start + length, samples)) for start in starts]


def measure_quality(parts: Iterable[np.ndarray], rate: float) -> SignalQuality:
    """Measure the blocks of a recording that are looked at.

    Parameters
    ----------
    parts
        Arrays of shape (channels, samples), µV; taken one after the other, at least one.
    rate
        Samples per second.
    """
    spreads, lows, highs, not_finite, differences, samples = [], [], [], [], [], 0
    values: list[list[int]] = []
    at_low, at_high = [], []
    for part in parts:
        bad = ~is_number(part)
        not_finite.append(bad.sum(axis=1))
        part = _filled(part, bad) if bad.any() else part
        samples += part.shape[1]
        lows.append(part.min(axis=1))
        highs.append(part.max(axis=1))
        at_low.append(_at_limit(part, lows[-1]))
        at_high.append(_at_limit(part, highs[-1]))
        thin = _without_drift(part, rate)
        spreads.append(_robust_deviation(thin))
        differences.append(_differences(thin))
        if not values:
            values.append([min(_STEPS, len(np.unique(channel))) for channel in part])
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    stuck = _stuck(np.array(at_low), lows == low) + _stuck(np.array(at_high), highs == high)
    coarse = (np.array(values[0]) > 2) & (np.array(values[0]) < _STEPS)
    return SignalQuality(
        samples=samples,
        not_finite=np.sum(not_finite, axis=0),
        flat=low == high,
        clipped=np.where((low == high) | coarse, 0.0, stuck / max(samples, 1)),
        values=np.array(values[0]),
        amplitude=np.median(spreads, axis=0),
        loudness=np.array(spreads),
        difference=np.median(differences, axis=0),
    )


def examine(
    found: SignalQuality, *, source: str, channels: Sequence[str], rate: float, unit: str, settled: bool
) -> list[str]:
    """Refuse what cannot be EEG; returns notes about what is odd.

    Parameters
    ----------
    found
        What ``measure_quality`` measured.
    source
        The recording, for messages.
    channels
        Names of the channels, for messages.
    rate
        Samples per second.
    unit
        Unit that the file's numbers were taken to have: a key of ``MICROVOLTS``, or several joined with ``/``.
    settled
        Whether the unit is right whatever the amplitude: because the user stated it, or ``auto`` decided.

    Raises
    ------
    RecordingError
        If most values of all channels are NaN or infinite, all channels are flat, or amplitudes cannot be those of EEG.
    """
    if wrong := refusals(found, channels=channels, unit=unit, settled=settled):
        raise RecordingError(f"{source}: {wrong[0]}")
    return oddities(found, channels=channels, rate=rate, unit=unit)


def refusals(found: SignalQuality, *, channels: Sequence[str], unit: str, settled: bool) -> list[str]:
    """Every reason why a signal cannot be EEG as it is, with its remedy; parameters as for ``examine``."""
    wrong = []
    if found.absent.all():
        bad = [f"{name} ({count:,})" for name, count in zip(channels, found.not_finite, strict=True) if count]
        wrong.append(
            f"NaN or infinite values among {found.samples:,} samples of {', '.join(bad)}; {repair(others=False)}"
        )
    elif found.flat.all() and found.uncalibrated:
        common = set(found.unusable.values())
        each = (f"{name}: {why}" for name, why in zip(channels, found.unusable.values(), strict=True))
        said = common.pop() if len(common) == 1 else "; ".join(each)
        wrong.append(f"{said}, in all {len(channels)} channels; export the recording again with its calibration")
    elif found.flat.all():
        wrong.append(f"all {len(channels)} channels are flat: nothing was recorded, or it was erased")
    elif not plausible(found.typical) and not settled:
        wrong.append(_implausible(found, unit))
    return wrong


def is_number(microvolts: np.ndarray) -> np.ndarray:
    """Whether each sample is one: neither NaN nor infinite, nor beyond ``LARGEST``."""
    return np.abs(microvolts) <= LARGEST


def repair(*, others: bool = True) -> str:
    """What can be done about values that are not numbers; ``others``: whether there are channels without them."""
    named = others and takes("channels")
    remedy = f", or name the channels to read without them ({argument('channels')})" if named else ""
    return f"repair them or cut them out{remedy}"


def useless(unusable: Mapping[str, str]) -> str:
    """Why a recording with flat and saturated channels is refused, and what can be done.

    Parameters
    ----------
    unusable
        Electrode → why, as in ``SignalQuality.unusable``; at least one.
    """
    flat = ", ".join(name for name, why in unusable.items() if why == "flat")
    others = ", ".join(f"{name}: {why}" for name, why in unusable.items() if why != "flat")
    found = "; ".join(part for part in (flat and f"flat channels: {flat}", others) if part)
    remedy = f"name the others ({argument('channels')}), " if takes("channels") else ""
    return (
        f"{found}; {remedy}choose {argument(unknown='drop')} or 'nearest', which leave them out, or 'interpolate', "
        f"which computes them from the others"
    )


def oddities(found: SignalQuality, *, channels: Sequence[str], rate: float, unit: str) -> list[str]:
    """What is odd about a signal without being wrong for certain, as notes; parameters as for ``examine``."""
    if not plausible(found.typical):
        said = [] if found.flat.all() else [f"{WARNING}{_outside(found.typical, unit)}"]
        return said + _other_oddities(found, channels, rate)
    odd = [
        f"{name} ({readable(value)} µV)"
        for name, value, is_flat in zip(channels, found.amplitude, found.flat, strict=True)
        if not is_flat and not plausible(value)
    ]
    return ([f"{ODD}: {', '.join(odd)}"] if odd else []) + _other_oddities(found, channels, rate)


def _other_oddities(found: SignalQuality, channels: Sequence[str], rate: float) -> list[str]:
    """What is odd beside the amplitude of the whole."""
    notes = _odd_blocks(found) if found.typical <= POSSIBLE[1] else []
    clipped = [
        f"{name} ({share:.0%} of its samples)"
        for name, share in zip(channels, found.clipped, strict=True)
        if CLIPPED <= share < USELESS
    ]
    if clipped:
        notes.append(f"clipped, or held at one value, at its own limits: {', '.join(clipped)}")
    steps = [
        f"{name} ({count} values)"
        for name, count, is_flat in zip(channels, found.values, found.flat, strict=True)
        if not is_flat and count <= _FEW_VALUES
    ]
    if steps:
        notes.append(f"few different values, as a trigger channel or a coarse export has: {', '.join(steps)}")
    notes += _bridges(found, channels)
    if rate < SLOW:
        notes.append(
            f"sampled at {rate:g} Hz, below {SLOW:g}: the band ends below {rate / 2:g} Hz, the model was made for 75; "
            f"use the original recording if this is a reduced copy"
        )
    return notes


def _bridges(found: SignalQuality, channels: Sequence[str]) -> list[str]:
    """Channels that show one signal, with what may have made it so."""
    alike = found.difference < ALIKE
    if not alike.any():
        return []
    if alike.any(axis=1).all() and alike.sum() == len(alike) * (len(alike) - 1):
        said = f"all {len(alike)} channels show one signal"
    else:
        pairs = [f"{channels[i]} and {channels[j]}" for i, j in zip(*np.nonzero(np.triu(alike)), strict=True)]
        more = f" and {len(pairs) - NAMED_PAIRS} more pairs" if len(pairs) > NAMED_PAIRS else ""
        said = f"one signal in {', '.join(pairs[:NAMED_PAIRS])}{more}"
    return [f"{said}: electrodes bridged by gel, one channel copied, or a reference that hides the EEG"]


def _odd_blocks(found: SignalQuality) -> list[str]:
    """What lies among EEG and is none: a table or another file read as signal, say, which medians do not show."""
    loud = np.median(found.loudness[:, ~found.flat], axis=1) if len(found.spans) else []
    return [
        f"between {start:g} and {stop:g} s the typical amplitude is {readable(float(typical))} µV, which is no EEG"
        for (start, stop), typical in zip(found.spans, loud, strict=True)
        if typical > POSSIBLE[1]
    ]


def fitting_unit(found: SignalQuality, unit: str) -> str | None:
    """Return the unit that brings the typical amplitude to that of EEG, None if there is none.

    The one it is in is kept as long as EEG can have this amplitude at all (``POSSIBLE``); of others, the one is taken
    that makes the most ordinary EEG, nanovolts last.

    Parameters
    ----------
    found
        What was measured with the numbers taken as ``unit``.
    unit
        A key of ``MICROVOLTS``; several joined with ``/`` fit only as they are.
    """
    typical = found.typical
    least = POSSIBLE[0] if found.stated else PLAUSIBLE[0]
    if least <= typical <= POSSIBLE[1]:
        return unit
    if unit not in MICROVOLTS:
        return None
    worth = {name: typical * factor / MICROVOLTS[unit] for name, factor in MICROVOLTS.items()}
    possible = {name: value for name, value in worth.items() if POSSIBLE[0] <= value <= POSSIBLE[1]}
    odd = {name: abs(math.log10(value / _ORDINARY)) + (name == "nV") for name, value in possible.items()}
    return min(odd, key=lambda name: odd[name], default=None)


def plausible(amplitude: float) -> bool:
    """Whether scalp EEG can have this robust standard deviation, in µV."""
    return bool(PLAUSIBLE[0] <= amplitude <= PLAUSIBLE[1])


def _filled(part: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Put each channel's median where it has no number."""
    middle = [np.median(channel[~at]) if not at.all() else 0.0 for channel, at in zip(part, bad, strict=True)]
    return np.where(bad, np.array(middle)[:, None], part)


def _at_limit(part: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples of each channel at a limit, and how many of them are the last of ``_RUN`` in a row."""
    at = part == limit[:, None]
    in_a_row = at[:, 2:] & at[:, 1:-1] & at[:, :-2]
    return at.sum(axis=1), in_a_row.sum(axis=1)


def _stuck(counted: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Samples of each channel at a limit where it stays at times, which tells an amplifier's from a largest value.

    Parameters
    ----------
    counted
        Shape (blocks, 2, channels): what ``_at_limit`` counted.
    same
        Shape (blocks, channels): whether a block's limit is the limit of them all.
    """
    at, in_a_row = (counted * same[:, None]).sum(axis=0)
    return np.where(in_a_row > 0, at, 0)


def _without_drift(part: np.ndarray, rate: float) -> np.ndarray:
    """The signal without drift and high frequencies, (channels, fewer samples).

    Drift is a line over the block: direct-coupled amplifiers (BioSemi) put EEG on millivolts that wander.
    """
    step = max(1, int(rate / _ENOUGH_RATE))
    usable = part.shape[1] // step * step
    if not usable:
        return np.zeros((len(part), 0))
    thin = part[:, :usable].reshape(len(part), -1, step).mean(axis=2)
    time = np.arange(thin.shape[1]) - (thin.shape[1] - 1) / 2
    thin = thin - thin.mean(axis=1, keepdims=True)
    if len(time) > 1:
        thin = thin - np.outer(thin @ time / (time @ time), time)
    return thin


def _robust_deviation(thin: np.ndarray) -> np.ndarray:
    """Standard deviation of each channel from the median absolute deviation; 0 without samples."""
    if not thin.shape[1]:
        return np.zeros(len(thin))
    return np.median(np.abs(thin - np.median(thin, axis=1, keepdims=True)), axis=1) / _NORMAL


def _differences(thin: np.ndarray) -> np.ndarray:
    """``SignalQuality.difference`` in one block of signals with mean 0."""
    product = thin @ thin.T
    power = np.diagonal(product)
    weaker = np.minimum(power[:, None], power)
    apart = np.maximum(power[:, None] + power - 2 * product, 0)
    share = np.sqrt(np.divide(apart, weaker, out=np.full_like(apart, np.inf), where=weaker > 0))
    np.fill_diagonal(share, np.inf)
    return share


def _implausible(found: SignalQuality, unit: str) -> str:
    """Why a signal is refused for its amplitude, and what can be done."""
    said = f"{_outside(found.typical, unit)}, and no other unit would make ordinary EEG of it"
    remedy = f"; if {unit} is right, {argument(unit=unit)} opens it all the same" if unit in MICROVOLTS else ""
    fits = fitting_unit(found, unit)
    if fits is None:
        return f"{said}: this is no scalp EEG, or nothing was connected{remedy}"
    if fits == unit:
        return f"{said}: a seizure, movement, or hardly any signal{remedy}"
    worth = found.scaled(unit, fits).typical
    return (
        f"{_outside(found.typical, unit)}. If the numbers in the file are really {fits}, open it with "
        f"{argument(unit=fits)} ({worth:.3g} µV), or leave the choice to {argument(unit='auto')}{remedy}"
    )


def _outside(typical: float, unit: str) -> str:
    return (
        f"with its numbers taken as {unit}, the typical amplitude (robust standard deviation) is {readable(typical)} "
        f"µV; scalp EEG lies between {PLAUSIBLE[0]:g} and {PLAUSIBLE[1]:g} µV"
    )


def readable(value: float) -> str:
    """Write microvolts with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
