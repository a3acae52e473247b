"""Fitted temperatures and correlations are those that made the data, few data hold them back, intervals cover."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from neurolm.ask import calibration
from neurolm.ask.calibration import LEAST_STRETCHES, Calibration, TaskCalibration, fit
from neurolm.core.errors import CheckpointError, ConfigError


def answers(people: int, *, windows: int, temperature: float, own: float, seed: int = 0):
    """Log-likelihoods of 3 options whose best temperature is known, in stretches that share evidence."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 3, people), windows)
    person = np.repeat(np.arange(people), windows)
    shared = rng.standard_normal((people, 3))[person]
    noise = np.sqrt(1 - own) * shared + np.sqrt(own) * rng.standard_normal((len(labels), 3))
    return 1.5 * temperature * (1.5 * np.eye(3)[labels] + noise), labels, person


def names(numbers: np.ndarray) -> list[str]:
    return [f"{number:04}" for number in numbers]


def nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_data_is_found(temperature):
    """Evidence with unit noise that a label shifts by d has log-odds of d times itself, so its scale is known."""
    found, labels, person = answers(3000, windows=1, temperature=temperature, own=1.0)
    fitted = fit("t", found, labels, stretches=names(person), subjects=names(person))
    assert fitted.temperature == pytest.approx(temperature, rel=0.1)
    shares = fitted.probabilities(found)
    for low in (0.4, 0.6, 0.8):
        chosen = (shares.max(1) >= low) & (shares.max(1) < low + 0.2)
        right = (shares.argmax(1) == labels)[chosen].mean()
        assert right == pytest.approx(shares.max(1)[chosen].mean(), abs=0.05)


def test_few_people_hold_the_temperature_near_one():
    found, labels, person = answers(4, windows=50, temperature=4.0, own=0.2)
    few = fit("t", found, labels, stretches=names(person), subjects=names(person))
    found, labels, person = answers(400, windows=1, temperature=4.0, own=1.0)
    many = fit("t", found, labels, stretches=names(person), subjects=names(person))
    assert 1.0 < few.temperature < 2.5 < many.temperature


def test_pooling_counts_windows_by_what_is_new_in_them():
    fitted = {}
    for own in (1.0, 0.0):
        found, labels, person = answers(300, windows=8, temperature=1.0, own=own)
        fitted[own] = fit("t", found, labels, stretches=names(person), subjects=names(person))
    assert fitted[1.0].correlation < 0.1 < 0.8 < fitted[0.0].correlation
    for own, seed in ((1.0, 5), (0.0, 6)):
        found, labels, person = answers(300, windows=8, temperature=1.0, own=own, seed=seed)
        loss = {
            rho: nll(
                calibration.pool_stretches(fitted[own].log_probabilities(found), person, correlation=rho),
                labels[::8],
            )
            for rho in (0.0, fitted[own].correlation, 1.0)
        }
        assert loss[fitted[own].correlation] <= min(loss.values()) + 0.01  # on people it was not fitted on


def test_with_few_stretches_pooling_makes_no_answer_surer():
    found, labels, person = answers(LEAST_STRETCHES - 1, windows=8, temperature=1.0, own=1.0)
    fitted = fit("t", found, labels, stretches=names(person), subjects=names(person))
    assert fitted.correlation == 1.0 and fitted.weight(8) == 1.0
    mean = log_softmax(found[:8] / fitted.temperature, axis=1).mean(0)
    np.testing.assert_allclose(fitted.pool(found[:8]), softmax(mean))


def test_a_single_window_is_pooled_to_itself():
    fitted = TaskCalibration(task="t", temperature=1.7, correlation=0.3)
    one = np.array([[-1.0, -2.0, -5.0]])
    np.testing.assert_allclose(fitted.pool(one), fitted.probabilities(one)[0])
    assert fitted.interval(one) is None


def test_intervals_cover_the_recording_they_are_a_part_of():
    """Of 200 recordings with known mean log-odds, windows that overlap by half: about nine in ten intervals hold it."""
    rng = np.random.default_rng(0)
    fitted = TaskCalibration(task="t")
    held = 0
    for _ in range(200):
        moments = 1.0 + rng.standard_normal(101)
        odds = moments[1:] + moments[:-1]  # mean 2
        low, high = fitted.interval(np.stack([odds, np.zeros(100)], axis=1), overlap=2) or (0, 0)
        held += low <= 1 / (1 + np.exp(-2.0)) <= high
    assert 0.8 <= held / 200 <= 0.97


def test_it_comes_back_from_its_file_and_may_be_missing(tmp_path):
    assert Calibration.load(tmp_path) is None
    found, labels, person = answers(30, windows=4, temperature=1.5, own=0.5)
    kept = Calibration(tasks=(fit("t", found, labels, stretches=names(person), subjects=names(person)),))
    kept.save(tmp_path)
    assert Calibration.load(tmp_path) == kept and kept.of("t") == kept.tasks[0] and kept.of("u") is None
    path = tmp_path / Calibration.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(CheckpointError, match="format 2"):
        Calibration.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": float("nan")}, r"tasks 1\.temperature: expected a finite number, found NaN"),
        ({"temperature": -1.0}, r"tasks 1\.temperature must be between 0\.0492\d* and 20\.2\d*, not -1\.0"),
        ({"temperature": 1e-6}, "temperature must be between"),
        ({"correlation": 1.5}, "correlation must be between 0 and 1, not 1.5"),
        ({"windows": -1}, "windows must be between"),
        (
            {"pooled": {"thresholds": [0.5], "coverages": [float("inf")], "errors": [0.1]}},
            r"tasks 1\.pooled\.coverages 1: expected a finite number, found inf",
        ),
        ({"pooled": {"thresholds": [0.5], "coverages": [2.0], "errors": [0.1]}}, "coverages must be between 0 and 1"),
        ({"pooled": {"thresholds": [0.5], "coverages": [], "errors": []}}, "must be equally many"),
    ],
)
def test_numbers_that_no_fit_gives_are_refused(tmp_path, change, said):
    (tmp_path / Calibration.FILE).write_text(json.dumps({"tasks": [{"task": "t"} | change]}))
    with pytest.raises(ConfigError, match=said) as error:
        Calibration.load(tmp_path)
    assert Calibration.FILE in str(error.value)
