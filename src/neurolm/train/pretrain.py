"""Stage 2, multi-channel autoregression: the code of the next second (paper section 2.3).

neurolm train pretrain --store STORE --out RUN
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from neurolm.batches.loader import Document, Sample, TextSampler, build_batch, build_patches
from neurolm.batches.text import token_stream
from neurolm.checkpoint import load_tokenizer
from neurolm.core import distributed
from neurolm.core.batch import NO_PATCH, NO_TARGET, NO_TEXT, PADDING, Batch
from neurolm.core.config import ModelConfig, StageConfig
from neurolm.core.errors import CheckpointError
from neurolm.model.neurolm import NeuroLM
from neurolm.model.quantizer import exact
from neurolm.model.scaling import FeatureScaling
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.train.flops import language_flops
from neurolm.train.language import VALIDATION_ROWS, split_text
from neurolm.train.loop import Losses, clean
from neurolm.train.run import ProgressCallback, Run, finish_stage, is_done
from neurolm.train.tokenizer import (
    EEGWindows,
    eeg_windows,
    in_batches,
    language_of,
    own_part,
    spread_samples,
    validation_samples,
)

FITTED, FITTED_AT_ONCE = 256, 16
"""Windows of which the statistics of features are taken, and how many go through the encoder together."""


def with_dropout(model: ModelConfig, dropout: float) -> ModelConfig:
    """The same model with a dropout in its language model."""
    transformer = dataclasses.replace(model.language.transformer, dropout=dropout)
    return dataclasses.replace(model, language=dataclasses.replace(model.language, transformer=transformer))


class PretrainStage:
    """Next-second code prediction, with a text loss so that language is not forgotten."""

    name, method = "pretrain", "loss"

    def __init__(self, run: Run, module: NeuroLM, stream: np.ndarray) -> None:
        self.config: StageConfig = run.config.pretrain
        self.module, self.device = module, run.device
        self.windows = EEGWindows(run.store, eeg_windows(run, self.config, run.training_subjects), self.config)
        self.validation = validation_samples(run, self.config)
        training, self.validation_text = split_text(stream)
        self.text = TextSampler(
            training, batch=self.config.text_batch, length=self.config.text_length, seed=self.config.seed
        )
        self.steps = self.config.total_steps(len(self.windows.windows))

    def batch(self, step: int) -> dict[str, list[Batch]]:
        """EEG and text of a step, as many samples in a batch as go through the model together."""
        eeg = [_batch(part, []) for part in in_batches(self.samples(step), self.config.samples_at_once)]
        return {"eeg": eeg, "text": text_batches(self.text.step(step), self.config)}

    def samples(self, step: int) -> list[Sample]:
        """This process's EEG of a step."""
        return self.windows.step(step)

    def passes(self, batch: dict[str, list[Batch]]) -> int:
        """As many as there are batches."""
        return sum(map(len, batch.values()))

    def losses(self, step: int, batch: dict[str, list[Batch]]) -> Iterator[Losses]:
        """EEG loss and text loss, each a mean over its own targets."""
        return language_losses(self.module, batch, self.config, self.device)

    def after_step(self) -> None:
        """Nothing follows the optimizer's step here."""

    def validate(self) -> dict[str, float]:
        """Perplexity and accuracy of the next code, and text loss, on validation data."""
        sums = {"eeg": 0.0, "count": 0.0, "correct": 0.0}
        for samples in in_batches(own_part(self.validation), self.config.eeg_batch):
            out = self.module.loss(_batch(samples, []).to(self.device), softmax=self.config.softmax)
            for name, value in (("eeg", out.eeg), ("count", out.eeg_count), ("correct", out.eeg_correct)):
                sums[name] += float(value)
        sums = distributed.totals(sums)
        figures = {}
        if count := sums["count"]:
            figures = {"eeg": sums["eeg"] / count, "eeg_accuracy": sums["correct"] / count}
            figures["eeg_perplexity"] = math.exp(min(figures["eeg"], 20.0))
        return figures | {"text": text_validation(self.module, self.validation_text, self.config, self.device)}


def language_losses(
    module: NeuroLM, groups: Mapping[str, Sequence[Batch]], config: StageConfig, device: torch.device
) -> Iterator[Losses]:
    """Losses of groups of batches, a pass for each batch.

    A group's loss is the mean over its own targets in all its batches in all processes, EEG codes or text tokens,
    however they are distributed; the passes' losses add up to the sum of the groups' losses. The text goes first: a
    pass of EEG has every weight in it, and so the last one has, as ``Replicas`` demands.

    Parameters
    ----------
    groups
        Batches by the name under which their loss is logged; in host memory.
    """
    counts = distributed.totals({name: sum(map(_targets, batches)) for name, batches in groups.items()})
    nothing = {name: 0.0 for name, count in counts.items() if count}
    for name, batches in reversed(list(groups.items())):
        for batch in batches:
            assert batch.tokens is not None
            out = module.loss(batch.to(device), softmax=config.softmax)
            loss = (out.eeg + out.text) / max(1, counts[name])
            if not _targets(batch):  # other processes may have some, and wait for everybody's gradient of the head
                loss = loss + 0.0 * module.head.weight.sum()
            flops = language_flops(module.config, batch, softmax=config.softmax)  # while a GPU is at work
            parts = nothing | {name: loss.detach()} if counts[name] else nothing
            yield Losses(total=loss, parts=parts, tokens=_read(batch), sources=batch.sources, flops=flops)


def _read(batch: Batch) -> int:
    """Patches that the encoder reads, and text tokens."""
    assert batch.tokens is not None
    patches = 0 if batch.patches is None else int((batch.patches.document != PADDING).sum())
    return patches + int((batch.tokens.text != NO_TEXT).sum())


def _targets(batch: Batch) -> int:
    assert batch.tokens is not None
    tokens = batch.tokens
    return int((tokens.target != NO_TARGET).sum() + (tokens.target_patch != NO_PATCH).sum())


def text_batches(rows: np.ndarray, config: StageConfig) -> list[Batch]:
    """This process's share of text samples, int64 (samples, length), in batches that go through the model together."""
    return [_batch([], part) for part in in_batches(own_part(list(rows)), config.samples_at_once)]


def text_validation(module: NeuroLM, stream: np.ndarray, config: StageConfig, device: torch.device) -> float:
    """Mean cross-entropy of text kept for validation (nan where there is too little of it)."""
    length = min(config.text_length, len(stream))
    rows = stream[: len(stream) // length * length].reshape(-1, length)[:VALIDATION_ROWS]
    sums = {"text": 0.0, "count": 0.0}
    if len(own := own_part(list(rows))):
        out = module.loss(_batch([], own).to(device), softmax=config.softmax)
        sums = {"text": float(out.text), "count": float(out.text_count)}
    sums = distributed.totals(sums)
    return sums["text"] / sums["count"] if sums["count"] else math.nan


def _batch(samples: Sequence[Sample], rows: np.ndarray | Sequence[np.ndarray]) -> Batch:
    documents = [
        Document(sample=i, predict_eeg=True, last_second=sample.seconds == 1) for i, sample in enumerate(samples)
    ]
    return build_batch(samples, documents + [Document(text=row) for row in rows])


def new_neurolm(run: Run, stage: StageConfig, weights: dict[str, torch.Tensor]) -> NeuroLM:
    """NeuroLM from the run's tokenizer and language model."""
    tokenizer, card = load_tokenizer(run.folder / "tokenizer")
    if card.run.model.tokenizer != run.config.model.tokenizer:
        raise CheckpointError(f"{run.folder / 'tokenizer'}: of another recipe ({card.run.recipe}); train it again")
    torch.manual_seed(stage.seed)
    module = NeuroLM(with_dropout(run.config.model, stage.dropout))
    module.tokenizer.load_state_dict(tokenizer.state_dict())
    module.initialise_language(weights)
    if isinstance(module.scaling, FeatureScaling):
        _fit_scaling(run, module.tokenizer, module.scaling)
    return module


@torch.no_grad()
def _fit_scaling(run: Run, tokenizer: NeuralTokenizer, scaling: FeatureScaling) -> None:
    """Take the statistics of the features from evenly spread windows of the training people.

    Patches whose features are no numbers are passed over: the step that meets their recording names it.
    """
    tokenizer.to(run.device)
    scaling.to(run.device)
    found = []
    for samples in in_batches(spread_samples(run, run.config.pretrain, run.training_subjects, FITTED), FITTED_AT_ONCE):
        patches = build_patches(samples)[0].to(run.device)
        found.append(exact(tokenizer.encode(patches)[patches.document != PADDING]))
    features = torch.cat(found)
    if (whole := features.isfinite().all(1)).any():
        scaling.fit(features[whole])
    for tensor in (scaling.mean, scaling.deviation):
        distributed.broadcast(tensor)


def train_pretrain(run: Run, *, texts: list[str], progress: ProgressCallback = None) -> Path:
    """Run the stage; returns its folder. Needs the language and tokenizer stages' folders in the run."""
    if is_done(run, PretrainStage.name):
        clean(run.folder / PretrainStage.name)
        return run.folder / PretrainStage.name
    text, weights = language_of(run)
    module = new_neurolm(run, run.config.pretrain, weights)
    stage = PretrainStage(run, module, token_stream(text, texts))
    return finish_stage(run, stage, stage.config, steps=stage.steps, text=text, progress=progress)
