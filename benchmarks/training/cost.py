"""What the paper's training costs, from the shapes of the models; nothing here is measured on a GPU.

Operations are counted by ``neurolm.train.flops`` (products that are needed; no padding, nothing done twice); bytes
that a block keeps for its backward pass are those that autograd keeps here, in bfloat16 autocast on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neurolm.core.config import RunConfig, TransformerConfig
from neurolm.core.recipes import recipe
from neurolm.model.attention import visibility
from neurolm.model.loss import MAX_LOGITS
from neurolm.model.neurolm import NeuroLM
from neurolm.model.transformer import Block
from neurolm.train.flops import AttentionSize, language_pass, tokenizer_pass
from official_comparison.inputs import TASKS
from training.machine import GIB

HOURS, CHANNELS, SECONDS = 25_000, 23, 44
"""Of the paper's corpus, nearly all of it TUEG; and of its windows, within 1024 patches."""
QUESTION = 60
"""Text tokens of a question with its answer, about."""
TARGETS = {"base": 0.45, "large": 0.45, "xl": 0.5}
"""Share of the matrix rate to be reached."""
LOADED = 400, 880
"""Bytes of a patch: read from the store, and copied to the device with its places."""
RESERVE = 0.06
"""Share of a GPU's memory for what is not counted here: CUDA itself, fragments, kernels' own buffers."""


@dataclass(frozen=True)
class Stage:
    """A stage of a recipe on the paper's corpus."""

    name: str
    step: int
    """Operations of a GPU's step."""
    patches: int
    """Of a GPU's step."""
    all: int
    """Patches of all epochs."""

    @property
    def per_patch(self) -> float:
        """Operations for a patch, the text beside it included."""
        return self.step / self.patches

    @property
    def total(self) -> float:
        """Operations of the stage."""
        return self.per_patch * self.all


def staircase(channels: int, seconds: int, *, full: bool, text: int = 0) -> AttentionSize:
    """Places and pairs of a window, and of text that follows it."""
    patches = channels * seconds
    pairs = patches**2 if full else channels**2 * seconds * (seconds + 1) // 2
    return AttentionSize(places=patches + text, pairs=pairs + text * patches + text * (text + 1) // 2)


def several(one: AttentionSize, count: int) -> AttentionSize:
    """The same window several times."""
    return AttentionSize(places=one.places * count, pairs=one.pairs * count)


def stages(run: RunConfig) -> list[Stage]:
    """The three stages with EEG."""
    patches, corpus = CHANNELS * SECONDS, HOURS * 3600 * CHANNELS
    window = staircase(CHANNELS, SECONDS, full=True)
    config = run.tokenizer
    eeg, words = config.eeg_batch, config.text_batch * config.text_length
    tokenizer = tokenizer_pass(run.model.tokenizer, several(window, eeg), words, quantise=True)
    found = [Stage("tokenizer", tokenizer, eeg * patches, round(config.epochs * corpus))]
    config = run.pretrain
    eeg, text = config.eeg_batch, _text(run, config.text_batch, config.text_length, config.softmax)
    read = several(staircase(CHANNELS, SECONDS - 1, full=False), eeg)
    encoded = several(window, eeg)
    step = language_pass(run.model, encoded, read, codes=read.places, text=0, softmax=config.softmax) + text
    found.append(Stage("pretrain", step, eeg * patches, round(config.epochs * corpus)))
    config = run.instruct
    step = places = 0
    for task in TASKS:
        one = staircase(len(task.channels), task.seconds, full=True)
        asked = staircase(len(task.channels), task.seconds, full=False, text=QUESTION)
        each = language_pass(run.model, one, asked, codes=0, text=3, softmax=config.softmax)
        step, places = step + task.samples * each, places + task.samples * one.places
    samples = sum(task.samples for task in TASKS)
    text = _text(run, config.text_batch, config.text_length, config.softmax)
    found.append(
        Stage("instruct", step + samples * text // config.eeg_batch, places, round(config.epochs * places))
    )  # all of an epoch as one step
    return found


def _text(run: RunConfig, count: int, length: int, softmax: str) -> int:
    seen = AttentionSize(places=count * length, pairs=count * length * (length + 1) // 2)
    return language_pass(run.model, None, seen, codes=0, text=count * (length - 1), softmax=softmax)


def kept_bytes(config: TransformerConfig, places: int = 192, *, precision: str = "bfloat16") -> float:
    """Bytes for a place that a block keeps for its backward pass, with weights in float32."""
    block = Block(config)
    weights = {p.untyped_storage().data_ptr() for p in block.parameters()}
    shapes = {p.shape for p in block.parameters()} | {p.shape[::-1] for p in block.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.shape not in shapes:  # nor their copies in bfloat16
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.randn(1, places, config.width, requires_grad=True)
    document = torch.zeros(1, places, dtype=torch.long)
    how = visibility(document, document + torch.arange(places)).masking()
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"), hooks:
        block(x, how)
    return sum(kept.values()) / places


@dataclass(frozen=True)
class Memory:
    """Bytes of a pretraining step on one GPU."""

    state: int
    """float32 weights, gradients and both moments of what is trained, and the frozen tokenizer's weights."""
    copies: int
    """Weights in bfloat16, while a pass is under way."""
    output: int
    """Logits of a part, their gradient, and that of the output layer."""
    window: int
    """Of a window in the pass: what the blocks keep."""
    window_checkpointed: int
    once: int
    """Of a window: what one block keeps, which is made again with checkpointing."""

    def windows(self, memory: float, *, checkpointing: bool) -> int:
        """How many windows go through the model together."""
        each = self.window_checkpointed + self.once if checkpointing else self.window
        return max(0, int((memory * (1 - RESERVE) - self.state - self.copies - self.output) // each))


def memory(run: RunConfig) -> Memory:
    """Count the memory of pretraining."""
    with torch.device("meta"):
        model = NeuroLM(run.model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    language, outputs = run.model.language.transformer, run.model.vocabulary.size
    kept, patches = kept_bytes(language), CHANNELS * SECONDS
    ends = patches * (4 + 4 + 2) * language.width  # embeddings, their norm, and the hidden states' gradient
    return Memory(
        state=16 * trained + 4 * frozen,
        copies=2 * trained,
        output=8 * MAX_LOGITS["cuda"] + (4 + 2) * outputs * language.width,
        window=round(patches * language.layers * kept + ends),
        window_checkpointed=round(patches * language.layers * 4 * language.width + ends),
        once=round(patches * kept),
    )


def report(tflops: float, gib: float) -> str:
    """Tables in Markdown."""
    rate = tflops * 1e12
    lines = [
        f"Computed for {HOURS:,} h of {CHANNELS} channels in windows of {SECONDS} s ({HOURS * 3600 * CHANNELS:.3g} "
        f"patches an epoch) and a GPU that multiplies matrices at {tflops:g} TFLOP/s.",
        "",
        "| recipe | stage | epochs | GFLOP a patch | EFLOP | GPU-hours at MFU 30 % | 45 % | 50 % | "
        "million patches/s at the target | GB/s from the store | to the GPU |",
        "|" + "---|" * 11,
    ]
    for name, target in TARGETS.items():
        run = recipe(name)
        for stage in stages(run):
            if stage.name == "tokenizer" and name != "base":
                continue  # all sizes share it
            hours = [f"{stage.total / rate / share / 3600:,.0f}" for share in (0.3, 0.45, 0.5)]
            speed = target * rate / stage.per_patch
            lines.append(
                f"| {name if stage.name != 'tokenizer' else 'all'} | {stage.name} | {run.stage(stage.name).epochs:g} | "
                f"{stage.per_patch / 1e9:.2f} | {stage.total / 1e18:,.1f} | {' | '.join(hours)} | {speed / 1e6:.3f} | "
                f"{speed * LOADED[0] / 1e9:.3f} | {speed * LOADED[1] / 1e9:.3f} |"
            )
    lines += [
        "",
        f"Memory of pretraining on one GPU of {gib:g} GiB, {RESERVE:.0%} of it left free:",
        "",
        "| recipe | weights, gradients, moments GiB | bfloat16 copies | output layer | a window: GiB | checkpointed | "
        f"windows in {gib:g} GiB | checkpointed | in 79 GiB | checkpointed |",
        "|" + "---|" * 10,
    ]
    for name in TARGETS:
        found = memory(recipe(name))
        fits = [f"{found.windows(m * GIB, checkpointing=c)}" for m in (gib, 79.0) for c in (False, True)]
        sizes = (found.state, found.copies, found.output, found.window, found.window_checkpointed)
        lines.append(f"| {name} | " + " | ".join(f"{size / GIB:.2f}" for size in sizes) + f" | {' | '.join(fits)} |")
    return "\n".join(lines)
