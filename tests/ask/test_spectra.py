"""Band powers against SciPy's, differences against signals that were really subtracted."""

import numpy as np
import pytest
from scipy.signal import welch

from neurolm.ask import spectra
from neurolm.ask.explanation import without_electrode, without_second
from neurolm.batches.loader import sample_from

SIGNAL = np.random.default_rng(0).normal(0, 20, (800, 4)).cumsum(axis=0) * 0.1
ELECTRODES = (3, 7, 11, 20)


def power(signal: np.ndarray) -> np.ndarray:
    """Mean density of every band."""
    hertz, density = welch(signal, fs=200, nperseg=200, axis=0)
    return np.array([density[(hertz >= low) & (hertz < high)].mean(axis=0) for low, high in spectra.BANDS])


def test_powers_are_those_of_welch_and_differences_are_differences() -> None:
    (found,) = spectra.features([sample_from(SIGNAL, np.array(ELECTRODES))], ELECTRODES)
    own = found[: spectra.own(4)].reshape(4, 7)
    np.testing.assert_allclose(own, np.log(power(SIGNAL).T + spectra.FLOOR), rtol=1e-4, atol=1e-4)
    pairs = found[spectra.own(4) :].reshape(6, 7)
    order = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    differences = np.stack([SIGNAL[:, i] - SIGNAL[:, j] for i, j in order], axis=1)
    np.testing.assert_allclose(pairs, np.log(power(differences).T + spectra.PAIR_FLOOR), rtol=1e-3, atol=1e-3)


def test_a_missing_electrode_takes_its_features_along_and_no_others() -> None:
    whole = sample_from(SIGNAL, np.array(ELECTRODES))
    complete, lacking = spectra.features([whole, without_electrode(whole, 7)], ELECTRODES)
    there = spectra.present(np.array([True, False, True, True]))
    assert np.isfinite(complete).all() and np.array_equal(np.isfinite(lacking), there)
    np.testing.assert_allclose(lacking[there], complete[there])
    (elsewhere,) = spectra.features([whole], (1, 2))
    assert np.isnan(elsewhere).all()


def test_the_order_of_electrodes_in_a_window_changes_nothing() -> None:
    turned = sample_from(SIGNAL[:, ::-1], np.array(ELECTRODES[::-1]))
    straight = sample_from(SIGNAL, np.array(ELECTRODES))
    one, other = spectra.features([straight, turned], ELECTRODES)
    np.testing.assert_allclose(one, other)


def test_a_second_that_is_left_out_is_in_no_segment() -> None:
    spoilt = SIGNAL.copy()
    spoilt[200:400] = 1e4
    whole, damaged = (sample_from(signal, np.array(ELECTRODES)) for signal in (SIGNAL, spoilt))
    one, other = spectra.features([without_second(whole, 1), without_second(damaged, 1)], ELECTRODES)
    np.testing.assert_allclose(one, other)
    assert one == pytest.approx(spectra.features([whole], ELECTRODES)[0], abs=2)


def test_windows_of_several_montages_and_lengths_are_described_as_each_by_itself() -> None:
    shapes = ((4, [0, 1, 2, 3]), (2, [3, 1]), (4, [2]), (1, [0, 1, 2, 3]), (4, [1, 0, 2, 3]))
    windows = [sample_from(SIGNAL[: 200 * long, chosen], np.array(ELECTRODES)[chosen]) for long, chosen in shapes]
    windows += [without_second(windows[0], 1), without_electrode(windows[0], 7), *windows[:2]]
    together = spectra.features(windows, ELECTRODES)
    np.testing.assert_allclose(together, np.concatenate([spectra.features([one], ELECTRODES) for one in windows]))
    assert np.isfinite(together[2]).sum() == len(spectra.BANDS)
    single = spectra.features(windows, ELECTRODES, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, together.astype(np.float32))
    np.testing.assert_allclose(together, np.concatenate([spectra.features([one], ELECTRODES) for one in windows]))
    assert np.isfinite(together[2]).sum() == len(spectra.BANDS)
    single = spectra.features(windows, ELECTRODES, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, together.astype(np.float32))


def test_features_of_a_window_are_those_of_its_seconds_added_up():
    rng = np.random.default_rng(5)
    signal = rng.normal(0, 20, (4 * 200, 3)).astype(np.float32)
    sample = sample_from(signal, [7, 3, 9])
    expected = spectra.features([sample], [3, 7, 50])
    own, between = zip(
        *(
            spectra.second_power(np.concatenate([np.zeros((2, 200)), signal.T[[1, 0]] / 100], 1)[:, at : at + 400])
            for at in range(0, 800, 200)
        ),
        strict=True,
    )
    power = (np.sum(own, axis=0) + np.sum(between[1:], axis=0)) / 7
    np.testing.assert_allclose(spectra.window_features(power, [3, 7], [3, 7, 50]), expected, rtol=1e-6)
    assert np.isnan(spectra.window_features(np.zeros((7, 0, 0)), [], [3, 7, 50])).all()
