"""The metrics: scores of probabilities against labels, and intervals over subjects.

Everything is computed once, on all predictions of a task together. A class that is predicted but has no window in the
labels counts as wrong where it is predicted and has no recall of its own, so it never dilutes balanced accuracy. A
metric is a field of ``Scores``, a name in ``METRICS``, a value in ``score``, and one in ``_resampled`` for its
interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10
"""Equal-width bins of the calibration error (Guo et al. 2017, arXiv 1706.04599)."""
BINARY_METRICS = ("auroc", "auc_pr")
"""Metrics that a card may ask for with exactly two options."""
COVERAGES = tuple(round(0.05 * step, 2) for step in range(1, 21))
"""Shares of the windows, the surest first, at which the selective risk is given."""
REDRAWS = 1000
"""Times that resamples which lack a class are drawn again; one of two people has it in half of the draws."""
_CHUNK = 4_000_000
"""Most numbers of a resampled table at once, so that many windows do not fill the memory."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one task. A score that the labels cannot give (one class only, several options) is None."""

    balanced_accuracy: float
    """Mean recall over the classes that occur in the labels."""
    auroc: float | None
    """Area under the ROC curve. Of two options the first ("Yes") is the positive class; of several it is the mean over
    the classes that occur, each against all others."""
    auc_pr: float | None
    """Average precision, with the classes of ``auroc``."""
    kappa: float | None
    """Cohen's kappa."""
    weighted_f1: float
    """F1 of every class, weighted by how often it occurs in the labels."""
    ece: float
    """Expected calibration error of the top answer's probability, ten bins of equal width."""
    brier: float
    """Mean squared distance of probabilities and one-hot labels, summed over options: 0 to 2."""
    n: int
    """Number of windows."""
    confusion: tuple[tuple[int, ...], ...]
    """Windows by label (row) and answer (column)."""
    aurc: float | None = None
    """Area under the curve of risk (share of wrong answers) against coverage, when the surest windows are answered
    first (Geifman and El-Yaniv 2017, arXiv 1705.08500); the error rate where the sureness says nothing."""
    selective_risk: tuple[float, ...] = ()
    """That risk at every one of ``COVERAGES``."""


METRICS = ("balanced_accuracy", "auroc", "auc_pr", "kappa", "weighted_f1", "ece", "brier", "aurc")
"""Names of the scores, as in ``Scores``."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval of a score."""

    low: float
    high: float


def score(labels: np.ndarray, probabilities: np.ndarray, *, options: int) -> Scores:
    """Score probabilities of options against labels.

    Parameters
    ----------
    labels
        Class of every window, integers, shape (n,).
    probabilities
        Probability of every option, shape (n, options), rows summing to 1.
    options
        Number of options; class 0 is the first.

    Returns
    -------
    Scores
        All scores of the task.
    """
    from sklearn import metrics  # imported here, as it takes a second that task cards do not need

    labels, probabilities = _checked(labels, probabilities, options)
    answers = probabilities.argmax(axis=1)
    classes = np.arange(options)
    present = np.unique(labels)
    confusion = metrics.confusion_matrix(labels, answers, labels=classes)
    coverage = risk_coverage(labels, probabilities)
    constant = len(present) == 1 and np.array_equal(np.unique(answers), present)  # chance agreement is 1 as well
    return Scores(
        balanced_accuracy=float(
            metrics.recall_score(labels, answers, labels=present, average="macro", zero_division=0)
        ),
        auroc=_ranking(metrics.roc_auc_score, labels, probabilities),
        auc_pr=_ranking(metrics.average_precision_score, labels, probabilities),
        kappa=None if constant else float(metrics.cohen_kappa_score(labels, answers, labels=classes)),
        weighted_f1=float(
            metrics.f1_score(labels, answers, labels=classes, average="weighted", zero_division=0)
        ),
        ece=float(_ece(_calibration(labels, probabilities)[None])[0]),
        brier=float(_squared_error(labels, probabilities).mean()),
        n=len(labels),
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        aurc=coverage.area,
        selective_risk=tuple(coverage.at(share) for share in COVERAGES),
    )  # fmt: skip


def _ranking(scorer: Callable[..., float], labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Score how probabilities rank windows; None with one class in the labels."""
    classes = _ranked_classes(labels, probabilities.shape[1])
    return float(np.mean([scorer(labels == c, probabilities[:, c]) for c in classes])) if classes else None


def _ranked_classes(labels: np.ndarray, options: int) -> list[int]:
    """Classes that are ranked against all others: the first of two, else all that occur."""
    present = np.unique(labels).tolist()
    if len(present) < 2:
        return []
    return [0] if options == 2 else present


@dataclass(frozen=True)
class Coverage:
    """Risk against coverage when the surest windows are answered first; windows equally sure come together."""

    coverage: np.ndarray
    """Share of the windows that are answered, growing, shape (levels,)."""
    risk: np.ndarray
    """Share of the answered windows that are wrong, shape (levels,)."""
    area: float
    """Mean risk over all coverages."""

    def at(self, coverage: float) -> float:
        """Risk at a coverage; between levels, windows that are equally sure are taken in a random order."""
        wrong = np.interp(coverage, np.append(0.0, self.coverage), np.append(0.0, self.coverage * self.risk))
        return float(wrong / coverage)


def risk_coverage(labels: np.ndarray, probabilities: np.ndarray) -> Coverage:
    """Return the curve of risk against coverage (parameters as in `score`)."""
    right = probabilities.argmax(axis=1) == labels
    answered, wrong = _cumulated(probabilities.max(axis=1), right, np.ones((1, len(labels))))
    return Coverage(answered[0] / len(labels), wrong[0] / answered[0], float(_area(answered, wrong)[0]))


def _cumulated(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights, and weights of wrong windows, down to every level of confidence: two of shape (resamples, levels)."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(confidence) - 1)
    weights = weights[:, order]
    return np.cumsum(weights, axis=1)[:, ends], np.cumsum(weights * ~right[order], axis=1)[:, ends]


def _area(answered: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Mean risk over the coverages, exactly: between levels the wrong ones grow in proportion. Shape (resamples,)."""
    start, begun = (np.pad(v[:, :-1], ((0, 0), (1, 0))) for v in (answered, wrong))
    step = answered - start
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(step > 0, (wrong - begun) / step, 0.0)
        growth = np.where((start > 0) & (step > 0), np.log(answered / start), 0.0)
    return ((begun - slope * start) * growth + slope * step).sum(axis=1) / answered[:, -1]


def bootstrap(
    labels: np.ndarray,
    probabilities: np.ndarray,
    subjects: Sequence[str],
    *,
    options: int,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Return percentile intervals of every score, resampling subjects (not windows, which depend on each other).

    Resamples that lack a class are drawn again.

    Parameters
    ----------
    labels, probabilities, options
        As in `score`.
    subjects
        Subject of every window, length n.
    resamples
        Number of resamples, each with as many subjects as there are, drawn with replacement.
    level
        Share of the resamples inside the interval.
    seed
        Seed of the draws: the same seed gives the same intervals.

    Returns
    -------
    dict
        Interval by name of score; None with fewer than two subjects, or where no resample gives the score.
    """
    found = resampled_scores(labels, probabilities, subjects, options=options, resamples=resamples, seed=seed)
    return {name: interval(found[name], level=level) if found else None for name in METRICS}


def resampled_scores(
    labels: np.ndarray,
    probabilities: np.ndarray,
    subjects: Sequence[str],
    *,
    options: int,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Return every score of every resample of the subjects (parameters as in `bootstrap`).

    The same subjects and seed give the same draws, so that differences of two models' values are paired.

    Returns
    -------
    dict
        By name of score, shape (resamples,), NaN where a resample does not give it; empty with fewer than two subjects.
    """
    labels, probabilities = _checked(labels, probabilities, options)
    names, subject = np.unique(np.asarray(subjects), return_inverse=True)
    assert len(subject) == len(labels), f"{len(subject)} subjects for {len(labels)} windows"
    if len(names) < 2:
        return {}
    draws = _draws(labels, subject, resamples, np.random.default_rng(seed))
    return _resampled(labels, probabilities, subject, draws.astype(float))


def _draws(labels: np.ndarray, subject: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each subject is drawn in each resample, int64 (resamples, subjects).

    A resample that lacks one of the classes has other scores than the sample, such as a recall of fewer classes: it is
    drawn again.
    """
    people = int(subject.max()) + 1
    has = np.zeros((people, len(np.unique(labels))), dtype=int)
    has[subject, np.unique(labels, return_inverse=True)[1]] = 1
    draws = rng.multinomial(people, np.full(people, 1 / people), size=resamples)
    for _ in range(REDRAWS):
        lacking = np.flatnonzero((draws @ has == 0).any(axis=1))
        if not len(lacking):
            break
        draws[lacking] = rng.multinomial(people, np.full(people, 1 / people), size=len(lacking))
    return draws


def interval(values: np.ndarray, *, level: float = 0.95) -> Interval | None:
    """Return the percentile interval of values, those that are not finite left out; None where none is."""
    kept = values[np.isfinite(values)]
    if not len(kept):
        return None
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(kept, [tail, 100 - tail])
    return Interval(low=float(low), high=float(high))


def _checked(labels: np.ndarray, probabilities: np.ndarray, options: int) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    assert labels.ndim == 1 and len(labels) > 0, f"labels of shape {labels.shape}"
    assert probabilities.shape == (len(labels), options), f"{probabilities.shape} for {len(labels)} × {options}"
    assert labels.min() >= 0 and labels.max() < options, f"labels {labels.min()} to {labels.max()} of {options}"
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-3), "probabilities do not sum to 1"
    return labels.astype(int), probabilities


def _squared_error(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)


def _calibration(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Per bin the sum of (answer right − its probability), and the number of windows: shape (bins, 2)."""
    return _by_group(np.zeros(len(labels), dtype=int), labels, probabilities, groups=1)[0]


def _by_group(group: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, *, groups: int) -> np.ndarray:
    """Sum the calibration table of every group of windows: shape (groups, bins, 2)."""
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(top * BINS).astype(int) - 1, 0, BINS - 1)  # bins (0, .1], (.1, .2] …
    table = np.zeros((groups, BINS, 2))
    np.add.at(table[..., 0], (group, bin_of), right - top)
    np.add.at(table[..., 1], (group, bin_of), 1.0)
    return table


def _ece(table: np.ndarray) -> np.ndarray:
    """Return the calibration error of tables: shape (tables, bins, 2) → (tables,)."""
    return np.abs(table[..., 0]).sum(axis=-1) / table[..., 1].sum(axis=-1)


def _resampled(
    labels: np.ndarray, probabilities: np.ndarray, subject: np.ndarray, draws: np.ndarray
) -> dict[str, np.ndarray]:
    """Return every score of every resample; NaN where a resample does not give it.

    All scores but those of the order of windows are functions of sums over windows: a resample is a weighted sum over
    subjects; ``draws`` (resamples, subjects) holds how often each subject was drawn.
    """
    count, options = draws.shape[1], probabilities.shape[1]
    confusion = np.zeros((count, options, options))
    np.add.at(confusion, (subject, labels, probabilities.argmax(axis=1)), 1.0)
    calibration = _by_group(subject, labels, probabilities, groups=count)
    error = np.bincount(subject, weights=_squared_error(labels, probabilities), minlength=count)
    table = np.einsum("bs,sij->bij", draws, confusion)
    row, column, hit = table.sum(axis=2), table.sum(axis=1), np.einsum("bii->bi", table)
    total = row.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = (row * column).sum(axis=1) / total**2
        values = {
            "balanced_accuracy": np.nansum(hit / row, axis=1) / (row > 0).sum(axis=1),
            "kappa": (hit.sum(axis=1) / total - chance) / (1 - chance),
            "weighted_f1": np.nansum(row * 2 * hit / (row + column), axis=1) / total,
            "ece": _ece(np.einsum("bs,sij->bij", draws, calibration)),
            "brier": draws @ error / total,
        }
    step = max(1, _CHUNK // len(labels))
    chunks = [_by_window(labels, probabilities, draws[i : i + step][:, subject]) for i in range(0, len(draws), step)]
    ranked = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in (*BINARY_METRICS, "aurc")}
    return {name: (values | ranked)[name] for name in METRICS}


def _by_window(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores that need the order of all windows, one per row of weights (resamples, n)."""
    right = probabilities.argmax(axis=1) == labels
    found = {"aurc": _area(*_cumulated(probabilities.max(axis=1), right, weights))}
    classes = _ranked_classes(labels, probabilities.shape[1])
    ranked = [_ranked(labels == c, probabilities[:, c], weights) for c in classes]
    for name in BINARY_METRICS:
        values = np.array([r[name] for r in ranked]).reshape(len(classes), len(weights))
        given = np.isfinite(values)
        count = given.sum(axis=0)  # a class that was not drawn has no rank
        total = np.where(given, values, 0.0).sum(axis=0)
        found[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def _ranked(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return weighted AUROC and average precision, one per row of weights (resamples, n)."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # windows of equal score come together
    true = np.cumsum(weights[:, order] * positive[order], axis=1)[:, ends]
    false = np.cumsum(weights[:, order] * ~positive[order], axis=1)[:, ends]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, fall_out = true / true[:, -1:], false / false[:, -1:]
        precision = np.where(true + false > 0, true / (true + false), 0.0)
        found, missed = (np.diff(rate, axis=1, prepend=0.0) for rate in (recall, fall_out))
        auroc = (missed * (recall - found / 2)).sum(axis=1)
        average_precision = (found * precision).sum(axis=1)
    both = np.isfinite(recall[:, -1]) & np.isfinite(fall_out[:, -1])
    return {"auroc": np.where(both, auroc, np.nan), "auc_pr": np.where(both, average_precision, np.nan)}
