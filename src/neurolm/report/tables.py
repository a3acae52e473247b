"""The tables of an evaluation, of several joined, and of what others published, for terminal and page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurolm.core.table import NOTHING, Cell, Column, Table, columns

if TYPE_CHECKING:
    from neurolm.evaluation.joined import Difference, Joined, JoinedAnswers, JoinedTask, Spread
    from neurolm.evaluation.published import PublishedScore
    from neurolm.evaluation.results import Evaluation, RobustnessCurve, TaskResult
    from neurolm.tasks.metrics import Interval, Scores

SCORES = {
    "balanced_accuracy": Column(head="balanced accuracy", form=".3f"),
    "auroc": Column(head="AUROC", form=".3f"),
    "auc_pr": Column(head="AUC-PR", form=".3f"),
    "kappa": Column(head="kappa", form=".3f"),
    "weighted_f1": Column(head="weighted F1", form=".3f", narrow="wtd.\nF1"),
    "ece": Column(head="calibration error", form=".3f", narrow="calib.\nerror"),
}
"""A column for every score that is shown."""
BESIDE = ("auroc", "kappa", "weighted_f1", "ece")
"""Shown of every model beside its balanced accuracy."""
BY_PROTOCOL = ("balanced_accuracy", "auroc", "auc_pr", "kappa", "weighted_f1")
PUBLISHED = ("balanced_accuracy", "auroc", "auc_pr")
JOINED = ("balanced_accuracy", "auroc", "ece")
NAME = Column(head="", whole=True)
INTERVAL = Column(head="95 % interval", form="")
WIDTH = len("0.000±0.000")
OWN_TRIALS = "held-out trials of people who trained, too: this says nothing about other people"


def results_table(evaluation: Evaluation) -> Table:
    """Return the figures of every task, the best first: the model and baselines, pooled where several windows share a
    label, guessing; and below, how far the model is from the best baseline."""
    from neurolm.evaluation.joined import MODEL
    from neurolm.evaluation.standing import standing

    notes = []
    for result in evaluation.results:
        notes += [f"{result.task}: {OWN_TRIALS}"] if result.by_trial else []
        notes += [f"{result.task}: {found}"] if (found := standing(result)) else []
        notes += [f"{result.task}: {b.name} was not fitted: {b.missing}" for b in result.baselines if b.missing]
    return Table(
        title=f"{evaluation.split} subjects, recipe {evaluation.recipe}, seed {evaluation.seed}",
        columns=(*columns("task"), NAME, SCORES["balanced_accuracy"], INTERVAL, *(SCORES[name] for name in BESIDE)),
        groups=[_results(result) for result in evaluation.results],
        notes=notes,
        lead=MODEL,
    )


def _results(result: TaskResult) -> list[tuple[Cell, ...]]:
    from neurolm.evaluation.joined import MODEL

    ours = [(MODEL, *_scored(result.scores, _span(result.interval)))]
    if (pooled := result.pooled) is not None and pooled.scores.n < result.scores.n:
        span = _span(pooled.intervals.balanced_accuracy)
        ours.append((f"per {pooled.unit}", *_scored(pooled.scores, span)))
    methods: list[tuple[float, list[tuple[Cell, ...]]]] = [(result.scores.balanced_accuracy, ours)]
    for found in result.baselines:
        span = "not fitted" if found.scores is None else _span(found.intervals.balanced_accuracy)
        accuracy = -1.0 if found.scores is None else found.scores.balanced_accuracy
        methods.append((accuracy, [(found.name, *_scored(found.scores, span))]))
    rows = best_first(methods)
    rows.append(("guessing", result.chance, "", 0.5, 0.0, None, None))
    subjects = f"{result.subjects} subject{'s' if result.subjects != 1 else ''}"
    firsts = [result.task, f"{result.scores.n} windows", *[""] * len(rows)][: len(rows) - 1]
    return [(first, *row) for first, row in zip([*firsts, subjects], rows, strict=True)]


def best_first(methods: Sequence[tuple[float, list[tuple[Cell, ...]]]]) -> list[tuple[Cell, ...]]:
    """Return the rows of methods by their scores; of equals, and of those that have none (−1), the order stays."""
    return [row for _, rows in sorted(methods, key=lambda method: -method[0]) for row in rows]


def _scored(scores: Scores | None, span: str | None) -> tuple[Cell, ...]:
    accuracy, *others = (getattr(scores, name, None) for name in ("balanced_accuracy", *BESIDE))
    return (accuracy, span, *others)


def _span(interval: Interval | None) -> str | None:
    return None if interval is None else f"{interval.low:.2f}–{interval.high:.2f}"


def seeds_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return mean and standard deviation over evaluations of models that differ in their seed alone."""
    from neurolm.evaluation.joined import Spread

    rows: list[tuple[Cell, ...]] = []
    for results in zip(*(evaluation.results for evaluation in evaluations), strict=True):
        spreads = [Spread.of([getattr(r.scores, name) for r in results]) for name in ("balanced_accuracy", "ece")]
        power = results[0].baseline
        rows.append(
            (
                results[0].task,
                *(f"{spread.mean:.3f} ± {spread.sd:.3f}" for spread in spreads),
                power and power.balanced_accuracy,
                results[0].chance,
            )
        )
    scores = (SCORES["balanced_accuracy"], SCORES["ece"])
    return Table(
        title=f"over {len(evaluations)} seeds: mean ± SD",
        columns=(*columns("task"), *scores, *columns("band power", "guessing", form=".3f")),
        groups=[rows],
    )


def protocol_table(evaluation: Evaluation) -> Table | None:
    """Return what the authors' protocol makes of the same answers, beside ours; None where it was not asked for."""
    groups = [_by_protocol(result) for result in evaluation.results if result.official is not None]
    heads = ("likelihood", "its hard label", "written", "as the script")
    shown = (*columns("task"), NAME, *columns(*heads, form=".3f"), *columns("difference", form="+.3f"))
    return (
        Table(title="how answers are read", columns=shown, groups=groups, lead=SCORES["balanced_accuracy"].head)
        if groups
        else None
    )


def _by_protocol(result: TaskResult) -> list[tuple[Cell, ...]]:
    from neurolm.evaluation.official_protocol import score_hard

    official = result.official
    assert official is not None
    answers = [max(range(len(row)), key=row.__getitem__) for row in result.predictions.probabilities]
    hard = score_hard(result.predictions.labels, answers, options=len(result.options)).scores
    rows: list[tuple[Cell, ...]] = []
    for name in BY_PROTOCOL:
        ours, *others = (getattr(s, name) for s in (result.scores, hard, official.scores, official.as_published))
        if ours is not None:
            change = "" if others[-1] is None else others[-1] - ours
            rows.append(("" if rows else result.task, SCORES[name].head, ours, *others, change))
    failed = f"{official.parse_failures}/{official.n}"
    return [*rows, ("", "parse failures", "", "", failed, failed, "")]


def robustness_table(evaluation: Evaluation) -> Table | None:
    """Return the balanced accuracy at every severity of every disturbance; None where it was not asked for."""
    found = [result for result in evaluation.results if result.robustness]
    if not found:
        return None
    most = max(len(curve.points) for result in found for curve in result.robustness)
    return Table(
        title="balanced accuracy of disturbed windows: above it, how much they are disturbed",
        columns=columns("task", "disturbance") + columns("none", *[""] * (most - 1), form=".3f"),
        groups=[
            [
                (
                    "" if number else f"{result.task}\n{curve.windows} windows",
                    f"{curve.disturbance}\n{curve.unit}",
                    *_severities(curve),
                    *[""] * (most - len(curve.points)),
                )
                for number, curve in enumerate(result.robustness)
            ]
            for result in found
        ],
    )


def _severities(curve: RobustnessCurve) -> list[str]:
    """Severity above accuracy, in lines of their own, so that accuracies stand side by side."""
    words = [point.severity.split(" ") if number else [""] for number, point in enumerate(curve.points)]
    height = max(map(len, words))
    return [
        "\n".join([*[""] * (height - len(severity)), *severity, f"{point.balanced_accuracy:.3f}"])
        for severity, point in zip(words, curve.points, strict=True)
    ]


def published_table(tasks: Sequence[str], *, scores: Sequence[str] = PUBLISHED[:2]) -> Table | None:
    """Return what others published on tasks; None where there is nothing."""
    from neurolm.evaluation.published import published

    groups: list[list[tuple[Cell, ...]]] = []
    for found in filter(None, map(published, tasks)):
        rows = [(figure.model, figure.test_set, *(_given(figure.score(name)) for name in scores)) for figure in found]
        groups.append([("" if number else found[0].task, *row) for number, row in enumerate(rows)])
    heads = (*columns("task", "model", "test set"), *(SCORES[name] for name in scores))
    return Table(title="published by others, not measured here", columns=heads, groups=groups) if groups else None


def _given(score: PublishedScore | None) -> str | None:
    if score is None:
        return None
    return f"{score.value:g}" + ("" if score.sd is None else f"±{score.sd:g}")


def joined_tables(joined: Joined) -> list[Table]:
    """Return joined evaluations: the figures of every task, then how far the model is from each baseline."""
    found = []
    for task in joined.tasks:
        found += [answers_table(joined, task), *filter(None, [differences_table(task)])]
    return found


def answers_table(joined: Joined, task: JoinedTask) -> Table:
    """Return the model and the baselines, pooled where they were, the best first, and guessing: mean ± standard
    deviation over seeds, the interval, and over folds; below, how far the model is from the best baseline."""
    from neurolm.evaluation.joined import MODEL
    from neurolm.evaluation.standing import joined_standing

    heads = (SCORES["balanced_accuracy"], INTERVAL, *columns(*["over folds"] * (task.folds > 1), form=""))
    heads += tuple(SCORES[name] for name in JOINED[1:])
    guessing = ("guessing", _spread(None, f"{task.chance:.3f}"), *[""] * (len(heads) - 1))
    methods: list[tuple[float, list[tuple[Cell, ...]]]] = []
    for answers in task.answers:
        row = _answers(task, answers, len(heads))
        if answers.unit != "window":  # pooled answers stay below those of windows
            methods[-1][1].append(row)
            continue
        accuracy = answers.score("balanced_accuracy")
        methods.append((-1.0 if accuracy is None else accuracy.seeds.mean, [row]))
    standing = joined_standing(task)
    return Table(
        title=heading(joined, task),
        columns=(NAME, *heads),
        groups=[[*best_first(methods), guessing]],
        notes=[
            *([str(standing)] if standing else []),
            *(f"{answers.name}: {answers.missing}" for answers in task.answers if answers.missing),
        ],
        lead=MODEL,
    )


def heading(joined: Joined, task: JoinedTask) -> str:
    """What was joined: ``eegmat, 6 folds × 3 seeds (0, 1, 2), out of fold: 36 test subjects, recipe tiny``."""
    runs = f"{len(task.seeds)} seed{'s' if len(task.seeds) != 1 else ''} ({', '.join(map(str, task.seeds))})"
    part = f"{task.subjects} {joined.split} subjects, recipe {joined.recipe}"
    if task.folds == 1:
        return f"{task.task}, {runs}: {part}"
    of = f" of {task.planned_folds}" if task.planned_folds > task.folds else ""
    return f"{task.task}, {task.folds}{of} folds × {runs}, out of fold: {part}"


def _answers(task: JoinedTask, answers: JoinedAnswers, cells: int) -> tuple[Cell, ...]:
    name = answers.name if answers.unit == "window" else f"per {answers.unit}"
    accuracy, *others = (answers.score(score) for score in JOINED)
    if accuracy is None:
        return (name, None, "not joined", *[""] * (cells - 2))
    folds = [_spread(accuracy.folds)] * (task.folds > 1)
    beside = (_spread(found.seeds if found else None) for found in others)
    return (name, _spread(accuracy.seeds), _span(accuracy.interval), *folds, *beside)


def _spread(spread: Spread | None, text: str = NOTHING) -> str:
    """``0.745±0.010``; what does not vary, without the deviation but as wide."""
    if spread is not None:
        text = f"{spread.mean:.3f}" + (f"±{spread.sd:.3f}" if spread.sd else "")
    return text.ljust(WIDTH, "\N{FIGURE SPACE}")


def differences_table(task: JoinedTask) -> Table | None:
    """Return how far the model is from every baseline, with intervals over people; None without a baseline."""
    found = {(difference.baseline, difference.score): difference for difference in task.differences}
    names = dict.fromkeys(baseline for baseline, _ in found)
    rows = [(name, *(_difference(found.get((name, score))) for score in JOINED)) for name in names]
    heads = (NAME, *(SCORES[name] for name in JOINED))
    return Table(title=f"{task.task}: neurolm less", columns=heads, groups=[rows]) if rows else None


def _difference(found: Difference | None) -> str | None:
    # Intervals stand below, or three columns of them would not fit a plain terminal.
    if found is None:
        return None
    span = found.interval
    return f"{found.mean:+.3f}" + (f"\n[{span.low:.2f}, {span.high:.2f}]" if span else "")


def folds_table(task: JoinedTask) -> Table | None:
    """Return the balanced accuracy of every fold, mean over its seeds; None with one split."""
    found = [
        (answers.name, score.folds.values)
        for answers in task.answers
        if answers.unit == "window" and (score := answers.score("balanced_accuracy")) and score.folds
    ]
    rows: list[tuple[Cell, ...]] = [(f"{n + 1}", *(values[n] for _, values in found)) for n in range(task.folds)]
    heads = (*columns("balanced accuracy in fold"), *columns(*(name for name, _ in found), form=".3f"))
    return Table(columns=heads, groups=[rows]) if task.folds > 1 else None
