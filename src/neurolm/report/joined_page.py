"""Several runs as one result: a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.evaluation.published import published
from neurolm.report.drawings.answers import Answers, confusion_matrices, reliability_diagrams
from neurolm.report.page import write_page
from neurolm.report.tables import PUBLISHED, answers_table, differences_table, folds_table, published_table

if TYPE_CHECKING:
    from neurolm.evaluation.joined import Joined
    from neurolm.evaluation.results import Evaluation


def write_joined_report(joined: Joined, evaluations: Sequence[Evaluation], out: Path) -> Path:
    """Write joined evaluations as one HTML page.

    Parameters
    ----------
    evaluations
        Those that were joined, for the answers of single windows.
    """
    names = [task.task for task in joined.tasks]
    answers = [
        Answers.of([result for evaluation in evaluations for result in evaluation.results if result.task == name])
        for name in names
    ]
    tasks = [
        {"answers": answers_table(joined, task), "differences": differences_table(task), "folds": folds_table(task)}
        for task in joined.tasks
    ]
    return write_page(
        out,
        "joined.html",
        joined=joined,
        tasks=tasks,
        others=published_table(names, scores=PUBLISHED),
        sources=[figure for name in names for figure in published(name)],
        confusion=confusion_matrices(answers),
        reliability=reliability_diagrams(answers),
    )
