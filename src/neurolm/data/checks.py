"""Is this EEG? Checks of a recording's signal on a bounded part of it, so that opening a day of EEG stays cheap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from neurolm.data.edf import MICROVOLTS
from neurolm.errors import RecordingError

PLAUSIBLE = (0.5, 500.0)
"""Microvolts between which the robust standard deviation of scalp EEG lies; beyond, the unit is almost always wrong."""
BLOCKS = 6
"""Number of blocks looked at, evenly spread over the recording."""
BLOCK_SECONDS = 10.0
"""Seconds in a block."""
_NORMAL = 0.6745  # the median absolute deviation of a normal distribution of standard deviation 1
_ENOUGH_RATE = 250.0  # samples per second kept for the amplitude: noise far above the band says nothing about EEG


@dataclass(frozen=True)
class Findings:
    """What the checks found."""

    flat: tuple[int, ...]
    """Channels that are constant wherever they were looked at."""
    notes: tuple[str, ...]


def blocks(samples: int, rate: float) -> list[tuple[int, int]]:
    """Return the (start, stop) samples of the blocks to look at: the whole recording if it is short."""
    length = round(BLOCK_SECONDS * rate)
    if samples <= BLOCKS * length:
        starts = list(range(0, samples, length))
    else:
        starts = [round(i * (samples - length) / (BLOCKS - 1)) for i in range(BLOCKS)]
    return [(start, min(start + length, samples)) for start in starts]


def examine(
    parts: Iterable[np.ndarray], *, source: str, channels: Sequence[str], rate: float, unit: str, given: bool
) -> Findings:
    """Check blocks of a recording.

    Parameters
    ----------
    parts
        Arrays of shape (channels, samples), µV; taken one after the other.
    source
        The recording, for messages.
    channels
        Names of the channels, for messages.
    rate
        Samples per second.
    unit
        Unit that the file's numbers were taken to have: a key of ``MICROVOLTS``, or several joined with ``/``.
    given
        Whether the user stated the unit, or the file did.

    Raises
    ------
    RecordingError
        For values that are not numbers, and for amplitudes that cannot be EEG.
    """
    spreads, lows, highs, missing, looked_at = [], [], [], np.zeros(len(channels), int), 0
    for part in parts:
        bad = ~np.isfinite(part)
        missing += bad.sum(axis=1)
        part = np.where(bad, 0.0, part) if bad.any() else part
        looked_at += part.shape[1]
        lows.append(part.min(axis=1))
        highs.append(part.max(axis=1))
        spreads.append(_robust_deviation(part, rate))
    _refuse_non_numbers(missing, looked_at, source, channels)
    flat = np.max(highs, axis=0) == np.min(lows, axis=0)
    if flat.all():
        raise RecordingError(f"{source}: all {len(channels)} channels are flat: nothing was recorded, or it was erased")
    spread = np.median(spreads, axis=0)
    typical = float(np.median(spread[~flat]))
    if not PLAUSIBLE[0] <= typical <= PLAUSIBLE[1]:
        raise RecordingError(f"{source}: {_implausible(typical, unit, given)}")
    odd = [
        f"{name} ({_number(value)} µV)"
        for name, value, is_flat in zip(channels, spread, flat, strict=True)
        if not is_flat and not PLAUSIBLE[0] <= value <= PLAUSIBLE[1]
    ]
    notes = (f"amplitude outside {PLAUSIBLE[0]:g}–{PLAUSIBLE[1]:g} µV: {', '.join(odd)}",) if odd else ()
    return Findings(tuple(int(i) for i in np.flatnonzero(flat)), notes)


def _refuse_non_numbers(missing: np.ndarray, looked_at: int, source: str, channels: Sequence[str]) -> None:
    if missing.any():
        found = [f"{name} ({count:,})" for name, count in zip(channels, missing, strict=True) if count]
        raise RecordingError(
            f"{source}: values that are not numbers (NaN or infinite) among {looked_at:,} samples of "
            f"{', '.join(found)}; repair or cut them out, or name the channels to read without them (channels=)"
        )


def _robust_deviation(part: np.ndarray, rate: float) -> np.ndarray:
    """Standard deviation of each channel from the median absolute deviation, without drift and high frequencies.

    Drift is a line over the block: direct-coupled amplifiers (BioSemi) put EEG on millivolts that wander.
    """
    step = max(1, int(rate / _ENOUGH_RATE))
    usable = part.shape[1] // step * step
    thin = part[:, :usable].reshape(len(part), -1, step).mean(axis=2)
    time = np.arange(thin.shape[1]) - (thin.shape[1] - 1) / 2
    thin = thin - thin.mean(axis=1, keepdims=True)
    if len(time) > 1:
        thin = thin - np.outer(thin @ time / (time @ time), time)
    return np.median(np.abs(thin - np.median(thin, axis=1, keepdims=True)), axis=1) / _NORMAL


def _implausible(typical: float, unit: str, given: bool) -> str:
    who = f"with unit={unit!r}" if given else f"with its numbers taken as {unit}"
    found = (
        f"{who}, the typical amplitude (robust standard deviation) is {_number(typical)} µV; scalp EEG lies between "
        f"{PLAUSIBLE[0]:g} and {PLAUSIBLE[1]:g} µV"
    )
    fits = None
    if unit in MICROVOLTS:
        worth = {name: typical * factor / MICROVOLTS[unit] for name, factor in MICROVOLTS.items()}
        fits = next((name for name, value in worth.items() if PLAUSIBLE[0] <= value <= PLAUSIBLE[1]), None)
    if fits is None:
        return (
            f"{found}, and no other unit would bring it there: this is no scalp EEG, or nothing was connected "
            f"(check=False opens it all the same)"
        )
    return f"{found}. If the numbers in the file are really {fits}, open it with unit={fits!r} ({worth[fits]:.3g} µV)"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
