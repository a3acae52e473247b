"""The closed form against fits that really leave a person out, and against scikit-learn's ridge."""

import numpy as np
import pytest

from neurolm.ask import ridge


def rows(features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forty rows of five people and three classes, of unequal number."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(3), rng.choice(3, 37, p=(0.6, 0.3, 0.1))])
    x = rng.normal(size=(40, features)) + 2.0
    x[:, :3] += 2 * np.eye(3)[labels]
    return x, labels, np.arange(40) % 5


@pytest.mark.parametrize("features", [8, 100])
def test_leaving_a_person_out_in_closed_form_is_leaving_a_person_out(features: int, monkeypatch) -> None:
    from sklearn.linear_model import Ridge

    monkeypatch.setattr(ridge, "STRENGTHS", (0.1,))
    monkeypatch.setattr(ridge, "FREEDOMS", ())
    x, labels, people = rows(features)
    found = ridge.fit(x, labels, people, classes=3)
    weight = (40 / np.bincount(labels) / 3)[labels]
    centred = np.sqrt(weight)[:, None] * (x - weight @ x / weight.sum())
    rank = min(features, 39)
    penalty = 0.1 * (centred**2).sum() / rank
    middle = weight @ np.eye(3)[labels] / weight.sum()
    np.testing.assert_allclose(middle, 1 / 3)
    for person in range(5):
        others = people != person
        model = Ridge(alpha=penalty).fit(x[others], np.eye(3)[labels[others]], sample_weight=weight[others])
        expected = found.slope * (model.predict(x[~others]) - middle)
        np.testing.assert_allclose(found.left_out[~others], expected, atol=1e-8)
    whole = Ridge(alpha=penalty).fit(x, np.eye(3)[labels], sample_weight=weight)
    np.testing.assert_allclose(x @ found.weights + found.offset, found.slope * (whole.predict(x) - middle), atol=1e-8)


def test_strength_and_slope_are_the_likeliest_for_people_left_out(monkeypatch) -> None:
    from scipy.special import log_softmax

    monkeypatch.setattr(ridge, "FREEDOMS", ())
    x, labels, people = rows(8)
    found = ridge.fit(x, labels, people, classes=3)
    weight = (40 / np.bincount(labels) / 3)[labels]

    truth = np.eye(3)[labels]  # so many errors that they leave no doubt beside

    def likelihood(scores: np.ndarray) -> float:
        return float((weight[:, None] * truth * log_softmax(scores, axis=1)).sum() / weight.sum())

    assert found.likelihood == pytest.approx(likelihood(found.left_out), abs=1e-9)
    for factor in (0.8, 1.25):
        assert likelihood(factor * found.left_out) < found.likelihood
    assert found.likelihood > -np.log(3)  # better than guessing
    assert found.strength in ridge.STRENGTHS
    shuffled = ridge.fit(x, np.random.default_rng(1).permutation(labels), people, classes=3)
    assert shuffled.likelihood < found.likelihood - 0.1 and shuffled.likelihood < -np.log(3) + 0.06


def test_a_class_that_nobody_shows_gets_no_evidence() -> None:
    x, labels, people = rows(8)
    found = ridge.fit(x, labels, people, classes=4)
    scores = x @ found.weights + found.offset
    assert (scores.argmax(axis=1) < 3).all()


def test_a_class_between_two_others_is_found() -> None:
    """One feature, three classes along it: the middle one's prediction is never the largest of a plain regression."""
    rng = np.random.default_rng(0)
    labels, people = np.arange(300) % 3, np.arange(300) // 30
    x = (labels + rng.normal(0, 0.2, 300))[:, None]
    found = ridge.fit(x, labels, people, classes=3)
    assert found.freedom > 0
    right = (x @ found.weights + found.offset).argmax(axis=1) == labels
    assert right.mean() > 0.95 and right[labels == 1].mean() > 0.9
    assert (found.left_out.argmax(axis=1) == labels).mean() > 0.95


def test_people_who_are_all_told_apart_make_nobody_certain() -> None:
    labels, people = np.arange(40) % 2, np.arange(40) // 8
    x = labels[:, None] + np.random.default_rng(0).normal(0, 1e-3, (40, 1))
    scores = ridge.fit(x, labels, people, classes=2).left_out
    odds = np.abs(scores[:, 1] - scores[:, 0])
    np.testing.assert_allclose(odds, np.log(23), rtol=0.1)  # 23 to 1, by five people


@pytest.mark.parametrize("groups", [2, 3, 20])
@pytest.mark.parametrize("features", [8, 100])
def test_taking_a_group_out_of_rows_or_of_axes_says_the_same(features: int, groups: int, monkeypatch) -> None:
    """Few groups are taken out of the axes' equations, many of their rows'; both as fits without them."""
    from sklearn.linear_model import Ridge

    monkeypatch.setattr(ridge, "STRENGTHS", (1e-3,))
    monkeypatch.setattr(ridge, "FREEDOMS", ())
    monkeypatch.setattr(ridge, "_BLOCK", 7)
    x, labels, _ = rows(features)
    numbers = np.arange(40) * groups // 40
    found = ridge.fit(x.astype(np.float32), labels, numbers, classes=3)
    weight = (40 / np.bincount(labels) / 3)[labels]
    centred = np.sqrt(weight)[:, None] * (x - weight @ x / weight.sum())
    penalty = 1e-3 * (centred**2).sum() / min(features, 39)
    for group in range(groups):
        others = numbers != group
        model = Ridge(alpha=penalty).fit(x[others], np.eye(3)[labels[others]], sample_weight=weight[others])
        expected = model.predict(x[~others]) - 1 / 3
        np.testing.assert_allclose(found.left_out[~others], found.slope * expected, atol=1e-4)


def test_the_matrix_is_the_best_of_multinomial_logistic_regression() -> None:
    """Against the general optimiser of SciPy."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    predicted, truth, weight = 2 * np.eye(4)[labels] + rng.normal(size=(200, 4)), np.eye(4)[labels], rng.random(200)
    centre = np.vstack([3 * np.eye(4), np.zeros(4)])

    def loss(flat: np.ndarray) -> float:
        values = flat.reshape(5, 4)
        logs = log_softmax(np.hstack([predicted, np.ones((200, 1))]) @ values, axis=1)
        return -(weight / weight.mean() * (truth * logs).sum(axis=1)).sum() + ((values - centre) ** 2).sum() / 20

    best = minimize(loss, centre.ravel(), method="BFGS", options={"gtol": 1e-4}).x.reshape(5, 4)
    found = ridge._matrix(predicted, truth, weight, 3.0, 10.0)
    np.testing.assert_allclose(found, best, atol=1e-4)
    np.testing.assert_allclose(ridge._matrix(predicted, truth, weight, 3.0, 10.0, found + 5.0), best, atol=1e-4)
