"""Evaluation: one model, all its tasks, on held-out subjects, beside baselines.

    neurolm evaluate RUN --store STORE

The test split is read through ``held_out.held_out_windows`` and nowhere else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax

from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.engine import generate
from neurolm.ask.evidence import Evidence
from neurolm.ask.precision import Chosen, choose_precision
from neurolm.ask.prompt import PLACES, Prompt, voices, weighed
from neurolm.batches.loader import build_batch, in_batches, read_sample
from neurolm.batches.splits import Split
from neurolm.batches.text import TextTokenizer
from neurolm.batches.windows import Window, second_of
from neurolm.checkpoint import Card, keys_of, load_card, load_neurolm, require_same_filters, trained_on
from neurolm.core.config import Precision
from neurolm.core.errors import CheckpointError, ConfigError, NeuroLMError
from neurolm.core.files import require_writable
from neurolm.core.names import choose, did_you_mean
from neurolm.evaluation.baselines.fit import BaselineAnswers, choose_baselines, fit_baselines
from neurolm.evaluation.held_out import BY_CONTENT, CHECKS, held_out_windows, require_not_in
from neurolm.evaluation.official_protocol import WRITTEN_TOKENS, answer_words, parse, score_hard
from neurolm.evaluation.pooling import pooled
from neurolm.evaluation.results import (
    BAND_POWER,
    EVIDENCE_ALONE,
    HELD_OUT,
    LANGUAGE_ALONE,
    LIKELIHOOD,
    OFFICIAL,
    OWN,
    PROTOCOLS,
    WORDINGS,
    BaselineResult,
    Evaluation,
    Predictions,
    TaskResult,
    load_evaluation,
    save_evaluation,
    scored,
    with_earlier,
)
from neurolm.evaluation.robustness import robustness_curves
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.store.store import Store
from neurolm.tasks.task import Task


def evaluate(
    model: Path,
    store: Path | str,
    *,
    split: str = "test",
    tasks: Sequence[str] | None = None,
    protocol: str = LIKELIHOOD,
    wording: str = OWN,
    baselines: Sequence[str] | None = None,
    robustness: bool = False,
    pretrained_on: Sequence[Path | str] = (),
    device: torch.device | None = None,
    precision: Precision = "auto",
    cache: Path | None = None,
    out: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate an instruction-tuned checkpoint on the held-out subjects of the tasks it was tuned on.

    Parameters
    ----------
    split
        ``validation`` or ``test``.
    tasks
        Names of tasks; by default all that the model was tuned on.
    protocol
        ``official`` adds what the authors' protocol makes of the same model and windows (see
        ``evaluation.official_protocol``), for comparison with published figures.
    wording
        ``held-out`` asks in the first of the words that training never used, where a card has such.
    baselines
        Out of ``baselines.fit.BASELINES``; all by default.
    robustness
        Whether to disturb the input of some windows, too (see ``robustness``).
    pretrained_on
        Further stores that the model has seen: test recordings and people are looked for in them by content.
    precision
        Of the answers (see ``ask.precision``). What baselines learn from is in float32 in any case.
    cache
        Folder of fitted baselines.
    out
        File to write the result to, as JSON. What it has already of the same answers, and was not asked for now (other
        baselines, disturbances, the authors' protocol), is kept.

    Raises
    ------
    ConfigError
        If an argument is none of the permitted ones, or the official protocol cannot tell a task's options apart.
    CheckpointError
        If the checkpoint was never instruction-tuned (its answers would be noise), was trained on EEG that was filtered
        otherwise, or on a subject or a recording of the split.
    StoreError
        If parts of a split share samples or content.
    WriteError
        At the beginning, if ``out`` cannot be written.
    """
    _require_known(protocol, wording)
    names = choose_baselines(baselines)
    evaluated = _Model.load(model, store, device or torch.device("cpu"), precision)
    if out is not None:
        require_writable(out)
    card = evaluated.card
    chosen = _chosen(model, card, tasks)
    if protocol == OFFICIAL:
        for task in chosen:
            answer_words(task)  # an error comes before the work
    results = []
    for task, (parts, windows) in evaluated.held_out(chosen, split, pretrained_on).items():
        if progress:
            progress(task.name)
        beside = fit_baselines(
            names, evaluated.store, task, parts, windows, tokenizer=evaluated.tokenizer,
            device=evaluated.device, cache=cache, progress=progress,
        )  # fmt: skip
        results.append(
            evaluated.result(
                task, _asked(task, wording), windows, beside, written=protocol == OFFICIAL, disturbed=robustness,
                progress=progress,
            )
        )  # fmt: skip
    made_sure = CHECKS if evaluated.knows_people else (*CHECKS[:-1], BY_CONTENT)
    checks = (*made_sure, *(f"nothing of it is in {path}, by content or by person" for path in pretrained_on))
    evaluation = Evaluation(
        split=split, recipe=card.run.recipe, seed=card.run.instruct.seed, results=tuple(results), wording=wording,
        checks=checks, precision=evaluated.precision,
    )  # fmt: skip
    if out is not None:
        with suppress(NeuroLMError):  # what is there may be damaged, or something else
            evaluation = with_earlier(evaluation, load_evaluation(out)) if out.is_file() else evaluation
        save_evaluation(out, evaluation)
    return evaluation


def _require_known(protocol: str, wording: str) -> None:
    for name, value, known in (("protocol", protocol, PROTOCOLS), ("wording", wording, WORDINGS)):
        if value not in known:
            raise ConfigError(f"unknown {name} {value!r}{choose(value, known)}")


def _chosen(model: Path, card: Card, names: Sequence[str] | None) -> tuple[Task, ...]:
    if not card.tasks:
        raise CheckpointError(f"{model}: names no task it was tuned on; run `neurolm train instruct` first")
    known = {task.name: task for task in card.tasks}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        near = did_you_mean(unknown[0], list(known))
        its = f"{near} Its" if near else ": its"
        raise ConfigError(
            f"{model}: was not tuned on the task {unknown[0]!r}{its} tasks are {', '.join(known)}; its answers to "
            "others would be noise"
        )
    return tuple(card.tasks) if names is None else tuple(known[name] for name in known if name in names)


def _asked(task: Task, wording: str) -> Task:
    return task.reworded(0, held_out=True) if wording == HELD_OUT and task.held_out_phrasings else task


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A model, what it answers with, and the store that it is asked about."""

    module: NeuroLM
    card: Card
    text: TextTokenizer
    calibration: Calibration | None
    evidence: Evidence | None
    store: Store
    device: torch.device
    tokenizer: NeuralTokenizer
    """Its own in float32."""
    precision: Chosen
    keys: tuple[str, ...]
    """Keys that the hashes of the people in the card may have, besides the store's."""

    @property
    def knows_people(self) -> bool:
        """Whether it can be told whom the model was trained on."""
        return trained_on(self.card, (), [self.store.fingerprint, *self.keys]) is not None

    @classmethod
    def load(cls, model: Path, store: Path | str, device: torch.device, precision: Precision = "auto") -> _Model:
        card, opened = load_card(model, stage="instruct"), Store(store)
        require_same_filters(card, opened.filters, opened.path)
        module, card, text = load_neurolm(model, stage="instruct", decoders=False)
        tokenizer, calibration = module.to(device).tokenizer, Calibration.load(model)
        chosen = choose_precision(precision, card.run.model, device, calibration=calibration)
        if chosen == "bfloat16":
            tokenizer = copy.deepcopy(tokenizer)
            keep_in_bfloat16(module)
        return cls(
            module=module, tokenizer=tokenizer, precision=chosen, card=card, text=text, calibration=calibration,
            evidence=Evidence.load(model, card), store=opened,
            device=device, keys=tuple(keys_of(model)),
        )  # fmt: skip

    def held_out(
        self, tasks: Sequence[Task], split: str, pretrained_on: Sequence[Path | str]
    ) -> dict[Task, tuple[Split, list[Window]]]:
        """Every task's split, and the windows of one part, once nothing of them can have been learned from."""
        splits = {task: task.split(self.store) for task in tasks}
        found = {
            task: (parts, held_out_windows(task, self.store, parts, split, self.card, keys=self.keys))
            for task, parts in splits.items()
        }
        if pretrained_on:
            tested = [window for _, windows in found.values() for window in windows]
            recordings = frozenset(self.store.rows[w.recording].recording for w in tested)
            require_not_in(pretrained_on, self.store, recordings, frozenset(w.subject for w in tested))
        return found

    def result(
        self,
        task: Task,
        asked: Task,
        windows: Sequence[Window],
        beside: Sequence[BaselineAnswers],
        *,
        written: bool,
        disturbed: bool,
        progress: Callable[[str], None] | None,
    ) -> TaskResult:
        """Answer the windows of a task, ``asked`` in some words, and score the answers beside those of baselines."""
        prompt = Prompt.of(asked, self.text, self.card.run.model.vocabulary.separator, self.evidence)
        fitted = self.calibration.of(task.name) if self.calibration else None
        predictions, apart = self.predict(prompt, task, windows, fitted)
        beside = (*apart, *beside)
        result = _result(asked, windows, predictions, beside, fitted)
        if written:
            answers = self.written(prompt, asked, windows)
            official = score_hard(predictions.labels, answers, options=len(task.options))
            result = replace(result, official=official)
        if disturbed:
            curves = robustness_curves(
                self.module, prompt, self.store, task, windows, self.card, self.device, progress, calibration=fitted
            )
            result = replace(result, robustness=curves)
        return result

    def predict(
        self, prompt: Prompt, task: Task, windows: Sequence[Window], fitted: TaskCalibration | None
    ) -> tuple[Predictions, tuple[BaselineAnswers, ...]]:
        """Answers by the likelihood of every option; and where evidence speaks, what it and the model say alone."""
        samples = (read_sample(self.store, window) for window in windows)
        said, shown, known = voices(self.module, prompt, samples, device=self.device)
        calibration = fitted or TaskCalibration(task=task.name)
        both = said if prompt.beside is None else weighed(said, known, prompt.beside.weight) + shown
        probability = calibration.probabilities(both)
        apart: tuple[BaselineAnswers, ...] = ()
        if prompt.beside is not None:
            language = _alone(LANGUAGE_ALONE, said, "the stages of the run")
            apart = (language, _alone(EVIDENCE_ALONE, shown, "training windows"))
        predictions = Predictions(
            labels=tuple(task.index(str(w.label)) for w in windows),
            probabilities=tuple(tuple(float(p) for p in row) for row in probability),
            subjects=tuple(w.subject for w in windows),
            recordings=tuple(self.store.rows[w.recording].recording for w in windows),
            starts=tuple(second_of(self.store.outlines[w.recording], w.start) for w in windows),
        )
        return predictions, apart

    def written(self, prompt: Prompt, task: Task, windows: Sequence[Window]) -> list[int]:
        """Answers by the authors' protocol, in the order of ``predict``."""
        answers = []
        waiting = (read_sample(self.store, window) for window in windows)
        for samples in in_batches(waiting, places=PLACES[self.device.type], text=len(prompt.question) + WRITTEN_TOKENS):
            documents = [prompt.document(i) for i in range(len(samples))]
            batch = build_batch(samples, documents, packed=False).to(self.device)
            for ids in generate(self.module, batch, max_tokens=WRITTEN_TOKENS):
                answers.append(parse(task, self.text.decode(ids), ended=len(ids) < WRITTEN_TOKENS))
        return answers


def _alone(name: str, scores: np.ndarray, fitted_on: str) -> BaselineAnswers:
    """One of the two that speak for an answer, by itself and not calibrated."""
    rows = softmax(scores, axis=1)
    return BaselineAnswers(
        name=name, probabilities=tuple(tuple(row) for row in rows.tolist()), fitted_on=fitted_on, chosen="nothing"
    )


def _result(
    task: Task,
    windows: Sequence[Window],
    predictions: Predictions,
    beside: Sequence[BaselineAnswers],
    fitted: TaskCalibration | None,
) -> TaskResult:
    labels, probability = np.array(predictions.labels), np.array(predictions.probabilities)
    options = len(task.options)
    scores, intervals = scored(labels, probability, predictions.subjects, options=options)
    correlation = 1.0 if fitted is None else fitted.correlation
    baselines = tuple(_baseline(windows, predictions, found, options) for found in beside)
    return TaskResult(
        task=task.name,
        question=task.question,
        options=task.labels,
        subjects=len(set(predictions.subjects)),
        scores=scores,
        interval=intervals.balanced_accuracy,
        baseline=next((b.scores for b in baselines if b.name == BAND_POWER), None),
        chance=1 / options,
        predictions=predictions,
        intervals=intervals,
        pooled=pooled(windows, predictions, probability, correlation=correlation),
        baselines=baselines,
        fold=task.split_fold,
        by_trial=task.split_by_trial and task.split_fold is None,
    )


def _baseline(
    windows: Sequence[Window], predictions: Predictions, found: BaselineAnswers, options: int
) -> BaselineResult:
    if found.missing:
        return BaselineResult(name=found.name, missing=found.missing)
    probability = np.array(found.probabilities)
    scores, intervals = scored(np.array(predictions.labels), probability, predictions.subjects, options=options)
    return BaselineResult(
        name=found.name,
        fitted_on=found.fitted_on,
        chosen=found.chosen,
        scores=scores,
        intervals=intervals,
        pooled=pooled(windows, predictions, probability),
        probabilities=found.probabilities,
        seconds=found.seconds,
    )
