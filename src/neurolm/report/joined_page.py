"""Several runs as one result: tables for the terminal, and a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from neurolm.core.files import write_text
from neurolm.report.drawings import answers as drawings
from neurolm.report.page import CSS, PAGE, html_table, picture
from neurolm.report.published import published_html

if TYPE_CHECKING:
    from neurolm.evaluation.joined import Difference, Joined, JoinedAnswers, JoinedTask, Spread
    from neurolm.evaluation.results import Evaluation
    from neurolm.tasks.metrics import Interval

SCORES = {"auroc": "AUROC", "ece": "calibration error"}
"""Shown beside balanced accuracy."""
WIDTH = len("0.000±0.000")


def joined_tables(joined: Joined) -> list[Table]:
    """Return joined evaluations as tables for the terminal: the figures of every task, then how far apart they are."""
    found = []
    for task in joined.tasks:
        found.append(_table(heading(joined, task), columns(task), answer_rows(task)))
        if task.differences:
            # Intervals stand below, or three columns of them would not fit a plain terminal.
            rows = [[cell.replace(" [", "\n[") for cell in row] for row in difference_rows(task)]
            found.append(_table(f"{task.task}: neurolm less", DIFFERENCES, rows))
    return found


def _table(title: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> Table:
    rows = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for number, name in enumerate(head):
        justify: Literal["left", "right"] = "right" if number else "left"
        head, _, last = name.replace("calibration", "calib.").rpartition(" ")
        rows.add_column(f"{head}\n{last}" if head else last, justify=justify, no_wrap=True)
    for row in body:
        rows.add_row(*row)
    return rows


def heading(joined: Joined, task: JoinedTask) -> str:
    """What was joined: ``eegmat, 6 folds × 3 seeds (0, 1, 2), out of fold: 36 test subjects, recipe tiny``."""
    runs = f"{len(task.seeds)} seed{'s' if len(task.seeds) != 1 else ''} ({', '.join(map(str, task.seeds))})"
    part = f"{task.subjects} {joined.split} subjects, recipe {joined.recipe}"
    if task.folds == 1:
        return f"{task.task}, {runs}: {part}"
    of = f" of {task.planned_folds}" if task.planned_folds > task.folds else ""
    return f"{task.task}, {task.folds}{of} folds × {runs}, out of fold: {part}"


def columns(task: JoinedTask) -> tuple[str, ...]:
    """Headings of ``answer_rows``."""
    folds = ("over folds",) if task.folds > 1 else ()
    return ("", "balanced accuracy", "95 % interval", *folds, *SCORES.values())


DIFFERENCES = ("", "balanced accuracy", *SCORES.values())
"""Headings of ``difference_rows``."""


def answer_rows(task: JoinedTask) -> list[tuple[str, ...]]:
    """The model, pooled where it was, the baselines and guessing: mean ± standard deviation over seeds, the interval,
    and over folds."""
    rows = [_row(task, answers) for answers in task.answers]
    blank = [""] * (len(columns(task)) - 2)
    return [*rows, ("guessing", _spread_text(None, f"{task.chance:.3f}"), *blank)]


def _row(task: JoinedTask, answers: JoinedAnswers) -> tuple[str, ...]:
    name = answers.name if answers.unit == "window" else f"per {answers.unit}"
    accuracy = answers.score("balanced_accuracy")
    if accuracy is None:
        return (name, "–", "not joined", *[""] * (len(columns(task)) - 3))
    folds = (_spread_text(accuracy.folds),) if task.folds > 1 else ()
    others = (answers.score(other) for other in SCORES)
    return (
        name,
        _spread_text(accuracy.seeds),
        _span(accuracy.interval),
        *folds,
        *(_spread_text(found.seeds if found else None) for found in others),
    )


def _spread_text(spread: Spread | None, text: str = "–") -> str:
    """``0.745±0.010``; what does not vary, without the deviation but as wide."""
    if spread is not None:
        text = f"{spread.mean:.3f}" + (f"±{spread.sd:.3f}" if spread.sd else "")
    return text.ljust(WIDTH)


def _span(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.low:.2f}–{interval.high:.2f}"


def difference_rows(task: JoinedTask) -> list[tuple[str, ...]]:
    """How far the model is from every baseline, with intervals over people."""
    by_baseline: dict[str, dict[str, Difference]] = {}
    for found in task.differences:
        by_baseline.setdefault(found.baseline, {})[found.score] = found
    names = ("balanced_accuracy", *SCORES)
    return [(name, *(_difference_text(found.get(score)) for score in names)) for name, found in by_baseline.items()]


def _difference_text(found: Difference | None) -> str:
    if found is None:
        return "–"
    span = found.interval
    return f"{found.mean:+.3f}" + (f" [{span.low:.2f},{span.high:.2f}]" if span else "")


def write_joined_report(joined: Joined, evaluations: Sequence[Evaluation], out: Path) -> Path:
    """Write joined evaluations as one HTML page.

    Parameters
    ----------
    evaluations
        Those that were joined, for the answers of single windows.
    """
    sections = [f"<h1>neurolm: {len(joined.runs)} runs</h1>\n<p>{html.escape(', '.join(joined.runs))}</p>"]
    for task in joined.tasks:
        rows = [tuple(cell.rstrip().replace("±", " ± ") for cell in row) for row in answer_rows(task)]
        sections.append(
            f"<h2>{html.escape(heading(joined, task))}</h2>\n"
            + html_table(columns(task), rows, text_columns=1, group=len(rows))
            + f"\n<p class='caption'>{html.escape(_caption(task))}</p>"
        )
        if task.differences:
            sections.append(
                "<h3>neurolm less a baseline</h3>\n"
                + html_table(DIFFERENCES, _spaced(difference_rows(task)), text_columns=1, group=[])
                + "\n<p class='caption'>In brackets the 95 % interval over resampled people, the same for both; one "
                "that holds 0 may be chance. Of the calibration error less is better.</p>"
            )
        if task.folds > 1:
            sections.append(f"<h3>Every fold</h3>\n{html_table(*_fold_table(task), text_columns=1, group=[])}")
    sections += [published_html([task.task for task in joined.tasks]), _quality(joined, evaluations)]
    notes = [f"{task.task}, {a.name}: {a.missing}" for task in joined.tasks for a in task.answers if a.missing]
    if notes:
        sections.append("<ul class='caption'>" + "".join(f"<li>{html.escape(n)}</li>" for n in notes) + "</ul>")
    write_text(out, PAGE.format(title="neurolm: runs together", style=CSS, body="\n".join(sections)))
    return out


def _spaced(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """What is tight in 80 columns, with room."""
    return [tuple(cell.replace(",", ", ") for cell in row) for row in rows]


def _caption(task: JoinedTask) -> str:
    folds = (
        "Everybody is tested by the models of the one fold that did not learn from them; scores are computed once, "
        "over the answers of all folds together. Over folds: mean ± standard deviation of the folds' own scores. "
        if task.folds > 1
        else ""
    )
    return (
        f"{folds}Mean ± standard deviation over seeds; baselines without a deviation have no seed. The interval is of "
        "the mean over the seeds, over 1000 resamples of the people."
    )


def _fold_table(task: JoinedTask) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Balanced accuracy of every fold, mean over its seeds."""
    found = [
        (a.name, score.folds)
        for a in task.answers
        if a.unit == "window" and (score := a.score("balanced_accuracy")) is not None and score.folds is not None
    ]
    rows = [(f"{number + 1}", *(f"{folds.values[number]:.3f}" for _, folds in found)) for number in range(task.folds)]
    return ("balanced accuracy in fold", *(name for name, _ in found)), rows


def _quality(joined: Joined, evaluations: Sequence[Evaluation]) -> str:
    """Confusion matrices and reliability of the answers of all runs."""
    confusions, reliabilities = [], []
    for task in joined.tasks:
        found = [result for e in evaluations for result in e.results if result.task == task.task]
        labels = np.concatenate([np.array(result.predictions.labels) for result in found])
        probabilities = np.concatenate([np.array(result.predictions.probabilities) for result in found])
        counts = np.sum([result.scores.confusion for result in found], axis=0)
        confusions.append(drawings.Confusion(title=task.task, options=task.options, counts=counts))
        reliabilities.append(
            drawings.Reliability(
                title=task.task,
                confidence=probabilities.max(axis=1),
                right=probabilities.argmax(axis=1) == labels,
                options=len(task.options),
            )
        )
    return (
        "<h2>Which answers are wrong, and how sure the models were</h2>\n"
        + picture(
            drawings.confusion_matrices(confusions),
            "Confusion matrices",
            "A row is a true label, a column an answer: the percentage of the label's windows that got this answer, "
            "and their number, over all runs.",
        )
        + picture(
            drawings.reliability_diagrams(reliabilities),
            "Reliability diagrams",
            "Answers of all runs sorted by their probability. Dots on the dashed line: an answer given with 80 % is "
            "right in 80 % of the cases. Dots below it: too sure.",
        )
    )
