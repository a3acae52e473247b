"""The one training loop: it evaluates, saves, steps and logs, in the open.

A stage brings its batches, its losses and its validation; everything a step needs is a pure function of (seed, step),
and the resume state is one literal dict, so that a run killed at any moment goes on to the very same weights. Asked to
stop (SIGTERM, Ctrl-C), it saves after the step under way and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurolm.core import distributed
from neurolm.core.config import StageConfig
from neurolm.core.errors import CheckpointError, ConfigError, NeuroLMError, Stopped
from neurolm.core.files import hold, remove_abandoned
from neurolm.core.physics import SCALE
from neurolm.model.adapters import count
from neurolm.train.feed import Feed
from neurolm.train.figures.history import SPEED
from neurolm.train.figures.logs import Logs
from neurolm.train.figures.sinks import Origin, Sinks
from neurolm.train.figures.speed import Speedometer
from neurolm.train.figures.watch import Watch
from neurolm.train.machine.execution import precision, product_dtype, set_execution, width_of
from neurolm.train.machine.replicas import Replicas
from neurolm.train.machine.sharding import as_number, is_sharded, load_whole, shard, whole, whole_state
from neurolm.train.machine.state import forget_states, load_state, load_tensors, save_state, save_tensors
from neurolm.train.machine.stop import StopRequest
from neurolm.train.optim import learning_rate, make_optimizer
from neurolm.train.stage import Stage

BEST, LOCK = "best.pt", ".lock"
IMPOSSIBLE = 1e6
"""Microvolts that no EEG reaches: where it does, it is named as the cause of a loss that is not finite."""


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """What a step did."""

    tokens: int
    """Patches and text tokens."""
    flops: int
    figures: Mapping[str, float]
    """For the log."""


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """What a progress display is told after a step."""

    stage: str
    step: int
    steps: int
    tokens_per_second: float
    seconds_left: float
    parts: Mapping[str, float]
    trained: int = 0
    """Weights that are trained, …"""
    weights: int = 0
    """… and all that the model has."""


ProgressCallback = Callable[[TrainingProgress], None]


class TrainingStopped(NeuroLMError):
    """Training ran into something that would have spoiled the weights."""


def run_stage(
    stage: Stage[Any],
    folder: Path,
    *,
    device: torch.device,
    workers: int | None = None,
    log_to: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> None:
    """Train a stage to its last step, from where an earlier call stopped; leaves the selected weights in the module.

    Where processes are joined, all call this; the main one writes. With any number of them a step sees the same batch.

    Parameters
    ----------
    folder
        Gets ``log.jsonl``, ``speed.jsonl`` and, while training, the last two states and ``best.pt``.
    workers
        Threads that make batches ahead; by default 4 on a GPU, and none on a CPU, which has its hands full.
    log_to
        Where figures go besides the files: names of ``sinks.SINKS``.

    Raises
    ------
    TrainingStopped
        If a loss or gradient is not finite; nothing is stepped then.
    Stopped
        If the process was asked to stop; the state is saved, and the same call goes on from there.
    StoreError
        If another process is training the stage.
    WriteError
        If the disk is full, say; the last state that was saved is whole.
    """
    _require_enough(stage.config)
    folder.mkdir(parents=True, exist_ok=True)
    if not distributed.is_main():
        _run_alone(stage, folder, device, workers, log_to, progress)
        return
    with hold(folder / LOCK, "another process is training this stage"):
        remove_abandoned(folder.parent)
        _run_alone(stage, folder, device, workers, log_to, progress)


def _run_alone(
    stage: Stage[Any],
    folder: Path,
    device: torch.device,
    workers: int | None,
    log_to: Sequence[str],
    progress: ProgressCallback | None,
) -> None:
    """Do what `run_stage` says; no other training writes into the folder meanwhile."""
    config, steps = stage.config, stage.steps
    module = stage.module.to(device)
    trained, weights = count(module)
    set_execution(module, config, device)
    shard(module, config, loss=stage.loss, device=device)
    optimizer = make_optimizer(module, config, device)
    average, first, best = _resume(module, optimizer, config, folder, device)
    dtype = product_dtype(config, device, width=width_of(module))
    speed = Speedometer(folder / SPEED, device=device, first=first, steps=steps, dtype=dtype,
                        devices=distributed.world())  # fmt: skip
    logs = _logs(stage, folder, first=first, speed=speed, log_to=log_to)
    feed = Feed(stage.batch, first=first, steps=steps, workers=_workers(workers, device), pin=device.type == "cuda")
    batches = iter(feed)

    def save(step: int) -> None:
        resume = {"best": best, "module": module.state_dict(), "optimizer": optimizer.state_dict(), "average": average}
        save_state(folder, step, resume, keep=config.keep_states, sharded=is_sharded(module))

    with (
        StopRequest(patient=distributed.world() > 1) as request,
        closing(logs),
        Replicas(module, stage.loss, device) as replicas,
    ):
        for step in range(first, steps + 1):
            last = step == steps
            if last or (step % config.evaluate_every == 0 and step > 0):
                with speed.apart(), _averaged(module, average):
                    figures = _evaluate(stage, module, config, device)
                    if figures.get("score", math.inf) < best:
                        best = figures["score"]
                        _save_best(module, folder)
                logs.validation(step, figures)
            if last:
                break
            if step % config.save_every == 0 and step > first:
                with speed.apart():
                    save(step)

            done = train_step(stage, optimizer, step, batch=next(batches), replicas=replicas)
            _follow(average, module, config, step)
            logs.training(step, done.figures, tokens=done.tokens, flops=done.flops, waited=feed.waited)
            if progress and distributed.is_main():
                rate, left = speed.tokens_per_second, speed.left(step)
                progress(TrainingProgress(stage=stage.name, step=step + 1, steps=steps, tokens_per_second=rate,
                                  seconds_left=left, parts=done.figures, trained=trained, weights=weights))  # fmt: skip
            if asked := distributed.largest(request.signal or 0):
                save(step + 1)
                distributed.wait()
                raise Stopped(
                    f"{stage.name}: asked to stop, and saved after step {step + 1} of {steps}; the same command goes "
                    "on from there",
                    signal=asked,
                )

    _leave_selected(module, average, folder, best, device)


def train_step(
    stage: Stage[Any], optimizer: torch.optim.Optimizer, step: int, *, batch: Any, replicas: Replicas
) -> Stepped:
    """Do one step of the optimizer.

    Raises
    ------
    TrainingStopped
        If the loss or the gradient is not finite; no weight is changed then.
    """
    module, config = stage.module, stage.config
    # Dropout is a function of (seed, step) too, and of the process.
    torch.manual_seed(config.seed * 1_000_003 + step + (distributed.rank() << 40))
    rate = learning_rate(config, step, stage.steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    sources: tuple[str, ...] = ()
    spoilt: tuple[str, ...] = ()
    sums: dict[str, float] = {}
    passes, running = stage.passes(batch), stage.losses(step, batch, replicas.loss)
    device = next(module.parameters()).device
    with precision(config, device, width=width_of(module)):  # around all passes: the weights are cast once
        for number in range(passes):  # a pass's activations go before the next pass makes its own
            with replicas.passing(last=number == passes - 1):
                losses = next(running)
                with torch.autocast(device.type, enabled=False):
                    replicas.backward(losses.total)
            loss = float(losses.total.detach())
            sources += losses.sources
            spoilt += () if math.isfinite(loss) else losses.sources
            counted = {"loss": loss, "tokens": losses.tokens, "flops": losses.flops}
            for name, value in {**losses.parts, **counted}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
    assert next(running, None) is None, f"{stage.name}: more passes than were announced"
    figures = distributed.totals(sums)
    _require_finite(figures["loss"], "loss", stage, step, spoilt)
    learning = [p for _, p in _trainable(module) if p.grad is not None]
    norm = as_number(nn.utils.clip_grad_norm_(learning, config.clip or math.inf))
    _require_finite(norm, "gradient norm", stage, step, sources)
    optimizer.step()
    tokens, flops = int(figures.pop("tokens")), int(figures.pop("flops"))
    figures |= {"gradient_norm": norm, "lr": rate, **stage.after_step()}
    return Stepped(tokens=tokens, flops=flops, figures=figures)


def clean(folder: Path) -> None:
    """Remove the resume states of a stage whose checkpoint is complete, and what a killed process left half written."""
    if distributed.is_main():
        (folder / BEST).unlink(missing_ok=True)
        forget_states(folder)
    distributed.wait()


def _resume(
    module: nn.Module, optimizer: torch.optim.Optimizer, config: StageConfig, folder: Path, device: torch.device
) -> tuple[dict[str, Tensor], int, float]:
    """Put the last saved state, if there is one, into module and optimizer.

    Returns
    -------
    average
        The averaged weights; empty if none are kept.
    first
        The step to go on from.
    best
        The best score so far.
    """
    average = {name: p.detach().clone() for name, p in _trainable(module)} if config.average else {}
    first, best = 0, math.inf
    if (saved := load_state(folder, device, module, optimizer, average)) is not None:
        module.load_state_dict(saved["module"])
        optimizer.load_state_dict(saved["optimizer"])
        average, first, best = saved["average"], saved["step"], saved["best"]
    _require_same(folder, first)
    return average, first, best


def _logs(stage: Stage[Any], folder: Path, *, first: int, speed: Speedometer, log_to: Sequence[str]) -> Logs:
    watch = Watch(stage.name, steps=stage.steps, codes=stage.codes, patches=stage.validation_patches)
    origin = Origin(folder=folder, first=first, settings=asdict(stage.config))
    sinks = Sinks(log_to if distributed.is_main() else (), origin)
    return Logs(folder, first=first, speed=speed, watch=watch, sinks=sinks)


def _workers(asked: int | None, device: torch.device) -> int:
    return (4 if device.type == "cuda" else 0) if asked is None else asked


def _trainable(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in module.named_parameters() if p.requires_grad]


def _evaluate(stage: Stage[Any], module: nn.Module, config: StageConfig, device: torch.device) -> dict[str, float]:
    module.eval()
    with torch.no_grad(), whole(module), precision(config, device, width=width_of(module)):
        figures = stage.validate()
    module.train()
    return figures


def _save_best(module: nn.Module, folder: Path) -> None:
    weights = whole_state(module)
    if distributed.is_main():
        save_tensors(folder / BEST, weights)


def _leave_selected(
    module: nn.Module, average: dict[str, Tensor], folder: Path, best: float, device: torch.device
) -> None:
    """Leave in the module the weights of the best validation; without a score the averaged ones, if there are any."""
    distributed.wait()  # until the best weights are written
    if math.isfinite(best):
        load_whole(module, load_tensors(folder / BEST, device))
    elif average:
        module.load_state_dict(average, strict=False)
    distributed.wait()  # nobody cleans up what another still reads


def _follow(average: dict[str, Tensor], module: nn.Module, config: StageConfig, step: int) -> None:
    """Move the averaged weights, if there are any, towards those after a step; at first the average is a short one."""
    for name, parameter in _trainable(module) if average else ():
        average[name].lerp_(parameter.detach(), 1 - min(config.average, (step + 1) / (step + 10)))


@contextmanager
def _averaged(module: nn.Module, average: dict[str, Tensor]) -> Iterator[None]:
    """Put the averaged weights, if there are any, into the module inside the block, and its own back after it."""
    if not average:
        yield
        return
    own = {name: p.detach().clone() for name, p in _trainable(module)}
    module.load_state_dict(average, strict=False)
    try:
        yield
    finally:
        module.load_state_dict(own, strict=False)


def _require_enough(config: StageConfig) -> None:
    samples, world = config.eeg_batch or config.text_batch, distributed.world()
    if samples < world:
        name = "eeg_batch" if config.eeg_batch else "text_batch"
        raise ConfigError(
            f"{name}={samples} is the batch of all processes together, and there are {world}: raise it, or start fewer"
        )


def _require_same(folder: Path, first: int) -> None:
    """All processes go on from the same state: on several machines they read it from a common disk."""
    found = distributed.gather(first)
    if len(set(found)) > 1:
        raise CheckpointError(
            f"{folder}: the processes would go on from the steps {found}; the folder must be on a disk that all "
            "machines of the job share"
        )


def _require_finite(value: float, what: str, stage: Stage[Any], step: int, sources: tuple[str, ...]) -> None:
    """Stop unless a figure that all processes have is finite.

    Recordings whose EEG is the cause are named alone, else all of the batch; the sources are those of this process.
    """
    if math.isfinite(value):
        return
    own = stage.samples(step)
    impossible = tuple(sample.source for sample in own if not np.abs(sample.patches).max() <= IMPOSSIBLE / SCALE)
    culprits, held = (
        [source for one in distributed.gather(named) for source in one] for named in (impossible, sources)
    )
    found = f" Its EEG is not finite, or beyond 1 V, in {', '.join(culprits)}." if culprits else ""
    if held and not culprits:
        found = f" The batch held {', '.join(held)}."
    raise TrainingStopped(
        f"{stage.name}, step {step}: the {what} is {value}; stopped before a weight was changed.{found} "
        "Inspect those recordings or lower the learning rate; the same command goes on from the last saved step"
    )
