"""Thresholds keep the risk they promise, in nine of ten repetitions, and too few answers promise nothing."""

import numpy as np
import pytest
from scipy.stats import binom

from neurolm.ask.risk import NO_POINTS, design_effect, operating_points, upper_bound


def test_the_bound_is_clopper_and_pearsons():
    for n, wrong in ((20, 0), (50, 3), (100, 30)):
        bound = upper_bound(wrong / n, n)
        assert binom.cdf(wrong, n, bound) == pytest.approx(0.1, abs=1e-6)
    assert upper_bound(1.0, 10) == 1.0 and upper_bound(0.0, 0.0) == 1.0


def draw(n: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Answers between two options that are right less often than their probability says."""
    top = rng.uniform(0.5, 1.0, n)
    right = rng.random(n) < 0.5 + 0.45 * (2 * top - 1)
    return np.stack([top, 1 - top], axis=1), np.where(right, 0, 1)


@pytest.mark.parametrize("risk", [0.2, 0.25])
def test_the_promised_risk_is_kept_in_nine_of_ten(risk):
    rng = np.random.default_rng(0)
    top = np.sort(rng.uniform(0.5, 1.0, 200_000))
    error = 0.5 - 0.45 * (2 * top - 1)
    beyond = np.cumsum(error[::-1])[::-1] / np.arange(len(top), 0, -1)  # risk above each threshold
    kept, given = [], []
    for _ in range(300):
        probabilities, labels = draw(300, rng)
        threshold = operating_points(probabilities, labels, np.arange(300)).threshold(risk)
        kept.append(threshold is None or beyond[min(np.searchsorted(top, threshold), len(top) - 1)] <= risk)
        given.append(threshold is not None)
    assert np.mean(kept) >= 0.88 and np.mean(given) > 0.6


def test_too_few_answers_promise_nothing_below_what_they_could_show():
    right = operating_points(np.tile([0.9, 0.1], (8, 1)), np.zeros(8, int), np.arange(8))
    assert right.least_risk == pytest.approx(1 - 0.1 ** (1 / 8), abs=0.03)
    assert right.threshold(0.2) is None and right.threshold(0.3) == 0.9
    assert right.attained_risk == 0.26  # the bound is .2501
    assert NO_POINTS.threshold(0.5) is None and NO_POINTS.least_risk == 1.0 and NO_POINTS.attained_risk is None


def test_windows_of_a_person_count_less_the_more_alike_they_are():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(40), 25)
    alike, own = np.repeat(rng.random(40) < 0.3, 25).astype(float), (rng.random(1000) < 0.3).astype(float)
    assert design_effect(alike, person) == pytest.approx(25)
    assert design_effect(own, person) < 2
    assert design_effect(own, person, least=3.0) == 3.0
    assert design_effect(own, np.zeros(1000, int)) == 1000  # of one person: one observation
