"""What benchmarks/readout.py does to windows before a readout answers them, and how it adds answers up."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neurolm.batches.loader import read_sample, sample_from
from neurolm.evaluation.baselines.linear import band_power
from neurolm.store.store import Store
from neurolm.tasks.card import load_task

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def studies():
    """The modules of the studies, by their names."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from readout_studies import classes, controls, expected, folds, methods, scores, windows

        yield SimpleNamespace(
            classes=classes, controls=controls, expected=expected, folds=folds, methods=methods, scores=scores,
            windows=windows,
        )  # fmt: skip
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def described(studies, micro_store):
    """Eight people, two electrodes, two classes told by a rhythm, five windows in each stretch."""
    return studies.windows.Described.of(Store(micro_store), load_task("workload"))


def changed(studies, described, change):
    return studies.windows.Described.of(described.store, described.task, change)


def test_features_of_electrodes_are_those_of_the_baseline(described):
    for window, own in zip(described.windows[:3], described.own, strict=False):
        signal = described.store.microvolts(window.recording, window.start, 800)
        np.testing.assert_allclose(own.reshape(2, 7), band_power(signal).T, atol=1e-4)


def test_a_gain_of_features_is_a_gain_of_the_signal(studies, described):
    found = described.amplified(0.4, np.random.default_rng(3))
    recordings = np.unique([window.recording for window in described.windows])
    gains = dict(zip(recordings, np.exp(0.4 * np.random.default_rng(3).standard_normal(len(recordings))), strict=True))
    for number in (0, 27):
        window = described.windows[number]
        signal = described.store.microvolts(window.recording, window.start, 800) * gains[window.recording]
        sample = sample_from(signal, read_sample(described.store, window).channel[:2])
        expected = studies.windows.spectra.features([sample], sample.channel[:2])[0]
        np.testing.assert_allclose(found.features[number], expected, atol=1e-4)


def test_recordings_lose_their_electrodes_as_a_whole(described):
    found = described.missing(0.5, np.random.default_rng(0))
    there = np.isfinite(found.own).reshape(len(found.windows), 2, 7)
    assert (there.any(axis=2) == there.all(axis=2)).all() and (there.all(axis=2).sum(axis=1) == 1).all()
    by_recording = {w.recording: tuple(row) for w, row in zip(found.windows, there.all(axis=2), strict=True)}
    assert len(by_recording) == 8 and len(set(by_recording.values())) == 2
    assert all(by_recording[w.recording] == tuple(r) for w, r in zip(found.windows, there.all(axis=2), strict=True))
    assert np.isnan(found.features[:, 14:]).all()  # of the only pair, one is always missing


def test_matched_windows_have_the_same_power(studies, described):
    widths, matched = studies.windows.WIDTHS, studies.windows.MATCHED
    electrodes = changed(studies, described, studies.windows.match_electrodes)
    window = changed(studies, described, studies.windows.match_window)
    power, level = (np.exp(one.own).reshape(-1, 2, 7) @ widths for one in (electrodes, window))
    np.testing.assert_allclose(power, matched, rtol=1e-4)
    np.testing.assert_allclose(level.mean(axis=1), matched, rtol=1e-4)
    before = np.exp(described.own).reshape(-1, 2, 7) @ widths
    np.testing.assert_allclose(level[:, 0] / level[:, 1], before[:, 0] / before[:, 1], rtol=1e-4)


def test_halves_share_no_sample(described):
    half = described.halves()
    places = [set(), set()]
    for window, number in zip(described.windows, half.tolist(), strict=True):
        if number >= 0:
            places[number] |= {(window.recording, second) for second in range(window.start, window.start + 800)}
    assert not places[0] & places[1] and (half == 0).sum() == (half == 1).sum() == 32 and (half == -1).sum() == 16


def test_nobody_is_answered_by_what_they_showed(studies, described):
    asked = []

    def fit(train, validation):
        known = {*train.subjects, *validation.subjects}

        def answer(windows):
            assert not known & {*windows.subjects}
            asked.extend(np.unique(windows.subjects))
            return np.eye(2)[windows.labels]

        return answer

    found = studies.folds.out_of_fold(described, fit)
    np.testing.assert_array_equal(found.argmax(axis=1), described.labels)
    assert asked == sorted(set(described.subjects))


def test_the_planted_rhythm_is_found_and_not_where_labels_are_swapped(studies, described):
    found = studies.folds.out_of_fold(described, studies.controls._readout)
    assert (found.argmax(axis=1) == described.labels).mean() > 0.9
    (table,) = studies.controls.swapped(described, 4)
    accuracy = float(table.splitlines()[2].split("|")[2].split()[0])
    assert 0.2 < accuracy < 0.7


def test_the_expectation_is_what_many_draws_come_to(studies, described):
    form = studies.methods.Form("many", True, studies.methods.LEFT_OUT * 20)
    many, one = studies.methods.readout(described, form), studies.expected.expected(described)
    assert one.likelihood == pytest.approx(many.likelihood, abs=0.01)
    np.testing.assert_allclose(one.answer(described), many.answer(described), atol=0.03)
    np.testing.assert_allclose(one.left_out, many.left_out, atol=0.05)


def test_draws_are_averaged_and_a_difference_is_of_the_same_people(studies, described):
    right = np.eye(2)[described.labels]
    half = np.stack([right, right[:, ::-1]])
    found = {"both": studies.scores.Found(described, half), "one": studies.scores.Found(described, right[None])}
    (rows,) = studies.scores.compare(found, beside="one").texts()
    assert rows[0][1:3] == ("0.500 ± 0.707", "0.500 to 0.500") and rows[1][1] == "1.000"
    assert rows[0][-1] == "-0.500 (-0.500 to -0.500)" and rows[1][-1] == "–"


def test_calibration_error_of_a_class(studies):
    true, probability = np.array([True, True, False, False]), np.array([0.75, 0.75, 0.35, 0.31])
    assert studies.classes.class_error(true, probability) == pytest.approx((0.5 + 0.66) / 4)


def test_honest_probabilities_err_by_chance_alone(studies):
    sure, unsure = np.tile([1.0, 0.0], (100, 1)), np.tile([0.7, 0.3], (100, 1))
    assert studies.classes.honest_error(sure) == 0
    half_normal = np.sqrt(2 / np.pi * 0.7 * 0.3 / 100)  # one bin: the mean of |share - 0.7|
    assert studies.classes.honest_error(unsure) == pytest.approx(half_normal, rel=0.15)
