"""What the windows of the last seconds say together: the policy of live answers

Pooled are the windows of the context, a number of seconds up to the end of the newest window: that one, and going back
from it those inside the context whose starts are at least the task's own stride apart, as in training. So windows that
follow closer on each other give a newer answer and no surer one, and where the context holds a whole recording the
answer is that of ``neurolm ask``. An answer that is older than the context is none any more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from neurolm.ask.answer import Answer, WindowAnswer, conclude
from neurolm.ask.novelty import Novelty
from neurolm.ask.question import Question
from neurolm.live.windows import Finished

CONTEXT = 60.0
"""Seconds that an answer is about, where no others are given."""
_SLACK = 0.01  # of a second: starts are sums of fractions


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What was said about a window."""

    start: float
    """Seconds on the source's clock."""
    stop: float
    language: np.ndarray
    """(1, options)"""
    evidence: np.ndarray
    features: np.ndarray
    """Of `novelty.describe`, (1, features)."""


class Context:
    """Windows of the last seconds.

    Parameters
    ----------
    question
        What is asked.
    seconds
        Length of the context.
    risk
        Largest share of wrong answers, as for ``neurolm ask``.
    """

    def __init__(self, question: Question, *, seconds: float = CONTEXT, risk: float | None = None) -> None:
        self.question, self.seconds, self.risk = question, seconds, risk
        self.silence: str | None = None
        """Why no evidence speaks; None where some does."""
        self._said: deque[Said] = deque()
        self._pooled: tuple[Answer, Novelty | None] | None = None

    def add(self, window: Finished, *, start: float, stop: float) -> WindowAnswer:
        """Take a window, between two seconds on the source's clock; returns what it says alone."""
        said = Said(
            start=start, stop=stop, language=window.language, evidence=window.evidence, features=window.features
        )
        self._said.append(said)
        while self._said[0].start < stop - self.seconds - _SLACK and len(self._said) > 1:
            self._said.popleft()
        self._pooled = self._pool()
        return self._conclude([said]).timeline[0]

    def forget(self, now: float) -> None:
        """Let go of all windows once the newest ended longer ago than the context is long."""
        if self._said and self._said[-1].stop < now - self.seconds:
            self.clear()

    def clear(self) -> None:
        """Let go of all windows: the clock has changed."""
        self._said.clear()
        self._pooled = None

    @property
    def pooled(self) -> tuple[Answer, Novelty | None] | None:
        """The answer of all windows, and how unlike the training they are; None without any."""
        return self._pooled

    def _pool(self) -> tuple[Answer, Novelty | None]:
        chosen: list[Said] = []
        for said in reversed(self._said):
            if not chosen or said.start <= chosen[-1].start - self.question.task.stride + _SLACK:
                chosen.append(said)
        chosen.reverse()
        return self._conclude(chosen), self.question.novelty(np.concatenate([said.features for said in chosen]))

    def _conclude(self, chosen: list[Said]) -> Answer:
        question = self.question
        language = np.concatenate([said.language for said in chosen])
        evidence = np.concatenate([said.evidence for said in chosen])
        answer = conclude(
            language + evidence, question.calibration, options=question.task.labels,
            spans=[(said.start, said.stop) for said in chosen], overlap=question.overlap, risk=self.risk,
            evidence=evidence if self.silence is None else None, no_evidence=self.silence,
        )  # fmt: skip
        if not question.trained:  # guesses decide nothing
            answer = replace(answer, timeline=tuple(replace(window, decided=False) for window in answer.timeline))
        return answer
