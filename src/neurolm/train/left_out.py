"""What is left out of a fit together, so that what it is chosen by was not learned from

With several people it is people. One person's recordings come next, where every label is in two of them. Else it is
stretches of time: the trials, or other labelled stretches, of each label in a few runs; and where a label has a single
stretch, parts of it. Windows that share time with one of another part are left out of the fit altogether.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from neurolm.batches.windows import Window
from neurolm.core.physics import RATE

Kind = Literal["people", "recordings", "stretches"]
PARTS = 5
"""Most parts into which the stretches of each label are divided: long ones, since neighbours resemble each other."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Windows of a fit, and which of them are left out together."""

    kind: Kind
    windows: tuple[Window, ...]
    """Those that share no time with a window of another group."""
    groups: tuple[str, ...]
    """The person, recording or stretch of each."""


def left_out(windows: Sequence[Window]) -> LeftOut:
    """Decide what of some labelled windows is left out together."""
    windows = sorted(windows, key=lambda window: (window.recording, window.start))
    people = [window.subject for window in windows]
    if len(set(people)) > 1:
        return LeftOut(kind="people", windows=tuple(windows), groups=tuple(people))
    recordings = [window.recording for window in windows]
    if _fewest(windows, recordings) > 1:
        return LeftOut(kind="recordings", windows=tuple(windows), groups=tuple(map(str, recordings)))
    stretches = [(window.recording, window.span) for window in windows]
    units: Sequence[Hashable] = stretches if _fewest(windows, stretches) > 1 else range(len(windows))
    parts = _parts(windows, units)
    kept = _apart(windows, parts)
    return LeftOut(kind="stretches", windows=tuple(windows[i] for i in kept), groups=tuple(str(parts[i]) for i in kept))


def _by_label(windows: Sequence[Window], units: Iterable[Hashable]) -> dict[str | None, list[Hashable]]:
    """Units of each label, in the order of time, each once."""
    found: dict[str | None, dict[Hashable, None]] = defaultdict(dict)
    for window, unit in zip(windows, units, strict=True):
        found[window.label][unit] = None
    return {label: list(units) for label, units in found.items()}


def _fewest(windows: Sequence[Window], units: Iterable[Hashable]) -> int:
    """In how many units the rarest label is."""
    return min((len(found) for found in _by_label(windows, units).values()), default=0)


def _parts(windows: Sequence[Window], units: Sequence[Hashable]) -> list[int]:
    """Divide each label's units into as many runs: the number of each window's."""
    labels = _by_label(windows, units)
    parts = min(PARTS, max(2, min(map(len, labels.values()), default=0)))
    number = {}
    for label, found in labels.items():
        number.update({(label, unit): place * parts // len(found) for place, unit in enumerate(found)})
    return [number[window.label, unit] for window, unit in zip(windows, units, strict=True)]


def _apart(windows: Sequence[Window], parts: Sequence[int]) -> list[int]:
    """Windows, in the order of time, that share none with an earlier one of another part."""
    kept, ends = [], dict[tuple[int, int], int]()
    for place, (window, part) in enumerate(zip(windows, parts, strict=True)):
        others = (end for (recording, other), end in ends.items() if recording == window.recording and other != part)
        if max(others, default=0) <= window.start:
            ends[window.recording, part] = window.start + window.seconds * RATE
            kept.append(place)
    return kept
