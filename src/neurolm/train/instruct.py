"""Stage 3, multi-task instruction tuning: EEG, question, answer (paper section 2.4).

neurolm train instruct --store STORE --out RUN
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.batches.loader import Sample, WindowSampler, build_batch, read_sample
from neurolm.batches.text import TextTokenizer, token_stream
from neurolm.batches.windows import Window, spread
from neurolm.checkpoint import load_neurolm, require_same_filters
from neurolm.core import distributed
from neurolm.core.batch import Batch
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.physics import RATE
from neurolm.model.neurolm import NeuroLM
from neurolm.tasks.task import Task
from neurolm.train.calibrate import calibrate_run, is_calibrated
from neurolm.train.loop import ProgressCallback
from neurolm.train.run import Run
from neurolm.train.shared import (
    LanguageModelStage,
    finish_stage,
    in_batches,
    is_finished,
    language_of,
    new_neurolm,
    own_part,
    own_windows,
    text_batches,
    with_dropout,
)
from neurolm.train.wording import Wordings

VALIDATION_WINDOWS = 160
"""Most windows of a task on which the weights are selected."""


@dataclass(frozen=True, kw_only=True)
class _Example:
    window: Window
    task: int
    answer: int
    first: int
    """Earliest and …"""
    last: int
    """… latest start sample that stays within the label."""


def _examples(run: Run) -> list[_Example]:
    examples = []
    for number, task in enumerate(run.tasks):
        for window in run.labelled_windows(task, "train"):
            assert window.label is not None
            first, stop = window.span
            last = stop - window.seconds * RATE
            index = task.index(window.label)
            examples.append(_Example(window=window, task=number, answer=index, first=first, last=last))
    return examples


class InstructStage(LanguageModelStage):
    """Answers to the questions of all tasks mixed in one model."""

    name = "instruct"

    def __init__(
        self, run: Run, module: NeuroLM, text: TextTokenizer, stream: np.ndarray, *, new_rows: bool = False
    ) -> None:
        super().__init__(run, run.config.instruct, module, stream, new_rows=new_rows)
        self.run = run
        separator = run.config.model.vocabulary.separator
        vary, shuffle = self.config.wordings, self.config.shuffle_options
        self.wordings = Wordings(run.tasks, text, separator, seed=self.config.seed, vary=vary, shuffle=shuffle)
        self.prompts = self.wordings.own
        _require_room(run, self.wordings)
        self.examples = _examples(run)
        windows: list[list[list[int]]] = [[[] for _ in task.options] for task in run.tasks]
        for index, example in enumerate(self.examples):
            windows[example.task][example.answer].append(index)
        self.sampler = WindowSampler(
            windows,
            batch=self.config.eeg_batch,
            seed=self.config.seed,
            balance=self.config.balance,
        )
        self.steps = self.config.total_steps(len(self.examples))
        self.validation = [self._validation(task) for task in run.tasks]
        if not any(samples for samples, _ in self.validation):
            raise ConfigError("no validation window in any task: the weights could not be selected; add subjects")

    def batch(self, step: int) -> dict[str, list[Batch]]:
        """This process's windows with their questions and answers, and text, of a step."""
        eeg = []
        for part in in_batches(self._answered(step), self.config.samples_at_once):
            documents = [prompt.document(i, answer) for i, (_, prompt, answer) in enumerate(part)]
            eeg.append(build_batch([sample for sample, _, _ in part], documents))
        return {"answer": eeg, "text": text_batches(self.text.step(step), self.config)}

    def samples(self, step: int) -> list[Sample]:
        """This process's EEG of a step."""
        return [sample for sample, _, _ in self._answered(step)]

    def _answered(self, step: int) -> list[tuple[Sample, Prompt, int]]:
        """This process's windows of a step, with question and answer."""
        rng = np.random.default_rng([self.config.seed, 4, step])
        examples = [self.examples[index] for index in self.sampler.step(step)]
        starts = [e.window.start for e in examples]
        if self.config.augment:
            starts = [int(rng.integers(e.first, e.last + 1)) for e in examples]
        answered = []
        for place in own_windows(self.run.store, [e.window for e in examples]):
            example = examples[place]
            window = replace(example.window, start=starts[place])
            seed = (self.config.seed, 5, step, place)
            sample = read_sample(self.run.store, window, augment=self.config.augment, seed=seed)
            answered.append((sample, self.wordings.prompt(example.task, step, place), example.answer))
        return answered

    def validate(self) -> dict[str, float]:
        """Negative log-likelihood and accuracy of the answers, per task; ``score`` is the mean over the tasks."""
        figures: dict[str, float] = {}
        scores = []
        for task, prompt, (samples, labels) in zip(self.run.tasks, self.prompts, self.validation, strict=True):
            if not samples:
                continue
            own = option_probabilities(self.module, prompt, own_part(samples), device=self.device)
            probability = np.zeros((len(samples), own.shape[1]))
            probability[distributed.rank() :: distributed.world()] = own
            distributed.total(torch.from_numpy(probability))
            nll, hit = class_means(probability, labels)
            figures |= {f"{task.name}/nll": nll, f"{task.name}/balanced_accuracy": hit}
            scores.append(nll)
        figures["text"] = self.text_validation()
        return figures | {"score": float(np.mean(scores))}

    def _validation(self, task: Task) -> tuple[list[Sample], np.ndarray]:
        chosen = spread(self.run.labelled_windows(task, "validation"), VALIDATION_WINDOWS)
        labels = np.array([task.index(str(w.label)) for w in chosen], np.int64)
        return [read_sample(self.run.store, w) for w in chosen], labels


def _require_room(run: Run, wordings: Wordings) -> None:
    model = run.config.model
    for number, task in enumerate(run.tasks):
        longest = task.seconds + wordings.longest(number)
        if task.seconds > model.tokenizer.seconds or longest > model.language.positions:
            raise ConfigError(
                f"task {task.name}: windows of {task.seconds} s and {longest} positions with question and answer; this "
                f"recipe reads {model.tokenizer.seconds} s and {model.language.positions} positions: shorten the task, "
                "or raise model.tokenizer.seconds or model.language.positions"
            )


def class_means(probability: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Negative log-likelihood and recall, each averaged over the classes that are present."""
    taken = -np.log(np.maximum(probability[np.arange(len(labels)), labels], 1e-12))
    hit = probability.argmax(1) == labels
    present = np.unique(labels)
    return (
        float(np.mean([taken[labels == c].mean() for c in present])),
        float(np.mean([hit[labels == c].mean() for c in present])),
    )


def train_instruct(
    run: Run, *, texts: list[str], scratch: bool = False, progress: ProgressCallback | None = None
) -> Path:
    """Run the stage; returns its folder. Needs the pretrain stage's folder in the run.

    Parameters
    ----------
    scratch
        Start from the tokenizer and the language model without autoregressive pretraining, for comparison.
    """
    folder = run.folder / InstructStage.name
    if not is_finished(run, InstructStage.name):
        _tune(run, texts=texts, scratch=scratch, progress=progress)
    if distributed.is_main() and not is_calibrated(folder):
        calibrate_run(folder, run)
    return folder


def _tune(run: Run, *, texts: list[str], scratch: bool, progress: ProgressCallback | None) -> None:
    text, weights = language_of(run)
    names, card = ("language", "tokenizer") if scratch else ("pretrain",), None
    if scratch:
        module = new_neurolm(run, run.config.instruct, weights)
    else:
        pretrained, card, _ = load_neurolm(run.folder / "pretrain", stage="pretrain")
        if card.run.model != run.config.model:
            raise CheckpointError(f"{run.folder / 'pretrain'}: of another recipe ({card.run.recipe}); train it again")
        require_same_filters(card, run.store.filters, run.store.path)
        module = NeuroLM(with_dropout(run.config.model, run.config.instruct.dropout))
        module.load_state_dict(pretrained.state_dict())
    stage = InstructStage(run, module, text, token_stream(text, texts), new_rows=scratch)
    bases = {name: run.folder / name for name in names}
    finish_stage(run, stage, text, bases=bases, learned=card, tasks=run.tasks, progress=progress)
