"""Codes in trigger channels, beside MNE's ``find_events``."""

import mne
import numpy as np
import pytest

from neurolm.recording.formats.codes import MOST_VALUES, Runs, codes_of, find_codes, find_runs


def by_mne(values: np.ndarray) -> np.ndarray:
    raw = mne.io.RawArray(values[None].astype(float), mne.create_info(["STI 014"], 100.0, "stim"), verbose="error")
    return mne.find_events(raw, shortest_event=1, verbose="error")


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("ignore:Trigger channel contains negative:RuntimeWarning")
def test_the_events_are_those_of_mne(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = -3 if seed % 4 == 0 else 0
    values = np.repeat(rng.integers(low, 7, 60), rng.integers(1, 5, 60)) * (255 if seed % 3 == 0 else 1)
    cuts = np.sort(rng.integers(0, len(values), 5))  # in parts of any length, empty ones too
    found = find_codes(np.split(values, cuts))
    assert found is not None
    expected = by_mne(values)
    np.testing.assert_array_equal(found.places, expected[:, 0])
    np.testing.assert_array_equal(found.codes, expected[:, 2])
    assert found.first == abs(values[0]) and found.negative == (values < 0).any()


def test_what_is_no_event_is_counted() -> None:
    found = find_codes([np.array([4, 4, 0, 3, 1, 0, 2, 2, 1, 0])])
    assert found is not None
    assert (found.first, found.lowered) == (4, 2)
    np.testing.assert_array_equal(found.codes, [3, 2])


def test_a_measurement_or_a_counter_is_no_trigger_channel() -> None:
    rng = np.random.default_rng(0)
    assert find_runs([rng.integers(-999, 999, 5000)]) is None
    assert find_runs([np.arange(5000) % 256]) is None
    assert find_runs([np.repeat(np.arange(MOST_VALUES + 1), 3)]) is None
    assert find_runs([rng.integers(0, 9, 60)]) is None  # a marker of one sample a second, without a marker
    assert find_codes([np.repeat([0, 1], 500) for _ in range(99)]) is not None


def test_a_channel_of_no_samples_or_of_one_value_has_no_events() -> None:
    for parts in ([], [np.zeros(0, int)], [np.full(9, 65280)]):
        found = find_codes(parts)
        assert found is not None and not len(found.places) and not found.first
    assert codes_of(Runs(np.array([0, 7]), np.array([65280, 65281]))).codes.tolist() == [65281]
