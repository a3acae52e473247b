"""Where the time of a step goes, by parts of the model, and what each must take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, record_function

from neurolm.core.config import TransformerConfig
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.train import flops as counting
from training import stages
from training.machine import Machine
from training.measuring import DTYPES, Steps
from training.stages import Settings

REPEATS = 3
PREFIX = "part: "
DATA, ENCODER, CODES, DECODERS = "data", "encoder", "codes", "decoders and heads"
LANGUAGE, OUTPUT, OPTIMIZER, REST = "language model", "output layer and loss", "optimizer", "the rest"
MOMENTS = 28
"""Bytes that AdamW moves for a weight in one pass: reads weight, gradient and two moments, writes all but the
gradient."""
PATCH_BYTES = 400 + 800
"""Of a patch: int16 read, float32 written."""


def profile(settings: Settings) -> dict[str, Any]:
    """Profile a step; the fastest of several."""
    steps = Steps(settings)
    machine = Machine.measure(steps.device, DTYPES[settings.precision])
    with ExitStack() as stack:
        for owner, name, part in _parts(steps):
            stack.enter_context(patch.object(owner, name, _named(getattr(owner, name), part)))
        made = _named(steps.batch, DATA)(0)
        for _ in range(settings.warm):
            steps.step(0, made)
        best: dict[str, float] | None = None
        for _ in range(REPEATS):
            found = _once(steps)
            if best is None or sum(found.values()) < sum(best.values()):
                best = found
    assert best is not None
    floors = _floors(steps, made, machine)
    return {"settings": settings, "machine": str(machine), "seconds": best, "floors": floors}


def report(found: dict[str, Any]) -> str:
    """A Markdown table of a profile."""
    settings, seconds, floors = found["settings"], found["seconds"], found["floors"]
    config = stages.config(settings).stage(settings.stage)
    total = sum(seconds.values())
    lines = [
        f"{settings.recipe}, {settings.stage}, {config.eeg_batch} × {config.text_batch}·{config.text_length}, "
        f"{settings.precision}; {found['machine']}",
        "",
        "| part | ms | share | floor ms | times its floor |",
        "|---|---|---|---|---|",
    ]
    for part, taken in sorted(seconds.items(), key=lambda item: -item[1]):
        floor = floors.get(part)
        known = f"{1e3 * floor:.1f} | {taken / floor:.2f}" if floor else "| "
        lines.append(f"| {part} | {1e3 * taken:.1f} | {taken / total:.1%} | {known} |")
    least = sum(floors.values())
    lines.append(f"| **step** | {1e3 * total:.1f} | | {1e3 * least:.1f} | {total / least:.2f} |")
    return "\n".join(lines) + "\n"


def _named(work: Callable[..., Any], part: str) -> Callable[..., Any]:
    def named(*arguments: Any, **options: Any) -> Any:
        with record_function(PREFIX + part):
            return work(*arguments, **options)

    return named


def _parts(steps: Steps) -> list[tuple[Any, str, str]]:
    module = steps.module
    parts: list[tuple[Any, str, str]] = [(steps.optimizer, "step", OPTIMIZER)]
    tokenizer = module.tokenizer if isinstance(module, NeuroLM) else module
    if isinstance(tokenizer, NeuralTokenizer):
        parts += [(tokenizer, "encode", ENCODER), (tokenizer.encoder, "forward", ENCODER)]
        parts += [(tokenizer.quantizer, "forward", CODES), (tokenizer, "code_vectors", CODES)]
        parts += [(tokenizer.quantizer, "update", CODES), (tokenizer.quantizer, "revive", CODES)]
        parts += [(tokenizer, "decode", DECODERS)]
    if not isinstance(module, NeuralTokenizer):
        import neurolm.model.gpt2
        import neurolm.model.neurolm

        language = module.language if isinstance(module, NeuroLM) else module
        parts += [(language, "forward", LANGUAGE)]
        parts += [(neurolm.model.neurolm, "cross_entropy", OUTPUT), (neurolm.model.gpt2, "cross_entropy", OUTPUT)]
    return parts


def _once(steps: Steps) -> dict[str, float]:
    """Seconds of each part, forwards and backwards."""
    activities = [ProfilerActivity.CPU]
    cuda = steps.device.type == "cuda"
    if cuda:
        activities.append(ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        with record_function(PREFIX + "whole"):
            steps.step(0, _named(steps.batch, DATA)(0))
        if cuda:
            torch.cuda.synchronize()
    seconds: dict[str, float] = defaultdict(float)
    part_of: dict[int, str] = {}
    events = profiler.events()
    for event in events:
        part = _part(event)
        if part and event.sequence_nr >= 0 and not _is_backward(event):
            part_of[event.sequence_nr] = part
    for event in events:
        part = _part(event)
        if part is None and (node := _backward_node(event)) is not None:
            part = part_of.get(node.sequence_nr)
        own = event.self_device_time_total if cuda and part != DATA else event.self_cpu_time_total
        if part or _inside(event):
            seconds[part or REST] += own / 1e6
    return dict(seconds)


def _ancestors(event: Any) -> Any:
    while event is not None:
        yield event
        event = event.cpu_parent


def _part(event: Any) -> str | None:
    """Innermost named part that an event is in."""
    for ancestor in _ancestors(event):
        name = ancestor.name
        if name.startswith(PREFIX) and name != PREFIX + "whole":
            return name.removeprefix(PREFIX)
    return None


def _inside(event: Any) -> bool:
    return _backward_node(event) is not None or any(a.name == PREFIX + "whole" for a in _ancestors(event))


def _is_backward(event: Any) -> bool:
    return event.name.startswith("autograd::engine")


def _backward_node(event: Any) -> Any:
    """The node of the backward pass that an event is in."""
    return next((a for a in _ancestors(event) if _is_backward(a)), None)


def _floors(steps: Steps, made: Any, machine: Machine) -> dict[str, float]:
    """Seconds that the operations of a part, or its bytes, take at this machine's best."""
    weights = sum(p.numel() for p in steps.module.parameters() if p.requires_grad)
    floors = {OPTIMIZER: MOMENTS * weights / machine.bandwidth}
    operations = _operations(steps.stage, made)
    patches = 0
    if isinstance(made, dict):
        patches = sum(int((b.patches.document >= 0).sum()) for b in stages.parts_of(made) if b.patches is not None)
    elif hasattr(made, "count"):
        patches = made.count
    if patches:
        floors[DATA] = patches * PATCH_BYTES / machine.bandwidth
    return floors | {part: count / machine.flops for part, count in operations.items() if count}


def _operations(stage: Any, made: Any) -> dict[str, int]:
    """Operations of each part, as ``neurolm.train.flops`` counts them; they add up to those of the step."""
    total = stages.flops(stage, made)
    if not isinstance(stage.module, NeuroLM | NeuralTokenizer):
        tokens = stages.build_tokens([stages.Document(text=row) for row in made])
        transformer: TransformerConfig = stage.module.config.transformer
        blocks = counting._blocks(transformer, counting.tokens_size(tokens))
        return {LANGUAGE: blocks, OUTPUT: total - blocks}
    if isinstance(stage.module, NeuralTokenizer):
        model = stage.module.config
        encoder = codes = 0
        for patches in made.patches:
            seen = counting._encoder_size(model, patches)
            encoder += counting._encode(model, seen, training=True)
            codes += counting._to_code(model, seen.places, counting.TO_BOTH) + counting._nearest(model, seen.places)
        return {ENCODER: encoder, CODES: codes, DECODERS: total - encoder - codes}
    model, softmax = stage.module.config, stage.config.softmax
    found = dict.fromkeys((ENCODER, CODES, LANGUAGE, OUTPUT), 0)
    for part in stages.parts_of(made):
        seen = counting.tokens_size(part.tokens)
        codes = int((part.tokens.target_patch >= 0).sum())
        text = int((part.tokens.target >= 0).sum())
        whole = counting.language_flops(model, part, softmax=softmax)
        blocks = counting.language_pass(model, None, seen, codes=0, text=0, softmax=softmax)
        output = counting.language_pass(model, None, seen, codes=codes, text=text, softmax=softmax) - blocks
        finding = 0
        if part.patches is not None:
            finding = counting._to_code(model.tokenizer, codes, counting.FORWARD)
            finding += counting._nearest(model.tokenizer, codes)
        for name, count in zip(found, (whole - blocks - output - finding, finding, blocks, output), strict=True):
            found[name] += count
    assert sum(found.values()) == total
    return found
