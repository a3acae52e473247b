"""Evaluation: the figures are those of the stored predictions, of held-out subjects only, in a stated order."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics

from neurolm.batches.loader import read_sample
from neurolm.batches.windows import labelled_windows
from neurolm.core.errors import CheckpointError, ConfigError, StoreError
from neurolm.evaluation.baselines.fit import BASELINES, QUICK
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.official_protocol import UNPARSED
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.report import protocol_table, results_table
from neurolm.store.shards import write_store as write_rows
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from neurolm.tasks.metrics import bootstrap


@pytest.fixture(scope="module")
def evaluation(micro_run):
    return load_evaluation(micro_run.folder / RESULTS)


def test_results_are_read_as_they_were_written(tmp_path, micro_run, evaluation):
    again = evaluate(
        micro_run.folder / "instruct", micro_run.store, baselines=QUICK, out=tmp_path / "deep" / "again.json"
    )
    assert again == evaluation == load_evaluation(tmp_path / "deep" / "again.json")
    assert (tmp_path / "deep" / "again.json").read_bytes() == (micro_run.folder / RESULTS).read_bytes()
    assert (evaluation.split, evaluation.recipe, evaluation.seed) == ("test", "micro", 0)


def test_predictions_are_every_window_of_the_test_subjects_in_order(micro_run, evaluation):
    store = Store(micro_run.store)
    held_out = {"events": ("s09", "s10"), "workload": ("s06", "s07")}
    assert [result.task for result in evaluation.results] == list(held_out)
    for result in evaluation.results:
        task, found = load_task(result.task), result.predictions
        windows = labelled_windows(
            store, task=task.name, seconds=task.seconds, stride=task.stride, subjects=held_out[task.name]
        )
        assert found.subjects == tuple(w.subject for w in windows)
        assert found.recordings == tuple(store.rows[w.recording].recording for w in windows)
        assert found.starts == tuple(w.start / 200 for w in windows)
        assert [task.labels[label] for label in found.labels] == [w.label for w in windows]
        assert list(zip(found.recordings, found.starts, strict=True)) == sorted(
            zip(found.recordings, found.starts, strict=True)
        )
        assert (result.question, result.options, result.subjects) == (task.question, task.labels, 2)
    assert len(evaluation.results[1].predictions.labels) == 2 * 2 * 5  # 12 s in 4 s windows every 2 s, two labels


def test_probabilities_are_over_the_options_and_sum_to_one(evaluation):
    for result in evaluation.results:
        probabilities = np.array(result.predictions.probabilities)
        assert probabilities.shape == (len(result.predictions.labels), len(result.options))
        assert (probabilities > 0).all()
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_scores_are_scikit_learns_of_the_stored_predictions(evaluation):
    for result in evaluation.results:
        labels, probabilities = np.array(result.predictions.labels), np.array(result.predictions.probabilities)
        answers = probabilities.argmax(1)
        scores = result.scores
        assert scores.balanced_accuracy == pytest.approx(
            metrics.recall_score(labels, answers, average="macro", zero_division=0)
        )
        assert scores.kappa == pytest.approx(metrics.cohen_kappa_score(labels, answers))
        assert scores.weighted_f1 == pytest.approx(
            metrics.f1_score(labels, answers, average="weighted", zero_division=0)
        )
        assert np.array(scores.confusion).tolist() == metrics.confusion_matrix(labels, answers).tolist()
        if len(result.options) == 2:
            assert scores.auroc == pytest.approx(metrics.roc_auc_score(labels == 0, probabilities[:, 0]))
        else:
            assert scores.auroc == pytest.approx(metrics.roc_auc_score(labels, probabilities, multi_class="ovr"))
        wanted = bootstrap(labels, probabilities, result.predictions.subjects, options=len(result.options))
        assert result.interval == wanted["balanced_accuracy"]
        assert result.chance == 1 / len(result.options)


def test_the_baselines_beside_it_answer_the_same_windows(micro_run, evaluation):
    for result in evaluation.results:
        assert tuple(found.name for found in result.baselines) == QUICK
        majority, power = result.baselines
        assert majority.scores.n == power.scores.n == result.scores.n
        assert np.sum(power.scores.confusion, axis=1).tolist() == np.sum(result.scores.confusion, axis=1).tolist()
        assert majority.scores.balanced_accuracy == result.chance
        assert power.scores == result.baseline
        assert power.scores.balanced_accuracy > 0.9  # the micro store's rhythms tell the labels
        assert power.seconds is None  # the same evaluation gives the same file


def test_all_baselines_are_shown(micro_run):
    """The micro store's two tasks have two electrodes each, the same in all recordings."""
    found = evaluate(micro_run.folder / "instruct", micro_run.store, tasks=["workload"])
    (result,) = found.results
    assert tuple(b.name for b in result.baselines) == BASELINES
    assert all(b.scores is not None and not b.missing for b in result.baselines)
    (shown,) = ([row[1] for row in group] for group in results_table(found).texts())
    assert sorted(shown) == sorted(["neurolm", "per stretch", *BASELINES, "guessing"])
    scores = {"neurolm": result.scores} | {b.name: b.scores for b in result.baselines}
    accuracies = [scores[name].balanced_accuracy for name in shown if name in scores]
    assert accuracies == sorted(accuracies, reverse=True) and len(set(accuracies)) > 1
    assert shown[-1] == "guessing" and shown[shown.index("neurolm") + 1] == "per stretch"
    with pytest.raises(ConfigError, match="was not tuned on the task 'sleep': its tasks are"):
        evaluate(micro_run.folder / "instruct", micro_run.store, tasks=["sleep"])


def test_a_baseline_that_cannot_be_fitted_is_said_to_be_missing(tmp_path, micro_run):
    """Nobody left to train on: the model is evaluated all the same."""
    whole, other = Store(micro_run.store), tmp_path / "store"
    rows = [(replace(row, labels=relabelled(row)), whole.read(n, 0, row.samples)) for n, row in enumerate(whole.rows)]
    write_rows(other, rows)
    found = evaluate(micro_run.folder / "instruct", other, tasks=["workload"], baselines=QUICK)
    (result,) = found.results
    assert result.baseline is None and len(result.predictions.labels) == 2 * 2 * 5
    assert [b.missing[:40] for b in result.baselines] == ["all training windows of task workload are"[:40]] * 2
    (rows,) = results_table(found).texts()
    assert [row[3] for row in rows if row[1] in QUICK] == ["not fitted"] * 2
    out = io.StringIO()
    Console(file=out, width=80).print(results_table(found))
    assert "not fitted" in out.getvalue()
    assert "workload: band power was not fitted: all training windows" in " ".join(out.getvalue().split())


def relabelled(row):
    """Training subjects of the task workload have one label only."""
    if row.subject > "s04":
        return row.labels
    return tuple(replace(label, label="Yes") if label.task == "workload" else label for label in row.labels)


def test_windows_of_a_recording_are_pooled_by_their_mean_log_odds(micro_run, evaluation):
    result = evaluation.results[1]
    assert (result.pooled.unit, result.pooled.scores.n) == ("stretch", 4)  # two subjects, two labels each
    labels, probabilities = np.array(result.predictions.labels), np.array(result.predictions.probabilities)
    odds = np.log(probabilities[:, 0] / probabilities[:, 1]).reshape(4, 5).mean(axis=1)
    answers = np.where(odds > 0, 0, 1)
    truth = labels.reshape(4, 5)[:, 0]
    assert result.pooled.scores.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, answers))
    shares = 1 / (
        1 + np.exp(-odds)
    )  # four stretches validate: too few to say that five windows are worth more than one
    assert result.pooled.scores.brier == pytest.approx(2 * np.mean((shares - (truth == 0)) ** 2))


def test_a_file_of_an_earlier_version_is_read(tmp_path, micro_run, evaluation):
    value = json.loads((micro_run.folder / RESULTS).read_text())
    for name in ("checks", "wording"):
        del value[name]
    for result in value["results"]:
        for name in ("intervals", "pooled", "baselines", "robustness"):
            del result[name]
    (tmp_path / RESULTS).write_text(json.dumps(value))
    found = load_evaluation(tmp_path / RESULTS)
    assert [r.scores for r in found.results] == [r.scores for r in evaluation.results]
    assert [row[1] for row in results_table(found).texts()[0]] == ["neurolm", "guessing"]


def test_a_windows_answer_does_not_depend_on_the_others(micro_run, evaluation):
    """Each window alone gets the probabilities it got among the others."""
    from neurolm.ask.calibration import Calibration
    from neurolm.ask.prompt import Prompt, option_probabilities
    from neurolm.checkpoint import load_neurolm

    model, card, text = load_neurolm(micro_run.folder / "instruct")
    store, fitted = Store(micro_run.store), Calibration.load(micro_run.folder / "instruct")
    assert fitted is not None
    for task, result in zip(card.tasks, evaluation.results, strict=True):
        prompt = Prompt.of(task, text, card.run.model.vocabulary.separator)
        windows = task.windows(store, task.split(store), "test")
        for place in (0, len(windows) - 1):
            sample, device = read_sample(store, windows[place]), next(model.parameters()).device
            alone = option_probabilities(model, prompt, [sample], device=device, calibration=fitted.of(task.name))
            np.testing.assert_allclose(alone[0], result.predictions.probabilities[place], atol=1e-6)


def test_validation_subjects_can_be_evaluated_instead(micro_run):
    found = evaluate(micro_run.folder / "instruct", micro_run.store, split="validation", baselines=QUICK)
    assert found.split == "validation"
    assert {s for r in found.results for s in r.predictions.subjects} == {"s05", "s08"}
    assert all(result.interval is None for result in found.results)  # one subject has no spread


@pytest.mark.parametrize("stage", ["pretrain", "tokenizer"])
def test_a_model_that_was_never_tuned_is_refused(tmp_path, micro_run, stage):
    with pytest.raises(CheckpointError, match=f"made by stage '{stage}', but 'instruct' is needed"):
        evaluate(micro_run.folder / stage, micro_run.store, out=tmp_path / "out.json")
    assert not list(tmp_path.iterdir())


def test_a_store_that_would_test_on_training_subjects_is_refused(tmp_path, micro_run):
    """Another store of the same people splits them elsewhere: with less of them, training subjects become test ones."""
    whole, other = Store(micro_run.store), tmp_path / "store"
    kept = ("s00", "s01", "s02", "s03", "s04", "s05", "s08")
    rows = [(n, row) for n, row in enumerate(whole.rows) if row.subject in kept]
    write_rows(other, [(row, whole.read(n, 0, row.samples)) for n, row in rows])
    with pytest.raises(
        CheckpointError, match=r"the model was trained on s0.*give the store that the run was trained on"
    ):
        evaluate(micro_run.folder / "instruct", other, out=tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_store_without_the_task_is_refused(tmp_path, micro_run, write_store):
    store = write_store(tmp_path / "s", {"a": ("s", ("C3",), (), np.random.default_rng(0).normal(size=(900, 1)))})
    with pytest.raises(StoreError, match="no recording has labels of the task 'events'"):
        evaluate(micro_run.folder / "instruct", store)


def test_official_protocol_stands_beside_ours(micro_run, tmp_path: Path) -> None:
    folder = micro_run.folder / "instruct"
    ours = evaluate(folder, micro_run.store, baselines=QUICK)
    both = evaluate(folder, micro_run.store, protocol="official", baselines=QUICK, out=tmp_path / "both.json")
    assert load_evaluation(tmp_path / "both.json") == both
    assert protocol_table(ours) is None
    for one, other in zip(ours.results, both.results, strict=True):
        assert one.official is None and other.official is not None
        assert (one.scores, one.predictions) == (other.scores, other.predictions)
        assert other.official.n == one.scores.n
        assert other.official.parse_failures == sum(a == UNPARSED for a in other.official.answers)
        (shown,) = protocol_table(replace(both, results=(other,))).texts()
        rows = {row[1]: row[2:] for row in shown}
        assert shown[0][0] == other.task
        labels, answers = np.array(one.predictions.labels), np.array(one.predictions.probabilities).argmax(1)
        assert rows["balanced accuracy"][0] == rows["balanced accuracy"][1] == f"{one.scores.balanced_accuracy:.3f}"
        if len(one.options) == 2:  # a hard label has one operating point: the area under its curve is the mean recall
            hard = metrics.roc_auc_score(labels == 0, answers == 0)
            assert rows["AUROC"][:2] == (f"{one.scores.auroc:.3f}", f"{hard:.3f}")
            assert rows["AUROC"][1] == rows["balanced accuracy"][1]
        else:
            assert rows["AUROC"][1:] == ("–", "–", "–", "")
        script, ours = other.official.as_published.balanced_accuracy, one.scores.balanced_accuracy
        assert rows["balanced accuracy"][-1] == f"{script - ours:+.3f}"
        assert rows["parse failures"][2] == f"{other.official.parse_failures}/{one.scores.n}"
    with pytest.raises(ConfigError, match="'paper'"):
        evaluate(folder, micro_run.store, protocol="paper")
