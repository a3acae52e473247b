"""The figures of an evaluation as rows of text, for the terminal and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from neurolm.evaluation.results import Evaluation, RobustnessCurve, TaskResult
    from neurolm.tasks.metrics import Interval, Scores

COLUMNS = ("task", "", "balanced accuracy", "95 % interval", "AUROC", "kappa", "weighted F1", "calibration error")
"""``result_rows`` gives them, the model, every baseline and guessing in a row each."""
TEXT_COLUMNS = 2
"""The first columns hold words, the others numbers."""

PROTOCOL_COLUMNS = ("task", "", "likelihood", "its hard label", "written", "as the script", "difference")
"""``protocol_rows`` gives them, a score in a row; the difference is of the script's figure and the likelihood's."""
PROTOCOL_SCORES = {
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "auc_pr": "AUC-PR",
    "kappa": "kappa",
    "weighted_f1": "weighted F1",
}


def table(evaluation: Evaluation) -> Table:
    """Return an evaluation as a table for the terminal."""
    title = f"{evaluation.split} subjects, recipe {evaluation.recipe}, seed {evaluation.seed}"
    rows = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in COLUMNS:
        justify: Literal["left", "right"] = "left" if name in COLUMNS[:TEXT_COLUMNS] else "right"
        # Broken and shortened headings keep the table within the 80 columns of a plain terminal.
        rows.add_column(
            name.replace("calibration", "calib.").replace("weighted", "wtd.").replace(" ", "\n").replace("95\n", "95 "),
            justify=justify,
            no_wrap=True,
        )
    for result in evaluation.results:
        for row in result_rows(result):
            rows.add_row(*row)
        rows.add_section()
    return rows


def robustness_table(evaluation: Evaluation) -> Table:
    """Return the balanced accuracy at every severity of every disturbance as a table for the terminal."""
    found = [result for result in evaluation.results if result.robustness]
    most = max((len(curve.points) for result in found for curve in result.robustness), default=1)
    title = "balanced accuracy of disturbed windows: above it, how much they are disturbed"
    rows = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("task", "disturbance"):
        rows.add_column(name, no_wrap=True)
    for number in range(most):
        rows.add_column("none" if number == 0 else "", justify="right")
    for result in found:
        for number, curve in enumerate(result.robustness):
            windows = f"{result.task}\n{curve.windows} windows" if number == 0 else ""
            rows.add_row(windows, f"{curve.disturbance}\n{curve.unit}", *_severities(curve))
        rows.add_section()
    return rows


def _severities(curve: RobustnessCurve) -> list[str]:
    """Severity above accuracy, in lines of their own, so that accuracies stand side by side."""
    words = [point.severity.split(" ") if number else [""] for number, point in enumerate(curve.points)]
    height = max(map(len, words))
    return [
        "\n".join([*[""] * (height - len(severity)), *severity, f"{point.balanced_accuracy:.3f}"])
        for severity, point in zip(words, curve.points, strict=True)
    ]


def result_rows(result: TaskResult) -> list[tuple[str, ...]]:
    """Return a task's figures as text, in the columns of ``COLUMNS``: the model, pooled where several windows share a
    label, the baselines, guessing."""
    subjects = f"{result.subjects} subject{'s' if result.subjects != 1 else ''}"
    further: list[tuple[str, ...]] = []
    if (pooled := result.pooled) is not None and pooled.scores.n < result.scores.n:
        span = _span(pooled.intervals.balanced_accuracy)
        further.append(("", f"per {pooled.unit}", *_row(pooled.scores, span)))
    for found in result.baselines:
        if found.scores is None:
            further.append(("", found.name, "–", "not fitted", "–", "–", "–", "–"))
        else:
            further.append(("", found.name, *_row(found.scores, _span(found.intervals.balanced_accuracy))))
    if not result.baselines and result.baseline is not None:  # as earlier versions wrote it
        further.append(("", "band power", *_row(result.baseline, "")))
    windows = f"{result.scores.n} windows"
    if further:
        further[0] = (windows, *further[0][1:])
    return [
        (result.task, "neurolm", *_row(result.scores, _span(result.interval))),
        *further,
        (subjects, "guessing", f"{result.chance:.3f}", "", "0.500", "0.000", "–", "–"),
    ]


def protocol_table(evaluation: Evaluation) -> Table:
    """Return what the authors' protocol makes of the same answers as a table for the terminal."""
    rows = Table(
        title="how answers are read", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in PROTOCOL_COLUMNS:
        justify: Literal["left", "right"] = "left" if name in PROTOCOL_COLUMNS[:TEXT_COLUMNS] else "right"
        head, _, last = name.rpartition(" ")
        rows.add_column(f"{head}\n{last}" if head else name, justify=justify, no_wrap=True)
    for result in evaluation.results:
        for row in protocol_rows(result):
            rows.add_row(*row)
        rows.add_section()
    return rows


def protocol_rows(result: TaskResult) -> list[tuple[str, ...]]:
    """Return a task's figures by protocol as text, in the columns of ``PROTOCOL_COLUMNS``; none where it was not asked
    for."""
    from neurolm.evaluation.official_protocol import score_hard

    if (official := result.official) is None:
        return []
    answers = [max(range(len(row)), key=row.__getitem__) for row in result.predictions.probabilities]
    hard = score_hard(result.predictions.labels, answers, options=len(result.options)).scores
    rows = []
    for name, title in PROTOCOL_SCORES.items():
        ours, *others = (getattr(s, name) for s in (result.scores, hard, official.scores, official.as_published))
        if ours is None:
            continue
        change = "" if others[-1] is None else f"{others[-1] - ours:+.3f}"
        rows.append(("", title, *map(_text, (ours, *others)), change))
    rows.append(("", "parse failures", "", "", *[f"{official.parse_failures}/{official.n}"] * 2, ""))
    rows[0] = (result.task, *rows[0][1:])
    return rows


def accuracy_text(scores: Scores | None) -> str:
    """Balanced accuracy as text, a dash where there is none."""
    return "–" if scores is None else f"{scores.balanced_accuracy:.3f}"


def _row(scores: Scores, span: str) -> tuple[str, ...]:
    return f"{scores.balanced_accuracy:.3f}", span, *_scores(scores)


def _span(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.low:.2f}–{interval.high:.2f}"


def _scores(scores: Scores) -> tuple[str, str, str, str]:
    return _text(scores.auroc), _text(scores.kappa), _text(scores.weighted_f1), _text(scores.ece)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
