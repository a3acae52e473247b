"""The figures of an evaluation as rows of text, for the terminal and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from neurolm.evaluation.evaluate import Evaluation, TaskResult
    from neurolm.metrics import Scores
    from neurolm.tasks.official_protocol import HardScores

COLUMNS = ("task", "", "balanced accuracy", "95 % interval", "AUROC", "kappa", "weighted F1", "calibration error")
"""``result_rows`` gives them, the model, the baseline and guessing in a row each."""
TEXT_COLUMNS = 2
"""The first columns hold words, the others numbers."""


def table(evaluation: Evaluation) -> Table:
    """Return an evaluation as a table for the terminal."""
    title = f"{evaluation.split} subjects, recipe {evaluation.recipe}, seed {evaluation.seed}"
    rows = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in COLUMNS:
        justify: Literal["left", "right"] = "left" if name in COLUMNS[:TEXT_COLUMNS] else "right"
        # Broken and shortened headings keep the table within the 80 columns of a plain terminal.
        rows.add_column(
            name.replace("calibration", "calib.").replace(" ", "\n").replace("95\n", "95 "),
            justify=justify,
            no_wrap=True,
        )
    for result in evaluation.results:
        for row in result_rows(result):
            rows.add_row(*row)
        rows.add_section()
    return rows


def result_rows(result: TaskResult) -> list[tuple[str, ...]]:
    """Return a task's figures as text, in the columns of ``COLUMNS``: the model, by the authors' protocol too where it
    was asked for, the baseline, guessing."""
    interval = result.interval
    span = "–" if interval is None else f"{interval.low:.2f}–{interval.high:.2f}"
    subjects = f"{result.subjects} subject{'s' if result.subjects != 1 else ''}"
    official = []
    if (other := result.official) is not None:
        failed = f"{other.parse_failures} failed"
        official = [
            ("", "official", f"{other.scores.balanced_accuracy:.3f}", failed, *_scores(other.scores)),
            ("", "as its script", f"{other.as_published.balanced_accuracy:.3f}", "", *_scores(other.as_published)),
        ]
    auroc = "0.500" if len(result.options) == 2 else "–"
    return [
        (result.task, "neurolm", f"{result.scores.balanced_accuracy:.3f}", span, *_scores(result.scores)),
        *official,
        (
            f"{result.scores.n} windows",
            "band power",
            f"{result.baseline.balanced_accuracy:.3f}",
            "",
            *_scores(result.baseline),
        ),
        (subjects, "guessing", f"{result.chance:.3f}", "", auroc, "0.000", "–", "–"),
    ]


def _scores(scores: Scores | HardScores) -> tuple[str, str, str, str]:
    def text(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return text(scores.auroc), text(scores.kappa), text(scores.weighted_f1), text(getattr(scores, "ece", None))
