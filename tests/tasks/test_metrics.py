"""Scores against scikit-learn and hand-made cases; intervals against resampling the windows themselves."""

import numpy as np
import pytest
from sklearn import metrics

from neurolm.tasks.metrics import COVERAGES, METRICS, bootstrap, resampled_scores, risk_coverage, score


def sample(options: int, windows: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, rounded probabilities (so that ties occur) and subjects, answers better than chance."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(options, size=windows)
    logits = generator.standard_normal((windows, options)) + 1.5 * np.eye(options)[labels]
    probabilities = np.round(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 2)
    probabilities[:, -1] = 1 - probabilities[:, :-1].sum(axis=1)
    subjects = [f"corpus/{number}" for number in generator.integers(7, size=windows)]
    return labels, probabilities, subjects


@pytest.mark.parametrize("options", [2, 5])
def test_scores_equal_scikit_learn(options: int) -> None:
    labels, probabilities, _ = sample(options)
    answers = probabilities.argmax(axis=1)
    scores = score(labels, probabilities, options=options)
    assert scores.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels, answers))
    assert scores.kappa == pytest.approx(metrics.cohen_kappa_score(labels, answers))
    assert scores.weighted_f1 == pytest.approx(metrics.f1_score(labels, answers, average="weighted"))
    assert np.array_equal(scores.confusion, metrics.confusion_matrix(labels, answers))
    assert scores.n == 240
    if options == 2:
        assert scores.auroc == pytest.approx(metrics.roc_auc_score(labels == 0, probabilities[:, 0]))
        assert scores.auc_pr == pytest.approx(metrics.average_precision_score(labels == 0, probabilities[:, 0]))
        assert scores.brier == pytest.approx(2 * metrics.brier_score_loss(labels == 0, probabilities[:, 0]))
    else:
        assert scores.auroc == pytest.approx(
            metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
        )
        one_hot = np.eye(options)[labels]
        assert scores.auc_pr == pytest.approx(metrics.average_precision_score(one_hot, probabilities, average="macro"))


def test_first_option_is_the_positive_class() -> None:
    labels = np.array([0, 0, 1, 1])
    yes = np.array([0.9, 0.8, 0.3, 0.1])
    assert score(labels, np.stack([yes, 1 - yes], axis=1), options=2).auroc == 1.0
    assert score(1 - labels, np.stack([yes, 1 - yes], axis=1), options=2).auroc == 0.0


def test_class_that_is_only_predicted_has_no_recall() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(3)[[0, 2, 1, 1]]  # class 2 is answered once and never true
    scores = score(labels, probabilities, options=3)
    assert scores.balanced_accuracy == pytest.approx((0.5 + 1.0) / 2)
    assert scores.confusion == ((1, 0, 1), (0, 2, 0), (0, 0, 0))


def test_one_class_in_the_labels_gives_no_ranking_and_no_warning() -> None:
    scores = score(np.zeros(3, int), np.array([[0.9, 0.1]] * 3), options=2)
    assert (scores.auroc, scores.auc_pr, scores.kappa) == (None, None, None)
    assert scores.balanced_accuracy == 1.0
    mixed = score(np.zeros(2, int), np.array([[0.9, 0.1], [0.2, 0.8]]), options=2)
    assert (mixed.balanced_accuracy, mixed.kappa) == (0.5, 0.0)


def test_calibration_by_hand() -> None:
    labels = np.array([0, 0, 1, 0])
    yes = np.array([0.95, 0.95, 0.65, 0.65])
    scores = score(labels, np.stack([yes, 1 - yes], axis=1), options=2)
    assert scores.ece == pytest.approx((2 * 0.05 + 2 * abs(0.5 - 0.65)) / 4)
    assert scores.brier == pytest.approx(2 * np.mean([0.05**2, 0.05**2, 0.65**2, 0.35**2]))


def test_bin_edges_belong_to_the_lower_bin() -> None:
    labels = np.array([0, 1])
    yes = np.array([0.9, 0.85])  # both in (.8, .9]: one right, one wrong, so they share a bin
    assert score(labels, np.stack([yes, 1 - yes], axis=1), options=2).ece == pytest.approx(0.875 - 0.5)
    assert score(np.array([0]), np.array([[1.0, 0.0]]), options=2).ece == 0.0


@pytest.mark.parametrize("options", [2, 4])
def test_intervals_equal_those_of_resampled_windows(options: int) -> None:
    labels, probabilities, subjects = sample(options)
    intervals = bootstrap(labels, probabilities, subjects, options=options, resamples=60, seed=3)
    names, subject = np.unique(subjects, return_inverse=True)
    draws = np.random.default_rng(3).multinomial(len(names), np.full(len(names), 1 / len(names)), size=60)
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for draw in draws:
        chosen = np.repeat(np.arange(len(labels)), draw[subject])
        scores = score(labels[chosen], probabilities[chosen], options=options)
        for name in METRICS:
            values[name].append(getattr(scores, name))
    for name in METRICS:
        interval = intervals[name]
        if values[name][0] is None:
            assert interval is None
        else:
            assert interval is not None
            assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(values[name], [2.5, 97.5])))


def test_intervals_depend_on_subjects_and_seed_only() -> None:
    labels, probabilities, subjects = sample(2)
    first = bootstrap(labels, probabilities, subjects, options=2, resamples=200, seed=1)
    shuffle = np.random.default_rng(0).permutation(len(labels))
    again = bootstrap(
        labels[shuffle], probabilities[shuffle], [subjects[i] for i in shuffle], options=2, resamples=200, seed=1
    )
    lows, highs = ([getattr(i, end) for i in first.values() if i] for end in ("low", "high"))
    assert [i.low for i in again.values() if i] == pytest.approx(lows)
    assert [i.high for i in again.values() if i] == pytest.approx(highs)
    assert first != bootstrap(labels, probabilities, subjects, options=2, resamples=200, seed=2)


def test_windows_of_one_subject_count_as_one() -> None:
    """Copying every window makes the sample look larger, but brings no new subject and no narrower interval."""
    labels, probabilities, subjects = sample(2)
    once = bootstrap(labels, probabilities, subjects, options=2, resamples=100)
    many = bootstrap(np.tile(labels, 9), np.tile(probabilities, (9, 1)), subjects * 9, options=2, resamples=100)
    assert many["auroc"] is not None and once["auroc"] is not None
    assert (many["auroc"].low, many["auroc"].high) == pytest.approx((once["auroc"].low, once["auroc"].high))


def test_one_subject_gives_no_interval_and_missing_classes_no_warning() -> None:
    labels, probabilities, _ = sample(2, windows=20)
    assert set(bootstrap(labels, probabilities, ["a"] * 20, options=2).values()) == {None}
    by_class = ["a" if label else "b" for label in labels]  # half of the resamples have one class only
    intervals = bootstrap(labels, probabilities, by_class, options=2, resamples=50)
    assert intervals["auroc"] is not None and intervals["kappa"] is not None


def test_area_of_risk_is_its_mean_over_coverages_in_a_random_order_of_ties() -> None:
    labels, probabilities, _ = sample(3)
    generator = np.random.default_rng(0)
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    fine = 20  # copies of every window: the mean over single windows nears the area as they become many
    areas = []
    for _ in range(40):
        order = np.lexsort((generator.random(len(top) * fine), -np.repeat(top, fine)))
        wrong = np.cumsum(~np.repeat(right, fine)[order])
        areas.append(np.mean(wrong / np.arange(1, len(wrong) + 1)))
    scores = score(labels, probabilities, options=3)
    assert scores.aurc == pytest.approx(np.mean(areas), abs=2e-3)
    assert scores.selective_risk[-1] == pytest.approx(1 - right.mean())
    curve = risk_coverage(labels, probabilities)
    for level in (0.9, 0.6):
        answered = top >= level
        place = np.flatnonzero(np.isclose(curve.coverage, answered.mean()))
        assert curve.risk[place] == pytest.approx(1 - right[answered].mean())


def test_sureness_that_says_nothing_leaves_the_error_rate() -> None:
    labels = np.array([0] * 7 + [1] * 3)
    scores = score(labels, np.tile([0.7, 0.3], (10, 1)), options=2)
    assert scores.aurc == pytest.approx(0.3)
    assert scores.selective_risk == pytest.approx([0.3] * len(COVERAGES))
    sure = score(np.array([0, 0, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]), options=2)
    assert sure.selective_risk[COVERAGES.index(0.75)] == 0 and sure.selective_risk[-1] == pytest.approx(0.25)
    assert sure.aurc < 0.25 / 4 + 0.05


def test_resamples_that_lack_a_class_are_drawn_again() -> None:
    """Each of two people has one class only: who is drawn twice is drawn again, and every score is the sample's."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    answers = np.array([0.9, 0.8, 0.3, 0.4, 0.2, 0.6])
    probabilities = np.stack([answers, 1 - answers], axis=1)
    found = resampled_scores(labels, probabilities, ["a"] * 3 + ["b"] * 3, options=2, resamples=200, seed=0)
    whole = score(labels, probabilities, options=2)
    assert (whole.balanced_accuracy, whole.auroc) == (pytest.approx(2 / 3), pytest.approx(7 / 9))
    for name in ("balanced_accuracy", "auroc", "auc_pr", "kappa", "weighted_f1"):
        assert found[name] == pytest.approx(np.full(200, getattr(whole, name))), name
