"""What answering in bfloat16 changes: accuracy, calibration error, and how many answers are others.

    python benchmarks/bfloat16.py runs/demo --store runs/demo/store --out SCRATCH
    python benchmarks/bfloat16.py runs/folds/fold-* --store EEGMAT --out SCRATCH

Each run is calibrated in float32 and in bfloat16, its evidence fitted anew, and answers its test people in both. A
window's answer and a stretch's (all windows of one label of a recording, pooled) count as changed where the likeliest
option is another. Figures are means over the runs, of a task each.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from neurolm.ask.prompt import PLACES
from neurolm.batches.loader import build_patches, in_batches, read_sample
from neurolm.batches.windows import labelled_windows, spread
from neurolm.checkpoint import load_neurolm
from neurolm.core.batch import PADDING
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import Evaluation, Predictions, load_evaluation
from neurolm.model.precision import keep_in_bfloat16
from neurolm.store.store import Store
from neurolm.train.calibrate import calibrate

PRECISIONS = ("float32", "bfloat16")
WINDOWS = 400
"""Windows whose codes are compared."""


def main() -> None:
    arguments = _arguments()
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for run in arguments.runs:
        codes = _codes_changed(run / "instruct", arguments.store)
        exact, rounded = (_evaluated(run, arguments.store, precision, arguments.out) for precision in PRECISIONS)
        for one, other in zip(exact.results, rounded.results, strict=True):
            pooled = [result.pooled and result.pooled.predictions for result in (one, other)]
            found[one.task].append(
                {
                    "float32": one.scores.balanced_accuracy,
                    "bfloat16": other.scores.balanced_accuracy,
                    "ECE float32": one.scores.ece,
                    "ECE bfloat16": other.scores.ece,
                    "codes changed": codes,
                    "windows": len(one.predictions.labels),
                    **_apart(one.predictions, other.predictions, ""),
                    **(_apart(pooled[0], pooled[1], "stretches' ") if pooled[0] and pooled[1] else {}),
                }
            )
    header: list[str] = []
    for task, runs in found.items():
        means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
        if not header:
            header = list(means)
            print(f"| task | runs | {' | '.join(header)} |")
            print("|---" * (len(header) + 2) + "|")
        shown = (f"{means[name]:.0f}" if name == "windows" else f"{means[name]:.4f}" for name in header)
        print(f"| {task} | {len(runs)} | {' | '.join(shown)} |", flush=True)


def _apart(exact: Predictions, rounded: Predictions, whose: str) -> dict[str, float]:
    """Share of answers whose likeliest option is another, and how far probabilities are apart."""
    one, other = np.array(exact.probabilities), np.array(rounded.probabilities)
    return {
        f"{whose}answers changed": float((one.argmax(1) != other.argmax(1)).mean()),
        f"{whose}probabilities apart (mean)": float(np.abs(one - other).max(1).mean()),
        f"{whose}(most)": float(np.abs(one - other).max()),
    }


@torch.no_grad()
def _codes_changed(folder: Path, store: Path) -> float:
    """Share of patches, of windows spread over a store, whose code is another in bfloat16."""
    (module, card, _), opened = load_neurolm(folder, decoders=False), Store(store)
    tokenizer = module.tokenizer
    rounded = copy.deepcopy(tokenizer)
    keep_in_bfloat16(rounded)
    each = (labelled_windows(opened, task=t.name, seconds=t.seconds, stride=t.stride) for t in card.tasks)
    windows = spread([window for some in each for window in some], WINDOWS)
    changed = []
    for samples in in_batches((read_sample(opened, window) for window in windows), places=PLACES["cpu"]):
        patches, _ = build_patches(samples, packed=False)
        one, other = (model.tokenize(patches).codes for model in (tokenizer, rounded))
        changed.append((one != other)[patches.document != PADDING].float())
    return float(torch.cat(changed).mean())


def _evaluated(run: Path, store: Path, precision: str, scratch: Path) -> Evaluation:
    """Calibrate a copy of a run in a precision, and let it answer; what is there already is taken."""
    folder = scratch / f"{run.name}-{precision}"
    out = folder / "evaluation.json"
    if out.is_file():
        return load_evaluation(out)
    shutil.copytree(run / "instruct", folder / "instruct", dirs_exist_ok=True)
    calibrate(folder / "instruct", store, evidence=True, precision=precision)
    return evaluate(folder / "instruct", store, baselines=[], precision=precision, out=out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the calibrated copies")
    return parser.parse_args()


if __name__ == "__main__":
    main()
