"""Stage 2, autoregression: each patch predicts the code of its channel's next second (section 2.3).

neurolm train pretrain --store STORE --out RUN
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from neurolm.batches.loader import Sample
from neurolm.batches.text import token_stream
from neurolm.core import distributed
from neurolm.core.batch import Batch
from neurolm.model.neurolm import NeuroLM
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
    text_batches,
    training_windows,
    unlabelled_batch,
    validation_samples,
)


class PretrainStage(LanguageModelStage):
    """Next-second code prediction, with a text loss so that language is not forgotten."""

    name = "pretrain"

    def __init__(self, run: Run, module: NeuroLM, stream: np.ndarray) -> None:
        super().__init__(run, run.config.pretrain, module, stream, new_rows=True)
        self.windows = training_windows(run, self.config)
        self.validation = validation_samples(run, self.config)
        self.steps = self.config.total_steps(len(self.windows.windows))

    def batch(self, step: int) -> dict[str, list[Batch]]:
        """EEG and text of a step, as many samples in a batch as go through the model together."""
        eeg = [unlabelled_batch(part) for part in in_batches(self.samples(step), self.config.samples_at_once)]
        return {"eeg": eeg, "text": text_batches(self.text.step(step), self.config)}

    def samples(self, step: int) -> list[Sample]:
        """This process's EEG of a step."""
        return self.windows.step(step)

    def validate(self) -> dict[str, float]:
        """Perplexity and accuracy of the next code, and text loss, on validation data."""
        sums = {"eeg": 0.0, "count": 0.0, "correct": 0.0}
        for samples in in_batches(own_part(self.validation), self.config.eeg_batch):
            out = self.module.loss(unlabelled_batch(samples).to(self.device), softmax=self.config.softmax)
            for name, value in (("eeg", out.eeg), ("count", out.eeg_count), ("correct", out.eeg_correct)):
                sums[name] += float(value)
        sums = distributed.totals(sums)
        figures = {}
        if count := sums["count"]:
            figures = {"eeg": sums["eeg"] / count, "eeg_accuracy": sums["correct"] / count}
            figures["eeg_perplexity"] = math.exp(min(figures["eeg"], 20.0))
        return figures | {"text": self.text_validation()}


def train_pretrain(run: Run, *, texts: list[str], progress: ProgressCallback | None = None) -> Path:
    """Run the stage; returns its folder. Needs the language and tokenizer stages' folders in the run."""
    if is_finished(run, PretrainStage.name):
        return run.folder / PretrainStage.name
    text, weights = language_of(run)
    module = new_neurolm(run, run.config.pretrain, weights)
    stage = PretrainStage(run, module, token_stream(text, texts))
    bases = {name: run.folder / name for name in ("language", "tokenizer")}
    return finish_stage(run, stage, text, bases=bases, progress=progress)
