"""Parts of an XDF stream: its drop-outs by the time stamps, and the times of its samples.

Time stamps are those of arrival. Samples that arrive late, as in bursts of Bluetooth, are soon where they would have
been by their count; after a drop-out they never are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurolm.core.stretches import Stretch
from neurolm.recording.formats.xdf_rate import find_pace, sent_in_chunks

_DROP_OUT = 0.05  # seconds, and
_STEPS = 1.5  # steps between samples, of the shortest drop-out
_RESTART = 1.0  # seconds by which stamps go back where a clock began anew
_CATCH_UP = 4  # times the length of a pause within which the samples that it held up have all arrived
_EARLY = 3  # samples of a second that may be early for other reasons
_NEAR = 0.03  # relative difference from the declared rate of windows that have no drop-out
_SHARE = 0.1  # of all windows that must be so
_WINDOW = 256  # samples, at least, over which a rate is measured
_STRIDE = 16  # samples from one window to the next
_ITS_OWN = 10.0  # seconds of a part from which it has a rate of its own
_JITTER = 0.02  # of a step, within which stamps are better than any line through them
_CLEAN = 0.95  # share of the steps that must be so
_SETTLED = 1e-5  # relative change of a rate that is none
_ROUNDS = 4  # of finding drop-outs by a rate, and the rate by what is between them


@dataclass(frozen=True)
class Parts:
    """A stream without its drop-outs."""

    segments: list[tuple[int, int]]
    """First and last sample of each part."""
    rate: float
    """Samples per second that arrived within the parts."""
    times: np.ndarray
    """float64 (samples,): seconds, without jitter."""

    @property
    def missing(self) -> np.ndarray:
        """float64 (parts - 1,): seconds between parts, negative where a clock went back."""
        firsts = np.array([first for first, _ in self.segments[1:]], np.int64)
        missing: np.ndarray = self.times[firsts] - self.times[firsts - 1] - 1 / self.rate
        return missing

    def stretches(self, rate: float) -> tuple[Stretch, ...]:
        """Where the parts lie in time, at a rate; none reaches into the next, though a clock went back."""
        found: list[Stretch] = []
        for first, last in self.segments:
            begin = round(float(self.times[first] - self.times[0]) * rate)
            found.append(Stretch(max(begin, found[-1].stop if found else 0), last - first + 1, first))
        return tuple(found)


def find_parts(stamps: np.ndarray, declared: float) -> Parts:
    """Find the drop-outs of a stream.

    Parameters
    ----------
    stamps
        float64 (samples,): time stamps as they were recorded, in seconds, finite.
    declared
        Samples per second that the stream declares, 0 for none.
    """
    pace = find_pace(stamps) if len(stamps) > 1 else None
    if pace is not None and sent_in_chunks(stamps, pace):
        pace = None
    if pace is not None and np.mean(np.abs(np.diff(stamps) * pace - 1) <= _JITTER) >= _CLEAN:
        segments = _segments(stamps, pace)
        return Parts(segments, _rate(stamps, segments) or pace, stamps)
    rate = pace or _first_guess(stamps, declared)
    segments = [(0, len(stamps) - 1)]
    if not rate > 0:
        return Parts(segments, rate, stamps)
    for _ in range(_ROUNDS):
        segments = _segments(stamps, rate)
        step = _step(stamps, segments)
        if not step > 0 or abs(step * rate - 1) < _SETTLED:
            break
        rate = 1 / step
    times = _straight(stamps, segments, rate)
    return Parts(segments, _rate(times, segments) or rate, times)


def _rate(times: np.ndarray, segments: list[tuple[int, int]]) -> float:
    """Samples per second within parts, 0 where they take no time."""
    seconds = sum(float(times[last] - times[first]) for first, last in segments)
    return sum(last - first for first, last in segments) / seconds if seconds > 0 else 0.0


def _first_guess(stamps: np.ndarray, declared: float) -> float:
    """Samples per second where stamps jitter and no drop-outs are known yet; 0 where nobody can tell."""
    steps = np.diff(stamps)
    if not len(steps):
        return declared
    usual = float(np.mean(np.sort(steps)[: max(1, round(0.95 * len(steps)))]))
    second = declared or (1 / usual if usual > 0 else 0.0)
    window = max(1, int(min(max(_WINDOW, second), len(steps) // 2)))
    each = (stamps[window:] - stamps[:-window])[::_STRIDE] / window
    near = each[np.abs(each * declared - 1) < _NEAR]
    step = float(np.median(near if len(near) >= max(1, _SHARE * len(each)) else each))
    return 1 / step if step > 0 else declared


def _segments(stamps: np.ndarray, rate: float) -> list[tuple[int, int]]:
    """First and last sample of each part between drop-outs."""
    jumps = np.diff(stamps) - 1 / rate
    late = max(_DROP_OUT, _STEPS / rate) - 1e-6
    lag = stamps - np.arange(len(stamps)) / rate
    places = np.flatnonzero(np.abs(jumps) > late) + 1
    restarts = places[jumps[places - 1] < -_RESTART]
    ends = np.append(restarts, len(stamps))[np.searchsorted(restarts, places, side="right")]
    span = max(1, round(rate))
    firsts = [0]
    for at, end in zip(places.tolist(), ends.tolist(), strict=True):
        jump = float(jumps[at - 1])
        until = min(end, at + max(span, int(min(_CATCH_UP * abs(jump) * rate, len(stamps)))))
        shift = _level(lag[at:until]) - _level(lag[max(firsts[-1], at - span) : at])
        if jump < -_RESTART or (abs(shift) > late and shift * jump > 0):
            firsts.append(at)
    return list(zip(firsts, [*(first - 1 for first in firsts[1:]), len(stamps) - 1], strict=True))


def _level(lag: np.ndarray) -> float:
    """How late the samples are that are least late."""
    low = min(_EARLY, len(lag) // 8)
    return float(np.partition(lag, low)[low])


def _step(stamps: np.ndarray, segments: list[tuple[int, int]]) -> float:
    """Seconds from sample to sample, the same in all parts: the slope of lines that differ in where they begin."""
    both = squares = 0.0
    for first, last in segments:
        if last > first:
            at = np.arange(last - first + 1.0) - (last - first) / 2
            part = stamps[first : last + 1] - stamps[first]
            both += float(at @ part)
            squares += float(at @ at)
    return both / squares if squares else 0.0


def _straight(stamps: np.ndarray, segments: list[tuple[int, int]], rate: float) -> np.ndarray:
    """Stamps without jitter: on a line in each part, of the slope of all where a part is too short for its own."""
    times = np.empty(len(stamps))
    for first, last in segments:
        at = np.arange(last - first + 1.0) - (last - first) / 2
        part = stamps[first : last + 1]
        own = _step(stamps, [(first, last)]) if len(at) > _ITS_OWN * rate else 0.0
        times[first : last + 1] = part[0] + np.mean(part - part[0]) + at * (own if own > 0 else 1 / rate)
    return times
