"""The clock of a table: its rate by a column of times, and where samples are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

RATES = (100.0, 125.0, 128.0, 160.0, 200.0, 220.0, 250.0, 256.0, 300.0, 400.0, 500.0, 512.0, 600.0, 1000.0, 1024.0,
         1200.0, 2000.0, 2048.0, 4096.0, 5000.0, 10000.0)  # fmt: skip
"""Samples per second that amplifiers take."""
CREDIBLE = (20.0, 20_000.0)
"""Samples per second between which a column of times is one of EEG."""
SINCE_1970 = 5e8
"""Seconds beyond which a time is one since 1970."""
DISORDER = 1.0
"""Seconds within which times that jump and come back are late or early packages, not interruptions."""
_WINDOW = 256  # samples over which steps are measured
_JITTERY = 0.3  # of a step: spread of the steps beyond which times are those of packages that arrive in bursts
_UNEVEN = 0.05  # share of steps that are half a step off, beyond which they are rounded, or bursts too
_LATE = 0.1  # seconds by which such times must jump for good before samples are missing
_NEAR = {True: 0.01, False: 0.001}  # how near, as a share, a measured rate must be to a usual one, jittery or not
_DEVICE = 0.06  # and to one of a device that has no others
_MANY = 20_000  # jumps beyond which a column is no time
_DAY = 86400.0


class NoClock(ValueError):
    """A column of times from which no rate can be told; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """What a column of times says."""

    rate: float
    """Samples per second."""
    measured: float
    """Samples per second that arrived."""
    gaps: tuple[tuple[int, int], ...]
    """Sample before which something is missing, and how many samples; 0 where nobody knows."""
    restarts: tuple[int, ...]
    """Samples from which the times begin anew, at an earlier time."""
    disorder: tuple[int, ...]
    """Samples whose times jump and come back."""


def seconds_per(name: str, times: np.ndarray) -> float | None:
    """Return the seconds in the unit of a column of times, by its name or by what makes a credible rate of it."""
    unit = re.search(r"(?:[\[( _.])(ns|nano\w*|us|µs|μs|micro\w*|ms|milli\w*|s|sec\w*)[\])]?$", name.strip().lower())
    if unit:
        return {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "s": 1.0}[
            unit[1][0] if not unit[1].startswith("micro") else "u"
        ]
    typical = float(np.nanmedian(np.abs(times))) if len(times) else 0.0
    for above, factor in ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (SINCE_1970, 1.0)):  # since 1970
        if typical > above:
            return factor
    step = _step(times)
    fits = [f for f in (1.0, 1e-3, 1e-6, 1e-9) if step > 0 and CREDIBLE[0] <= 1 / (step * f) <= CREDIBLE[1]]
    if step == 1 or not fits:
        return None  # it only counts, or is no time
    return fits[0]


def parse_times(cells: Sequence[str]) -> np.ndarray:
    """Read times written as date and time of day, or as the latter alone: float64 of shape (cells,), seconds.

    Days are counted where the times of day begin again at midnight.
    """
    pattern = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:[.,:](\d{1,9}))?\s*([AaPp][Mm])?")
    found = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if match := pattern.search(cell):
            hours = int(match[1]) % 12 + 12 * (match[5].lower() == "pm") if match[5] else int(match[1])
            fraction = float(f"0.{match[4]}") if match[4] else 0.0
            found[i] = 3600 * hours + 60 * int(match[2]) + int(match[3]) + fraction
    return found


def unwrap_days(times: np.ndarray) -> np.ndarray:
    """Let times of day go on after midnight."""
    steps = np.diff(times, prepend=times[:1])
    return times + _DAY * np.cumsum(steps < -_DAY / 2)


def _step(times: np.ndarray) -> float:
    """The typical time from one sample to the next, though some jump, or arrive in bursts."""
    window = min(_WINDOW, len(times) - 1)
    if window < 1:
        return float("nan")
    step = float(np.median(times[window:] - times[:-window])) / window
    return step if step > 0 else float(np.median(np.diff(times)))  # epochs of less than two windows begin anew


def read_clock(times: np.ndarray, *, rate: float | None = None, rates: Sequence[float] = ()) -> Clock:
    """Tell the rate of samples from their times, and what is missing.

    Parameters
    ----------
    times
        float64 of shape (samples,), seconds; NaN where a time is missing.
    rate
        Samples per second where they are known; then only what is missing is looked for.
    rates
        Samples per second that the device can have.

    Raises
    ------
    NoClock
        If the times do not go on, or jump everywhere.
    """
    known = np.isfinite(times)
    if known.sum() < 2:
        raise NoClock("it has no two times")
    if not known.all():
        times = np.interp(np.arange(len(times)), np.flatnonzero(known), times[known])
    step = _step(times)
    if not step > 0:
        raise NoClock("its times do not go on")
    steps = np.diff(times)
    spread = float(np.median(np.abs(steps - np.median(steps)))) / 0.6745
    uneven = float(np.mean(np.abs(steps - step) > 0.5 * step))
    jittery = spread > _JITTERY * step or float(np.median(steps)) < 0.5 * step or uneven > _UNEVEN
    late = max(_LATE, 1.5 * step) if jittery else 0.5 * step + 1e-9 * float(np.abs(times).max())
    jumps = np.flatnonzero(np.abs(steps - step) > late) + 1
    if len(jumps) > min(_MANY, 0.2 * len(steps) + 1):
        raise NoClock(f"its times jump at {len(jumps):,} of {len(steps):,} places")
    jumps, disorder = _lasting(times, jumps, step, late, jittery)
    measured = _measured(times, [*jumps.tolist(), *disorder])
    chosen = rate or _usual(measured, rates, jittery, len(times))
    gaps, restarts = [], []
    for at in jumps.tolist():
        lost = round(float(steps[at - 1]) * chosen) - 1
        if steps[at - 1] < 0:
            restarts.append(at)
            gaps.append((at, 0))
        elif lost > 0:
            gaps.append((at, lost))
    return Clock(rate=chosen, measured=measured, gaps=tuple(gaps), restarts=tuple(restarts), disorder=tuple(disorder))


def _lasting(
    times: np.ndarray, jumps: np.ndarray, step: float, late: float, jittery: bool
) -> tuple[np.ndarray, list[int]]:
    """Divide jumps into those that last, and those after which the times come back to where they would have been."""
    residual = times - step * np.arange(len(times))
    lasting, disorder = [], []
    span = max(2, round(DISORDER / step))
    skip = -1
    for place, at in enumerate(jumps.tolist()):
        if at <= skip:
            disorder.append(at)
            continue
        before = float(np.median(residual[max(0, at - span) : at])) if jittery else float(residual[at - 1])
        soon = jumps[place + 1 :]
        soon = soon[soon <= at + span]
        jump = float(residual[at]) - before
        near = max(late, 0.25 * abs(jump))
        back = [int(n) for n in soon if abs(float(residual[n]) - before) < near and jump * _jump(residual, n) < 0]
        if back:
            disorder.append(at)
            skip = back[0]
        elif jittery and abs(float(np.median(residual[at : at + span])) - before) < late:
            disorder.append(at)
        else:
            lasting.append(at)
    return np.array(lasting, np.int64), disorder


def _jump(residual: np.ndarray, at: int) -> float:
    return float(residual[at] - residual[at - 1])


def _measured(times: np.ndarray, edges: Sequence[int]) -> float:
    """Samples per second within what lies between jumps."""
    samples = seconds = 0.0
    bounds = [0, *sorted(edges), len(times)]
    for first, last in pairwise(bounds):
        if last - first > 1 and times[last - 1] > times[first]:
            samples += last - first - 1
            seconds += float(times[last - 1] - times[first])
    return samples / seconds if seconds else 1 / _step(times)


def _usual(measured: float, rates: Sequence[float], jittery: bool, samples: int) -> float:
    """The rate that is meant by a measured one: one of the device's, a usual one, a whole one, or itself."""
    near = [one for one in rates if abs(measured / one - 1) < _DEVICE]
    if near:
        return min(near, key=lambda one: abs(measured / one - 1))
    share = max(_NEAR[jittery], 1 / max(samples - 1, 1))
    for candidates in (RATES, () if jittery else (float(round(measured)),)):
        close = [one for one in candidates if one > 0 and abs(measured / one - 1) < share]
        if close:
            return min(close, key=lambda one: abs(measured / one - 1))
    return measured


def counted_gaps(counter: np.ndarray, timed: Sequence[tuple[int, int]] = ()) -> tuple[tuple[int, int], ...] | None:
    """Tell from a counter of samples which are missing: as ``Clock.gaps``; None where it does not count.

    Parameters
    ----------
    counter
        float64 of shape (samples,), whole numbers that begin again after their largest.
    timed
        What the times say is missing: how often the counter went round meanwhile.
    """
    steps = np.diff(counter)
    if len(steps) < 2 or not np.isfinite(counter).all():
        return None
    usual = float(np.median(steps))
    if usual < 1 or (counter != np.round(counter)).any():
        return None
    wraps = steps < 0
    period = float(counter.max()) + usual - float(counter.min()) if wraps.any() else 0.0
    moved = np.where(wraps, steps + period, steps)
    odd = np.flatnonzero(moved != usual)
    if len(odd) > 0.05 * len(steps) + 1 or (moved[odd] % usual).any() or (moved < 1).any():
        return None
    gaps = {int(at) + 1: int(moved[at] // usual) - 1 for at in odd}
    round_trip = period / usual
    for at, lost in timed:
        near = min(gaps, key=lambda other: abs(other - at), default=at)
        near = near if abs(near - at) < round_trip else at
        rounds = round((lost - gaps.get(near, 0)) / round_trip) if round_trip else 0
        if rounds > 0:
            gaps[near] = gaps.get(near, 0) + int(rounds * round_trip)
        elif not lost:
            gaps.setdefault(near, 0)
    return tuple(sorted(gaps.items()))
