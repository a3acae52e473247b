"""Codes forecast from counts: how often each followed what is known, on training people"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0)
"""Observations that the coarser table counts as, in the finer one; which is chosen on validation people."""
ELECTRODES = 1000
"""More than there are, so that code and electrode make one number."""
UNIGRAM, ELECTRODE, BIGRAM, ELECTRODE_BIGRAM, AR = METHODS = (
    "unigram", "unigram of the electrode", "bigram", "bigram of the electrode", "AR model, tokenised",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Codes that are to be forecast, and what is known before; all int64 (targets,)."""

    code: np.ndarray
    electrode: np.ndarray
    previous: np.ndarray
    """The electrode's code of the second before."""
    drawn: np.ndarray | None = None
    """The code of the second that an AR model of the electrode makes of what came so far."""


def chains(method: str, targets: Targets) -> list[list[np.ndarray]]:
    """What a method counts by, from coarse to fine, int64 (targets,) each; several ways, of which one is chosen."""
    nothing, electrode = np.zeros_like(targets.code), targets.electrode
    if method == UNIGRAM:
        return [[nothing]]
    if method == ELECTRODE:
        return [[nothing, electrode]]
    known = targets.drawn if method == AR else targets.previous
    assert known is not None, "the AR model has not been drawn from"
    if method == BIGRAM:
        return [[nothing, known]]
    both = known * ELECTRODES + electrode
    return [[nothing, known, both], [nothing, electrode, both]]


def forecast(
    given: Sequence[tuple[np.ndarray, np.ndarray]], asked: Sequence[np.ndarray], strengths: Sequence[float], codes: int
) -> np.ndarray:
    """Probabilities of all codes by counts, each table interpolated with the coarser one, float64 (asked, codes).

    Parameters
    ----------
    given
        From coarse to fine: contexts of training people, and the codes that followed.
    asked
        The same contexts of what is to be forecast.
    strengths
        How much the coarser table weighs in each; the coarsest is interpolated with equal probabilities.
    """
    probability = np.full((len(asked[0]), codes), 1 / codes)
    for (known, code), wanted, strength in zip(given, asked, strengths, strict=True):
        keys, row = np.unique(known, return_inverse=True)
        counts = np.bincount(row * codes + code, minlength=len(keys) * codes).reshape(len(keys), codes)
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        seen = counts[place] * (keys[place] == wanted)[:, None]
        probability = (seen + strength * probability) / (seen.sum(1, keepdims=True) + strength)
    return probability


def score(probability: np.ndarray, code: np.ndarray) -> tuple[float, float]:
    """Cross-entropy in nats a code, and the share of codes that were the likeliest."""
    nats = -np.log(probability[np.arange(len(code)), code]).mean()
    return float(nats), float((probability.argmax(1) == code).mean())


def tested(
    method: str, train: Targets, validation: Targets, test: Targets, codes: int, *, every: Targets | None = None
) -> tuple[float, float]:
    """Fit on training people, choose on validation people, score on test people: as ``score``.

    Parameters
    ----------
    every
        More targets of training people, of whom the coarsest table is made.
    """
    every = train if every is None else every
    best = (math.inf, 0, list[float]())
    for way, (known, wanted) in enumerate(zip(chains(method, train), chains(method, validation), strict=True)):
        given = _given(known, train, every)
        strengths: list[float] = []
        for level in range(1, len(given) + 1):
            nats = {
                one: score(forecast(given[:level], wanted[:level], [*strengths, one], codes), validation.code)[0]
                for one in STRENGTHS
            }
            strengths.append(min(nats, key=lambda one: nats[one]))
        best = min(best, (nats[strengths[-1]], way, strengths))
    _, way, strengths = best
    given = _given(chains(method, train)[way], train, every)
    return score(forecast(given, chains(method, test)[way], strengths, codes), test.code)


def _given(known: Sequence[np.ndarray], train: Targets, every: Targets) -> list[tuple[np.ndarray, np.ndarray]]:
    coarsest = (np.zeros_like(every.code), every.code)
    return [coarsest, *((one, train.code) for one in known[1:])]
