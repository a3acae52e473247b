"""One answer for all windows that share a label: the mean of their log-odds.

The mean log-odds of windows is their geometric mean, normalised: a window that is sure counts more than one that is
not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurolm.data.store import Store
from neurolm.data.windows import Window
from neurolm.evaluation.results import Pooled, scored

_LEAST = 1e-12
"""Least probability, so that one window cannot rule an answer out for all."""


def pool(probabilities: np.ndarray) -> np.ndarray:
    """Pool the probabilities of windows, shape (windows, options) → (options,)."""
    mean = np.log(np.maximum(probabilities, _LEAST)).mean(axis=0)
    odds = np.exp(mean - mean.max())
    return odds / odds.sum()


def units(store: Store, windows: Sequence[Window], labels: Sequence[int]) -> tuple[str, list[tuple[object, ...]]]:
    """Return what shares a label, and each window's: the recording, or where those have several labels the stretch."""
    seen: dict[int, set[int]] = {}
    for window, label in zip(windows, labels, strict=True):
        seen.setdefault(window.recording, set()).add(label)
    if all(len(found) == 1 for found in seen.values()):
        return "recording", [(w.recording,) for w in windows]
    return "stretch", [(w.recording, *w.span) for w in windows]


def pooled(store: Store, windows: Sequence[Window], labels: Sequence[int], probabilities: np.ndarray) -> Pooled:
    """Pool the answers of every recording or stretch, and score them."""
    unit, keys = units(store, windows, labels)
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    firsts = [places[0] for places in groups.values()]
    scores, intervals = scored(
        np.array([labels[i] for i in firsts]),
        np.stack([pool(probabilities[places]) for places in groups.values()]),
        tuple(windows[i].subject for i in firsts),
        options=probabilities.shape[1],
    )
    return Pooled(unit=unit, scores=scores, intervals=intervals)
