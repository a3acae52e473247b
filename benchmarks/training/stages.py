"""The stages of a recipe, on random EEG and text, without the stages before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from neurolm.batches import loader
from neurolm.batches.loader import Document, build_tokens
from neurolm.batches.text import TextTokenizer, shipped_text
from neurolm.core.batch import Batch
from neurolm.core.config import ModelConfig, RunConfig
from neurolm.core.recipes import recipe
from neurolm.model.neurolm import NeuroLM
from neurolm.train.flops import language_flops, text_flops, tokenizer_flops
from neurolm.train.instruct import InstructStage
from neurolm.train.language import LanguageStage
from neurolm.train.pretrain import PretrainStage
from neurolm.train.run import Run, open_run
from neurolm.train.shared import with_dropout
from neurolm.train.stage import Stage
from neurolm.train.tokenizer import TokenizerBatch, TokenizerStage
from training import corpus

TEXT_VOCABULARY = 1024
"""Of the text tokenizer that is trained in a moment for the questions."""
STREAM = 200_000
"""Random text tokens."""


STEPS = 1_000_000
"""Of which the measured ones are the first."""


@dataclass(frozen=True)
class Settings:
    """What is measured, and how large. Zeros leave what the recipe says."""

    recipe: str
    stage: str
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False
    threads: int = 1
    eeg_batch: int = 0
    text_batch: int = 0
    text_length: int = 0
    at_once: int = -1
    """Samples that go through the model together; −1 leaves what the recipe says."""
    layers: int = 0
    """Blocks of every stack are cut to so many, for a quick look."""
    checkpointing: bool | None = None
    """None leaves what the recipe says."""
    packed: bool = True
    steps: int = 2
    """That are measured."""
    warm: int = 1
    """Steps before."""
    workers: int = 0
    folder: str = ""
    """Of the corpus."""
    store: str = ""
    """That is learned from, instead of random EEG."""


def config(settings: Settings) -> RunConfig:
    """The recipe at the size to measure."""
    run = recipe(settings.recipe)
    stage = run.stage(settings.stage)
    changes: dict[str, Any] = {"steps": STEPS, "epochs": 0.0, "precision": settings.precision,
                               "compile": "always" if settings.compile else "never"}  # fmt: skip
    if settings.stage != "language" and settings.eeg_batch:
        changes["eeg_batch"] = settings.eeg_batch
    for name in ("text_batch", "text_length"):
        if getattr(settings, name):
            changes[name] = getattr(settings, name)
    if settings.at_once >= 0:
        changes["samples_at_once"] = settings.at_once
    if settings.checkpointing is not None:
        changes["checkpointing"] = settings.checkpointing
    model = replace(run.model, tokenizer=replace(run.model.tokenizer, quantise_from=0.0))
    model = _cut(model, settings.layers) if settings.layers else model
    return replace(run, model=model, **{settings.stage: replace(stage, **changes)})


def build(settings: Settings) -> Stage[Any]:
    """The stage, with a codebook as if it had been started."""
    chosen, device = config(settings), torch.device(settings.device)
    stream = np.random.default_rng(0).integers(0, TEXT_VOCABULARY, STREAM, dtype=np.int32)
    torch.manual_seed(0)
    if settings.stage == "language":
        return LanguageStage(chosen.language, chosen.model.language, stream, device)
    if settings.store:
        run = open_run(Path(settings.folder), config=chosen, store=settings.store, device=settings.device)
    else:
        run = Run(folder=Path(settings.folder), config=chosen, store=corpus.corpus(Path(settings.folder)),
                  tasks=corpus.tasks(), splits=corpus.splits(), device=device)  # fmt: skip
    stage: Stage[Any]
    if settings.stage == "tokenizer":
        words = torch.randn(TEXT_VOCABULARY, chosen.model.tokenizer.encoder.width) * 0.02
        stage = TokenizerStage(run, words, stream)
        stage.module.quantizer.initialised.fill_(True)
        return stage
    with device:
        module = NeuroLM(with_dropout(chosen.model, chosen.stage(settings.stage).dropout))
    module.tokenizer.quantizer.initialised.fill_(True)
    if settings.stage == "pretrain":
        stage = PretrainStage(run, module, stream)
    else:
        text = TextTokenizer.train(shipped_text(), TEXT_VOCABULARY)
        stage = InstructStage(run, module, text, stream)
    return stage


def batch(stage: Stage[Any], step: int, *, packed: bool = True) -> Any:
    """A step's batch; unpacked, each sample has a row of its own, as long as the longest."""
    with (
        nullcontext() if packed else patch.object(loader, "pack", lambda lengths, _: [[i] for i in range(len(lengths))])
    ):
        return stage.batch(step)


def flops(stage: Stage[Any], made: Any) -> int:
    """Operations that a step's batch needs."""
    if isinstance(stage, LanguageStage):
        tokens = build_tokens([Document(text=row) for row in made])
        return text_flops(stage.module.config, tokens)
    if isinstance(stage, TokenizerStage):
        assert isinstance(made, TokenizerBatch)
        model = stage.module.config
        return sum(tokenizer_flops(model, part, len(made.words), quantise=True) for part in made.patches)
    return sum(language_flops(stage.module.config, part, softmax=stage.config.softmax) for part in parts_of(made))


def padding(made: Any) -> float:
    """Share of the places of a batch that are padding."""
    documents = []
    if isinstance(made, dict):
        documents = [part.tokens.document for part in parts_of(made)]
    elif hasattr(made, "patches"):
        documents = [part.document for part in made.patches]
    places = sum(d.numel() for d in documents)
    return sum(int((d == -1).sum()) for d in documents) / places if places else 0.0


def parts_of(made: dict[str, list[Batch]]) -> Iterator[Batch]:
    """The batches of a step of pretraining or instruction tuning."""
    for batches in made.values():
        yield from batches


def _cut(model: ModelConfig, layers: int) -> ModelConfig:
    def cut(transformer: Any) -> Any:
        return replace(transformer, layers=min(layers, transformer.layers))

    tokenizer, language = model.tokenizer, model.language
    return replace(
        model,
        tokenizer=replace(tokenizer, encoder=cut(tokenizer.encoder), decoder=cut(tokenizer.decoder)),
        language=replace(language, transformer=cut(language.transformer)),
    )
