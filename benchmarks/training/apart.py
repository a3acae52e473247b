"""Documents one by one, without padding, against packed rows: the same step on a CPU."""

from __future__ import annotations

from contextlib import nullcontext
from statistics import median
from typing import Any
from unittest.mock import patch

from neurolm.model.attention import Visibility
from training import stages
from training.machine import clock
from training.measuring import Steps, in_process
from training.stages import Settings

STAGES = ("tokenizer", "pretrain", "instruct")
BATCHES = 3
"""Steps whose batches are measured."""


def report(settings: Settings, *, header: bool) -> str:
    """Measure a stage with and without."""
    found = in_process(_measure, settings)
    lines = []
    if header:
        lines = [
            "| recipe | stage | precision | EEG × text | padding | s a step: in rows | document by document | ratio |",
            "|" + "---|" * 8,
        ]
    config = stages.config(settings).stage(settings.stage)
    lines.append(
        f"| {settings.recipe} | {settings.stage} | {settings.precision} | {config.eeg_batch} × {config.text_batch}·"
        f"{config.text_length} | {found['padding']:.1%} | {found['rows']:.3f} | {found['apart']:.3f} | "
        f"{found['ratio']:.2f} ({found['low']:.2f}–{found['high']:.2f}) |"
    )
    return "\n".join(lines)


def _measure(settings: Settings) -> dict[str, float]:
    """Seconds of both, and their ratios, step by step; rows and documents alternate."""
    steps, ratios, rows, apart, padding = Steps(settings), [], [], [], []
    for number in range(BATCHES):
        made = steps.batch(number)
        padding.append(stages.padding(made))
        seconds: dict[str, list[float]] = {"rows": [], "apart": []}
        for repeat in range(settings.warm + settings.steps):
            for name, found in seconds.items():
                taken = _seconds(steps, made, name == "rows")
                if repeat >= settings.warm:
                    found.append(taken)
        rows.append(min(seconds["rows"]))
        apart.append(min(seconds["apart"]))
        ratios.append(median(a / b for a, b in zip(*seconds.values(), strict=True)))
    return {
        "rows": median(rows),
        "apart": median(apart),
        "ratio": median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "padding": sum(padding) / len(padding),
    }


def _seconds(steps: Steps, made: Any, in_rows: bool) -> float:
    with patch.object(Visibility, "apart", return_value=None) if in_rows else nullcontext():
        began = clock(steps.device)
        steps.step(0, made)
        return clock(steps.device) - began
