"""What answers are worth: scores over all people, averaged over draws, with intervals over people"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurolm.core.table import Cell, Table, columns
from neurolm.tasks.metrics import interval, resampled_scores, score
from readout_studies.windows import Described

RESAMPLES = 500


@dataclass(frozen=True)
class Found:
    """Answers for the same windows, by draw."""

    windows: Described
    probabilities: np.ndarray
    """(draws, windows, options); one draw where nothing is random."""
    labels: np.ndarray | None = None
    """(draws, windows) where draws differ in their labels."""

    def truth(self, draw: int) -> np.ndarray:
        return self.windows.labels if self.labels is None else self.labels[draw]

    def each(self, name: str) -> np.ndarray:
        """A score of every draw."""
        options = self.probabilities.shape[2]
        if name == "log_likelihood":
            return np.array([log_likelihood(self.truth(d), p) for d, p in enumerate(self.probabilities)])
        return np.array(
            [getattr(score(self.truth(d), p, options=options), name) for d, p in enumerate(self.probabilities)]
        )

    def resampled(self) -> dict[str, np.ndarray]:
        """Scores of resamples of the people, mean over the draws; the same people in every call."""
        options, subjects = self.probabilities.shape[2], self.windows.subjects.tolist()
        found = [
            resampled_scores(self.truth(d), p, subjects, options=options, resamples=RESAMPLES)
            for d, p in enumerate(self.probabilities)
        ]
        return {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}


def log_likelihood(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean log-likelihood of the labels."""
    return float(np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())


def compare(found: Mapping[str, Found], *, beside: str | None = None, what: str = "answers of") -> Table:
    """A row for every method; ``beside`` is the one that the others are compared with, on the same windows."""
    resampled = {name: one.resampled() for name, one in found.items()}
    rows: list[list[Cell]] = []
    for name, one in found.items():
        accuracy, values = one.each("balanced_accuracy"), resampled[name]
        row = [name, _spread(accuracy), _between(values["balanced_accuracy"]), f"{one.each('auroc').mean():.3f}",
               f"{one.each('ece').mean():.3f}", _between(values["ece"]),
               f"{one.each('log_likelihood').mean():.3f}"]  # fmt: skip
        if beside is not None:
            less = accuracy.mean() - found[beside].each("balanced_accuracy").mean()
            difference = values["balanced_accuracy"] - resampled[beside]["balanced_accuracy"]
            row.append(None if name == beside else f"{less:+.3f} ({_between(difference)})")
        rows.append(row)
    heads = [what, "balanced accuracy", "95 %", "AUROC", "calibration error", "95 %", "log-likelihood"]
    return Table(columns=columns(*heads, *([f"less {beside}"] if beside else [])), groups=[rows])


def _spread(values: np.ndarray) -> str:
    """Mean over draws, and their standard deviation where they differ."""
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if np.ptp(values) > 0 else "")


def _between(values: np.ndarray) -> str:
    found = interval(values)
    return "–" if found is None else f"{found.low:.3f} to {found.high:.3f}"
