"""EEGMAT as NeuralBench divides it: our baselines, and a run, beside the figures published there.

    python benchmarks/neuralbench.py write EEGMAT FOLDER       # links to its files, labels.csv and a card
    neurolm prepare FOLDER --out STORE
    neurolm train instruct --store STORE --tasks FOLDER/card.toml --out RUN      # after the stages before it
    python benchmarks/neuralbench.py table FOLDER/card.toml --store STORE --run RUN

Without ``--run``, ``table`` has the baselines and the evidence readout alone. What NeuralBench does was read in its
repository (facebookresearch/neuroai): in ``tasks/eeg/mental_arithmetic/config.yaml`` windows of 5 s every 5 s of the
whole recordings, 20 % of people for test and 20 % for validation by scikit-learn's ``train_test_split`` with random
state 33; in its reader of EEGMAT the people Subject01 to Subject35, of the 36 from Subject00 on. Its filters are those
of neurolm (0.1–75 Hz, no mains), its rate is 120 Hz, and its networks see robustly scaled signals.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from scipy.special import softmax
from sklearn.model_selection import train_test_split

from neurolm.ask.evidence import HALF, Beside
from neurolm.batches.loader import read_sample
from neurolm.core.montage import channel_id
from neurolm.core.table import Cell, Column, Table, columns
from neurolm.evaluation.baselines.fit import fit_baselines
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.published import published
from neurolm.evaluation.results import BASELINES, EVIDENCE_ALONE, PROBE, Intervals, scored
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from neurolm.tasks.metrics import Scores
from neurolm.tasks.task import Task
from neurolm.train.evidence import fit_evidence

NAME = "neuralbench-eegmat"
PEOPLE = [f"Subject{number:02}" for number in range(1, 36)]
SHARE, RANDOM_STATE = 0.2, 33
LABELS = {"1": "No", "2": "Yes"}
SOURCE = "facebookresearch/neuroai"
CARD = f"""
name = "{NAME}"
description = "EEGMAT as NeuralBench divides it: whole recordings of Subject01 to Subject35."
question = "Is this EEG segment of high workload?"
seconds = 5
stride = 5
metrics = ["balanced_accuracy", "auroc", "auc_pr", "ece"]
licence = "ODC-By 1.0 (PhysioNet)"
citation = "Zyma et al. 2019, Data 4(1):14, doi:10.3390/data4010014"
[split]
rule = "scikit-learn's train_test_split of the people, random state {RANDOM_STATE}: a fifth tests, a fifth validates"
[[options]]
text = "Yes"
[[options]]
text = "No"
"""


def divide() -> dict[str, str]:
    """Return the part of the split that every person is in."""
    rest, test = train_test_split(PEOPLE, test_size=SHARE, random_state=RANDOM_STATE)
    train, validation = train_test_split(rest, test_size=SHARE / (1 - SHARE), random_state=RANDOM_STATE)
    parts = {"train": train, "validation": validation, "test": test}
    return {person: part for part, people in parts.items() for person in people}


def write(data: Path, folder: Path) -> None:
    """Write the folder that ``neurolm prepare`` takes."""
    folder.mkdir(parents=True)
    (folder / "card.toml").write_text(CARD)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "start", "stop", "task", "label", "subject", "split"])
        for person, part in sorted(divide().items()):
            for number, label in LABELS.items():
                name = f"{person}_{number}.edf"
                (folder / name).symlink_to((data / name).resolve(strict=True))
                table.writerow([name, "", "", NAME, label, person, part])


def readout(store: Store, task: Task) -> np.ndarray:
    """Probabilities by the evidence readout alone, fitted on the training people, for the test windows."""
    split = task.split(store)
    train, test = (task.windows(store, split, part) for part in ("train", "test"))
    labels = np.array([task.index(str(window.label)) for window in train])
    fitted = fit_evidence(task, [read_sample(store, w) for w in train], labels, [w.subject for w in train])
    assert fitted is not None
    known, numbers = fitted
    beside = Beside(weight=HALF, electrodes=tuple(map(channel_id, known.electrodes)), readout=numbers)
    return softmax(beside.scores([read_sample(store, window) for window in test])[0], axis=1)


def table(card: Path, path: Path, run: Path | None) -> Table:
    """Return our methods and the published ones, the best first."""
    store, task = Store(path), load_task(str(card))
    split = task.split(store)
    windows = task.windows(store, split, "test")
    labels = np.array([task.index(str(window.label)) for window in windows])
    people = tuple(window.subject for window in windows)
    found: list[tuple[str, Scores, Intervals]] = []
    if run is not None:
        (result,) = evaluate(run / "instruct", path, tasks=[task.name], out=run / "evaluation.json").results
        found.append(("neurolm", result.scores, result.intervals))
        found += [(b.name, b.scores, b.intervals) for b in result.baselines if b.scores is not None]
    else:
        names = [name for name in BASELINES if name != PROBE]  # which needs a run's encoder
        beside = fit_baselines(names, store, task, split, windows, tokenizer=None, device=torch.device("cpu"))  # type: ignore[arg-type]
        given = {b.name: np.array(b.probabilities) for b in beside if not b.missing}
        given[EVIDENCE_ALONE] = readout(store, task)
        found += [(name, *scored(labels, answers, people, options=2)) for name, answers in given.items()]
    rows: list[tuple[float, tuple[Cell, ...]]] = []
    for name, scores, intervals in found:
        span = intervals.balanced_accuracy
        interval = span and f"{span.low:.3f} to {span.high:.3f}"
        rows.append((scores.balanced_accuracy, (name, scores.balanced_accuracy, interval, scores.auroc, scores.ece)))
    for figure in published("eegmat"):
        score = figure.score("balanced_accuracy")
        if SOURCE in figure.address and score is not None:
            spread = f"± {score.sd:.3f} over seeds" if score.sd else None
            rows.append((score.value, (f"{figure.model} (published)", score.value, spread, None, None)))
    rows.sort(key=lambda row: -row[0])
    counts = ", ".join(f"{labels.tolist().count(n)} × {label}" for n, label in enumerate(task.labels))
    parts = "/".join(str(len(getattr(split, part))) for part in ("train", "validation", "test"))
    numbers = columns("balanced accuracy", "AUROC", "calibration error", form=".3f")
    return Table(
        title=f"EEGMAT, people {parts}, {len(windows)} test windows of {task.seconds} s ({counts})",
        columns=(*columns("method"), numbers[0], Column(head="95 % over people, or spread"), *numbers[1:]),
        groups=[[row for _, row in rows]],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    writing = verbs.add_parser("write")
    writing.add_argument("data", type=Path)
    writing.add_argument("folder", type=Path)
    showing = verbs.add_parser("table")
    showing.add_argument("card", type=Path)
    showing.add_argument("--store", type=Path, required=True)
    showing.add_argument("--run", type=Path)
    showing.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "write":
        write(arguments.data, arguments.folder)
        return
    shown = table(arguments.card, arguments.store, arguments.run)
    print(f"{shown.title}\n\n{shown.markdown()}") if arguments.markdown else Console().print(shown)


if __name__ == "__main__":
    main()
