"""Is learning real, and what is each part of the method worth?

    python benchmarks/learning.py --store STORE --out SCRATCH

Trains the recipe `tiny` whole, and without one part at a time: without pretraining (instruction tuning begins from
GPT-2 and the tokenizer), without text alignment (the encoder never feels the domain classifier), and without the text
loss in pretraining and instruction tuning. `--variants settings` compares whole with other settings of the recipe, and
`--variants whole` trains nothing beside it.
Prints the codebook's use over the tokenizer stage and the perplexity of the next code over pretraining, both on people
who are held out, and the balanced accuracy of the language model's answers, without evidence, on the test people:
mean ± SD over seeds. Begun again, it goes on; ``--report`` prints what is there.

The default steps are about a third of the recipe's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.batches.loader import read_sample
from neurolm.batches.text import read_texts
from neurolm.checkpoint import load_neurolm
from neurolm.core.config import STAGES, RunConfig
from neurolm.core.files import write_text
from neurolm.core.recipes import recipe
from neurolm.tasks.metrics import score
from neurolm.train.figures.history import read_log
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import Run, open_run
from neurolm.train.tokenizer import train_tokenizer

WHOLE = "whole"
PARTS = (WHOLE, "without pretraining", "without text alignment", "without text loss")
SETTINGS = (
    WHOLE,
    "without spectra",
    "features as they are",
    "without augmentation",
    "with dropout",
    "thrice the steps",
)
VARIANTS = {"parts": PARTS, "settings": SETTINGS, WHOLE: (WHOLE,)}
OWN_TOKENIZER = (WHOLE, "without text alignment", "without spectra")
OWN_PRETRAINING = (*OWN_TOKENIZER, "without text loss", "features as they are")
FIGURES = "figures.json"


def configuration(variant: str, seed: int, steps: Sequence[int]) -> RunConfig:
    """The recipe of a variant; ``steps`` are those of tokenizer, pretrain and instruct."""
    config = recipe("tiny")
    stages = {name: replace(config.stage(name), seed=seed) for name in STAGES}
    for name, count in zip(STAGES[1:], steps, strict=True):
        if name == "instruct" and variant == "thrice the steps":
            count = 3 * count
        every = 50 if name != "instruct" else max(1, count // 2)  # its validation goes through all tasks
        stages[name] = replace(stages[name], steps=count, evaluate_every=every, save_every=every)
    if variant == "without text alignment":
        stages["tokenizer"] = replace(stages["tokenizer"], alignment=0.0)
    if variant == "without text loss":
        stages["pretrain"] = replace(stages["pretrain"], text_batch=0)
        stages["instruct"] = replace(stages["instruct"], text_batch=0)
    if variant == "without spectra":
        tokenizer = replace(config.model.tokenizer, spectral=False, spectrum="amplitude")
        config = replace(config, model=replace(config.model, tokenizer=tokenizer))
    if variant == "features as they are":
        config = replace(config, model=replace(config.model, feature_scale=0.0))
    if variant == "without augmentation":
        stages["instruct"] = replace(stages["instruct"], augment=0.0)
    if variant == "with dropout":
        stages["instruct"] = replace(stages["instruct"], dropout=0.1)
    return replace(config, **stages)


def one(variant: str, seed: int, store: Path, out: Path, steps: Sequence[int]) -> dict[str, float]:
    """Train and test one model; returns its figures."""
    folder, whole = out / f"{variant.replace(' ', '-')}-{seed}", out / f"{WHOLE}-{seed}"
    if (folder / FIGURES).exists():
        return json.loads((folder / FIGURES).read_text())
    taken = [(out / f"{WHOLE}-0" / "language", folder / "language")]  # one language model for all
    if variant not in OWN_TOKENIZER:
        taken.append((whole / "tokenizer", folder / "tokenizer"))
    if variant not in (*OWN_PRETRAINING, "without pretraining"):
        taken.append((whole / "pretrain", folder / "pretrain"))
    for source, copy in taken:
        if source != copy and not copy.exists():
            shutil.copytree(source, copy)
    run = open_run(folder, config=configuration(variant, seed, steps), store=store, device="cpu")
    texts = read_texts(None)
    train_language(run, texts=texts)
    train_tokenizer(run, texts=texts)
    if variant != "without pretraining":
        train_pretrain(run, texts=texts)
    train_instruct(run, texts=texts, scratch=variant == "without pretraining")
    figures = tested(run)
    write_text(folder / FIGURES, json.dumps(figures))
    return figures


def tested(run: Run) -> dict[str, float]:
    """Balanced accuracy of each task on the test people, and what the last validation says of text."""
    module, card, text = load_neurolm(run.folder / "instruct", stage="instruct")
    figures = {}
    for task in run.tasks:
        windows = task.windows(run.store, run.splits[task.name], "test")
        prompt = Prompt.of(task, text, card.run.model.vocabulary.separator)
        samples = (read_sample(run.store, window) for window in windows)
        probability = option_probabilities(module, prompt, samples, device=run.device)
        labels = np.array([task.index(str(window.label)) for window in windows])
        figures[task.name] = score(labels, probability, options=len(task.options)).balanced_accuracy
    last = [row for row in read_log(run.folder / "instruct") if row["kind"] == "validation"][-1]
    return figures | {"loss of text": float(last["text"])}


def curve(folder: Path, figure: str) -> dict[int, float]:
    """A figure of a stage's validation by step."""
    rows = read_log(folder) if folder.exists() else []
    return {int(r["step"]): float(r[figure]) for r in rows if r["kind"] == "validation" and figure in r}


def report(out: Path, seeds: int, variants: Sequence[str]) -> None:
    """Print all tables."""
    for title, stage, figure, trained in (
        ("perplexity of the codes on held-out people, by step of the tokenizer stage", "tokenizer", "code_perplexity",
         OWN_TOKENIZER),
        ("perplexity of the next code on held-out people, by step of pretraining", "pretrain", "eeg_perplexity",
         OWN_PRETRAINING),
    ):  # fmt: skip
        curves = {
            v: [curve(out / f"{v.replace(' ', '-')}-{s}" / stage, figure) for s in range(seeds)]
            for v in variants
            if v in trained
        }
        steps = sorted({step for found in curves.values() for one in found for step in one})
        print(f"\n| {title} | {' | '.join(map(str, steps))} |\n|---|{'---|' * len(steps)}")
        for variant, found in curves.items():
            print(f"| {variant} | {' | '.join(spread([one[s] for one in found if s in one], 1) for s in steps)} |")
    rows: dict[str, list[dict[str, float]]] = {}
    for variant in variants:
        files = [out / f"{variant.replace(' ', '-')}-{seed}" / FIGURES for seed in range(seeds)]
        rows[variant] = [json.loads(file.read_text()) for file in files if file.exists()]
    names = list(rows[WHOLE][0])
    print(f"\n| test | seeds | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for variant, found in rows.items():
        print(f"| {variant} | {len(found)} | {' | '.join(spread([one[n] for one in found]) for n in names)} |")


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± SD; of a single value no SD."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else ""
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", default="450,150,300", help="of tokenizer, pretrain and instruct")
    parser.add_argument("--variants", choices=VARIANTS, default="parts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="print what is there, and train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    steps = [int(count) for count in arguments.steps.split(",")]
    variants = VARIANTS[arguments.variants]
    for seed in range(0 if arguments.report else arguments.seeds):
        for variant in variants:
            print(f"# {variant}, seed {seed}: {one(variant, seed, arguments.store, arguments.out, steps)}", flush=True)
    report(arguments.out, arguments.seeds, variants)


if __name__ == "__main__":
    main()
