"""Stage 0, the language model: GPT-2's weights where given, else a small GPT-2.

    neurolm train language --store STORE --out RUN

The stage leaves a GPT-2 folder in the Hugging Face layout, so what follows need not know where it came from. Its word
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
from neurolm.model.gpt2 import GPT2, load_gpt2, save_gpt2
from neurolm.train.flops import text_flops
from neurolm.train.loop import ProgressCallback, clean, run_stage
from neurolm.train.run import Run
from neurolm.train.shared import VALIDATION_ROWS, is_finished, own_part, split_text
from neurolm.train.stage import Losses, Stage


class LanguageStage(Stage[np.ndarray]):
    """Next-token prediction on text; a batch is this process's share of a step's crops, int64 (crops, length)."""

    name = "language"
    module: GPT2

    def __init__(self, config: StageConfig, language: LanguageConfig, stream: np.ndarray, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.module = GPT2(language, rows=language.text_tokens)
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
    run: Run, *, texts: Sequence[str], gpt2: str | None = None, progress: ProgressCallback | None = None
) -> Path:
    """Run the stage; returns its folder.

    Parameters
    ----------
    texts
        Documents to learn from, where no weights are given.
    gpt2
        Folder or hub id of GPT-2 weights to take instead of training.
    """
    folder = run.folder / LanguageStage.name
    if is_finished(run, LanguageStage.name):
        return folder
    language = run.config.model.language
    if gpt2 is not None:
        return _take_gpt2(gpt2, language, folder)
    config = run.config.language
    text = TextTokenizer.train(texts, language.text_tokens)
    stream = token_stream(text, texts)
    stage = LanguageStage(config, language, stream, run.device)
    run_stage(stage, folder, device=run.device, workers=run.workers, log_to=run.log_to, progress=progress)
    if distributed.is_main():
        _save(folder, stage.module, text)
    clean(folder)
    return folder


def _save(folder: Path, model: GPT2, text: TextTokenizer) -> None:
    with atomic_folder(folder, last=CONFIG) as temporary:
        text.save(temporary)
        save_gpt2(temporary, model)


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
