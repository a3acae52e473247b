"""Evaluation: one model, all its tasks, on held-out subjects, with chance and a strong simple baseline beside it.

    neurolm evaluate --model RUN --store STORE

The test split is read here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from neurolm import calibration
from neurolm.answering import Prompt, answer
from neurolm.calibration import TaskCalibration
from neurolm.checkpoint import Card, load_neurolm
from neurolm.config import load_json, to_json
from neurolm.data.loader import build_batch, read_sample
from neurolm.data.splits import Split
from neurolm.data.store import Store
from neurolm.data.text import TextTokenizer
from neurolm.data.windows import Window
from neurolm.engine import generate
from neurolm.errors import CheckpointError, ConfigError
from neurolm.evaluation.baselines import band_power_baseline
from neurolm.files import write_text
from neurolm.metrics import Interval, Scores, bootstrap, score
from neurolm.montage import RATE
from neurolm.tasks.official_protocol import WRITTEN_TOKENS, OfficialScores, parse, score_hard, words
from neurolm.tasks.task import Task

RESULTS = "evaluation.json"
LIKELIHOOD, OFFICIAL = PROTOCOLS = ("likelihood", "official")
"""How answers are read: the likelihood of every permitted one; and, besides, as the authors do it."""
BATCH = 32
"""Windows that are answered at a time."""


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
class TaskResult:
    """One task's figures."""

    task: str
    question: str
    options: tuple[str, ...]
    subjects: int
    scores: Scores
    interval: Interval | None
    """95 % bootstrap interval over subjects of the balanced accuracy; None with a single subject."""
    baseline: Scores
    """Log band power + logistic regression on the same split."""
    chance: float
    """Balanced accuracy of guessing."""
    predictions: Predictions
    official: OfficialScores | None = None
    """What the authors' protocol makes of the same model and windows, where it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One model's figures on one split."""

    split: str
    recipe: str
    seed: int
    results: tuple[TaskResult, ...]


def evaluate(
    model: Path,
    store: Path | str,
    *,
    split: str = "test",
    protocol: str = LIKELIHOOD,
    device: torch.device | None = None,
    out: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate an instruction-tuned checkpoint on the held-out subjects of every task it was tuned on.

    Parameters
    ----------
    split
        ``validation`` or ``test``.
    protocol
        ``official`` adds what the authors' protocol makes of the same model and windows (see
        ``tasks.official_protocol``), for comparison with published figures.
    out
        File to write the result to, as JSON.

    Raises
    ------
    ConfigError
        If there is no such protocol, or the official one cannot tell a task's options apart.
    CheckpointError
        If the checkpoint was never instruction-tuned (its answers would be noise), or was trained on a subject of the
        split.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    device = device or torch.device("cpu")
    module, card, text = load_neurolm(model, stage="instruct")
    if not card.tasks:
        raise CheckpointError(f"{model}: names no task it was tuned on; run `neurolm train instruct` first")
    module.to(device)
    opened, fitted = Store(store), calibration.load(model)
    results = []
    if protocol == OFFICIAL:
        for task in card.tasks:
            words(task)  # an error comes before the work
    for task in card.tasks:
        if progress:
            progress(task.name)
        prompt = Prompt.of(task, text, card.run.model.vocabulary.separator)
        splits = task.split(opened)
        if not splits.by_trial:  # else every subject is trained on, by other trials
            _require_unseen(getattr(splits, split), card, task, store)
        windows = task.windows(opened, splits, split)
        predictions = _predict(module, prompt, opened, task, windows, device, fitted.of(task.name) if fitted else None)
        result = _result(opened, task, splits, split, predictions)
        if protocol == OFFICIAL:
            answers = _written_answers(module, prompt, opened, task, windows, device, text)
            official = score_hard(predictions.labels, answers, options=len(task.options))
            result = replace(result, official=official)
        results.append(result)
    evaluation = Evaluation(split=split, recipe=card.run.recipe, seed=card.run.instruct.seed, results=tuple(results))
    if out is not None:
        write_text(out, to_json(evaluation))
    return evaluation


def _require_unseen(subjects: Sequence[str], card: Card, task: Task, store: Path | str) -> None:
    seen = sorted(set(subjects) & set(card.subjects))
    if seen:
        raise CheckpointError(
            f"{store}: the model was trained on {', '.join(seen[:3])}{' …' if seen[3:] else ''}, and the split of task "
            f"{task.name} in this store evaluates on them: give the store that the run was trained on, or one of other "
            "subjects"
        )


def load_evaluation(path: Path) -> Evaluation:
    """Read what ``evaluate`` wrote."""
    return load_json(Evaluation, path)


def _predict(
    module,
    prompt: Prompt,
    store: Store,
    task: Task,
    windows: Sequence[Window],
    device,
    fitted: TaskCalibration | None = None,
) -> Predictions:
    samples = (read_sample(store, window) for window in windows)
    probability = answer(module, prompt, samples, device=device, calibration=fitted)
    return Predictions(
        labels=tuple(task.index(str(w.label)) for w in windows),
        probabilities=tuple(tuple(float(p) for p in row) for row in probability),
        subjects=tuple(w.subject for w in windows),
        recordings=tuple(store.rows[w.recording].recording for w in windows),
        starts=tuple(w.start / RATE for w in windows),
    )


def _written_answers(
    module, prompt: Prompt, store: Store, task: Task, windows: Sequence[Window], device, text: TextTokenizer
) -> list[int]:
    """Answers by the authors' protocol, in the order of ``_predict``."""
    answers = []
    waiting = iter(windows)
    while part := list(islice(waiting, BATCH)):
        samples = [read_sample(store, window) for window in part]
        documents = [prompt.document(i) for i in range(len(samples))]
        batch = build_batch(samples, documents, packed=False).to(device)
        for ids in generate(module, batch, max_tokens=WRITTEN_TOKENS):
            answers.append(parse(task, text.decode(ids), ended=len(ids) < WRITTEN_TOKENS))
    return answers


def _result(store: Store, task: Task, splits: Split, split: str, predictions: Predictions) -> TaskResult:
    labels, probability = np.array(predictions.labels), np.array(predictions.probabilities)
    options = len(task.options)
    baseline = getattr(band_power_baseline(store, task, splits), split)
    return TaskResult(
        task=task.name,
        question=task.question,
        options=task.labels,
        subjects=len(set(predictions.subjects)),
        scores=score(labels, probability, options=options),
        interval=bootstrap(labels, probability, predictions.subjects, options=options)["balanced_accuracy"],
        baseline=score(baseline.labels, baseline.probabilities, options=options),
        chance=1 / options,
        predictions=predictions,
    )
