"""One answer for all windows that share a label, pooled as for a recording, and its scores.

The rule is that of :mod:`neurolm.ask.calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurolm.ask.calibration import pool_stretches
from neurolm.batches.windows import Window
from neurolm.evaluation.results import Pooled, Predictions, scored

_LEAST = 1e-12
"""Least probability, so that one window cannot rule an answer out for all."""


def units(windows: Sequence[Window], labels: Sequence[int]) -> tuple[str, list[tuple[object, ...]]]:
    """Return what shares a label, and each window's: the recording, or where those have several labels the stretch."""
    seen: dict[int, set[int]] = {}
    for window, label in zip(windows, labels, strict=True):
        seen.setdefault(window.recording, set()).add(label)
    if all(len(found) == 1 for found in seen.values()):
        return "recording", [(w.recording,) for w in windows]
    return "stretch", [(w.recording, *w.span) for w in windows]


def pooled(
    windows: Sequence[Window],
    predictions: Predictions,
    probabilities: np.ndarray,
    *,
    correlation: float = 1.0,
) -> Pooled:
    """Pool the answers of every recording or stretch, and score them.

    Parameters
    ----------
    predictions
        Answers of the windows, with their labels, people and recordings.
    probabilities
        Probabilities of the windows, shape (windows, options): the predictions' own, or a baseline's.
    correlation
        How much the windows of a stretch say the same, where that was fitted.
    """
    unit, keys = units(windows, predictions.labels)
    number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    stretch = np.array([number[key] for key in keys])
    firsts = np.unique(stretch, return_index=True)[1]
    logs = np.log(np.maximum(probabilities, _LEAST))
    answers = pool_stretches(logs, stretch, correlation=correlation)
    found = Predictions(
        labels=tuple(predictions.labels[i] for i in firsts),
        probabilities=tuple(tuple(float(p) for p in row) for row in answers),
        subjects=tuple(predictions.subjects[i] for i in firsts),
        recordings=tuple(predictions.recordings[i] for i in firsts),
        starts=tuple(predictions.starts[i] for i in firsts),
    )
    scores, intervals = scored(np.array(found.labels), answers, found.subjects, options=probabilities.shape[1])
    return Pooled(unit=unit, scores=scores, intervals=intervals, predictions=found)
