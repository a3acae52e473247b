"""Codes in a trigger channel: when each begins, by the rule of MNE's ``find_events``

>>> find_codes([np.array([0, 0, 5, 5, 0, 7, 3, 3])])
Codes(places=array([2, 5]), codes=array([5, 7]), first=0, lowered=1, negative=False)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

STATUS_BITS = 0xFFFF
"""The bits of BioSemi's Status channel that are triggers; the others tell of the amplifier (epoch, speed, CMS in range,
battery), https://www.biosemi.com/faq/trigger_signals.htm."""
MOST_VALUES = 1024
"""Values above which a channel holds no codes but a measurement or a counter."""
_FEW, _MOST = 16, 1 << 20
"""Changes that any channel may have, and that none may; between, up to half of its samples may be changes."""
_FIRST = 1 << 16
"""Samples that are looked at before a channel can be known to change too often."""


@dataclass(frozen=True)
class Codes:
    """What a trigger channel says."""

    places: np.ndarray
    """int64 (events,): the sample at which each begins."""
    codes: np.ndarray
    """int64 (events,)."""
    first: int
    """The value at which the channel begins: no event, as in MNE. 0 for a channel that never changes."""
    lowered: int
    """Changes to a lower code that is not 0: no events, as in MNE, since bits may end one after another."""
    negative: bool
    """Whether there are negative codes, which count without their sign, as in MNE."""


@dataclass(frozen=True)
class Runs:
    """A channel as runs of one value."""

    places: np.ndarray
    """int64 (runs,): the first sample of each."""
    values: np.ndarray
    """The value of each, of the channel's own type."""


def find_runs(parts: Iterable[np.ndarray]) -> Runs | None:
    """Find the runs of one value in a channel that comes in parts; None where it changes as a measurement does."""
    places, values, seen, changes = [], [], 0, 0
    last = None
    for part in parts:
        if not len(part):
            continue
        starts = np.flatnonzero(np.diff(part) != 0) + 1
        if last is None or part[0] != last:
            starts = np.concatenate([[0], starts])
        places.append(starts + seen)
        values.append(part[starts])
        seen, last, changes = seen + len(part), part[-1], changes + len(starts)
        if changes > min(max(_FIRST, seen) // 2, _MOST):
            return None
    if changes > max(_FEW, seen // 2):
        return None
    if not places:
        return Runs(np.zeros(0, np.int64), np.zeros(0))
    found = Runs(np.concatenate(places), np.concatenate(values))
    return found if len(np.unique(found.values)) <= MOST_VALUES else None


def codes_of(runs: Runs) -> Codes:
    """Find the events of a channel: each change to a higher code."""
    values = np.abs(runs.values.astype(np.int64))
    if not len(values):
        return Codes(runs.places, values, 0, 0, False)
    before, after = values[:-1], values[1:]
    higher, lower = after > before, (after < before) & (after != 0)
    return Codes(
        runs.places[1:][higher],
        after[higher],
        int(values[0]) if len(values) > 1 else 0,
        int(lower.sum()),
        bool((runs.values < 0).any()),
    )


def find_codes(parts: Iterable[np.ndarray]) -> Codes | None:
    """Find the events of a channel of whole numbers that comes in parts; None where it holds no codes."""
    runs = find_runs(parts)
    return None if runs is None else codes_of(runs)
