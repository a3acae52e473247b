"""The parts of benchmarks/answers.py that choose and change windows."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from neurolm.ask.calibration import TaskCalibration
from neurolm.batches.loader import Sample

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "answers.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("benchmark_answers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


@pytest.fixture
def part(script):
    """Six windows of two people in three stretches, whose log-likelihoods carry the number of the window."""
    found = np.log([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.5, 0.5], [0.1, 0.9]])
    return script.Part(
        windows=list(range(6)),
        samples=list("abcdef"),
        found=found,
        labels=np.array([0, 0, 1, 1, 1, 1]),
        subjects=np.array(["A", "A", "B", "B", "A", "A"]),
        stretches=np.array(["2:0", "2:0", "1:0", "1:0", "3:5", "3:5"]),
    )


def test_a_person_left_out_is_left_out_of_everything(part):
    rest = part.without("A")
    assert (rest.windows, rest.samples, list(rest.labels), list(rest.subjects)) == (
        [2, 3],
        ["c", "d"],
        [1, 1],
        ["B"] * 2,
    )
    np.testing.assert_array_equal(rest.found, part.found[2:4])


def test_stretches_keep_their_labels(part):
    probabilities, labels = part.pooled(TaskCalibration(task="t", correlation=0.0))
    assert list(labels) == [1, 0, 1]  # in the order of their names
    odds = probabilities[:, 0] / probabilities[:, 1]
    np.testing.assert_allclose(odds, [2 / 8 * 3 / 7, 9 * 1.5, 1 / 9])


def test_scores(script):
    shares = np.array([[0.75, 0.25], [0.5, 0.5]])
    assert script.nll(shares, np.array([0, 1])) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)


def test_a_copied_second_is_that_of_its_neighbour(script):
    seconds = np.repeat([0, 1, 2], 2)
    sample = Sample(
        patches=np.arange(6, dtype=np.float32)[:, None] * np.ones(200, np.float32),
        channel=np.tile([4, 9], 3),
        second=seconds,
    )
    assert list(script._copied(sample, 2).patches[:, 0]) == [0, 1, 2, 3, 2, 3]
    assert list(script._copied(sample, 0).patches[:, 0]) == [2, 3, 2, 3, 4, 5]
    assert list(sample.patches[:, 0]) == [0, 1, 2, 3, 4, 5]
