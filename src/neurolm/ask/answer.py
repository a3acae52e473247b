"""What an answer is: an option with its probability, window by window and over the recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from neurolm.ask import ALLOWED
from neurolm.ask.calibration import TaskCalibration
from neurolm.ask.question import SIMULATED
from neurolm.core.amounts import many

GAP = 0.01
"""Seconds between two windows from which on time is missing between them."""
UNDECIDED = "undecided"
"""Instead of an option, where an answer would be wrong more often than the stated risk."""


@dataclass(frozen=True, kw_only=True)
class WindowAnswer:
    """The answer for one window."""

    start: float
    """Seconds from the start of the recording."""
    stop: float
    probabilities: tuple[float, ...]
    """One per option, in the order of ``Answer.options``."""
    decided: bool = True
    """Whether the likeliest option is likely enough for the stated risk."""
    language_model: float | None = None
    """What `Contributions.language_model` is the sum of: nats in this window, for the recording's two options."""
    evidence: float | None = None
    """The same of the evidence; None where it does not speak."""
    unlike: bool | None = None
    """Whether the window is unlike the training data; None where its range is not known, and in older answers."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Windows of a recording that were answered just now, while others still are to be."""

    windows: tuple[WindowAnswer, ...]
    """In the order of time. Who spoke for the recording's answer in them is not known yet."""
    done: int
    """Windows that are answered, these included."""
    total: int
    """Windows of the recording."""


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """How much the language model and the evidence spoke for an answer, in nats (one multiplies the odds by 2.7).

    Their sum is the logarithm of how many times likelier the answer is than the next likeliest option.
    """

    option: str
    """The likeliest option, whether decided or not."""
    against: str
    """The next likeliest."""
    language_model: float
    """Mean over the windows after temperature, times their worth, as the answer's own log-odds."""
    evidence: float | None
    """The same of the evidence beside it; None where none spoke."""
    no_evidence: str | None = None
    """Why none spoke."""

    @property
    def in_words(self) -> str:
        """Who spoke how much for what."""
        parts = [f"language model {self.language_model:+.2f}"]
        parts += [] if self.evidence is None else [f"evidence {self.evidence:+.2f}"]
        silent = f"; no evidence, since {self.no_evidence}" if self.no_evidence else ""
        return f"for {self.option} rather than {self.against} spoke: {', '.join(parts)} nats{silent}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for a recording."""

    recording: str
    question: str
    options: tuple[str, ...]
    answer: str
    """The option with the highest probability; ``UNDECIDED`` where a risk was stated and it is not likely enough."""
    probability: float
    """Highest probability of an option over all windows, whether decided or not."""
    probabilities: tuple[float, ...]
    """Probability of every option over all windows: their mean log-odds, times the windows' worth."""
    timeline: tuple[WindowAnswer, ...]
    electrodes: tuple[str, ...]
    """Electrodes the answer rests on, as the model knows them."""
    trained: bool
    """Whether the model was tuned on this question; if not, the probability is no more than a likelihood."""
    notes: tuple[str, ...]
    """What was done to make the recording fit, and what limits the answer."""
    calibrated: bool = False
    """Whether temperature and pooling were fitted on validation data."""
    temperature: float = 1.0
    """By which the log-likelihoods were divided."""
    worth: float = 1.0
    """How many independent windows those of the recording count as."""
    interval: tuple[float, float] | None = None
    """Where the probability would lie, nine times in ten, for other EEG of the same recording; None with too little."""
    risk: float | None = None
    """Share of wrong answers that was allowed."""
    threshold: float | None = None
    """Least probability of an answer for that risk; None where none was stated, or none is high enough."""
    outside: float | None = None
    """Share of windows that are unlike the training data; None where its range is not known."""
    contributions: Contributions | None = None
    """How much the language model and the evidence spoke for the likeliest option; None in older answers."""
    person: str | None = None
    """For whom readout and temperature were adapted (`neurolm calibrate --person`); None: for nobody."""

    @property
    def unlike(self) -> bool | None:
        """Whether so many windows are unlike the training data that the probability must not stand without it."""
        return None if self.outside is None else self.outside > ALLOWED

    @property
    def simulated(self) -> bool:
        """Whether the model knows simulated EEG only, so that it means nothing what it says of real EEG."""
        return SIMULATED in self.notes

    @property
    def runs(self) -> list[tuple[WindowAnswer, ...]]:
        """The windows of the timeline, parted where a gap lies between two that is longer than their usual distance."""
        pairs = list(pairwise(self.timeline))
        usual = sorted(other.start - one.start for one, other in pairs)[len(pairs) // 2] if pairs else 0.0
        breaks = [
            i + 1
            for i, (one, other) in enumerate(pairs)
            if other.start > one.stop + GAP and other.start - one.start > usual + GAP
        ]
        return [self.timeline[first:last] for first, last in pairwise((0, *breaks, len(self.timeline)))]


def conclude(
    likelihoods: np.ndarray,
    calibration: TaskCalibration,
    *,
    options: Sequence[str],
    spans: Sequence[tuple[float, float]],
    overlap: float = 1.0,
    risk: float | None = None,
    evidence: np.ndarray | None = None,
    no_evidence: str | None = None,
    unlike: np.ndarray | None = None,
) -> Answer:
    """Make an answer of the likelihoods of a recording's windows; who asked what about which is left open.

    Parameters
    ----------
    likelihoods
        Log-likelihoods in the order of time, shape (windows, options).
    calibration
        Calibration of the task.
    options
        Their labels.
    spans
        First and last second of every window.
    overlap
        Windows that a moment is in.
    risk
        Largest share of wrong answers; None always answers.
    evidence
        What of the log-likelihoods is evidence beside the language model, of the same shape; None where none spoke.
    no_evidence
        Why none spoke.
    unlike
        Whether each window is unlike the training data, bool (windows,); None where that is not known.
    """
    timeline = answer_windows(likelihoods, calibration, spans=spans, risk=risk, unlike=unlike)
    windows, pooled = calibration.probabilities(likelihoods), calibration.pool(likelihoods)
    best = int(pooled.argmax())
    threshold = doubt = None
    if risk is not None:
        threshold = calibration.pooled.threshold(risk)
        doubt = _doubt(calibration, risk, threshold, float(pooled[best]))
    against, language, beside = _apart(likelihoods, evidence, best, calibration)
    worth = calibration.weight(len(windows))
    contributions = Contributions(
        option=options[best], against=options[against], language_model=float(worth * language.mean()),
        evidence=None if beside is None else float(worth * beside.mean()), no_evidence=no_evidence,
    )  # fmt: skip
    return Answer(
        recording="",
        question="",
        options=tuple(options),
        answer=UNDECIDED if doubt else options[best],
        probability=float(pooled[best]),
        probabilities=tuple(float(p) for p in pooled),
        timeline=tuple(
            replace(window, language_model=float(language[i]), evidence=None if beside is None else float(beside[i]))
            for i, window in enumerate(timeline)
        ),
        electrodes=(),
        trained=True,
        notes=tuple(note for note in (doubt, _dissent(windows, best, options)) if note),
        temperature=calibration.temperature,
        worth=worth,
        interval=calibration.interval(likelihoods, overlap=overlap),
        risk=risk,
        threshold=threshold,
        contributions=contributions,
    )


def answer_windows(
    likelihoods: np.ndarray,
    calibration: TaskCalibration,
    *,
    spans: Sequence[tuple[float, float]],
    risk: float | None = None,
    unlike: np.ndarray | None = None,
) -> tuple[WindowAnswer, ...]:
    """Answer for windows each by itself; who spoke for the answer of the recording in them is left open.

    Parameters are those of `conclude`, for any of a recording's windows.
    """
    windows = calibration.probabilities(likelihoods)
    least = None if risk is None else calibration.per_window.threshold(risk)
    sure = np.full(len(windows), risk is None) if least is None else windows.max(axis=1) >= least
    return tuple(
        WindowAnswer(
            start=start,
            stop=stop,
            probabilities=tuple(float(p) for p in row),
            decided=bool(enough),
            unlike=None if unlike is None else bool(unlike[i]),
        )
        for i, ((start, stop), row, enough) in enumerate(zip(spans, windows, sure, strict=True))
    )


def _apart(
    likelihoods: np.ndarray, evidence: np.ndarray | None, best: int, calibration: TaskCalibration
) -> tuple[int, np.ndarray, np.ndarray | None]:
    """The next likeliest option, and what language model and evidence say for the best against it in each window."""
    mean = calibration.log_probabilities(likelihoods).mean(axis=0)
    mean[best] = -np.inf
    against = int(mean.argmax())
    both = (likelihoods[:, best] - likelihoods[:, against]) / calibration.temperature
    if evidence is None:
        return against, both, None
    beside = (evidence[:, best] - evidence[:, against]) / calibration.temperature
    return against, both - beside, beside


def _dissent(windows: np.ndarray, best: int, options: Sequence[str]) -> str | None:
    """What is said where most windows have another answer than the recording."""
    same = int((windows.argmax(axis=1) == best).sum())
    if 2 * same >= len(windows):
        return None
    return (
        f"{options[best]} is the likeliest answer of {same} of the {many(len(windows), 'window')} only: where states "
        "change, read the timeline"
    )


def _doubt(calibration: TaskCalibration, risk: float, threshold: float | None, probability: float) -> str | None:
    """Why nothing is decided at a risk; None where something is."""
    if threshold is not None:
        if probability >= threshold:
            return None
        return f"undecided: for a risk of {risk:g} the probability must be {threshold:.2f} or more"
    points = calibration.pooled
    if not points.thresholds:
        why = "there are no validation answers to this question"
    else:
        least, wrong = points.attained_risk, round(points.errors[-1] * calibration.stretches)
        why = (
            f"the {calibration.stretches} validation answers of {many(calibration.subjects, 'person')}, {wrong} of "
            f"them wrong, promise {'none at all' if least is None else f'no less than {least:g}'}"
        )
    return f"undecided, since a risk of {risk:g} cannot be kept: {why}"
