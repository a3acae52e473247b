"""What answering in bfloat16 changes: accuracy, calibration error, and how many answers are others.

    python benchmarks/bfloat16.py runs/demo --store runs/demo/store --out SCRATCH
    python benchmarks/bfloat16.py runs/folds/fold-* --store EEGMAT --out SCRATCH

Each run is calibrated in float32 and in bfloat16, its evidence fitted anew, and answers its test people in both. A
window's answer and a stretch's (all windows of one label of a recording, pooled) count as changed where the likeliest
option is another. Figures are means over the runs, of a task each.
"""

from __future__ import annotations

import argparse
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np

from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import Evaluation, Predictions, load_evaluation
from neurolm.train.calibrate import calibrate

PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    arguments = _arguments()
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for run in arguments.runs:
        exact, rounded = (_evaluated(run, arguments.store, precision, arguments.out) for precision in PRECISIONS)
        for one, other in zip(exact.results, rounded.results, strict=True):
            pooled = [result.pooled and result.pooled.predictions for result in (one, other)]
            found[one.task].append(
                {
                    "float32": one.scores.balanced_accuracy,
                    "bfloat16": other.scores.balanced_accuracy,
                    "ECE float32": one.scores.ece,
                    "ECE bfloat16": other.scores.ece,
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
