"""Stage 0, the language model: weights of GPT-2 or of another model where given, else a small GPT-2.

    neurolm train language --store STORE --out RUN
    neurolm train language --store STORE --out RUN --backbone Qwen/Qwen3-0.6B

The stage leaves a folder in the Hugging Face layout, so what follows need not know where it came from. Its word
embeddings are what EEG is aligned to, and its language is what the text loss of the later stages keeps alive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurolm.batches.loader import Document, TextSampler, build_tokens
from neurolm.batches.text import TextTokenizer, token_stream
from neurolm.checkpoint import CONFIG
from neurolm.core import distributed
from neurolm.core.config import LanguageConfig, StageConfig
from neurolm.core.errors import ConfigError
from neurolm.core.files import atomic_folder
from neurolm.model.backbone import new_language
from neurolm.model.gpt2 import GPT2, load_gpt2, save_gpt2
from neurolm.model.hub_weights import save_language
from neurolm.model.language import LanguageModel
from neurolm.train.backbone import open_backbone
from neurolm.train.flops import text_flops
from neurolm.train.loop import ProgressCallback, clean, run_stage
from neurolm.train.run import Run
from neurolm.train.shared import VALIDATION_ROWS, is_finished, own_part, split_text
from neurolm.train.stage import Losses, Stage


class LanguageStage(Stage[np.ndarray]):
    """Next-token prediction on text; a batch is this process's share of a step's crops, int64 (crops, length)."""

    name = "language"
    module: LanguageModel

    def __init__(self, config: StageConfig, language: LanguageConfig, stream: np.ndarray, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.module = new_language(language, output=True)
        training, self.validation = split_text(stream)
        self.sampler = TextSampler(training, batch=config.text_batch, length=config.text_length + 1, seed=config.seed)
        self.length, self.device = config.text_length + 1, device
        self.steps = config.total_steps(len(stream) // config.text_length)
        self.flops_of_a_crop = text_flops(language, build_tokens([Document(text=range(self.length))]))

    @property
    def loss(self) -> Callable[..., Any]:
        """Cross-entropy of the next token."""
        return self.module.text_loss

    def batch(self, step: int) -> np.ndarray:
        """This process's share of a step's crops of text."""
        return own_part(self.sampler.step(step))

    def passes(self, rows: np.ndarray) -> int:
        """As many as it takes with ``samples_at_once``."""
        return -(-len(rows) // (self.config.samples_at_once or len(rows)))

    def losses(self, step: int, rows: np.ndarray, loss: Callable[..., Any]) -> Iterator[Losses]:
        """Cross-entropy of the next token."""
        at_once = self.config.samples_at_once or len(rows)
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            total = self._mean(loss, part) * (len(part) / self.config.text_batch)  # all crops have as many targets
            flops = self.flops_of_a_crop * len(part)
            yield Losses(total=total, parts={"text": total.detach()}, tokens=part.size, flops=flops)

    def validate(self) -> dict[str, float]:
        """Cross-entropy and perplexity on the last part of the text; the best weights are kept."""
        count = min(VALIDATION_ROWS, max(1, len(self.validation) // self.length))
        rows = own_part(np.resize(self.validation, (count, self.length)))
        share = len(rows) / count
        loss = distributed.totals({"loss": float(self._mean(self.loss, rows)) * share if len(rows) else 0.0})["loss"]
        return {"text": loss, "text_perplexity": math.exp(min(loss, 20.0)), "score": loss}

    def _mean(self, loss: Callable[..., Any], rows: np.ndarray) -> torch.Tensor:
        total, count = loss(build_tokens([Document(text=row) for row in rows]).to(self.device))
        return total / count


def train_language(
    run: Run,
    *,
    texts: Sequence[str],
    gpt2: str | None = None,
    backbone: str | None = None,
    progress: ProgressCallback | None = None,
) -> Path:
    """Run the stage; returns its folder.

    Parameters
    ----------
    texts
        Documents to learn from, where no weights are given.
    gpt2
        Folder or hub id of GPT-2 weights to take instead of training.
    backbone
        Folder or hub id of the language model whose sizes the run's configuration has (``backbone.with_backbone``); its
        weights are taken, where it has any.

    Raises
    ------
    ConfigError
        If what is given is not the model of the configuration.
    """
    folder = run.folder / LanguageStage.name
    if is_finished(run, LanguageStage.name):
        return folder
    language = run.config.model.language
    found = None if backbone is None else open_backbone(backbone)
    if found is not None:
        found.require(language)
    if not language.own:
        if found is None:
            raise ConfigError(f"{run.folder}: begun with a language model of the hub: give it with --backbone again")
        if gpt2 is not None:
            raise ConfigError("--gpt2 and --backbone: two language models; give one")
        if (taken := found.weights(language)) is not None:
            return _taken(folder, taken, language, found.text)
    elif found is not None and found.has_weights:
        gpt2 = backbone
    if gpt2 is not None:
        return _take_gpt2(gpt2, language, folder)
    config = run.config.language
    text = TextTokenizer.train(texts, language.text_tokens) if found is None or found.text is None else found.text
    stream = token_stream(text, texts)
    stage = LanguageStage(config, language, stream, run.device)
    run_stage(stage, folder, device=run.device, workers=run.workers, log_to=run.log_to, progress=progress)
    if distributed.is_main():
        _save(folder, stage.module, text)
    clean(folder)
    return folder


def _save(folder: Path, model: LanguageModel, text: TextTokenizer) -> None:
    with atomic_folder(folder, last=CONFIG) as temporary:
        text.save(temporary)
        if isinstance(model, GPT2):
            save_gpt2(temporary, model)
        else:
            save_language(temporary, model.config, model.state_dict())


def _taken(
    folder: Path, weights: dict[str, torch.Tensor], language: LanguageConfig, text: TextTokenizer | None
) -> Path:
    """Leave a model of the hub as it was given, in the precision of its file."""
    assert text is not None
    distributed.wait()  # until nobody looks any more whether it is there already
    if distributed.is_main():
        with atomic_folder(folder, last=CONFIG) as temporary:
            text.save(temporary)
            save_language(temporary, language, weights)
    distributed.wait()
    return folder


def _take_gpt2(source: str, language: LanguageConfig, folder: Path) -> Path:
    text = TextTokenizer.load(source)
    found, weights = load_gpt2(source)
    for name in ("layers", "heads", "width"):
        if getattr(found.transformer, name) != getattr(language.transformer, name):
            raise ConfigError(
                f"{source}: a GPT-2 of {found.transformer.layers} layers, {found.transformer.heads} heads, width "
                f"{found.transformer.width}; the recipe wants {language.transformer.layers}, "
                f"{language.transformer.heads}, {language.transformer.width}: give the GPT-2 of that size"
            )
    if text.size != language.text_tokens:
        raise ConfigError(
            f"{source}: {text.size:,} text tokens, the recipe wants {language.text_tokens:,}: "
            f"set --model.language.text_tokens {text.size}"
        )
    model = GPT2(found, rows=found.text_tokens)
    model.load_state_dict(weights)
    distributed.wait()  # until nobody looks any more whether it is there already
    if distributed.is_main():
        _save(folder, model, text)
    distributed.wait()
    return folder
