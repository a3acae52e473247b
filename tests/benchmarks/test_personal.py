"""What benchmarks/personal.py takes for labelled and for asked, and that nothing is in both."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import log_softmax

from neurolm.batches.windows import labelled_windows
from neurolm.store.store import Store

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def studies():
    """The modules of the studies, by their names."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from personal_studies import methods, people

        yield SimpleNamespace(methods=methods, people=people)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def person(studies):
    """A minute of each of two classes, windows of 4 s every 2 s; the class can be told by the first feature."""
    rng, each = np.random.default_rng(0), np.arange(0, 57, 2.0)
    labels = np.repeat([0, 1], len(each))
    features = rng.standard_normal((len(labels), 6))
    features[:, 0] += 8 * labels - 4
    return studies.people.Windows(
        before=log_softmax(rng.standard_normal((len(labels), 2)), axis=1), scaled=features / 3, own=features,
        labels=labels, at=np.tile(each, 2), subjects=np.full(len(labels), "a"),
    )  # fmt: skip


@pytest.mark.parametrize(("seconds", "count"), [(8, 1), (20, 4), (80, 19)])
def test_labelled_windows_end_before_those_that_are_asked_begin(studies, person, seconds, count):
    known, asked = studies.people.divided(person, seconds, 42, 4)
    assert np.bincount(known.labels).tolist() == [count, count] and np.bincount(asked.labels).tolist() == [8, 8]
    assert known.at.max() + 4 <= seconds / 2 and asked.at.min() == 42


def test_time_of_a_class_goes_on_over_its_stretches(studies, micro_store):
    windows = labelled_windows(Store(micro_store), task="workload", seconds=4, stride=2)
    one = [window for window in windows if window.subject == windows[0].subject]
    again = [replace(w, start=w.start + 9600, span=(w.span[0] + 9600, w.span[1] + 9600)) for w in one]
    at = list(studies.people.class_time([*one, *again]))
    assert at[: len(one)] == [0, 2, 4, 6, 8] * 2
    assert at[len(one) :] == [12, 14, 16, 18, 20] * 2


def test_what_is_compared_learns_from_the_labels_that_it_is_given(studies, person):
    known, asked = studies.people.divided(person, 80, 42, 4)
    methods = studies.methods
    adapted = methods.SHIPPED.method(0.5), methods.band_power_alone(1.0), methods.band_power_with(known, 1.0, 10)
    for method in adapted:
        assert (method(known, asked).argmax(axis=1) == asked.labels).mean() > 0.9
        np.testing.assert_allclose(np.exp(method(known, asked)).sum(axis=1), 1, atol=1e-6)
    for method in adapted[:2]:
        assert (method(known.swapped(), asked).argmax(axis=1) == asked.labels).mean() < 0.1
    np.testing.assert_array_equal(methods.anybody(known, asked), asked.before)
    nothing = methods.Form("nothing", coldness=0, offset=0, weight=0).method(0.5)
    np.testing.assert_allclose(nothing(known, asked), asked.before)
