"""Two ways of reading a model's answers: our likelihoods, and the authors' parsed text.

    python benchmarks/protocols.py runs/demo --store runs/demo/store

Two tables: what each makes of the run; and what it would make of the same answers if the text of some windows, drawn at
random, could not be parsed. (`neurolm evaluate --protocol official` prints the first for the terminal.)
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.official_protocol import UNPARSED, score_hard
from neurolm.evaluation.results import OFFICIAL, TaskResult
from neurolm.report.tables import PROTOCOL_COLUMNS, protocol_rows

FAILING = (0.0, 0.05, 0.1, 0.2)
"""Shares of the windows whose text is made unreadable."""
SCORES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "kappa": "kappa"}
FAILURE_COLUMNS = (
    "task",
    "parse failures",
    *(f"{s}, {w}" for s in SCORES.values() for w in ("wrong", "as the script")),
)


def failing(result: TaskResult, share: float, *, seed: int = 0) -> list[int]:
    """Return the answers the model wrote, those of a share of the windows unparsed."""
    assert result.official is not None
    answers = np.array(result.official.answers)
    places = np.random.default_rng(seed).permutation(len(answers))[: round(share * len(answers))]
    answers[places] = UNPARSED
    return answers.tolist()


def failure_rows(results: Sequence[TaskResult]) -> Iterator[tuple[str, ...]]:
    """What failures do to the scores: counted as wrong, and as the authors' script counts them."""
    for result in results:
        for share in FAILING:
            found = score_hard(result.predictions.labels, failing(result, share), options=len(result.options))
            values = [getattr(kind, name) for name in SCORES for kind in (found.scores, found.as_published)]
            cells = ("–" if value is None else f"{value:.3f}" for value in values)
            yield (result.task, f"{found.parse_failures}/{found.n}", *cells)


def main(words: Sequence[str] | None = None) -> None:
    """Evaluate the run and print both tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    results = evaluate(arguments.run / "instruct", arguments.store, protocol=OFFICIAL, baselines=()).results
    by_protocol = [row for result in results for row in protocol_rows(result)]
    for columns, rows in ((PROTOCOL_COLUMNS, by_protocol), (FAILURE_COLUMNS, failure_rows(results))):
        print(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
