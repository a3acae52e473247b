"""What answers are worth before and after, by labelled seconds, with intervals over people"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neurolm.core.table import Cell, Table, columns
from neurolm.tasks.metrics import interval, resampled_scores, score
from personal_studies.people import Windows, together

RESAMPLES = 500


def compare(asked: Sequence[Windows], found: Mapping[str, Sequence[np.ndarray]], *, beside: str) -> list[list[Cell]]:
    """A row for every method.

    Parameters
    ----------
    asked
        The windows of each person.
    found
        By method the log-probabilities of each person's windows.
    beside
        The method that the others are compared with.
    """
    every = together(asked)
    options, subjects = every.before.shape[1], every.subjects.tolist()
    probabilities = {name: np.exp(np.concatenate(list(logs))) for name, logs in found.items()}
    resampled = {
        name: resampled_scores(every.labels, p, subjects, options=options, resamples=RESAMPLES)
        for name, p in probabilities.items()
    }
    rows: list[list[Cell]] = []
    for name, p in probabilities.items():
        scores, values = score(every.labels, p, options=options), resampled[name]
        less = values["balanced_accuracy"] - resampled[beside]["balanced_accuracy"]
        gain = scores.balanced_accuracy - score(every.labels, probabilities[beside], options=options).balanced_accuracy
        logs = np.log(np.maximum(p[np.arange(len(p)), every.labels], 1e-12))
        rows.append([
            name, f"{scores.balanced_accuracy:.3f}", _between(values["balanced_accuracy"]), f"{scores.ece:.3f}",
            _between(values["ece"]), f"{logs.mean():.3f}",
            None if name == beside else f"{gain:+.3f} ({_between(less)})",
        ])  # fmt: skip
    return rows


def table(groups: Mapping[str, Sequence[Sequence[Cell]]], *, beside: str, first: str = "labelled") -> Table:
    """Groups of rows, each beginning with the group's name."""
    heads = [first, "answers of", "balanced accuracy", "95 %", "calibration error", "95 %", "log-likelihood"]
    rows = [[[name, *row] for row in group] for name, group in groups.items()]
    return Table(columns=columns(*heads, f"less {beside}"), groups=rows)


def _between(values: np.ndarray) -> str:
    found = interval(values)
    return "–" if found is None else f"{found.low:.3f} to {found.high:.3f}"
