"""Questions in other words: what training with several wordings changes.

It starts from a finished run's pretrained model.

    python benchmarks/wording.py runs/demo --store runs/demo/store --steps 600

Instruction tuning is done three times from the same model: in the cards' own words, with ``wordings``, and with
``shuffle_options`` too. Each then answers the test windows in the card's words, in held-out words, and with lettered
options in another order.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.batches.loader import read_sample
from neurolm.batches.text import shipped_text
from neurolm.batches.windows import spread
from neurolm.checkpoint import load_neurolm
from neurolm.core.decode import load_json
from neurolm.store.store import Store
from neurolm.tasks.task import Task
from neurolm.train.instruct import class_means, train_instruct
from neurolm.train.run import RunFile, open_run

WINDOWS = 240
"""Most test windows of a task."""
SWITCHES = {
    "trained in the card's words": (False, False),
    "with wordings": (True, False),
    "and options in any order": (True, True),
}
"""What is trained: whether with wordings, and whether with shuffled options."""
ORDERS = 3
"""Other orders of the options that are tried."""


def variants(task: Task) -> Iterator[tuple[str, Task]]:
    """The ways in which a task is asked here."""
    yield "card", task
    for number in range(len(task.held_out_phrasings)):
        yield "held-out words", task.reworded(number, held_out=True)
    if task.options[0].letter is not None:
        rng = np.random.default_rng(0)
        for _ in range(ORDERS):
            yield "other order", task.shuffled(rng)


def train(source: Path, store: Path, folder: Path, *, steps: int, seed: int, wordings: bool, shuffle: bool) -> Path:
    """Tune a run's pretrained model anew."""
    for stage in ("language", "tokenizer", "pretrain"):
        shutil.copytree(source / stage, folder / stage)
    begun = load_json(RunFile, source / "run.json")
    tuned = replace(
        begun.config.instruct, steps=steps, seed=seed, evaluate_every=max(1, steps // 3),
        wordings=wordings, shuffle_options=shuffle,
    )  # fmt: skip
    shutil.rmtree(folder / "instruct", ignore_errors=True)
    run = open_run(folder, config=replace(begun.config, instruct=tuned), store=store, tasks=begun.tasks,
                   fold=begun.fold, device="cpu")  # fmt: skip
    return train_instruct(run, texts=shipped_text())


def measure(model: Path, store: Store) -> dict[tuple[str, str], tuple[float, float]]:
    """Balanced accuracy and negative log-likelihood by task and way of asking, means over the words."""
    module, card, text = load_neurolm(model, stage="instruct")
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for task in card.tasks:
        windows = task.windows(store, task.split(store), "test")
        chosen = spread(windows, WINDOWS)
        samples = [read_sample(store, window) for window in chosen]
        labels = np.array([task.index(str(window.label)) for window in chosen])
        for way, asked in variants(task):
            prompt = Prompt.of(asked, text, card.run.model.vocabulary.separator)
            nll, hit = class_means(
                option_probabilities(module.eval(), prompt, samples, device=torch.device("cpu")), labels
            )
            found.setdefault((task.name, way), []).append((hit, nll))
    return {key: (float(np.mean([h for h, _ in v])), float(np.mean([n for _, n in v]))) for key, v in found.items()}


def main() -> None:
    """Train, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for wordings, shuffle in SWITCHES.values():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            model = train(
                arguments.run, arguments.store, out, steps=arguments.steps, seed=arguments.seed,
                wordings=wordings, shuffle=shuffle,
            )  # fmt: skip
            results.append(measure(model, Store(arguments.store)))
    print("balanced accuracy (negative log-likelihood) on test windows")
    print(f"| task | asked in | {' | '.join(SWITCHES)} |\n{'|---' * (2 + len(SWITCHES))}|")
    for task, way in results[0]:
        cells = (f"{of[task, way][0]:.3f} ({of[task, way][1]:.3f})" for of in results)
        print(f"| {task} | {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
