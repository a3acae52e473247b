"""Two ways of reading a model's answers: our likelihoods, and the authors' parsed text.

    python benchmarks/protocols.py runs/demo --store runs/demo/store

Two tables: what each makes of the run; and what it would make of the same answers if the text of some windows, drawn at
random, could not be parsed. (`neurolm evaluate --protocol official` prints the first for the terminal.)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from neurolm.core.table import Cell, Table, columns
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.official_protocol import UNPARSED, score_hard
from neurolm.evaluation.results import OFFICIAL, TaskResult
from neurolm.report import protocol_table

FAILING = (0.0, 0.05, 0.1, 0.2)
"""Shares of the windows whose text is made unreadable."""
SCORES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "kappa": "kappa"}


def failing(result: TaskResult, share: float, *, seed: int = 0) -> list[int]:
    """Return the answers the model wrote, those of a share of the windows unparsed."""
    assert result.official is not None
    answers = np.array(result.official.answers)
    places = np.random.default_rng(seed).permutation(len(answers))[: round(share * len(answers))]
    answers[places] = UNPARSED
    return answers.tolist()


def failure_table(results: Sequence[TaskResult]) -> Table:
    """What failures do to the scores: counted as wrong, and as the authors' script counts them."""
    heads = [f"{score}, {way}" for score in SCORES.values() for way in ("wrong", "as the script")]
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        for share in FAILING:
            found = score_hard(result.predictions.labels, failing(result, share), options=len(result.options))
            values = [getattr(kind, name) for name in SCORES for kind in (found.scores, found.as_published)]
            rows.append((result.task, f"{found.parse_failures}/{found.n}", *values))
    return Table(columns=columns("task", "parse failures") + columns(*heads, form=".3f"), groups=[rows])


def main(words: Sequence[str] | None = None) -> None:
    """Evaluate the run and print both tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    found = evaluate(arguments.run / "instruct", arguments.store, protocol=OFFICIAL, baselines=())
    for table in filter(None, (protocol_table(found), failure_table(found.results))):
        print(f"\n{table.markdown()}", flush=True)


if __name__ == "__main__":
    main()
