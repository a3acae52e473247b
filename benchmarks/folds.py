"""Cross-validation of a recipe of size ``tiny`` on one task: every fold, several seeds of tuning.

    python benchmarks/folds.py --store STORE --out SCRATCH --task eegmat
    neurolm evaluate SCRATCH/fold-* --store STORE

Tokenizer and pretraining see the unlabelled EEG of a fold's training people alone, and are shared by its seeds; the
language model, which sees no EEG, is shared by all. Begun again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from learning import configuration
from neurolm.batches.text import read_texts
from neurolm.core.config import RunConfig
from neurolm.core.recipes import recipe
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run
from neurolm.train.tokenizer import train_tokenizer


def seeded(config: RunConfig, seed: int) -> RunConfig:
    """Another seed for instruction tuning alone."""
    return replace(config, instruct=replace(config.instruct, seed=seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", default="eegmat")
    parser.add_argument("--recipe", default="tiny", help="whose model: tiny or causal-tiny")
    parser.add_argument("--folds", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", default="450,150,300", help="of tokenizer, pretrain and instruct")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = configuration("whole", 0, [int(count) for count in arguments.steps.split(",")])
    config = replace(config, recipe=arguments.recipe, model=recipe(arguments.recipe).model)
    texts = read_texts(None)
    first = arguments.out / "fold-1-seed-0"
    for seed in range(arguments.seeds):
        for fold in range(1, arguments.folds + 1):
            folder, shared = (arguments.out / f"fold-{fold}-seed-{s}" for s in (seed, 0))
            for source, stage in ((first, "language"), (shared, "tokenizer"), (shared, "pretrain")):
                if source != folder and not (folder / stage).exists():
                    shutil.copytree(source / stage, folder / stage)
            run = open_run(folder, config=seeded(config, seed), store=arguments.store, tasks=[arguments.task],
                           fold=(fold, arguments.folds), device="cpu")  # fmt: skip
            train_language(run, texts=texts)
            train_tokenizer(run, texts=texts)
            train_pretrain(run, texts=texts)
            print(train_instruct(run, texts=texts), flush=True)


if __name__ == "__main__":
    main()
