"""Stage 1, the text-aligned neural tokenizer (paper section 2.2).

neurolm train tokenizer --store STORE --out RUN
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from neurolm.batch import PADDING, Patches
from neurolm.config import StageConfig
from neurolm.data.loader import Sample, TextSampler, WindowSampler, build_patches, read_sample
from neurolm.data.store import Store
from neurolm.data.text import TextTokenizer, token_stream
from neurolm.data.windows import Window, unlabelled_windows
from neurolm.errors import CheckpointError
from neurolm.model.gpt2 import load_gpt2
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.montage import RATE
from neurolm.train.flops import tokenizer_flops
from neurolm.train.language import split_text
from neurolm.train.loop import Losses, clean
from neurolm.train.run import ProgressCallback, Run, finish_stage, is_done

VECTORS_PER_CODE = 8
"""Encoder vectors per code from which the codebook starts by k-means."""
VALIDATION_WINDOWS = 64
LOSSES = ("commitment", "frequency", "raw", "domain_eeg", "domain_text")
"""Of ``TokenizerLosses``, those that make up the total."""
DEAD = 0.1
"""Share of the mean of the moving usage below which a code counts as dead."""
T = TypeVar("T")


def reversal(step: int, steps: int) -> float:
    """Strength of the gradient reversal over training progress p: 2 / (1 + e^(-10 p)) - 1 (paper section 2.2)."""
    return 2.0 / (1.0 + math.exp(-10.0 * step / steps)) - 1.0


class EEGWindows:
    """Unlabelled windows of a store, by step: their order and their shifted starts are functions of (seed, step)."""

    def __init__(self, store: Store, windows: list[Window], config: StageConfig) -> None:
        self.store, self.windows, self.config = store, windows, config
        self.sampler = WindowSampler([[range(len(windows))]], batch=config.eeg_batch, seed=config.seed)

    def step(self, step: int) -> list[Sample]:
        """Samples of a step, each shifted by up to half a window within what may be trained on of its recording."""
        chosen = self.sampler.step(step)
        shift = np.random.default_rng([self.config.seed, 3, step]).uniform(-0.5, 0.5, len(chosen))
        samples = []
        for index, part in zip(chosen, shift, strict=True):
            window = self.windows[index]
            count = window.seconds * RATE
            first, stop = window.span
            start = int(np.clip(window.start + round(part * count), first, stop - count))
            moved = replace(window, start=start)
            samples.append(
                read_sample(self.store, moved, augment=self.config.augment, seed=(self.config.seed, step, int(index)))
            )
        return samples


def eeg_windows(run: Run, config: StageConfig, subjects: list[str]) -> list[Window]:
    """Unlabelled windows of some subjects, as long as the recipe's patches and seconds allow."""
    return unlabelled_windows(
        run.store,
        max_patches=config.max_patches,
        max_seconds=run.config.model.tokenizer.seconds,
        subjects=subjects,
        without=run.held_out_stretches,
    )


def validation_samples(run: Run, config: StageConfig) -> list[Sample]:
    """Evenly spread windows of the validation subjects."""
    windows = eeg_windows(run, config, run.validation_subjects)
    spread = np.unique(np.linspace(0, len(windows) - 1, min(VALIDATION_WINDOWS, len(windows))).round().astype(int))
    return [read_sample(run.store, windows[i]) for i in spread]


def in_batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut a list into batches of a size; 0: one batch of all."""
    return [items[i : i + size] for i in range(0, len(items), size)] if size else [items][: len(items)]


@dataclass(frozen=True, kw_only=True)
class TokenizerBatch:
    """What a step of the tokenizer sees, in host memory."""

    patches: list[Patches]
    """As many samples in each as go through the model together."""
    sources: list[tuple[str, ...]]
    """Where the samples came from."""
    count: int
    """Patches in all."""
    words: torch.Tensor
    """int64 (text tokens,)."""


class TokenizerStage:
    """Reconstruction through the codebook, and alignment of the encoder's space with text."""

    name = "tokenizer"

    def __init__(self, run: Run, words: torch.Tensor, stream: np.ndarray) -> None:
        self.config = run.config.tokenizer
        torch.manual_seed(self.config.seed)
        self.module = NeuralTokenizer(run.config.model.tokenizer)
        self.windows = EEGWindows(run.store, eeg_windows(run, self.config, run.training_subjects), self.config)
        self.validation = validation_samples(run, self.config)
        self.text = TextSampler(
            split_text(stream)[0], batch=self.config.text_batch, length=self.config.text_length, seed=self.config.seed
        )
        self.words, self.device = words.to(run.device), run.device
        self.steps = self.config.total_steps(len(self.windows.windows))
        self.codes, self.patches = self.module.config.codes, sum(len(sample.second) for sample in self.validation)
        self.moved: list[tuple[torch.Tensor, torch.Tensor]] = []

    def batch(self, step: int) -> TokenizerBatch:
        """EEG and text of a step."""
        samples = self.windows.step(step)
        parts = in_batches(samples, self.config.samples_at_once)
        return TokenizerBatch(
            patches=[build_patches(part)[0] for part in parts],
            sources=[tuple(s.source for s in part) for part in parts],
            count=sum(len(s.second) for s in samples),
            words=torch.from_numpy(self.text.step(step)).flatten(),
        )

    def losses(self, step: int, batch: TokenizerBatch) -> Iterator[Losses]:
        """Commitment, frequency, raw and both domain losses of a step's batch."""
        quantise = step >= self.module.config.quantise_from * self.steps
        if quantise and not self.module.quantizer.initialised:
            self._start_codebook()
        words = self.words[batch.words.to(self.device, non_blocking=True)]
        self.moved, used = [], []
        for patches, sources in zip(batch.patches, batch.sources, strict=True):
            out = self.module.loss(patches.to(self.device), words, reversal(step, self.steps), quantise=quantise)
            share = len(out.codes) / batch.count
            shared = round(share * len(words))  # while a GPU is at work on the loss:
            flops = tokenizer_flops(self.module.config, patches, shared, quantise=quantise)
            used.append(out.codes)
            if quantise:
                self.moved.append((out.vectors, out.codes))
            parts = {name: share * getattr(out, name).detach() for name in LOSSES}
            if sum(map(len, used)) == batch.count:
                parts["codes_used"] = torch.tensor(float(torch.cat(used).unique().numel()))
            yield Losses(
                total=out.total * share,
                parts=parts,
                tokens=len(out.codes) + shared,
                sources=sources,
                flops=flops,
            )

    def after_step(self) -> dict[str, float]:
        """Move the codebook: only training steps do. Returns how varied its use is, as a moving average."""
        if not self.moved:
            return {}
        vectors, codes = (torch.cat(parts) for parts in zip(*self.moved, strict=True))
        self.module.quantizer.update(vectors, codes)
        figures = moving_use(self.module.quantizer.usage)
        if self.module.config.revive:
            self.module.quantizer.revive(vectors, threshold=self.module.config.revive)
        return figures

    def validate(self) -> dict[str, float]:
        """Losses and codebook use on the validation subjects."""
        if not self.validation:  # each task's validation subjects are test subjects of another
            return {}
        sums: dict[str, float] = {}
        codes, places = [], 0
        for samples in in_batches(self.validation, self.config.eeg_batch):
            patches = build_patches(samples)[0].to(self.device)
            out = self.module.loss(patches, self.words[:1], 0.0, quantise=bool(self.module.quantizer.initialised))
            count = int((patches.document != PADDING).sum())
            for name in ("commitment", "frequency", "raw"):
                sums[name] = sums.get(name, 0.0) + float(getattr(out, name)) * count
            codes.append(out.codes)
            places += count
        return {name: value / places for name, value in sums.items()} | code_use(torch.cat(codes))

    def _start_codebook(self) -> None:
        """K-means over the vectors of enough batches (from the end of the run, so no batch is favoured)."""
        vectors, found = [], 0
        for step in itertools.count(self.steps):
            patches = build_patches(self.windows.step(step))[0].to(self.device)
            with torch.no_grad():
                features = self.module.encode(patches)[patches.document != PADDING]
                vectors.append(self.module.code_vectors(features))
            found += len(features)
            if found >= VECTORS_PER_CODE * self.module.config.codes:
                break
        self.module.quantizer.initialise(torch.cat(vectors), torch.Generator().manual_seed(self.config.seed))


def code_use(codes: torch.Tensor) -> dict[str, float]:
    """How many codes are used, and the perplexity of their use."""
    share = codes.flatten().bincount().double()
    share = share[share > 0] / share.sum()
    return {"codes_used": float(len(share)), "code_perplexity": float((-(share * share.log()).sum()).exp())}


def moving_use(usage: torch.Tensor) -> dict[str, float]:
    """Perplexity of the codebook's moving usage, and how many codes are dead: used less than ``DEAD`` of the mean."""
    perplexity = torch.special.entr(usage / usage.sum()).sum().exp()
    dead = (usage < DEAD * usage.mean()).sum()
    return dict(zip(("code_perplexity", "dead_codes"), torch.stack((perplexity, dead)).tolist(), strict=True))


def train_tokenizer(run: Run, *, texts: list[str], words: str | None = None, progress: ProgressCallback = None) -> Path:
    """Run the stage; returns its folder. Needs the language stage's folder in the run.

    Parameters
    ----------
    words
        Folder or hub id of the GPT-2 whose word embeddings the encoder's space is aligned with; by default the run's
        own. The paper takes those of the smallest GPT-2, 768 wide like the encoder, for all its sizes.

    Raises
    ------
    CheckpointError
        If the word embeddings do not fit the encoder or the text tokens.
    """
    if is_done(run, TokenizerStage.name):
        clean(run.folder / TokenizerStage.name)
        return run.folder / TokenizerStage.name
    text, weights = language_of(run)
    embeddings = (weights if words is None else load_gpt2(words)[1])["wte.weight"]
    width = run.config.model.tokenizer.encoder.width
    if embeddings.shape[1] != width or len(embeddings) < text.size:
        raise CheckpointError(
            f"{words or run.folder / 'language'}: {len(embeddings):,} word embeddings, {embeddings.shape[1]} wide, do "
            f"not fit an encoder {width} wide and {text.size:,} text tokens: give --words, the folder or hub id of a "
            "GPT-2 of that width with the same tokens (openai-community/gpt2 for base, large and xl)"
        )
    stage = TokenizerStage(run, embeddings, token_stream(text, texts))
    return finish_stage(run, stage, stage.config, steps=stage.steps, text=text, progress=progress)


def language_of(run: Run) -> tuple[TextTokenizer, dict[str, torch.Tensor]]:
    """Text tokenizer and weights that the language stage left in the run."""
    folder = run.folder / "language"
    if not is_done(run, "language"):
        raise CheckpointError(f"{folder}: the language stage is not finished; run `neurolm train language` first")
    return TextTokenizer.load(folder), load_gpt2(folder)[1]
