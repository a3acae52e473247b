"""Where the model stands beside the best baseline, and whether that may be chance

The interval is over resampled people, the same for both, so that what makes a person hard for everybody cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurolm.evaluation.joined import MODEL, JoinedTask
from neurolm.evaluation.results import PARTS, TaskResult
from neurolm.tasks.metrics import Interval, interval, resampled_scores

_SCORE = "balanced_accuracy"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The model beside the best of the baselines; the two parts of its own answers are none."""

    baseline: str
    accuracy: float
    """Balanced accuracy of that baseline."""
    difference: float
    """The model's less the baseline's."""
    interval: Interval | None
    """95 % over resampled people; None with a single person, or where answers were not kept."""

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)

    def __str__(self) -> str:
        best = f"best baseline {self.baseline} {self.accuracy:.3f}; {MODEL} less {self.baseline} {self.difference:+.3f}"
        if self.interval is None:
            return best
        way = "behind" if self.difference < 0 else "ahead"
        span = f"[{self.interval.low:+.3f}, {self.interval.high:+.3f}]"
        return f"{best} {span}, {'significantly' if self.significant else 'not significantly'} {way}"


def standing(result: TaskResult) -> Standing | None:
    """Return where the model stands in one evaluation; None without a baseline."""
    scored = [b for b in result.baselines if b.scores is not None and b.name not in PARTS]
    if not scored:
        return None
    best = max(scored, key=lambda baseline: baseline.scores.balanced_accuracy if baseline.scores else 0.0)
    assert best.scores is not None
    accuracy, answered, span = best.scores.balanced_accuracy, result.predictions, None
    if answered.labels and best.probabilities:
        ours, theirs = (
            resampled_scores(
                np.array(answered.labels), np.array(given), answered.subjects, options=len(result.options)
            )
            for given in (answered.probabilities, best.probabilities)
        )  # fmt: skip
        span = interval(ours[_SCORE] - theirs[_SCORE]) if ours else None
    return Standing(
        baseline=best.name, accuracy=accuracy, difference=result.scores.balanced_accuracy - accuracy, interval=span
    )


def joined_standing(task: JoinedTask) -> Standing | None:
    """Return where the model stands in several evaluations that were joined; None without a baseline."""
    means = {
        answers.name: found.seeds.mean
        for answers in task.answers
        if answers.unit == "window" and answers.name not in (MODEL, *PARTS) and (found := answers.score(_SCORE))
    }
    if not means:
        return None
    best = max(means, key=means.__getitem__)
    less = next(d for d in task.differences if (d.baseline, d.score) == (best, _SCORE))
    return Standing(baseline=best, accuracy=means[best], difference=less.mean, interval=less.interval)
