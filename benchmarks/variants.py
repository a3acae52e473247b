"""What a causal encoder, another language model and adapters cost: accuracy, speed, memory, size

    python benchmarks/variants.py faithful=runs/demo causal=runs/causal LoRA=runs/lora --store runs/demo/store

Each run was trained to its end and evaluated before (`neurolm evaluate`), which gives its accuracy. Steps of its
instruction tuning are run again here, on its own windows from its own pretrained weights, and answers to its first
task are timed; each run in a process of its own, all in turn, several rounds. Seconds are the processor's, the least
of all, since other work can only slow a step down; memory is the most above what the process had before. Nothing is
written.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from causal import opened
from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.batches.loader import read_sample
from neurolm.batches.text import read_texts, token_stream
from neurolm.batches.windows import spread
from neurolm.checkpoint import load_neurolm
from neurolm.core.decode import load_json
from neurolm.evaluation.results import LANGUAGE_ALONE, RESULTS, load_evaluation
from neurolm.model.neurolm import NeuroLM
from neurolm.store.store import Store
from neurolm.train.instruct import InstructStage
from neurolm.train.loop import train_step
from neurolm.train.machine.execution import set_execution
from neurolm.train.machine.replicas import Replicas
from neurolm.train.optim import make_optimizer
from neurolm.train.run import RUN, RunFile
from neurolm.train.shared import language_of, with_dropout
from training.machine import peak, reset_peak
from training.measuring import in_process

STEPS, WINDOWS = 4, 96
"""Steps that are measured after a first one, and windows that are asked about."""
DEVICE = torch.device("cpu")


@dataclass(frozen=True)
class Cost:
    """What was measured of a run."""

    step: float
    """Seconds of a step of instruction tuning."""
    training: int
    """Bytes that training takes."""
    answers: float
    """Seconds for the windows."""
    answering: int
    """Bytes that answering takes."""
    trained: int
    """Weights that a step changes."""

    def least(self, other: Cost) -> Cost:
        """The less of two rounds, one by one."""
        return Cost(*map(min, zip(vars(self).values(), vars(other).values(), strict=True)))


def measure(folder: Path, store: Path) -> Cost:
    """Run steps of a run's instruction tuning, and ask its model about some windows."""
    torch.set_num_threads(1)
    run, before = opened(folder, store), reset_peak(DEVICE)
    model, _, text = load_neurolm(folder / "instruct", stage="instruct")
    task = run.tasks[0]
    samples = [read_sample(run.store, w) for w in spread(run.labelled_windows(task, "validation"), WINDOWS)]
    prompt = Prompt.of(task, text, model.vocabulary.separator)
    began = time.process_time()
    option_probabilities(model, prompt, samples, device=DEVICE)
    answers, answering = time.process_time() - began, peak(DEVICE) - before

    del model
    before = reset_peak(DEVICE)
    pretrained, _, _ = load_neurolm(folder / "pretrain", stage="pretrain")
    module = NeuroLM(with_dropout(run.config.model, run.config.instruct.dropout))
    module.load_state_dict(pretrained.state_dict())
    del pretrained
    text, _ = language_of(run)
    stage = InstructStage(run, module, text, token_stream(text, read_texts(None)))
    stage.module.train()
    set_execution(stage.module, stage.config, DEVICE)
    optimizer = make_optimizer(stage.module, stage.config, DEVICE)
    replicas, batch, seconds = Replicas(stage.module, stage.loss, DEVICE), stage.batch(0), []
    for step in range(1 + STEPS):
        began = time.process_time()
        train_step(stage, optimizer, step, batch=batch, replicas=replicas)
        seconds.append(time.process_time() - began)
    trained = sum(p.numel() for p in stage.module.parameters() if p.requires_grad)
    return Cost(min(seconds[1:]), peak(DEVICE) - before, answers, answering, trained)


def accuracies(folder: Path) -> dict[str, tuple[float, float]]:
    """Balanced accuracy of each task on test people: as the model answers, and its language model alone."""
    path = folder / RESULTS
    if not path.exists():
        raise SystemExit(f"{folder}: not evaluated; run `neurolm evaluate {folder} --store STORE` first")
    found = {}
    for result in load_evaluation(path).results:
        alone = [b.scores for b in result.baselines if b.name == LANGUAGE_ALONE and b.scores is not None]
        own = result.scores.balanced_accuracy
        found[result.task] = own, alone[0].balanced_accuracy if alone else own
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--store", type=Path, required=True, nargs="+", help="the stores that they were trained on")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    runs = {name: Path(folder) for name, _, folder in (given.partition("=") for given in arguments.runs)}
    stores = {Store(path).fingerprint: path for path in arguments.store}
    learned = {name: load_json(RunFile, folder / RUN).store for name, folder in runs.items()}
    if missing := [name for name, store in learned.items() if store not in stores]:
        raise SystemExit(f"{', '.join(missing)}: trained on a store that is not given")
    costs: dict[str, Cost] = {}
    for _ in range(arguments.rounds):
        for name, folder in runs.items():
            found = in_process(measure, folder, stores[learned[name]])
            costs[name] = found.least(costs.get(name, found))
    tasks = list(accuracies(next(iter(runs.values()))))
    table(["", *(f"{task} | its language model alone" for task in tasks)], 2 * len(tasks))
    for name, folder in runs.items():
        own = accuracies(folder)
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for task in tasks for value in own[task]) + " |")
    print()
    table(["", "s a step", "training MiB", "trained weights", "ms an answer", "answering MiB", "file KiB"], 6)
    for name, folder in runs.items():
        cost, files = costs[name], (folder / "instruct").glob("*.safetensors")
        size = sum(path.stat().st_size for path in files if path.stem != "evidence") / 1024
        speed = (
            f"{cost.step:.3f} | {cost.training / 2**20:.0f} | {cost.trained:,} | {1000 * cost.answers / WINDOWS:.1f}"
        )
        print(f"| {name} | {speed} | {cost.answering / 2**20:.0f} | {size:,.0f} |")


def table(columns: list[str], figures: int) -> None:
    """Print the head of a table."""
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * (1 + figures))


if __name__ == "__main__":
    main()
