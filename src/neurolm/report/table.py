"""The figures of an evaluation as rows of text, for the terminal and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from neurolm.metrics import Scores
    from neurolm.train.evaluate import Evaluation, TaskResult

COLUMNS = ("task", "", "balanced accuracy", "AUROC", "kappa", "weighted F1", "calibration error")


def table(evaluation: Evaluation) -> Table:
    """Return an evaluation as a table for the terminal."""
    rows = Table(
        title=f"{evaluation.split} subjects, recipe {evaluation.recipe}, seed {evaluation.seed}", title_justify="left"
    )
    for name in COLUMNS:
        rows.add_column(name, justify="left" if name in COLUMNS[:2] else "right", no_wrap=name != "task")
    for result in evaluation.results:
        for row in result_rows(result):
            rows.add_row(*row)
        rows.add_section()
    return rows


def result_rows(result: TaskResult) -> list[tuple[str, ...]]:
    """Return a task's figures as text, in the columns of ``COLUMNS``: the model, the baseline, guessing."""
    interval = result.interval
    span = f" [{interval.low:.2f}, {interval.high:.2f}]" if interval is not None else ""
    binary = len(result.options) == 2
    return [
        (result.task, "neurolm", f"{result.scores.balanced_accuracy:.3f}{span}", *_scores(result.scores)),
        (
            f"{result.scores.n} windows",
            "band power",
            f"{result.baseline.balanced_accuracy:.3f}{' ' * len(span)}",
            *_scores(result.baseline),
        ),
        (
            f"{result.subjects} subjects",
            "guessing",
            f"{result.chance:.3f}{' ' * len(span)}",
            "0.500" if binary else "–",
            "0.000",
            "–",
            "–",
        ),
    ]


def _scores(scores: Scores) -> tuple[str, str, str, str]:
    def text(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return text(scores.auroc), text(scores.kappa), text(scores.weighted_f1), text(scores.ece)
