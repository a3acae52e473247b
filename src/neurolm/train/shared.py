"""What the stages share: windows, text, the language model's passes, how a stage begins and ends."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from neurolm.batches.loader import (
    Document,
    Sample,
    TextSampler,
    WindowSampler,
    build_batch,
    build_patches,
    read_sample,
    share,
)
from neurolm.batches.text import TextTokenizer
from neurolm.batches.windows import Window, spread, unlabelled_windows
from neurolm.checkpoint import (
    AdapterFile,
    Base,
    Card,
    load_tokenizer,
    require_same_filters,
    save_checkpoint,
    weights_digest,
)
from neurolm.core import distributed
from neurolm.core.batch import NO_PATCH, NO_TARGET, NO_TEXT, PADDING, Batch
from neurolm.core.config import ModelConfig, StageConfig
from neurolm.core.errors import CheckpointError
from neurolm.core.physics import RATE
from neurolm.model.adapters import adapt, own_names
from neurolm.model.hub_weights import load_language
from neurolm.model.neurolm import NeuroLM
from neurolm.model.quantizer import exact
from neurolm.model.scaling import FeatureScaling
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.store.store import Store
from neurolm.tasks.task import Task
from neurolm.train.flops import language_flops
from neurolm.train.loop import ProgressCallback, clean, run_stage
from neurolm.train.machine.sharding import whole_state
from neurolm.train.run import Run, is_done
from neurolm.train.stage import Losses, Stage

VALIDATION_WINDOWS = 64
"""Most windows of EEG on which the unlabelled stages are validated."""
VALIDATION_SHARE = 0.05
"""Last part of the text, on which the language is validated in every stage."""
VALIDATION_ROWS = 64
"""Most crops of it, which go through the model at once."""
FITTED, FITTED_AT_ONCE = 256, 16
"""Windows of which the statistics of features are taken, and how many go through the encoder together."""
T = TypeVar("T")
Items = TypeVar("Items", Sequence[Any], np.ndarray)


def is_finished(run: Run, stage: str) -> bool:
    """Return whether a stage's checkpoint is complete; what its training left beside it is removed then."""
    if done := is_done(run, stage):
        clean(run.folder / stage)
    return done


def finish_stage(
    run: Run,
    stage: Stage[Any],
    text: TextTokenizer,
    *,
    bases: Mapping[str, Path] | None = None,
    learned: Card | None = None,
    tasks: tuple[Task, ...] = (),
    progress: ProgressCallback | None,
) -> Path:
    """Train a stage to the end and leave its checkpoint in the run's folder of that stage.

    Parameters
    ----------
    bases
        Folders of the checkpoints that it starts from, by the stages that made them: one with adapters is kept as what
        differs from them.
    learned
        Card of the checkpoint it starts from, if that may be of another store: its recordings are not tested on either.
    """
    folder = run.folder / stage.name
    adapter = None
    if stage.config.lora.rank and distributed.is_main():  # now: they may be others when it is over
        adapter = AdapterFile(
            bases=tuple(
                Base(stage=name, folder=Path(os.path.relpath(path, folder)).as_posix(), weights=weights_digest(path))
                for name, path in (bases or {}).items()
            )
        )
    run_stage(stage, folder, device=run.device, workers=run.workers, log_to=run.log_to, progress=progress)
    weights = whole_state(stage.module)
    if distributed.is_main():
        if adapter is not None:
            assert isinstance(stage.module, NeuroLM)
            names = own_names(stage.module, new_rows=adapter.new_rows)
            weights = {short: weights[name] for short, name in names.items()}
        card = run.card(stage.name, stage.steps, tasks=tasks)
        if learned is not None:
            card = replace(
                card,
                recordings=_both(card.recordings, learned.recordings),
                corpora=_both(card.corpora, learned.corpora),
                licences=_both(card.licences, learned.licences),
            )
        save_checkpoint(folder, card, weights, text, adapter=adapter)
    clean(folder)
    return folder


def _both(own: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*own, *others}))


def in_batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut a list into batches of a size; 0: one batch of all."""
    return [items[i : i + size] for i in range(0, len(items), size)] if size else [items][: len(items)]


def own_part(items: Items) -> Items:
    """Return the part of some items that this process takes."""
    return items[distributed.rank() :: distributed.world()]


class EEGWindows:
    """Unlabelled windows of a store, by step: their order and their shifted starts are functions of (seed, step).

    Where there are several processes, each has its share of a step's windows.
    """

    def __init__(self, store: Store, windows: list[Window], config: StageConfig) -> None:
        self.store, self.windows, self.config = store, windows, config
        self.sampler = WindowSampler([[range(len(windows))]], batch=config.eeg_batch, seed=config.seed)

    def places(self, step: int) -> list[int]:
        """Return which of a step's windows are this process's."""
        windows = [self.windows[index] for index in self.sampler.step(step)]
        return own_windows(self.store, windows)

    def step(self, step: int) -> list[Sample]:
        """Return this process's samples of a step."""
        return self.read(step, self.places(step))

    def read(self, step: int, places: Sequence[int]) -> list[Sample]:
        """Read samples of a step, each shifted by up to half a window within what may be trained on of its recording.

        Parameters
        ----------
        places
            Indices into the step's windows.
        """
        chosen = self.sampler.step(step)
        shift = np.random.default_rng([self.config.seed, 3, step]).uniform(-0.5, 0.5, len(chosen))
        samples = []
        for place in places:
            index, part = chosen[place], shift[place]
            window = self.windows[index]
            count = window.seconds * RATE
            first, stop = window.span
            start = int(np.clip(window.start + round(part * count), first, stop - count))
            moved = replace(window, start=start)
            samples.append(
                read_sample(self.store, moved, augment=self.config.augment, seed=(self.config.seed, step, int(index)))
            )
        return samples


def own_windows(store: Store, windows: Sequence[Window]) -> list[int]:
    """Return which of a step's windows this process reads: each process has about as many patches."""
    sizes = [window.seconds * len(store.outlines[window.recording].channels) for window in windows]
    return share(sizes, distributed.rank(), distributed.world())


def eeg_windows(run: Run, config: StageConfig, subjects: list[str]) -> list[Window]:
    """Return unlabelled windows of some subjects, as long as the recipe's patches and seconds allow."""
    return unlabelled_windows(
        run.store,
        max_patches=config.max_patches,
        max_seconds=run.config.model.tokenizer.seconds,
        subjects=subjects,
        without=run.held_out_stretches,
    )


def training_windows(run: Run, config: StageConfig) -> EEGWindows:
    """Return the unlabelled windows that a stage learns from."""
    return EEGWindows(run.store, eeg_windows(run, config, run.training_subjects), config)


def validation_samples(run: Run, config: StageConfig) -> list[Sample]:
    """Read evenly spread windows of the validation subjects."""
    return spread_samples(run, config, run.validation_subjects, VALIDATION_WINDOWS)


def spread_samples(run: Run, config: StageConfig, subjects: list[str], most: int) -> list[Sample]:
    """Read evenly spread windows of some subjects."""
    windows = eeg_windows(run, config, subjects)
    return [read_sample(run.store, window) for window in spread(windows, most)]


def split_text(stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a token stream into what is learned from and what validates."""
    cut = round(len(stream) * (1 - VALIDATION_SHARE))
    return stream[:cut], stream[cut:]


def text_sampler(stream: np.ndarray, config: StageConfig) -> TextSampler:
    """Return what draws the text of a step out of the training part of a token stream."""
    return TextSampler(stream, batch=config.text_batch, length=config.text_length, seed=config.seed)


def language_of(run: Run) -> tuple[TextTokenizer, dict[str, torch.Tensor]]:
    """Load the text tokenizer and the weights that the language stage left in the run."""
    folder = run.folder / "language"
    if not is_done(run, "language"):
        raise CheckpointError(f"{folder}: the language stage is not finished; run `neurolm train language` first")
    config = run.config.model.language
    return TextTokenizer.load(folder, of_hub=not config.own), load_language(folder, config)


class LanguageModelStage(Stage[dict[str, list[Batch]]]):
    """A stage that trains NeuroLM: EEG and text by the name under which the loss is logged, a pass for each batch.

    Parameters
    ----------
    new_rows
        Whether the model was a language model without EEG until now (``adapters.adapt``).
    """

    module: NeuroLM

    def __init__(
        self, run: Run, config: StageConfig, module: NeuroLM, stream: np.ndarray, *, new_rows: bool = False
    ) -> None:
        self.config, self.module, self.device, self.new_rows = config, module, run.device, new_rows
        if config.lora.rank:
            torch.manual_seed(config.seed)
            adapt(module, config.lora, new_rows=new_rows)
        training, self.validation_text = split_text(stream)
        self.text = text_sampler(training, config)

    @property
    def loss(self) -> Callable[..., Any]:
        """Losses of EEG and text."""
        return self.module.loss

    def passes(self, batch: dict[str, list[Batch]]) -> int:
        """As many as there are batches."""
        return sum(map(len, batch.values()))

    def losses(self, step: int, batch: dict[str, list[Batch]], loss: Callable[..., Any]) -> Iterator[Losses]:
        """EEG loss and text loss, each a mean over its own targets."""
        return language_losses(self.module, batch, self.config, self.device, loss=loss, new_rows=self.new_rows)

    def text_validation(self) -> float:
        """Mean cross-entropy of the text kept for validation; NaN where there is too little of it."""
        length = min(self.config.text_length, len(self.validation_text))
        rows = self.validation_text[: len(self.validation_text) // length * length].reshape(-1, length)
        sums = {"text": 0.0, "count": 0.0}
        if len(own := own_part(list(rows[:VALIDATION_ROWS]))):
            out = self.module.loss(unlabelled_batch([], own).to(self.device), softmax=self.config.softmax)
            sums = {"text": float(out.text), "count": float(out.text_count)}
        sums = distributed.totals(sums)
        return sums["text"] / sums["count"] if sums["count"] else math.nan


def language_losses(
    module: NeuroLM,
    groups: Mapping[str, Sequence[Batch]],
    config: StageConfig,
    device: torch.device,
    *,
    loss: Callable[..., Any],
    new_rows: bool = True,
) -> Iterator[Losses]:
    """Losses of groups of batches, a pass for each batch.

    A group's loss is the mean over its own targets in all its batches in all processes, EEG codes or text tokens,
    however they are distributed; the passes' losses add up to the sum of the groups' losses. The text goes first: a
    pass of EEG has every weight in it, and so the last one has, as ``Replicas`` demands.

    Parameters
    ----------
    groups
        Batches by the name under which their loss is logged; in host memory.
    loss
        As in ``Stage.losses``.
    new_rows
        As in ``LanguageModelStage``.
    """
    counts = distributed.totals({name: sum(map(_targets, batches)) for name, batches in groups.items()})
    nothing = {name: 0.0 for name, count in counts.items() if count}
    for name, batches in reversed(list(groups.items())):
        for batch in batches:
            assert batch.tokens is not None
            out = loss(batch.to(device), softmax=config.softmax)
            total = (out.eeg + out.text) / max(1, counts[name])
            if not _targets(batch) and module.head.weight.requires_grad:
                # other processes may have some, and wait for everybody's gradient of the head
                total = total + 0.0 * module.head.weight.sum()
            flops = language_flops(  # while a GPU is at work
                module.config, batch, softmax=config.softmax, lora=config.lora, new_rows=new_rows
            )
            parts = nothing | {name: total.detach()} if counts[name] else nothing
            yield Losses(total=total, parts=parts, tokens=_read(batch), sources=batch.sources, flops=flops)


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
    return [unlabelled_batch([], part) for part in in_batches(own_part(list(rows)), config.samples_at_once)]


def unlabelled_batch(samples: Sequence[Sample], rows: Sequence[np.ndarray] = ()) -> Batch:
    """EEG whose next codes, and text whose next tokens, are to be predicted, each sample a document of its own."""
    documents = [
        Document(sample=i, predict_eeg=True, last_second=sample.seconds == 1) for i, sample in enumerate(samples)
    ]
    return build_batch(samples, documents + [Document(text=row) for row in rows])


def new_neurolm(run: Run, stage: StageConfig, weights: dict[str, torch.Tensor]) -> NeuroLM:
    """Make NeuroLM of the run's tokenizer and language model."""
    tokenizer, card = load_tokenizer(run.folder / "tokenizer")
    if card.run.model.tokenizer != run.config.model.tokenizer:
        raise CheckpointError(f"{run.folder / 'tokenizer'}: of another recipe ({card.run.recipe}); train it again")
    require_same_filters(card, run.store.filters, run.store.path)
    torch.manual_seed(stage.seed)
    module = NeuroLM(with_dropout(run.config.model, stage.dropout))
    module.tokenizer.load_state_dict(tokenizer.state_dict())
    module.initialise_language(weights)
    if isinstance(module.scaling, FeatureScaling):
        _fit_scaling(run, module.tokenizer, module.scaling)
    return module


def with_dropout(model: ModelConfig, dropout: float) -> ModelConfig:
    """Return the same model with a dropout in its language model."""
    transformer = dataclasses.replace(model.language.transformer, dropout=dropout)
    return dataclasses.replace(model, language=dataclasses.replace(model.language, transformer=transformer))


@torch.no_grad()
def _fit_scaling(run: Run, tokenizer: NeuralTokenizer, scaling: FeatureScaling) -> None:
    """Take the statistics of the features from evenly spread windows of the training subjects.

    Patches whose features are NaN or infinite are passed over: the step that meets their recording names it.
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
