"""Memory of pretraining beyond weights, gradients and moments: by the shapes, and measured."""

from __future__ import annotations

from dataclasses import replace

from neurolm.core.config import RunConfig
from neurolm.core.recipes import recipe
from neurolm.model.loss import MAX_LOGITS
from training import stages
from training.cost import CHANNELS, SECONDS, TARGETS, kept_bytes
from training.machine import GIB
from training.measuring import measure
from training.stages import Settings

BYTES = {"float32": 4, "bfloat16": 2}


def computed(run: RunConfig, places: int, *, precision: str, device: str = "cuda", checkpointing: bool = False) -> int:
    """Bytes of a pass over so many patches, at the end of its forward half.

    What the blocks keep, or their inputs and what one keeps that runs again; as much for the gradients of one block;
    embeddings, the hidden states and their
    gradients; a part of the logits, in float32 and in what they are computed in; the output layer's gradient before it
    is added to its weights'; and, in bfloat16, a copy of what is trained.
    """
    language, outputs = run.model.language.transformer, run.model.vocabulary.size
    each, width = BYTES[precision], language.width
    kept = kept_bytes(language, precision=precision)
    blocks = kept + (4 * width * language.layers + kept if checkpointing else kept * language.layers)
    ends = (4 + 4 + each + each) * width
    rows = outputs if run.pretrain.softmax == "joint" else run.model.tokenizer.codes
    logits = min(MAX_LOGITS[device], places * rows) * (4 if precision == "float32" else 4 + each)
    trained = 12 * language.layers * width**2 + outputs * width
    return round(places * (blocks + ends) + logits + 4 * outputs * width + (precision == "bfloat16") * 2 * trained)


def at_the_papers_batches() -> str:
    """All windows of a step at once, on a GPU; and what the logits alone of the official code take there."""
    lines = [
        "| recipe | windows at once | float32 GiB | checkpointed | bfloat16 GiB | checkpointed | official logits GiB |",
        "|" + "---|" * 7,
    ]
    for name in TARGETS:
        run = recipe(name)
        windows = run.pretrain.eeg_batch
        places = windows * CHANNELS * (SECONDS - 1)
        sizes = [
            computed(run, places, precision=precision, checkpointing=checkpointing)
            for precision in BYTES
            for checkpointing in (False, True)
        ]
        logits = 4 * windows * 1024 * run.model.vocabulary.size
        lines.append(f"| {name} | {windows} | {' | '.join(f'{size / GIB:.1f}' for size in (*sizes, logits))} |")
    return "\n".join(lines) + "\n"


def against_measured(settings: Settings, *, header: bool) -> str:
    """Two steps that are small enough for this machine, one of three times the windows, beside what is computed."""
    run, lines = stages.config(settings), []
    if header:
        lines = [
            "| recipe | blocks | precision | patches | measured GiB | patches | measured | more by | computed | "
            "ratio |",
            "|" + "---|" * 10,
        ]
    text = run.pretrain.text_batch * run.pretrain.text_length
    beyond, wanted, places = [], [], []
    for times in (1, 3):
        found = measure(replace(settings, eeg_batch=times * run.pretrain.eeg_batch))
        places.append(found.tokens - text)
        beyond.append(found.peak_gib - found.state_gib)
        size = computed(run, places[-1], precision=settings.precision, device=settings.device,
                        checkpointing=run.pretrain.checkpointing)  # fmt: skip
        wanted.append(size / GIB)
    grown, expected = beyond[1] - beyond[0], wanted[1] - wanted[0]
    kept = ", checkpointing" * run.pretrain.checkpointing
    lines.append(
        f"| {settings.recipe}{kept} | {run.model.language.transformer.layers} | {settings.precision} | "
        f"{places[0]:,} | {beyond[0]:.2f} | {places[1]:,} | {beyond[1]:.2f} | {grown:.2f} | {expected:.2f} | "
        f"{grown / expected:.2f} |"
    )
    return "\n".join(lines)
