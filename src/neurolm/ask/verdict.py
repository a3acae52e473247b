"""The answer in a line of words: the option with its probability, its interval, and what limits it."""

from __future__ import annotations

from neurolm.ask.answer import Answer
from neurolm.core.amounts import likely


def verdict(answer: Answer) -> str:
    """The answer with its probability, its interval and, where a risk was stated, what it takes to answer.

    What is not calibrated has no probability: a likelihood of 1 can be a guess.
    """
    best = answer.options[answer.probabilities.index(max(answer.probabilities))]
    leaning = "" if answer.answer in answer.options else f" (likeliest: {best})"
    low, high = answer.interval or (0.0, 0.0)
    if not answer.trained:
        return f"{answer.answer}{leaning}; a guess: the model was not tuned on this question"
    simulated = "; the model knows simulated EEG only" if answer.simulated else ""
    if not answer.calibrated:
        return f"{answer.answer}{leaning}, not calibrated: how probable it is cannot be said{simulated}"
    interval = f" ({likely(low)} to {likely(high)})" if answer.interval else ""
    needed = "" if answer.threshold is None else f"; {answer.threshold:.2f} needed for a risk of {answer.risk:g}"
    unlike = f"; {answer.outside:.0%} of the windows are unlike the training data" if answer.unlike else ""
    return f"{answer.answer}{leaning}, probability {likely(answer.probability)}{interval}{needed}{unlike}{simulated}"
