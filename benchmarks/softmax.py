"""Does the softmax over a target's own kind of output hurt, beside the paper's over all?

The paper's is over text and EEG together.

    python benchmarks/softmax.py --run runs/demo --store runs/demo/store --out SCRATCH

Trains pretraining and instruction tuning with either softmax, for several seeds, from the language model and the
tokenizer of a finished run; prints, on people whom the models never saw, the loss and the accuracy of the next code
among the codes (whatever the training softmax was), the loss of text among text tokens, and the balanced accuracy of
the answers. Begun again, it goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import torch

from neurolm.batches.text import read_texts, token_stream
from neurolm.checkpoint import load_neurolm
from neurolm.core.config import STAGES, RunConfig
from neurolm.core.decode import load_json
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.train.instruct import train_instruct
from neurolm.train.pretrain import PretrainStage, train_pretrain
from neurolm.train.run import RUN, RunFile, open_run

CODES = "codes.json"


def one(source: Path, store: Path, folder: Path, config: RunConfig) -> dict[str, float]:
    """Train and evaluate one model; returns its figures."""
    if not (folder / RUN).exists():
        folder.mkdir(parents=True)
        for stage in ("language", "tokenizer"):
            shutil.copytree(source / stage, folder / stage)
    run = open_run(folder, config=config, store=store, device="cpu")
    texts = read_texts(None)
    train_pretrain(run, texts=texts)
    train_instruct(run, texts=texts)
    if not (folder / CODES).exists():
        module, _, text = load_neurolm(folder / "pretrain", stage="pretrain")
        own = replace(config.pretrain, softmax="range")
        stage = PretrainStage(
            replace(run, config=replace(config, pretrain=own)), module.eval(), token_stream(text, texts)
        )
        with torch.no_grad():
            (folder / CODES).write_text(json.dumps(stage.validate()))
    if not (folder / RESULTS).exists():
        evaluate(folder / "instruct", store, out=folder / RESULTS)
    figures = json.loads((folder / CODES).read_text())
    results = load_evaluation(folder / RESULTS).results
    return figures | {result.task: result.scores.balanced_accuracy for result in results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="finished run whose first two stages are taken")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    begun = load_json(RunFile, arguments.run / RUN).config
    found: dict[str, list[dict[str, float]]] = {"range": [], "joint": []}
    for seed in range(arguments.seeds):
        for softmax, figures in found.items():
            stages = {name: replace(begun.stage(name), seed=seed) for name in STAGES}
            for name in ("pretrain", "instruct"):
                stages[name] = replace(stages[name], softmax=softmax)
            folder = arguments.out / f"{softmax}-{seed}"
            figures.append(one(arguments.run, arguments.store, folder, replace(begun, **stages)))
            print(f"# {softmax}, seed {seed}: {figures[-1]}", flush=True)
    names = list(found["range"][0])
    print(f"| softmax | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for softmax, figures in found.items():
        cells = [[one[name] for one in figures] for name in names]
        spread = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in cells]
        shown = [f"{statistics.mean(v):.3f} ± {s:.3f}" for v, s in zip(cells, spread, strict=True)]
        print(f"| {softmax} | {' | '.join(shown)} |")
    differences = [
        statistics.mean(a[name] - b[name] for a, b in zip(found["range"], found["joint"], strict=True))
        for name in names
    ]
    print(f"| difference | {' | '.join(f'{d:+.3f}' for d in differences)} |")


if __name__ == "__main__":
    main()
