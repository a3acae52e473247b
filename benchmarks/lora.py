"""What fine-tuning by adapters costs and reaches, beside training all weights of the language model.

    python benchmarks/lora.py --run runs/demo --store runs/demo/store --out SCRATCH

Trains instruction tuning from the first three stages of a finished run: all weights, and adapters of some ranks at
multiples of the recipe's learning rate. Prints weights that are trained, seconds of one core for a step, peak memory of
the process, bytes of the checkpoint, and what the language model answers by itself, without evidence: balanced accuracy
on validation people, by which adapters are to be chosen, and on test people. Begun again, it goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neurolm.batches.text import read_texts
from neurolm.checkpoint import ADAPTER, WEIGHTS, AdapterFile
from neurolm.core.config import LoraConfig, RunConfig
from neurolm.core.decode import load_json
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.model.adapters import adapt, count
from neurolm.model.neurolm import NeuroLM
from neurolm.train.figures.history import read_log
from neurolm.train.instruct import train_instruct
from neurolm.train.run import RUN, RunFile, open_run

CPU = "cpu.json"
"""File of a model's folder: seconds of a core that a step takes."""
VARIANTS = {"all weights": (0, 1.0), "rank 4": (4, 1.0), "rank 16": (16, 1.0), "rank 16, rate × 3": (16, 3.0),
            "rank 4, rate × 10": (4, 10.0), "rank 16, rate × 10": (16, 10.0)}  # fmt: skip
"""Rank, and what the learning rates are multiplied by."""


def configured(source: Path, variant: str, steps: int) -> RunConfig:
    """The run's settings, with adapters and without evidence."""
    config = load_json(RunFile, source / RUN).config
    (rank, times), own = VARIANTS[variant], config.instruct
    rates = {"learning_rate": times * own.learning_rate, "final_learning_rate": times * own.final_learning_rate}
    instruct = replace(own, lora=LoraConfig(rank=rank), steps=steps or own.steps, evidence=False, **rates)
    return replace(config, instruct=instruct)


def one(source: Path, store: Path, folder: Path, config: RunConfig) -> None:
    """Train and evaluate one model."""
    if not (folder / RUN).exists():
        folder.mkdir(parents=True)
        for stage in ("language", "tokenizer", "pretrain"):
            shutil.copytree(source / stage, folder / stage)
    run = open_run(folder, config=config, store=store, device="cpu")
    taken: list[float] = []
    train_instruct(run, texts=read_texts(None), progress=lambda _: taken.append(time.process_time()))
    if len(taken) > 1 and not (folder / CPU).exists():
        (folder / CPU).write_text(json.dumps(statistics.median(np.diff(taken))))
    if not (folder / RESULTS).exists():
        evaluate(folder / "instruct", store, baselines=(), out=folder / RESULTS)


def figures(folder: Path, config: RunConfig) -> list[str]:
    """What is printed of a model."""
    module = NeuroLM(config.model)
    if config.instruct.lora.rank:
        adapt(module, config.instruct.lora, new_rows=False)
    trained, everything = count(module)
    speed = json.loads((folder / "instruct" / "speed.jsonl").read_text().splitlines()[-1])
    files = [folder / "instruct" / name for name in (WEIGHTS, ADAPTER, AdapterFile.FILE)]
    size = sum(path.stat().st_size for path in files if path.is_file())
    validated = [row for row in read_log(folder / "instruct") if row["kind"] == "validation"]
    best = min(validated, key=lambda row: row["score"])
    chosen = statistics.mean(value for name, value in best.items() if name.endswith("/balanced_accuracy"))
    tested = {one.task: one.scores.balanced_accuracy for one in load_evaluation(folder / RESULTS).results}
    cells = [f"{trained / 1e6:.3g} of {everything / 1e6:.3g} million ({100 * trained / everything:.0f} %)"]
    cells += [f"{json.loads((folder / CPU).read_text()):.2f}", f"{speed['peak_memory_gib']:.2f}", f"{size / 1e6:.2f}"]
    cells += [f"{best['score']:.3f}", f"{chosen:.3f}", f"{statistics.mean(tested.values()):.3f}"]
    return cells + [f"{name} {value:.3f}" for name, value in tested.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="finished run whose first three stages are taken")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=0, help="of instruction tuning; by default the run's own")
    parser.add_argument("--one", choices=list(VARIANTS), help="train this one, in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.one:
        config = configured(arguments.run, arguments.one, arguments.steps)
        one(arguments.run, arguments.store, arguments.out / arguments.one, config)
        return
    print(
        "| trained | weights | s a step | peak GiB | MB | validation nll | validation | test | by task |\n"
        + "|---" * 9
        + "|"
    )
    for variant in VARIANTS:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", variant], check=True)
        cells = figures(arguments.out / variant, configured(arguments.run, variant, arguments.steps))
        print(f"| {variant} | {' | '.join(cells[:7])} | {', '.join(cells[7:])} |", flush=True)


if __name__ == "__main__":
    main()
