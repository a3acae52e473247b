"""What an evaluation found, as ``evaluation.json`` has it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from neurolm.core.config import to_json
from neurolm.core.decode import load_json
from neurolm.core.files import write_text
from neurolm.evaluation.official_protocol import OfficialScores
from neurolm.tasks.metrics import METRICS, Interval, Scores, bootstrap, score

RESULTS = "evaluation.json"
MAJORITY, BAND_POWER, TANGENT, FILTER_BANK, CLASSICAL, FOREST, CONVNET, PROBE = BASELINES = (
    "majority", "band power", "tangent space", "filter bank", "classical features", "random forest", "ShallowConvNet",
    "linear probe",
)  # fmt: skip
"""Names of the baselines, in the order in which they are fitted."""
LANGUAGE_ALONE, EVIDENCE_ALONE = PARTS = ("language model", "evidence")
"""The two that speak for an answer, each by itself; in tables beside the baselines."""
LIKELIHOOD, OFFICIAL = PROTOCOLS = ("likelihood", "official")
"""How answers are read: the likelihood of every permitted one; and, besides, as the authors do it."""
OWN, HELD_OUT = WORDINGS = ("own", "held-out")
"""Whose words a question is asked in: the card's own, or those that training never uses."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Answers for the windows of a split, in the order of recordings and time."""

    labels: tuple[int, ...]
    probabilities: tuple[tuple[float, ...], ...]
    subjects: tuple[str, ...]
    recordings: tuple[str, ...]
    starts: tuple[float, ...]
    """Seconds."""


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """95 % intervals by bootstrap over subjects; None where a score is not given, or with a single subject."""

    balanced_accuracy: Interval | None = None
    auroc: Interval | None = None
    auc_pr: Interval | None = None
    kappa: Interval | None = None
    weighted_f1: Interval | None = None
    ece: Interval | None = None
    brier: Interval | None = None
    aurc: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Scores of answers that are pooled by their mean log-odds over the windows that share one label."""

    unit: str
    """``recording``, or ``stretch`` where recordings have several labels: what is pooled over."""
    scores: Scores
    intervals: Intervals = Intervals()
    predictions: Predictions | None = None
    """The pooled answers; None where they may not be published."""


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """One baseline on the same windows."""

    name: str
    fitted_on: str = ""
    chosen: str = ""
    """How its hyper-parameters were chosen."""
    scores: Scores | None = None
    intervals: Intervals = Intervals()
    pooled: Pooled | None = None
    missing: str = ""
    """Why there are no scores."""
    probabilities: tuple[tuple[float, ...], ...] = ()
    """Probability of every option for every window, in the order of the model's ``Predictions``."""
    seconds: float | None = field(default=None, compare=False)
    """Fitting and answering; not written with the results, which are the same every time."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Scores at one severity of a disturbance."""

    severity: str
    balanced_accuracy: float
    ece: float


@dataclass(frozen=True, kw_only=True)
class RobustnessCurve:
    """How answers get worse as the input does."""

    disturbance: str
    unit: str
    windows: int
    points: tuple[CurvePoint, ...]
    """From undisturbed to worst."""


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One task's figures."""

    task: str
    question: str
    options: tuple[str, ...]
    subjects: int
    scores: Scores
    interval: Interval | None
    """95 % bootstrap interval over subjects of the balanced accuracy; None with a single subject."""
    baseline: Scores | None
    """Log band power + logistic regression on the same split; None where it could not be fitted."""
    chance: float
    """Balanced accuracy of guessing."""
    predictions: Predictions
    official: OfficialScores | None = None
    """What the authors' protocol makes of the same model and windows, where it was asked for."""
    intervals: Intervals = Intervals()
    pooled: Pooled | None = None
    baselines: tuple[BaselineResult, ...] = ()
    robustness: tuple[RobustnessCurve, ...] = ()
    fold: tuple[int, int] | None = None
    """Which fold of how many of a cross-validation the split is."""
    by_trial: bool = False
    """Whether the windows are of people who trained the model, too, and only the trials are others."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One model's figures on one split."""

    split: str
    recipe: str
    seed: int
    results: tuple[TaskResult, ...]
    wording: str = "own"
    """Whether questions were asked in the cards' own words or in held-out ones."""
    checks: tuple[str, ...] = ()
    """What was made sure of before anything was answered."""
    precision: str = "float32"
    """Of the products of the model that answered."""


def without_people(evaluation: Evaluation) -> Evaluation:
    """Return the figures alone, to be published: answers name recordings and people, and stay with the run."""
    nobody = Predictions(labels=(), probabilities=(), subjects=(), recordings=(), starts=())

    def bare(result: TaskResult) -> TaskResult:
        pooled = result.pooled and replace(result.pooled, predictions=None)
        baselines = tuple(
            replace(b, probabilities=(), pooled=b.pooled and replace(b.pooled, predictions=None))
            for b in result.baselines
        )
        return replace(result, predictions=nobody, pooled=pooled, baselines=baselines)

    return replace(evaluation, results=tuple(map(bare, evaluation.results)))


def with_earlier(found: Evaluation, earlier: Evaluation) -> Evaluation:
    """Return an evaluation with what an earlier one has besides of the same answers, so that nothing fitted is lost.

    That is other baselines, disturbances and the authors' protocol, where model and windows are the same.
    """
    before = {result.task: result for result in earlier.results}
    same = (found.split, found.wording, found.precision) == (earlier.split, earlier.wording, earlier.precision)
    kept = [r.task for r in found.results if same and r.task in before and _same_answers(r, before[r.task])]
    results = tuple(_with(r, before[r.task]) if r.task in kept else r for r in found.results)
    checks = (*found.checks, *earlier.checks) if len(kept) == len(results) else found.checks
    return replace(found, results=results, checks=tuple(dict.fromkeys(checks)))


def _same_answers(one: TaskResult, other: TaskResult) -> bool:
    a, b = one.predictions, other.predictions
    windows = [(p.labels, p.recordings, p.starts) for p in (a, b)]
    if windows[0] != windows[1] or (one.question, one.options) != (other.question, other.options):
        return False
    return np.allclose(a.probabilities, b.probabilities, atol=1e-3)  # another device rounds otherwise


def _with(result: TaskResult, earlier: TaskResult) -> TaskResult:
    beside = {one.name: one for one in (*earlier.baselines, *result.baselines)}
    ordered = sorted(beside.values(), key=lambda one: [*BASELINES, one.name].index(one.name))
    return replace(
        result,
        baseline=result.baseline or earlier.baseline,
        baselines=tuple(ordered),
        official=result.official or earlier.official,
        robustness=result.robustness or earlier.robustness,
    )


def save_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation, without the times, so that the same evaluation gives the same bytes."""
    results = tuple(
        replace(r, baselines=tuple(replace(b, seconds=None) for b in r.baselines)) for r in evaluation.results
    )
    write_text(path, to_json(replace(evaluation, results=results)))


def load_evaluation(path: Path) -> Evaluation:
    """Read what ``save_evaluation`` wrote."""
    return load_json(Evaluation, path)


def scored(
    labels: np.ndarray, probabilities: np.ndarray, subjects: tuple[str, ...], *, options: int
) -> tuple[Scores, Intervals]:
    """Return scores and their intervals."""
    found = bootstrap(labels, probabilities, subjects, options=options)
    return score(labels, probabilities, options=options), Intervals(**{name: found[name] for name in METRICS})


assert {f.name for f in fields(Intervals)} == set(METRICS)
