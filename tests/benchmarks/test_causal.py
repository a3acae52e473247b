"""The simple forecasts of codes: against processes whose entropy rate and coefficients are known."""

from pathlib import Path

import numpy as np
import pytest

from neurolm.signals import autoregression

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from forecasts import tables

    return tables


def markov(tables, rng, count):
    """Three codes: electrode 1 goes on to the next code nine times of ten, electrode 2 draws .5, .25, .25."""
    parts = []
    for electrode in (1, 2):
        draws = rng.random(count)
        step = np.where(draws < 0.9, 1, np.where(draws < 0.95, 0, 2))
        code = np.cumsum(step) % 3 if electrode == 1 else rng.choice(3, count, p=(0.5, 0.25, 0.25))
        parts.append((code[1:], np.full(count - 1, electrode), code[:-1]))
    code, electrode, previous = (np.concatenate(part) for part in zip(*parts, strict=True))
    return tables.Targets(code=code, electrode=electrode, previous=previous)


def entropy(*shares):
    return -sum(share * np.log(share) for share in shares)


def test_counts_reach_the_entropy_rates_of_markov_chains(tables):
    rng = np.random.default_rng(0)
    train, validation, test = (markov(tables, rng, count) for count in (40_000, 5_000, 40_000))
    chain, drawn = entropy(0.9, 0.05, 0.05), entropy(0.5, 0.25, 0.25)
    pooled = np.bincount(test.code) / len(test.code)
    expected = {
        tables.UNIGRAM: entropy(*pooled),
        tables.ELECTRODE: (np.log(3) + drawn) / 2,
        tables.ELECTRODE_BIGRAM: (chain + drawn) / 2,
    }
    for method, nats in expected.items():
        assert tables.tested(method, train, validation, test, 3)[0] == pytest.approx(nats, abs=0.01), method
    right = tables.tested(tables.ELECTRODE_BIGRAM, train, validation, test, 3)[1]
    assert right == pytest.approx((0.9 + 0.5) / 2, abs=0.01)


def test_chances_add_up_also_where_nothing_was_counted(tables):
    known, code = np.array([0, 0, 7]), np.array([1, 1, 2])
    given = [(np.zeros(3, int), code), (known, code)]
    found = tables.forecast(given, [np.zeros(3, int), np.array([0, 3, 9])], [4.0, 1.0], 4)
    np.testing.assert_allclose(found.sum(1), 1)
    coarse = (np.array([0, 2, 1, 0]) + 4 / 4) / (3 + 4)
    np.testing.assert_allclose(found[1:], [coarse, coarse])
    np.testing.assert_allclose(found[0], (np.array([0, 2, 0, 0]) + coarse) / 3)


def test_an_ar_process_is_fitted_and_goes_on(monkeypatch):
    """Coefficients of a process that is known; without innovations, the recursion by its definition."""
    rng = np.random.default_rng(0)
    x = np.zeros(50_000)
    for place in range(2, len(x)):
        x[place] = 1.5 * x[place - 1] - 0.8 * x[place - 2] + 0.3 * rng.standard_normal()
    coefficients, deviation = autoregression.yule_walker(x[None], 2)
    np.testing.assert_allclose(coefficients[0], (1.5, -0.8), atol=0.02)
    assert deviation[0] == pytest.approx(0.3, abs=0.01)
    drawn = autoregression.go_on(np.stack([x, x + 5]), 40_000, rng)
    assert drawn.std(1) == pytest.approx(x.std(), rel=0.1)
    assert drawn.mean(1) - x.mean() == pytest.approx([0, 5], abs=0.2)

    monkeypatch.setattr(autoregression, "yule_walker", lambda *_: (np.array([[1.5, -0.8]]), np.zeros(1)))
    expected = [*(x[-2:] - x.mean())]
    for _ in range(5):
        expected.append(1.5 * expected[-1] - 0.8 * expected[-2])
    np.testing.assert_allclose(autoregression.go_on(x[None], 5, rng, order=2)[0], np.array(expected[2:]) + x.mean())
