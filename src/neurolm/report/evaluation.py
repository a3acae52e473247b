"""The sections of a report that show an evaluation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurolm.report.drawings import answers
from neurolm.report.page import html_table, picture
from neurolm.report.published import published_html
from neurolm.report.tables import (
    COLUMNS,
    PROTOCOL_COLUMNS,
    TEXT_COLUMNS,
    accuracy_text,
    protocol_rows,
    result_rows,
)
from neurolm.tasks.metrics import COVERAGES

if TYPE_CHECKING:
    from neurolm.evaluation.results import Evaluation, TaskResult

MAJORITY = "majority"
"""The baseline that is equally sure of everything."""


def results_section(evaluation: Evaluation | None, further: Sequence[Evaluation] = ()) -> str:
    """The table of scores, with the authors' protocol, published figures and further seeds where there are any."""
    if evaluation is None:
        return ""
    rows: list[tuple[str, ...]] = []
    begins = []
    for result in evaluation.results:
        begins.append(len(rows))
        rows += result_rows(result)
    text = (
        f"<h2>Answers on held-out subjects</h2>\n{html_table(COLUMNS, rows, text_columns=TEXT_COLUMNS, group=begins)}\n"
        f"<p class='caption'>One model on the {evaluation.split} subjects of every task, whom it never saw. The "
        "interval is over resampled subjects. Below it what else was fitted on the same training windows: majority "
        "says how often each label occurs; band power, tangent space (of covariances) and linear probe (of the model's "
        "own encoder) are logistic regressions; ShallowConvNet is a network trained from scratch. "
        "Calibration error: how far the probability of an answer lies from how often such answers "
        "are right; 0 is best.</p>"
    )
    text += _protocols(evaluation) + published_html([result.task for result in evaluation.results])
    return text + (_seeds([evaluation, *further]) if further else "")


def _protocols(evaluation: Evaluation) -> str:
    """The authors' way of reading answers beside ours, where it was asked for."""
    rows: list[tuple[str, ...]] = []
    begins = []
    for result in evaluation.results:
        if found := protocol_rows(result):
            begins.append(len(rows))
            rows += found
    if not rows:
        return ""
    shown = html_table(PROTOCOL_COLUMNS, rows, text_columns=TEXT_COLUMNS, group=begins)
    return (
        f"\n<h3>How answers are read</h3>\n{shown}\n<p class='caption'>The same model and windows. likelihood: the "
        "probability of every permitted answer, as in the table above. its hard label: the likeliest answer alone, "
        "without its probability. written: the model writes, and what stands at the answer's place is read; text that "
        "is no permitted answer is wrong. as the script: scored as the authors' script does, for which such text is "
        "the last class, or below No. difference: as the script, less likelihood.</p>"
    )


def _seeds(evaluations: Sequence[Evaluation]) -> str:
    rows = []
    for results in zip(*(e.results for e in evaluations), strict=True):
        accuracy, error = ([getattr(r.scores, n) for r in results] for n in ("balanced_accuracy", "ece"))
        rows.append(
            (
                results[0].task,
                *(f"{statistics.mean(v):.3f} ± {statistics.stdev(v):.3f}" for v in (accuracy, error)),
                accuracy_text(results[0].baseline),
                f"{results[0].chance:.3f}",
            )
        )
    head = ("task", "balanced accuracy", "calibration error", "band power", "guessing")
    seeds = ", ".join(str(e.seed) for e in evaluations)
    return (
        f"\n{html_table(head, rows, text_columns=1, group=1)}\n<p class='caption'>Mean ± standard deviation over "
        f"models trained with the seeds {seeds}, on the same data and split.</p>"
    )


def quality_section(evaluation: Evaluation | None) -> str:
    """Confusion matrices, reliability diagrams, and risk against coverage."""
    if evaluation is None:
        return ""
    confusions, reliabilities = [], []
    for result in evaluation.results:
        probabilities, labels = np.array(result.predictions.probabilities), np.array(result.predictions.labels)
        confusions.append(
            answers.Confusion(title=result.task, options=result.options, counts=np.array(result.scores.confusion))
        )
        reliabilities.append(
            answers.Reliability(
                title=f"{result.task}: calibration error {result.scores.ece:.3f}",
                confidence=probabilities.max(axis=1),
                right=probabilities.argmax(axis=1) == labels,
                options=len(result.options),
            )
        )
    return (
        "<h2>Which answers are wrong, and how sure the model was</h2>\n"
        + picture(
            answers.confusion_matrices(confusions),
            "Confusion matrices",
            "A row is a true label, a column an answer: the percentage of the label's windows that got this answer, "
            "and their number. A perfect model fills the diagonal.",
        )
        + picture(
            answers.reliability_diagrams(reliabilities),
            "Reliability diagrams",
            "Answers sorted by their probability. Dots on the dashed line: an answer given with 80 % is right in 80 % "
            "of the cases. Dots below it: too sure of itself. The pale bars, and the dots' size, show how many windows "
            "there are.",
        )
        + _selective(evaluation)
    )


def _selective(evaluation: Evaluation) -> str:
    if not any(result.scores.selective_risk for result in evaluation.results):  # of an earlier version
        return ""
    return picture(
        answers.risk_coverage([risks(result) for result in evaluation.results if result.scores.selective_risk]),
        "Risk against coverage",
        "The share of wrong answers when only the surest windows are answered: from right to left fewer windows are. A "
        "curve that falls to the left knows when it may be wrong; a level one does not.",
    )


def risks(result: TaskResult) -> answers.Risks:
    """Risk against coverage of the model, and of the baselines that are surer of some windows than of others."""
    others = {b.name: b.scores.selective_risk for b in result.baselines if b.scores is not None and b.name != MAJORITY}
    return answers.Risks(
        title=result.task, coverages=COVERAGES, model=result.scores.selective_risk, others=others,
        order=tuple(b.name for b in result.baselines if b.name != MAJORITY),
    )  # fmt: skip


def robustness_section(evaluation: Evaluation | None) -> str:
    """How balanced accuracy changes as the input is disturbed, where that was asked for."""
    if evaluation is None or not any(result.robustness for result in evaluation.results):
        return ""
    found = [result for result in evaluation.results if result.robustness]
    windows = ", ".join(f"{result.task} {result.robustness[0].windows}" for result in found)
    return "<h2>Disturbed windows</h2>\n" + picture(
        answers.robustness({result.task: result.robustness for result in found}, {r.task: r.chance for r in found}),
        "Robustness",
        f"Balanced accuracy on the same windows ({windows}), undisturbed at the left and disturbed more and more to "
        "the right. Dotted: guessing.",
    )
