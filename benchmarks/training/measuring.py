"""One stage of one recipe, in a process of its own: time, tokens, operations, memory."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch

from neurolm.train.feed import Feed
from neurolm.train.loop import Stepped, train_step
from neurolm.train.machine.execution import set_execution
from neurolm.train.machine.replicas import Replicas
from neurolm.train.optim import make_optimizer
from training import stages
from training.machine import Machine, clock, peak, reset_peak
from training.stages import Settings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Measured:
    """A stage's steps."""

    settings: dict[str, Any]
    machine: str
    seconds: float
    """Of a step: on a CPU the least of repetitions of one step, which other work can only slow down; on CUDA the mean
    over different steps."""
    tokens: int
    """Real patches and text tokens of a step (mean)."""
    flops: int
    """That a step needs (mean)."""
    padding: float
    """Share of the places of a batch that are padding."""
    wait: float
    """Share of the time spent waiting for batches (with no workers: making them)."""
    mfu: float
    """Operations a second over those of a matrix product."""
    state_gib: float
    """Weights, buffers, gradients and moments."""
    peak_gib: float
    """Most memory above what was held before the model was built."""


def measure(settings: Settings) -> Measured:
    """Measure in a new process. On CUDA, where memory does not suffice, with half the samples at once, and again."""
    while True:
        try:
            return in_process(_measure, settings)
        except MemoryError:
            config = stages.config(settings).stage(settings.stage)
            batch = max(config.eeg_batch, config.text_batch)
            halved = (config.samples_at_once or batch) // 2
            if not halved:
                raise
            settings = replace(settings, at_once=halved)


def in_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process, so that one measurement does not change the memory of the next."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, work, arguments), daemon=True)
    process.start()
    other.close()  # or a process that is killed would be waited for without end
    try:
        found = pipe.recv()
    except EOFError as error:
        raise RuntimeError("the process that measures ended without a word: killed, for its memory perhaps") from error
    finally:
        process.join()
    if isinstance(found, BaseException):
        raise found
    return found


def _serve(pipe: Any, work: Callable[..., Any], arguments: tuple) -> None:
    try:
        pipe.send(work(*arguments))
    except torch.OutOfMemoryError as error:
        pipe.send(MemoryError(str(error)))
    except Exception:  # whatever it is, it is raised again in the process that waits
        pipe.send(RuntimeError(traceback.format_exc()))


class Steps:
    """Runs a stage's steps as training does, but for logs, evaluation and checkpoints."""

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.settings, self.device = settings, torch.device(settings.device)
        self.stage = stages.build(settings)
        self.stage.steps, self.config = stages.STEPS, self.stage.config
        self.module = self.stage.module.to(self.device).train()
        set_execution(self.module, self.config, self.device)
        self.optimizer = make_optimizer(self.module, self.config, self.device)
        self.replicas = Replicas(self.module, self.stage.loss, self.device)

    def batch(self, step: int) -> Any:
        """A step's batch."""
        return stages.batch(self.stage, step, packed=self.settings.packed)

    def of_run(self, step: int) -> Any:
        """What is measured: different steps on CUDA, the same one again on a CPU."""
        return self.batch(step if self.device.type == "cuda" else 0)

    def step(self, step: int, made: Any) -> Stepped:
        """Run a step."""
        return train_step(self.stage, self.optimizer, step, batch=made, replicas=self.replicas)

    def state_bytes(self) -> int:
        """Weights, buffers, gradients and moments; after a step."""
        held = [*self.module.parameters(), *self.module.buffers()]
        held += [p.grad for p in self.module.parameters() if p.grad is not None]
        held += [v for state in self.optimizer.state.values() for v in state.values() if torch.is_tensor(v)]
        return sum(t.numel() * t.element_size() for t in held)


def _measure(settings: Settings) -> Measured:
    torch.set_num_threads(settings.threads)
    device = torch.device(settings.device)
    machine = Machine.measure(device, DTYPES[settings.precision])
    idle = reset_peak(device)
    steps = Steps(settings)
    last = settings.warm + settings.steps
    feed: Feed[Any] = Feed(steps.of_run, first=0, steps=last, workers=settings.workers, pin=device.type == "cuda")
    seconds, waits, tokens, operations, places = [], [], [], [], []
    batches, began = iter(feed), clock(device)
    wall = time.perf_counter()
    for step in range(last):
        made = next(batches)
        counted = steps.step(step, made)
        ended, wall_ended = clock(device), time.perf_counter()
        if step >= settings.warm:
            seconds.append(ended - began)
            waits.append(feed.waited / (wall_ended - wall))
            tokens.append(counted.tokens)
            operations.append(counted.flops)
            places.append(stages.padding(made))
        began, wall = clock(device), time.perf_counter()
    per_step = sum(seconds) / len(seconds) if device.type == "cuda" else min(seconds)
    again = Machine.measure(device, DTYPES[settings.precision])
    rate = max(machine.flops, again.flops)
    return Measured(
        settings=asdict(settings),
        machine=str(replace(machine, flops=rate, bandwidth=max(machine.bandwidth, again.bandwidth))),
        seconds=per_step,
        tokens=round(sum(tokens) / len(tokens)),
        flops=round(sum(operations) / len(operations)),
        padding=sum(places) / len(places),
        wait=median(waits),
        mfu=sum(operations) / len(operations) / per_step / rate,
        state_gib=steps.state_bytes() / 2**30,
        peak_gib=(peak(device) - idle) / 2**30,
    )


def table(rows: list[Measured], *, header: bool) -> str:
    """Markdown rows."""
    lines = []
    if header:
        lines = [
            f"{rows[0].machine}",
            "",
            "| recipe | stage | EEG × text | precision | s a step | tokens/s | TFLOP a step | MFU | data wait | "
            "padding | state GiB | peak GiB |",
            "|" + "---|" * 12,
        ]
    for row in rows:
        settings = Settings(**row.settings)
        config = stages.config(settings).stage(settings.stage)
        extra = "".join(
            [", compiled" * settings.compile, ", checkpointing" * config.checkpointing,
             f", {config.samples_at_once} at once" * bool(config.samples_at_once)]
        )  # fmt: skip
        lines.append(
            f"| {settings.recipe} | {settings.stage} | {config.eeg_batch} × {config.text_batch}·{config.text_length} | "
            f"{settings.precision}{extra} | {row.seconds:.3f} | {row.tokens / row.seconds:,.0f} | "
            f"{row.flops / 1e12:.3f} | {row.mfu:.0%} | {row.wait:.1%} | {row.padding:.1%} | {row.state_gib:.2f} | "
            f"{row.peak_gib:.2f} |"
        )
    return "\n".join(lines)
