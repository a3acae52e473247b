"""Several runs as one result: seeds of one split, or the folds of a cross-validation.

    neurolm evaluate RUN RUN … --store STORE

Runs that test on the same people are repetitions of each other (seeds); runs that test on different people are folds.
Out of fold, everybody is tested by the models that did not learn from them: the answers of all folds are put together,
and scores are computed once, over all people.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurolm.core.config import to_json
from neurolm.core.errors import ConfigError
from neurolm.core.files import write_text
from neurolm.evaluation.results import Evaluation, Pooled, Predictions, TaskResult
from neurolm.tasks.metrics import METRICS, Interval, Scores, interval, resampled_scores, score

JOINED = "joined-evaluation.json"
MODEL = "neurolm"
"""Name of the model among the baselines."""
COMPARED = ("balanced_accuracy", "auroc", "ece")
"""Scores whose difference from every baseline is given."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean, and the standard deviation (n − 1) of what it is the mean of; None of a single value."""

    mean: float
    sd: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Mean and standard deviation of values."""
        sd = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean=statistics.fmean(values), sd=sd, values=tuple(values))


@dataclass(frozen=True, kw_only=True)
class JoinedScore:
    """One score over all runs."""

    name: str
    """Out of ``metrics.METRICS``."""
    seeds: Spread
    """Over the seeds, each computed over the people of all folds together."""
    interval: Interval | None
    """95 % over resampled people, of the mean over the seeds."""
    folds: Spread | None
    """Over the folds, each the mean over its seeds; None with one split."""


@dataclass(frozen=True, kw_only=True)
class JoinedAnswers:
    """What the model, or a baseline, scores."""

    name: str
    unit: str = "window"
    """What is answered: ``window``, ``recording`` or ``stretch``."""
    n: int = 0
    scores: tuple[JoinedScore, ...] = ()
    missing: str = ""
    """Why there are none."""

    def score(self, name: str) -> JoinedScore | None:
        """Return a score, or None where there is none."""
        return next((found for found in self.scores if found.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far the model is from a baseline on the same windows."""

    baseline: str
    score: str
    mean: float
    """The model's less the baseline's, each the mean over the seeds."""
    interval: Interval | None
    """95 % over resampled people, the same for both."""


@dataclass(frozen=True, kw_only=True)
class JoinedTask:
    """One task over all runs."""

    task: str
    question: str
    options: tuple[str, ...]
    subjects: int
    seeds: tuple[int, ...]
    """Seeds of the runs of every fold."""
    folds: int
    """1: one split."""
    planned_folds: int
    """Folds of the cross-validation that the runs are of."""
    answers: tuple[JoinedAnswers, ...]
    """The model's by window, and pooled; then each baseline's likewise."""
    differences: tuple[Difference, ...]
    chance: float


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Several evaluations as one."""

    split: str
    recipe: str
    wording: str
    runs: tuple[str, ...]
    tasks: tuple[JoinedTask, ...]


def save_joined(path: Path, joined: Joined) -> None:
    """Write a joined evaluation as JSON."""
    write_text(path, to_json(joined))


def join(evaluations: Sequence[tuple[str, Evaluation]]) -> Joined:
    """Join the evaluations of several runs.

    Parameters
    ----------
    evaluations
        By name of the run.

    Raises
    ------
    ConfigError
        If they cannot be joined: other recipes, wordings, parts or tasks, folds that share people, or folds of which
        the runs have not the same seeds.
    """
    names = tuple(name for name, _ in evaluations)
    if len(set(names)) < max(2, len(names)):
        raise ConfigError(
            f"{', '.join(names) or 'no run'}: give two or more runs, each once, to join their evaluations"
        )
    first = evaluations[0][1]
    for name, other in evaluations[1:]:
        for what in ("split", "recipe", "wording"):
            if getattr(other, what) != getattr(first, what):
                raise ConfigError(
                    f"{name}: its {what} is {getattr(other, what)}, that of {names[0]} is {getattr(first, what)}: join "
                    "runs that differ in seed and fold alone"
                )
    tasks = tuple(
        _task(
            [SeedRun(name, evaluation.seed, _result(name, evaluation, result.task)) for name, evaluation in evaluations]
        )
        for result in first.results
    )
    return Joined(split=first.split, recipe=first.recipe, wording=first.wording, runs=names, tasks=tasks)


class SeedRun(NamedTuple):
    """What a run found on one task."""

    name: str
    seed: int
    result: TaskResult


def _result(name: str, evaluation: Evaluation, task: str) -> TaskResult:
    found = [result for result in evaluation.results if result.task == task]
    if not found or not found[0].predictions.labels:
        raise ConfigError(f"{name}: has no answers of the task {task}: evaluate the same tasks in all runs (--tasks)")
    return found[0]


def _task(runs: Sequence[SeedRun]) -> JoinedTask:
    folds = grouped(runs)
    first = runs[0].result
    predictions = [[run.result.predictions for run in fold] for fold in folds]
    ours = _Answers(name=MODEL, unit="window", options=len(first.options), folds=predictions)
    answers = [ours.joined(), *_pooled(ours, [[run.result.pooled for run in fold] for fold in folds])]
    differences: list[Difference] = []
    for baseline in first.baselines:
        found, pooled, missing = _baseline(baseline.name, folds)
        if missing:
            answers.append(JoinedAnswers(name=baseline.name, missing=missing))
            continue
        theirs = replace(ours, name=baseline.name, folds=found)
        answers += [theirs.joined(), *_pooled(theirs, pooled)]
        differences += _differences(ours, theirs)
    return JoinedTask(
        task=first.task,
        question=first.question,
        options=first.options,
        subjects=len({s for fold in folds for s in fold[0].result.predictions.subjects}),
        seeds=tuple(run.seed for run in folds[0]),
        folds=len(folds),
        planned_folds=max(len(folds), *(run.result.fold[1] if run.result.fold else 1 for run in runs)),
        answers=tuple(answers),
        differences=tuple(differences),
        chance=first.chance,
    )


def _pooled(of: _Answers, found: Sequence[Sequence[Pooled | None]]) -> list[JoinedAnswers]:
    """Pooled answers, where all runs have them of one kind and they are fewer than the windows."""
    kept = [[p.predictions for p in fold if p is not None and p.predictions is not None] for fold in found]
    units = {p.unit for fold in found for p in fold if p is not None}
    whole = all(len(one) == len(fold) for one, fold in zip(kept, found, strict=True))
    if not whole or len(units) != 1:
        return []
    joined = replace(of, unit=units.pop(), folds=kept).joined()
    return [joined] if joined.n < of.together[0].n else []


def grouped(runs: Sequence[SeedRun]) -> list[list[SeedRun]]:
    """Return the runs by whom they test on, folds in order, each run's seeds in order.

    Raises
    ------
    ConfigError
        If folds share people or differ in their seeds, or runs of one fold answered different windows.
    """
    folds: dict[frozenset[str], list[SeedRun]] = {}
    for run in runs:
        folds.setdefault(frozenset(run.result.predictions.subjects), []).append(run)
    people: dict[str, str] = {}
    for subjects, fold in folds.items():
        first, task = fold[0], fold[0].result.task
        for subject in sorted(subjects):
            if subject in people:
                raise ConfigError(
                    f"{people[subject]} and {first.name} both test on {subject} in task {task}, but not on the same "
                    "people: folds of one cross-validation share nobody; join runs of the same folds"
                )
            people[subject] = first.name
        for run in fold:
            if _windows(run) != _windows(first):
                raise ConfigError(
                    f"{run.name}: answered other windows of task {task} than {first.name}, of the same people: "
                    "evaluate both on one store, with one card"
                )
    ordered = sorted(folds.values(), key=lambda f: (f[0].result.fold or (0, 0), f[0].result.predictions.subjects[0]))
    ordered = [sorted(fold, key=lambda run: run.seed) for fold in ordered]
    for fold in ordered[1:]:
        one, other = ([run.seed for run in f] for f in (ordered[0], fold))
        if one != other:
            raise ConfigError(
                f"task {fold[0].result.task}: the fold of {ordered[0][0].name} has runs of the seeds {one}, that of "
                f"{fold[0].name} of {other}: give the same seeds of every fold"
            )
    return ordered


def _windows(run: SeedRun) -> tuple[object, ...]:
    answered = run.result.predictions
    return answered.labels, answered.recordings, answered.starts


def _baseline(
    name: str, folds: Sequence[Sequence[SeedRun]]
) -> tuple[list[list[Predictions]], list[list[Pooled | None]], str]:
    """A baseline's answers in the shape of the model's, by window and pooled, or why there are none."""
    found: list[list[Predictions]] = [[] for _ in folds]
    pooled: list[list[Pooled | None]] = [[] for _ in folds]
    for number, fold in enumerate(folds):
        for run in fold:
            baseline = next((b for b in run.result.baselines if b.name == name), None)
            if baseline is None or baseline.missing:
                return [], [], f"{run.name}: {baseline.missing if baseline else 'evaluated without it'}"
            if not baseline.probabilities:
                return [], [], f"{run.name}: its evaluation does not keep the answers; evaluate the run again"
            found[number].append(replace(run.result.predictions, probabilities=baseline.probabilities))
            pooled[number].append(baseline.pooled)
    return found, pooled, ""


def _arrays(parts: Sequence[Predictions]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, probabilities and people of several folds, one after the other."""
    labels = np.concatenate([np.array(p.labels) for p in parts])
    return labels, np.concatenate([np.array(p.probabilities) for p in parts]), [s for p in parts for s in p.subjects]


@dataclass(frozen=True)
class _Answers:
    """Answers to be scored, of the model or of a baseline."""

    name: str
    unit: str
    options: int
    folds: list[list[Predictions]]
    """By fold and then by seed."""

    @cached_property
    def resampled(self) -> dict[str, np.ndarray]:
        """Mean over the seeds of every resample's scores, by name, shape (resamples,); empty with a single person."""
        seeds = list(zip(*self.folds, strict=True))
        same = all(seed == seeds[0] for seed in seeds)  # of a baseline, which knows no seed
        found = []
        for seed in seeds[:1] if same else seeds:
            labels, probabilities, subjects = _arrays(seed)
            found.append(resampled_scores(labels, probabilities, subjects, options=self.options))
        return {name: np.mean([f[name] for f in found], axis=0) for name in METRICS} if all(found) else {}

    @cached_property
    def together(self) -> list[Scores]:
        """Scores of every seed, over all folds."""
        return [self._score(seed) for seed in zip(*self.folds, strict=True)]

    def _score(self, parts: Sequence[Predictions]) -> Scores:
        labels, probabilities, _ = _arrays(parts)
        return score(labels, probabilities, options=self.options)

    def mean(self, metric: str) -> float | None:
        """Mean of a score over the seeds; None where a seed does not give it."""
        values = _values(self.together, metric)
        return None if values is None else statistics.fmean(values)

    def joined(self) -> JoinedAnswers:
        """All scores with what they vary by."""
        apart = [[self._score([seed]) for seed in fold] for fold in self.folds] if len(self.folds) > 1 else []
        found = []
        for metric in METRICS:
            seeds = _values(self.together, metric)
            if seeds is None:
                continue
            by_fold = [statistics.fmean(values) for fold in apart if (values := _values(fold, metric)) is not None]
            found.append(
                JoinedScore(
                    name=metric,
                    seeds=Spread.of(seeds),
                    interval=interval(self.resampled[metric]) if self.resampled else None,
                    folds=Spread.of(by_fold) if by_fold and len(by_fold) == len(apart) else None,
                )
            )
        return JoinedAnswers(name=self.name, unit=self.unit, n=self.together[0].n, scores=tuple(found))


def _values(scores: Sequence[Scores], metric: str) -> list[float] | None:
    values = [getattr(s, metric) for s in scores]
    return None if any(value is None for value in values) else values


def _differences(ours: _Answers, theirs: _Answers) -> list[Difference]:
    out = []
    for metric in COMPARED:
        one, other = ours.mean(metric), theirs.mean(metric)
        if one is not None and other is not None:
            span = interval(ours.resampled[metric] - theirs.resampled[metric]) if ours.resampled else None
            out.append(Difference(baseline=theirs.name, score=metric, mean=one - other, interval=span))
    return out
