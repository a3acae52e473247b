"""Several runs as one: seeds of one split, folds of a cross-validation, and what cannot be joined."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics

from neurolm.core.decode import load_json
from neurolm.core.errors import ConfigError
from neurolm.evaluation.joined import Joined, join, save_joined
from neurolm.evaluation.results import BaselineResult, Evaluation, Pooled, Predictions, TaskResult, scored
from neurolm.report import joined_tables, write_joined_report
from neurolm.report.tables import answers_table, heading
from neurolm.tasks.metrics import bootstrap, score


def predictions(people: range, *, seed: int, windows: int = 12) -> Predictions:
    """Answers that are right more often than not: labels and windows of a person are the same whatever the seed."""
    rng, truth, given = np.random.default_rng(seed), [], []
    for person in people:
        labels = np.random.default_rng([9, person]).integers(0, 2, windows)
        first = 1 / (1 + np.exp(-rng.normal(np.where(labels == 0, 0.8, -0.8), 1.5)))
        truth += labels.tolist()
        given += [(float(p), float(1 - p)) for p in first]
    names = tuple(f"s{person:02}" for person in people for _ in range(windows))
    return Predictions(
        labels=tuple(truth), probabilities=tuple(given), subjects=names, recordings=tuple(f"r-{n}" for n in names),
        starts=tuple(float(n) for _ in people for n in range(windows)),
    )  # fmt: skip


def run(people: range, *, seed: int, fold: tuple[int, int] | None = None) -> Evaluation:
    ours, theirs = predictions(people, seed=seed), predictions(people, seed=1000)  # a baseline has no seed
    scores, intervals = scored(np.array(ours.labels), np.array(ours.probabilities), ours.subjects, options=2)
    baseline = BaselineResult(
        name="band power", scores=score(np.array(theirs.labels), np.array(theirs.probabilities), options=2),
        probabilities=theirs.probabilities,
    )  # fmt: skip
    result = TaskResult(
        task="t", question="?", options=("Yes", "No"), subjects=len(people), scores=scores,
        interval=intervals.balanced_accuracy, baseline=None, chance=0.5, predictions=ours, baselines=(baseline,),
        fold=fold,
    )  # fmt: skip
    return Evaluation(split="test", recipe="tiny", seed=seed, results=(result,))


def folds(seeds: tuple[int, ...] = (0, 1, 2)) -> list[tuple[str, Evaluation]]:
    people = {1: range(4), 2: range(4, 8), 3: range(8, 12)}
    return [(f"{f}-{s}", run(people[f], seed=s, fold=(f, 3))) for s in seeds for f in (3, 1, 2)]


def accuracy(*parts: Predictions) -> float:
    labels = [label for part in parts for label in part.labels]
    return metrics.balanced_accuracy_score(labels, [p[0] < 0.5 for part in parts for p in part.probabilities])


def test_seeds_are_a_mean_with_its_deviation_and_the_baseline_is_one_figure():
    people = range(6)
    (task,) = join([(str(s), run(people, seed=s)) for s in (2, 0, 1)]).tasks
    assert (task.seeds, task.folds, task.subjects) == ((0, 1, 2), 1, 6)
    model, power = task.answers
    found = [accuracy(predictions(people, seed=s)) for s in (0, 1, 2)]
    assert model.score("balanced_accuracy").seeds.values == pytest.approx(found)
    assert model.score("balanced_accuracy").seeds.sd == pytest.approx(np.std(found, ddof=1))
    assert model.score("balanced_accuracy").folds is None and model.n == 72
    given = predictions(people, seed=1000)
    alone = bootstrap(np.array(given.labels), np.array(given.probabilities), given.subjects, options=2)
    assert power.score("auroc").seeds.sd == 0 and power.score("auroc").interval == alone["auroc"]


def test_folds_are_scored_over_all_people_together_and_each_for_itself():
    joined = join(folds())
    (task,) = joined.tasks
    assert (task.seeds, task.folds, task.planned_folds, task.subjects) == ((0, 1, 2), 3, 3, 12)
    found = task.answers[0].score("balanced_accuracy")
    parts = [[predictions(range(4 * f, 4 * f + 4), seed=s) for f in range(3)] for s in (0, 1, 2)]
    assert found.seeds.values == pytest.approx([accuracy(*seed) for seed in parts])
    by_fold = [np.mean([accuracy(seed[f]) for seed in parts]) for f in range(3)]
    assert found.folds.values == pytest.approx(by_fold) and found.folds.mean != found.seeds.mean
    assert found.interval.low < found.seeds.mean < found.interval.high
    assert heading(joined, task) == (
        "t, 3 folds × 3 seeds (0, 1, 2), out of fold: 12 test subjects, recipe tiny"
    )  # fmt: skip
    some = join([(name, e) for name, e in folds() if not name.startswith("2")])
    assert "2 of 3 folds" in heading(some, some.tasks[0])


def test_differences_are_paired_over_people():
    (task,) = join(folds()).tasks
    ours, power = task.answers
    found = {d.score: d for d in task.differences}
    for name, difference in found.items():
        assert difference.mean == pytest.approx(ours.score(name).seeds.mean - power.score(name).seeds.mean)
        assert difference.interval.low < difference.mean < difference.interval.high
    same = [(n, replace(e, results=(with_itself(e.results[0]),))) for n, e in folds()]
    assert {(d.mean, d.interval.low, d.interval.high) for d in join(same).tasks[0].differences} == {(0, 0, 0)}


def with_itself(result: TaskResult) -> TaskResult:
    """The model's own answers as its baseline."""
    probabilities = result.predictions.probabilities
    return replace(result, baselines=(replace(result.baselines[0], probabilities=probabilities),))


def test_pooled_answers_are_joined_where_all_runs_have_them():
    def pooled(result: TaskResult) -> TaskResult:
        ours = result.predictions
        first = {name: values[::12] for name, values in vars(ours).items()}
        kept = Pooled(unit="recording", scores=result.scores, predictions=Predictions(**first))
        return replace(result, pooled=kept, baselines=(replace(result.baselines[0], pooled=kept),))

    whole = [(n, replace(e, results=(pooled(e.results[0]),))) for n, e in folds()]
    joined = join(whole)
    (task,) = joined.tasks
    assert [(a.name, a.unit, a.n) for a in task.answers] == [
        ("neurolm", "window", 144), ("neurolm", "recording", 12), ("band power", "window", 144),
        ("band power", "recording", 12),
    ]  # fmt: skip
    assert task.answers[1].scores == task.answers[3].scores != task.answers[0].scores
    (rows,) = answers_table(joined, task).texts()
    ours, theirs = (answers.score("balanced_accuracy").seeds.mean for answers in task.answers[::2])
    first = ["neurolm", "band power"] if ours >= theirs else ["band power", "neurolm"]
    assert [row[0] for row in rows] == [first[0], "per recording", first[1], "per recording", "guessing"]
    assert [a.unit for a in join([*whole[1:], folds()[0]]).tasks[0].answers] == ["window"] * 2


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (folds()[:1], "give two or more runs, each once"),
        ([folds()[0], folds()[0]], "give two or more runs, each once"),
        (folds()[:-1], r"the fold of 1-0 has runs of the seeds \[0, 1, 2\], that of 2-0 of \[0, 1\]"),
        ([("a", run(range(4), seed=0)), ("b", run(range(3, 8), seed=0))], "a and b both test on s03 in task t"),
        ([("a", run(range(4), seed=0)), ("b", replace(run(range(4), seed=1), recipe="b"))], "b: its recipe is b"),
        ([("a", run(range(4), seed=0)), ("b", replace(run(range(4), seed=1), results=()))], "b: has no answers of the"),
    ],
)
def test_what_cannot_be_joined_is_refused(runs, message):
    with pytest.raises(ConfigError, match=message):
        join(runs)


def test_other_windows_of_the_same_people_are_refused():
    other = run(range(4), seed=1)
    later = replace(other.results[0].predictions, starts=tuple(s + 1 for s in other.results[0].predictions.starts))
    other = replace(other, results=(replace(other.results[0], predictions=later),))
    with pytest.raises(ConfigError, match="b: answered other windows of task t than a"):
        join([("a", run(range(4), seed=0)), ("b", other)])


def test_a_baseline_without_answers_says_why():
    runs = folds((0,))
    name, last = runs[-1]
    bare = replace(last.results[0].baselines[0], probabilities=())
    runs[-1] = (name, replace(last, results=(replace(last.results[0], baselines=(bare,)),)))
    joined = join(runs)
    (task,) = joined.tasks
    assert task.answers[1].missing == "2-0: its evaluation does not keep the answers; evaluate the run again"
    shown = answers_table(joined, task)
    assert shown.texts()[0][1][2] == "not joined" and task.differences == ()
    assert shown.notes == [f"band power: {task.answers[1].missing}"]


def test_tables_fit_80_columns_and_the_page_has_the_same_figures(tmp_path):
    joined = join(folds())
    save_joined(tmp_path / "joined.json", joined)
    assert load_json(Joined, tmp_path / "joined.json") == joined
    page = write_joined_report(joined, [e for _, e in folds()], tmp_path / "joined.html").read_text(encoding="utf-8")
    named = [replace(e, results=(with_name(e.results[0], "ShallowConvNet"),)) for _, e in folds()]
    assert "…" not in printed(join(list(zip("abcdefghi", named, strict=True))), 80)
    shown = printed(joined, 80)
    assert shown == printed(joined, 200) and "…" not in shown
    mean = f"{joined.tasks[0].answers[0].score('balanced_accuracy').seeds.mean:.3f}"
    assert mean in shown and mean in page and page.count("<img") == 2
    for number, value in enumerate(joined.tasks[0].answers[0].score("balanced_accuracy").folds.values, start=1):
        assert f"<td>{number}</td><td class=number>{value:.3f}</td>" in page


def with_name(result: TaskResult, name: str) -> TaskResult:
    """The same, its baseline by another name."""
    return replace(result, baselines=(replace(result.baselines[0], name=name),))


def printed(joined: Joined, width: int) -> str:
    out = io.StringIO()
    for table in joined_tables(joined):
        Console(file=out, width=width).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
