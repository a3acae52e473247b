"""What codes that were computed beforehand could save of a pretraining step."""

from __future__ import annotations

from typing import Any

import torch

from neurolm.core.batch import NO_PATCH
from neurolm.train.machine.execution import precision, width_of
from training.machine import best
from training.measuring import Steps, in_process
from training.stages import Settings


def report(settings: Settings) -> str:
    """Measure the step, its encoder, and its nearest-neighbour search."""
    found = in_process(_measure, settings)
    return (
        f"{settings.recipe}: a pretraining step takes {found['step']:.3f} s, of which the frozen encoder "
        f"{found['encoder'] / found['step']:.1%} and finding the codes of its targets "
        f"{found['codes'] / found['step']:.2%} ({1e6 * found['codes'] / found['targets']:.1f} µs a code)"
    )


def _measure(settings: Settings) -> dict[str, Any]:
    steps = Steps(settings)
    made, device, module = steps.batch(0), steps.device, steps.module
    parts = [part for part in made["eeg"] if part.patches is not None]
    with torch.no_grad(), precision(steps.config, device, width=width_of(module)):
        features = [module.features(part.patches.to(device)) for part in parts]
        wanted = [part.tokens.target_patch[part.tokens.target_patch != NO_PATCH].to(device) for part in parts]

        def encode() -> None:
            for part in parts:
                module.features(part.patches.to(device))

        def find() -> None:
            for one, places in zip(features, wanted, strict=True):
                module.tokenizer.codes(one.flatten(0, 1)[places])

        encoder, codes = best(encode, device, settings.steps), best(find, device, settings.steps)
    step = best(lambda: steps.step(0, made), device, settings.steps)
    return {"step": step, "encoder": encoder, "codes": codes, "targets": sum(map(len, wanted))}
