"""Stage 1, the text-aligned neural tokenizer (paper section 2.2).

neurolm train tokenizer --store STORE --out RUN
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurolm.batches.loader import Sample, build_patches
from neurolm.batches.text import TextTokenizer, token_stream
from neurolm.core import distributed
from neurolm.core.batch import PADDING, Patches
from neurolm.core.errors import CheckpointError
from neurolm.model.backbone import words_name
from neurolm.model.gpt2 import load_gpt2
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.train.flops import tokenizer_flops
from neurolm.train.loop import ProgressCallback
from neurolm.train.run import Run
from neurolm.train.shared import (
    finish_stage,
    in_batches,
    is_finished,
    language_of,
    own_part,
    split_text,
    text_sampler,
    training_windows,
    validation_samples,
)
from neurolm.train.stage import Losses, Stage

VECTORS_PER_CODE = 8
"""Encoder vectors per code from which the codebook starts by k-means."""
STARTED_FROM = 16
"""Most samples that are encoded together for that: the same with any number of processes, as is what follows."""
LOSSES = ("commitment", "frequency", "raw", "domain_eeg", "domain_text")
"""The fields of ``TokenizerLosses`` that make up the total."""
DEAD = 0.1
"""Share of the mean of the moving usage below which a code counts as dead."""


def reversal(step: int, steps: int) -> float:
    """Strength of the gradient reversal over training progress p: 2 / (1 + e^(-10 p)) - 1 (paper section 2.2)."""
    return 2.0 / (1.0 + math.exp(-10.0 * step / steps)) - 1.0


@dataclass(frozen=True, kw_only=True)
class TokenizerBatch:
    """What a step of the tokenizer sees, in host memory."""

    patches: list[Patches]
    """As many samples in each as go through the model together."""
    sources: list[tuple[str, ...]]
    """Recording and start of each sample."""
    orders: list[torch.Tensor]
    """For each of these, int64 (patches,): its real patches as they come in the samples, one sample after the other."""
    sizes: torch.Tensor
    """int64 (samples of the step in all processes,): patches of each, 0 where it is not of this process."""
    words: torch.Tensor
    """int64 (text tokens,)."""


class TokenizerStage(Stage[TokenizerBatch]):
    """Reconstruction through the codebook, and alignment of the encoder's space with text."""

    name = "tokenizer"
    module: NeuralTokenizer

    def __init__(self, run: Run, words: torch.Tensor, stream: np.ndarray) -> None:
        self.config = run.config.tokenizer
        torch.manual_seed(self.config.seed)
        self.module = NeuralTokenizer(run.config.model.tokenizer)
        self.windows = training_windows(run, self.config)
        self.validation = validation_samples(run, self.config)
        self.text = text_sampler(split_text(stream)[0], self.config)
        self.words, self.device = words.to(run.device), run.device
        self.steps = self.config.total_steps(len(self.windows.windows))
        self.codes = self.module.config.codes
        self.validation_patches = sum(len(sample.second) for sample in self.validation)
        self.moved: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.seen = _Seen(step=0, own=torch.zeros(0), all=torch.zeros(0))

    @property
    def loss(self) -> Callable[..., Any]:
        """Losses of the tokenizer."""
        return self.module.loss

    def batch(self, step: int) -> TokenizerBatch:
        """EEG and text of a step; all processes have the whole text, which is cheap."""
        places = self.windows.places(step)
        samples = self.windows.read(step, places)
        parts = in_batches(samples, self.config.samples_at_once)
        built = [build_patches(part) for part in parts]
        sizes = torch.zeros(self.config.eeg_batch, dtype=torch.int64)
        sizes[places] = torch.tensor([len(s.second) for s in samples])
        return TokenizerBatch(
            patches=[patches for patches, _ in built],
            sources=[tuple(s.source for s in part) for part in parts],
            orders=[_order(*one, part) for one, part in zip(built, parts, strict=True)],
            sizes=sizes,
            words=torch.from_numpy(self.text.step(step)).flatten(),
        )

    def samples(self, step: int) -> list[Sample]:
        """This process's EEG of a step."""
        return self.windows.step(step)

    def passes(self, batch: TokenizerBatch) -> int:
        """As many as there are parts."""
        return len(batch.patches)

    def losses(self, step: int, batch: TokenizerBatch, loss: Callable[..., Any]) -> Iterator[Losses]:
        """Commitment, frequency, raw and both domain losses of a step's batch."""
        quantise = step >= self.module.config.quantise_from * self.steps
        if quantise and not self.module.quantizer.initialised:
            self._start_codebook()
        words = self.words[batch.words.to(self.device, non_blocking=True)]
        strength = self.config.alignment * reversal(step, self.steps)
        self.seen = _Seen(step=step, own=batch.sizes, all=distributed.total(batch.sizes.clone()))
        count = int(self.seen.all.sum())
        self.moved, used = [], torch.zeros(self.module.config.codes, dtype=torch.int64, device=self.device)
        for patches, order, sources in zip(batch.patches, batch.orders, batch.sources, strict=True):
            out = loss(patches.to(self.device), words, strength, quantise=quantise)
            part = len(order) / count
            shared = round(part * len(words))  # while a GPU is at work on the loss:
            flops = tokenizer_flops(self.module.config, patches, shared, quantise=quantise)
            used += out.codes.bincount(minlength=len(used))
            if quantise:
                order = order.to(self.device, non_blocking=True)
                self.moved.append((out.vectors[order], out.codes[order]))
            parts = {name: part * getattr(out, name).detach() for name in LOSSES} | {"codes_used": 0.0}
            if patches is batch.patches[-1]:
                codes_used = float((distributed.total(used) > 0).sum())
                parts["codes_used"] = codes_used if distributed.is_main() else 0.0
            yield Losses(
                total=out.total * part,
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
        self.module.quantizer.update(vectors, codes, reduce=distributed.total)
        figures = moving_use(self.module.quantizer.usage)
        if self.module.config.revive:
            chosen = torch.arange(self.module.config.codes, device=vectors.device)
            self.module.quantizer.revive(self._drawn(vectors), threshold=self.module.config.revive, chosen=chosen)
        return figures

    def _drawn(self, vectors: torch.Tensor) -> torch.Tensor:
        """A vector of the step for each code, (codes, code width): the same ones with any number of processes."""
        ends, own = self.seen.all.cumsum(0), self.seen.own.cumsum(0)
        rng = np.random.default_rng([self.config.seed, 6, self.seen.step])
        count, codes = int(ends[-1]), self.module.config.codes
        # Different ones where there are enough: which of two equal codes is nearest would be up to rounding.
        drawn = torch.from_numpy(rng.choice(count, size=codes, replace=count < codes))
        sample = torch.searchsorted(ends, drawn, right=True)
        within = drawn - (ends - self.seen.all)[sample]
        mine = (self.seen.own[sample] > 0).to(vectors.device)
        index = ((own - self.seen.own)[sample] + within).to(vectors.device)
        found = vectors.new_zeros(len(drawn), vectors.shape[1])
        found[mine] = vectors[index[mine]]
        return distributed.total(found)

    def validate(self) -> dict[str, float]:
        """Losses and codebook use on the validation subjects, of which each process takes a part."""
        if not self.validation:  # each task's validation subjects are test subjects of another
            return {}
        sums = dict.fromkeys(("commitment", "frequency", "raw", "count"), 0.0)
        used = torch.zeros(self.module.config.codes, dtype=torch.int64, device=self.device)
        for samples in in_batches(own_part(self.validation), self.config.eeg_batch):
            patches = build_patches(samples)[0].to(self.device)
            out = self.module.loss(patches, self.words[:1], 0.0, quantise=bool(self.module.quantizer.initialised))
            count = int((patches.document != PADDING).sum())
            for name in ("commitment", "frequency", "raw"):
                sums[name] += float(getattr(out, name)) * count
            sums["count"] += count
            used += out.codes.bincount(minlength=len(used))
        sums = distributed.totals(sums)
        patch_count = sums.pop("count")
        return {name: value / patch_count for name, value in sums.items()} | code_use(distributed.total(used))

    def _start_codebook(self) -> None:
        """K-means over the vectors of enough batches (from the end of the run, so no batch is favoured).

        Every process does it with the same batches, and takes the main one's outcome.
        """
        vectors, found = [], 0
        for step in itertools.count(self.steps):
            for samples in in_batches(self.windows.read(step, range(self.config.eeg_batch)), STARTED_FROM):
                patches = build_patches(samples)[0].to(self.device)
                with torch.no_grad():
                    features = self.module.encode(patches)[patches.document != PADDING]
                    vectors.append(self.module.code_vectors(features))
                found += len(features)
            if found >= VECTORS_PER_CODE * self.module.config.codes:
                break
        quantizer = self.module.quantizer
        quantizer.initialise(torch.cat(vectors), torch.Generator().manual_seed(self.config.seed))
        for tensor in (quantizer.codebook, quantizer.usage):
            distributed.broadcast(tensor)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """How many patches each sample of a step has: int64 (samples,)."""

    step: int
    own: torch.Tensor
    """0 where the sample is another process's."""
    all: torch.Tensor


def _order(patches: Patches, starts: Sequence[int], samples: Sequence[Sample]) -> torch.Tensor:
    """Indices into the real patches of a packed layout, sample by sample."""
    real = (patches.document.flatten() != PADDING).cumsum(0) - 1
    return torch.cat([real[start : start + len(s.second)] for start, s in zip(starts, samples, strict=True)])


def code_use(counts: torch.Tensor) -> dict[str, float]:
    """Return how many codes are used, and the perplexity of their use, from how often each is: int64 (codes,)."""
    share = counts.double()
    share = share[share > 0] / share.sum()
    return {"codes_used": float(len(share)), "code_perplexity": float((-(share * share.log()).sum()).exp())}


def moving_use(usage: torch.Tensor) -> dict[str, float]:
    """Perplexity of the codebook's moving usage, and how many codes are dead: used less than ``DEAD`` of the mean."""
    perplexity = torch.special.entr(usage / usage.sum()).sum().exp()
    dead = (usage < DEAD * usage.mean()).sum()
    return dict(zip(("code_perplexity", "dead_codes"), torch.stack((perplexity, dead)).tolist(), strict=True))


def train_tokenizer(
    run: Run, *, texts: list[str], words: str | None = None, progress: ProgressCallback | None = None
) -> Path:
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
    if is_finished(run, TokenizerStage.name):
        return run.folder / TokenizerStage.name
    text, weights = language_of(run)
    embeddings, spoken = weights[words_name(run.config.model.language)], text
    if words is not None:
        embeddings = load_gpt2(words)[1]["wte.weight"]
        if not run.config.model.language.own:  # whose tokens are others: the texts are read with GPT-2's own
            text = TextTokenizer.load(words)
    width = run.config.model.tokenizer.encoder.width
    if embeddings.shape[1] != width or len(embeddings) < text.size:
        raise CheckpointError(
            f"{words or run.folder / 'language'}: {len(embeddings):,} word embeddings, {embeddings.shape[1]} wide, do "
            f"not fit an encoder {width} wide and {text.size:,} text tokens: give --words, the folder or hub id of a "
            "GPT-2 of that width with the same tokens (openai-community/gpt2 for base, large and xl)"
        )
    stage = TokenizerStage(run, embeddings, token_stream(text, texts))
    return finish_stage(run, stage, spoken, progress=progress)
