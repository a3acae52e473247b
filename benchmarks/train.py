"""How fast the stages train, where the time goes, and what the paper's training would cost:

    python benchmarks/train.py                                 # every recipe that the device can hold, every stage
    python benchmarks/train.py --recipes base --stages pretrain --eeg-batch 2
    python benchmarks/train.py --profile --recipes tiny        # one step of each stage, part by part
    python benchmarks/train.py --packing --recipes tiny        # packed batches against padded ones
    python benchmarks/train.py --apart --recipes tiny          # documents one by one against packed rows
    python benchmarks/train.py --beyond --recipes base --layers 2 --eeg-batch 4     # memory beyond weights and moments
    python benchmarks/train.py --codes --recipes tiny          # what codes computed beforehand could save
    python benchmarks/train.py --loader                        # what one core feeds
    python benchmarks/train.py --start                         # what a store of 100,000 recordings takes to begin with
    python benchmarks/train.py --cost --tflops 600             # GPU-hours of 25,000 h × 20 epochs, memory of xl

On CUDA: bfloat16, compiled, FlexAttention, batches of the recipes, four threads that make them, seconds of the clock.
On a CPU: float32, one thread, batches small enough for it, and seconds that the process computed, the least of several
repetitions, since a machine may be doing other work. The EEG is random, in montages of 4, 19, 23 and 62 channels.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from neurolm.core.config import STAGES
from neurolm.core.recipes import RECIPES
from training import apart, beyond, codes, cost, loading, measuring, packing, profiling
from training.stages import Settings

ON_CPU = {"tiny": {}, "base": {"eeg_batch": 2, "text_batch": 1, "text_length": 128}}
"""Recipes that a CPU trains in reasonable time, and batches for it."""


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.cost:
        print(cost.report(arguments.tflops, arguments.memory))
        return
    if arguments.beyond:
        print(beyond.at_the_papers_batches())
    with tempfile.TemporaryDirectory() as folder:
        if arguments.loader:
            print(loading.report(folder))
            return
        if arguments.start:
            print(loading.start(folder, arguments.recordings))
            return
        rows = []
        for settings in _settings(arguments, folder):
            if arguments.profile:
                print(profiling.report(measuring.in_process(profiling.profile, settings)), flush=True)
            elif arguments.packing:
                print(packing.report(settings, header=not rows), flush=True)
                rows.append(settings)
            elif arguments.apart:
                print(apart.report(settings, header=not rows), flush=True)
                rows.append(settings)
            elif arguments.beyond:
                print(beyond.against_measured(settings, header=not rows), flush=True)
                rows.append(settings)
            elif arguments.codes:
                print(codes.report(settings), flush=True)
            else:
                rows.append(measuring.measure(settings))
                print(measuring.table(rows[-1:], header=len(rows) == 1), flush=True)
    if arguments.out and not (
        arguments.profile or arguments.packing or arguments.apart or arguments.beyond or arguments.codes
    ):
        arguments.out.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def _settings(arguments: argparse.Namespace, folder: str) -> Iterator[Settings]:
    cuda = arguments.device == "cuda"
    stages = arguments.stages
    if arguments.packing or arguments.apart:
        stages = [stage for stage in stages if stage in packing.STAGES]
    if arguments.codes or arguments.beyond:
        stages = ["pretrain"]
    for recipe in arguments.recipes or (tuple(RECIPES) if cuda else tuple(ON_CPU)):
        for stage in stages:
            settings = Settings(
                recipe=recipe,
                stage=stage,
                device=arguments.device,
                precision=arguments.precision or ("bfloat16" if cuda else "float32"),
                compile=cuda if arguments.compile is None else arguments.compile,
                threads=arguments.threads,
                checkpointing=arguments.checkpointing,
                steps=arguments.steps or (10 if cuda else 3),
                warm=arguments.warm or (5 if cuda else 1),
                workers=4 if cuda else 0,
                folder=folder,
                store=str(arguments.store or ""),
                **({} if cuda else ON_CPU.get(recipe, {})),
            )
            given = {n: getattr(arguments, n) for n in ("eeg_batch", "text_batch", "text_length", "layers", "at_once")}
            yield replace(settings, **{name: value for name, value in given.items() if value is not None})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    for name in ("profile", "packing", "apart", "beyond", "codes", "loader", "start", "cost"):
        what.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--recipes", nargs="+", choices=tuple(RECIPES))
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"))
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction)
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, help="by default as in the recipe")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--eeg-batch", type=int)
    parser.add_argument("--text-batch", type=int)
    parser.add_argument("--text-length", type=int)
    parser.add_argument("--at-once", type=int, help="samples that go through the model together (0: all)")
    parser.add_argument("--layers", type=int, help="cut every stack of blocks to so many, for a quick look")
    parser.add_argument("--steps", type=int, help="steps that are measured")
    parser.add_argument("--warm", type=int, help="steps before")
    parser.add_argument("--tflops", type=float, default=600.0, help="of the GPU's matrix products, for --cost")
    parser.add_argument("--memory", type=float, default=139.0, help="GiB of the GPU, for --cost")
    parser.add_argument("--recordings", type=int, default=100_000, help="for --start")
    parser.add_argument("--store", type=Path, help="prepared store to learn from, instead of random EEG")
    parser.add_argument("--out", type=Path, help="JSON file of the speeds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
