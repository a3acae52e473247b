"""Packed batches against padded ones: the same samples through the same step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from training import stages
from training.measuring import in_process, measure
from training.stages import Settings

STAGES = ("tokenizer", "pretrain", "instruct")
OFFICIAL = {"tokenizer": 1024, "pretrain": 1024, "instruct": 276 + 80}
"""Places that the official loaders give every sample."""
STEPS = 10


def report(settings: Settings, *, header: bool) -> str:
    """Measure a stage with both."""
    packed, padded = measure(settings), measure(replace(settings, packed=False))
    assert packed.tokens == padded.tokens
    shares = in_process(_shares, replace(settings, layers=1, eeg_batch=0))
    lines = []
    if header:
        lines = [
            packed.machine,
            "",
            "| recipe | stage | samples | padding: packed | padded | tokens/s: packed | padded | ratio | "
            "GiB: packed | padded | at the recipe's batch: packed | padded | official |",
            "|" + "---|" * 13,
        ]
    lines.append(
        f"| {settings.recipe} | {settings.stage} | {stages.config(settings).stage(settings.stage).eeg_batch} | "
        f"{packed.padding:.1%} | {padded.padding:.1%} | {packed.tokens / packed.seconds:,.0f} | "
        f"{padded.tokens / padded.seconds:,.0f} | {padded.seconds / packed.seconds:.2f} | {packed.peak_gib:.2f} | "
        f"{padded.peak_gib:.2f} | {shares['packed']:.1%} | {shares['padded']:.1%} | {shares['official']:.1%} |"
    )
    return "\n".join(lines)


def _shares(settings: Settings) -> dict[str, float]:
    """Share of the places of the language model (of the encoder, for the tokenizer) that is padding, over steps."""
    stage, real = stages.build(settings), 0
    places = dict.fromkeys(("packed", "padded", "official"), 0)
    for step in range(STEPS):
        for packed in (True, False):
            documents = _documents(stages.batch(stage, step, packed=packed))
            places["packed" if packed else "padded"] += sum(d.numel() for d in documents)
            if packed:
                real += sum(int((d >= 0).sum()) for d in documents)
        places["official"] += stage.config.eeg_batch * OFFICIAL[settings.stage]
    return {name: 1 - real / count if settings.recipe != "tiny" or name != "official" else float("nan")
            for name, count in places.items()}  # fmt: skip


def _documents(made: Any) -> list[Any]:
    """Of the batches with EEG."""
    if isinstance(made, dict):
        return [part.tokens.document for part in stages.parts_of(made) if part.patches is not None]
    return [part.document for part in made.patches]
