"""Samples in the order of time and each once, by their time stamps, and what was wrong with them.

Two kinds of stamps come from amplifiers. Those of the device's own clock are even: one missing sample shows, and one
that comes late can be put in its place. Those of arrival jitter, and chunks that were stamped when they were sent may
even overlap: such samples stay in the order in which they came. Held up, they come in a burst, after which they are
where they would have been by their count; only what never comes back to that is a gap.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from neurolm.live.source import NoticeKind

_STEP = 0.75
"""Share of the time between samples by which even stamps may be off before something is wrong."""
_EVEN = 0.1
"""Share of the time between samples within which stamps are even."""
_PROVEN = 1.0
"""Seconds of even stamps that make them those of a device's clock."""
_DROP_OUT, _STEPS = 0.05, 1.5
"""Seconds and samples of the shortest gap in other stamps, as in XDF files."""
_PATIENCE = 0.25
"""Seconds of even samples after something odd in which late ones may come."""
_SPAN = 1.0
"""Seconds of other samples of which one shows whether they were only held up."""
_FEWEST = 8  # samples, at least, of that
_LONGEST_BURST = 30.0  # seconds of samples that may have been held up
_MEMORY = 5.0  # seconds in which samples that come twice are recognised
_RESTART = 1.0  # seconds by which stamps must be off for a clock to have jumped
_BACKLOG = 120.0  # seconds of samples that may wait before the first is taken
_SMOOTH = 5.0  # seconds over which the times of jittering stamps are smoothed
_CALM = 60.0  # seconds in which the memory of jitter fades
_SAME = 0.05  # share of the time between samples within which two stamps are one


@dataclass(frozen=True, eq=False)
class Run:
    """Samples that continue those before, unless an oddity came between."""

    times: np.ndarray
    """float64 (n,), rising."""
    samples: np.ndarray
    """float64 (channels, n)."""


@dataclass(frozen=True)
class Oddity:
    """Something wrong with stamps."""

    kind: NoticeKind
    time: float
    """Where the next sample was expected."""
    samples: int = 0
    """How many are missing, came late or twice."""
    seconds: float = 0.0
    """By how much a clock jumped."""
    placed: bool = False
    """Whether late samples were put in their place."""

    def __str__(self) -> str:
        """In words."""
        count = f"{self.samples:,} {'sample' if self.samples == 1 else 'samples'}"
        if self.kind == "gap":
            return f"{self.seconds:.3g} s are missing ({count})"
        if self.kind == "clock-jump":
            way = "ahead" if self.seconds > 0 else "back"
            return f"the source's clock jumped {way} by {abs(self.seconds):.6g} s"
        if self.kind == "duplicate":
            return f"{count} came twice; what came again was left out"
        return f"{count} came late and {'were put in their place' if self.placed else 'were left out'}"


class Timeline:
    """Puts the samples of one stream in order.

    Parameters
    ----------
    rate
        Samples per second.
    live
        Whether samples arrive when they are recorded: then one from the future means that a clock was set.
    ahead
        By how much the clock of arrival is ahead of that of the stamps, if that is known: nothing arrives before it
        was recorded. Infinite where it is not known; found out by what arrives.
    """

    def __init__(self, rate: float, *, live: bool, ahead: float = math.inf) -> None:
        self.step = 1 / rate
        self._live = live
        self._patience = max(_FEWEST, math.ceil(_PATIENCE * rate))
        self._next: float | None = None
        self._last = -math.inf  # stamp of the newest sample that was taken in order
        self._even = 0 if live else 1 << 62  # how many stamps in a row were even
        self._jitter = 0.0  # seconds by which stamps were off without anything being wrong
        self._bias = 0.0  # seconds by which stamps are behind the times that are made of them
        self._behind: deque[tuple[int, float]] = deque()  # of the last samples: how many, and how late the least late
        self._lag = ahead  # the shortest time from a stamp to its arrival
        self._stamps, self._samples = np.empty(0), np.empty((0, 0))  # held until it is clear what they are
        self._looked_at = 0  # how many of them are known not to be there already
        self._received = 0.0
        self._recent: deque[tuple[np.ndarray, np.ndarray]] = deque()

    @property
    def expected(self) -> float:
        """Time of the next sample; 0 before the first."""
        return self._next or 0.0

    @property
    def held(self) -> int:
        """How many samples wait until it is clear what they are."""
        return len(self._stamps)

    @property
    def _exact(self) -> bool:
        """Whether stamps are of the device's clock."""
        return self._even * self.step >= _PROVEN and self._jitter <= _STEP * self.step

    @property
    def _least(self) -> float:
        """Seconds by which a step from stamp to stamp may be off before something is wrong."""
        return _STEP * self.step if self._exact else max(_DROP_OUT, _STEPS * self.step)

    @property
    def _tolerance(self) -> float:
        """Seconds by which a stamp may be off."""
        return max(self._least, self._jitter)

    def push(self, stamps: np.ndarray, samples: np.ndarray, received: float) -> list[Run | Oddity]:
        """Take samples as they arrive.

        Parameters
        ----------
        stamps
            float64 (n,), seconds, finite.
        samples
            float64 (channels, n).
        received
            When they arrived, seconds on any clock that is never set.

        Returns
        -------
        list
            What can be said of these and earlier samples by now.
        """
        if not len(stamps):
            return []
        if self._next is None:
            self._next, self._last = float(stamps[0]), float(stamps[0]) - self.step
            if received - self._next - self._lag > _BACKLOG:
                self._lag = math.inf  # the stamps are of another clock
        if len(self._stamps):
            self._hold(stamps, samples)
            self._received = received
            return self._settle(final=False)
        steps = np.diff(stamps, prepend=self._last)
        off = self._off(stamps)
        odd = (np.abs(steps - self.step) > self._least) & (np.abs(off) > self._tolerance)
        first = int(odd.argmax()) if odd.any() else len(stamps)
        found: list[Run | Oddity] = self._take(stamps[:first], samples[:, :first])
        if first:
            self._lag = min(self._lag, received - float(stamps[first - 1]))
        if first < len(stamps):
            self._hold(stamps[first:], samples[:, first:])
            self._received = received
            found += self._settle(final=False)
        return found

    def flush(self) -> list[Run | Oddity]:
        """Decide about what is held: nothing more comes for now."""
        return self._settle(final=True)

    def _off(self, stamps: np.ndarray) -> np.ndarray:
        """Seconds by which stamps are later than by their count."""
        return stamps - self.expected - self._bias - self.step * np.arange(len(stamps))

    def _hold(self, stamps: np.ndarray, samples: np.ndarray) -> None:
        held = self._samples if len(self._stamps) else samples[:, :0]
        self._stamps = np.concatenate([self._stamps, stamps])
        self._samples = np.concatenate([held, samples], axis=1)

    def _keep(self, which: np.ndarray) -> None:
        """Hold no more than some of what is held."""
        self._looked_at = int(np.count_nonzero(which[: self._looked_at]))
        self._stamps, self._samples = self._stamps[which], self._samples[:, which]

    def _take(self, stamps: np.ndarray, samples: np.ndarray) -> list[Run | Oddity]:
        """Samples that continue those before."""
        count = len(stamps)
        if not count or self._next is None:
            return []
        off = stamps - self._next - self.step * np.arange(count)
        steps = np.abs(np.diff(stamps, prepend=self._last) - self.step)
        uneven = np.flatnonzero(steps > _EVEN * self.step)
        self._even = self._even + count if not len(uneven) else count - 1 - int(uneven[-1])
        if (self._exact or not len(uneven)) and steps.max() <= _STEP * self.step and abs(off[0]) <= _STEP * self.step:
            times, self._bias = stamps, 0.0
        else:
            pull = float(np.median(off)) * min(1.0, count * self.step / _SMOOTH)
            times = self._next + max(pull, -_STEP * self.step) + self.step * np.arange(count)
            self._bias = float(np.median(stamps - times))
        self._behind.append((count, float((stamps - times).min())))
        while len(self._behind) > 1 and sum(many for many, _ in self._behind) > _SPAN / self.step + count:
            self._behind.popleft()
        self._next, self._last = float(times[-1]) + self.step, float(stamps[-1])
        self._jitter *= math.exp(-count * self.step / _CALM)
        self._remember(stamps, samples)
        return [Run(times, samples)]

    def _remember(self, stamps: np.ndarray, samples: np.ndarray) -> None:
        self._recent.append((stamps, samples))
        kept = sum(len(one) for one, _ in self._recent)
        while len(self._recent) > 1 and kept - len(self._recent[0][0]) > _MEMORY / self.step:
            kept -= len(self._recent.popleft()[0])

    def _settle(self, *, final: bool) -> list[Run | Oddity]:
        """Decide about what is held, as far as that can be."""
        found: list[Run | Oddity] = []
        while len(self._stamps):
            found += self._drop_repeated()
            if not len(self._stamps):
                break
            more = self._decide(final)
            if not more:
                break
            found += more
        return _told_once(found)

    def _drop_repeated(self) -> list[Run | Oddity]:
        """Leave out samples that are there already: the same values with the same stamp."""
        new = np.arange(len(self._stamps)) >= self._looked_at
        self._looked_at = len(self._stamps)
        known = [*self._recent, (self._stamps, self._samples)]
        stamps = np.concatenate([one for one, _ in known])
        before, keep = len(stamps) - len(self._stamps), np.ones(len(stamps), bool)
        order = np.argsort(stamps, kind="stable")
        near = _SAME * self.step
        firsts = np.searchsorted(stamps[order], self._stamps - near)
        lasts = np.searchsorted(stamps[order], self._stamps + near, side="right")
        crowded = np.flatnonzero(new & (lasts - firsts > 1))
        samples = np.concatenate([one for _, one in known], axis=1) if len(crowded) else self._samples
        for place in crowded:
            at, same = before + place, order[firsts[place] : lasts[place]]
            earlier = same[(same < at) & keep[same]]
            if len(earlier):
                one, others = samples[:, [at]], samples[:, earlier]
                keep[at] = not ((one == others) | (np.isnan(one) & np.isnan(others))).all(axis=0).any()
        keep = keep[before:]
        repeated = int(np.count_nonzero(~keep))
        if not repeated:
            return []
        self._keep(keep)
        return [Oddity("duplicate", self.expected, repeated)]

    def _decide(self, final: bool) -> list[Run | Oddity]:
        """Say what the samples that are held are; nothing as long as that is not clear."""
        stamps, count = self._stamps, len(self._stamps)
        exact = self._exact
        patience = self._patience if exact else max(self._patience, math.ceil(_SPAN / self.step))
        pace = abs(stamps[-1] - stamps[-min(count, patience)]) / self.step
        steady = count >= patience and pace >= _STEP * (patience - 1)
        clear = final or steady or count * self.step > _LONGEST_BURST
        early = stamps < self._last - (self._least / 3 if exact else max(_RESTART, self._tolerance))
        if early.any():
            return self._early(early, clear, final)
        order = np.argsort(stamps, kind="stable") if exact else np.arange(count)
        off = self._off(stamps[order])
        if abs(off[-1]) <= self._tolerance:
            return self._back_in_time(order, off)
        if not clear:
            return []
        if exact and (np.diff(stamps[order]) < self._least / 3).any():  # a device's clock does not stand still
            self._jitters(off - np.median(off))
            return self._decide(final)
        return self._apart(order) if exact else self._shifted(off)

    def _jitters(self, off: np.ndarray) -> None:
        """Take the stamps for those of arrival, that may be so far off."""
        self._jitter = max(self._jitter, 1.01 * _STEP * self.step, min(_RESTART, 1.5 * float(np.abs(off).max())))

    def _early(self, early: np.ndarray, clear: bool, final: bool) -> list[Run | Oddity]:
        """Stamps of a time that has been: of samples that are late, or of a clock that was set back."""
        if not early.all() and early[-1]:
            first = int(np.flatnonzero(~early)[-1]) + 1  # what is before the newest of them is decided by itself
            stamps, samples = self._stamps[first:], self._samples[:, first:]
            if not final and len(stamps) < self._patience:
                return []
            self._keep(np.arange(len(self._stamps)) < first)
            found = self._settle(final=True)
            self._hold(stamps, samples)
            return found
        if early.all() and not clear:
            return []
        if early.all() and len(early) >= self._patience:
            return self._jump(float(self._stamps[0]) - self._bias - self.expected)
        self._keep(~early)
        return [Oddity("late", self.expected, int(early.sum()))]

    def _back_in_time(self, order: np.ndarray, off: np.ndarray) -> list[Run | Oddity]:
        """All are there: late ones are put in their place, and what was held up only came in a burst."""
        late = int(np.count_nonzero(np.maximum.accumulate(self._stamps) - self._stamps > self._least))
        if not self._exact or np.abs(off).max() > self._least:
            late, order = 0, np.arange(len(order))  # arrival it is that these stamps tell
            self._jitters(off)
        found: list[Run | Oddity] = [Oddity("late", self.expected, late, placed=True)] if late else []
        return found + self._release(order)

    def _release(self, order: np.ndarray) -> list[Run | Oddity]:
        """Take some of what is held, in an order; the rest stays."""
        chosen, samples = self._stamps[order], self._samples[:, order]
        rest = np.ones(len(self._stamps), bool)
        rest[order] = False
        self._keep(rest)
        return self._take(chosen, samples)

    def _shifted(self, off: np.ndarray) -> list[Run | Oddity]:
        """Jittering stamps that do not come back to where they would have been."""
        # What was only held up is late; nothing is early. So the least late samples tell, here as before.
        shift = float(off.min()) + self._bias - min(late for _, late in self._behind)
        found: list[Run | Oddity] = []
        few = len(off) < self._patience  # where nothing more comes: they may have been held up
        if abs(shift) > (max(_RESTART, self._tolerance) if few or shift < 0 else self._tolerance):
            found = self._jump(shift)
        else:
            self._jitters(off)
        return found + self._release(np.arange(len(off)))

    def _apart(self, order: np.ndarray) -> list[Run | Oddity]:
        """Stamps of the device's clock: name the gap or jump before them, and take what then continues."""
        ordered = self._stamps[order]
        ahead = float(self._off(ordered)[0])
        found: list[Run | Oddity] = self._jump(ahead) if ahead > self._least else []
        breaks = np.flatnonzero(np.diff(ordered) - self.step > self._least)
        until = int(breaks[0]) + 1 if len(breaks) else len(ordered)
        late = np.maximum.accumulate(self._stamps) - self._stamps > self._least
        if placed := int(np.count_nonzero(late[order[:until]])):
            found.append(Oddity("late", self.expected, placed, placed=True))
        return found + self._release(order[:until])

    def _jump(self, seconds: float) -> list[Run | Oddity]:
        """Go on at another time: samples are missing, or a clock was set."""
        at = self.expected
        if not self._exact:
            self._even = 0
        self._next = at + seconds
        self._last = self._next + self._bias - self.step
        future = self._live and self._received - self._next - self._bias < self._lag - _RESTART
        if seconds < 0 or future:
            self._lag = self._received - self._next
            self._recent.clear()
            return [Oddity("clock-jump", at, seconds=seconds)]
        return [Oddity("gap", at, max(1, round(seconds / self.step)), seconds)]


def _told_once(found: list[Run | Oddity]) -> list[Run | Oddity]:
    """Add up what is said of the same kind in a row, but gaps and jumps."""
    told: list[Run | Oddity] = []
    for one in found:
        last = told[-1] if told else None
        if (
            isinstance(one, Oddity) and isinstance(last, Oddity)
            and one.kind in ("late", "duplicate") and (one.kind, one.placed) == (last.kind, last.placed)
        ):  # fmt: skip
            told[-1] = Oddity(one.kind, last.time, last.samples + one.samples, placed=one.placed)
        else:
            told.append(one)
    return told
