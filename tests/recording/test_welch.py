"""Power spectra against scipy.signal's."""

import numpy as np
import pytest
from scipy import signal

from neurolm.recording.welch import welch


@pytest.mark.parametrize(("samples", "segment"), [(4000, 800), (4001, 801), (799, 800), (1203, 800), (7, 1000)])
@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_equals_scipy(samples: int, segment: int, kind: type, tolerance: float) -> None:
    given = (np.random.default_rng(samples).normal(size=(3, samples)).cumsum(axis=1) + 50).astype(kind)
    frequencies, power = welch(given, 201.5, segment=segment)
    expected_frequencies, expected = signal.welch(given, 201.5, nperseg=min(segment, samples))
    assert power.dtype == expected.dtype == kind
    np.testing.assert_array_equal(frequencies, expected_frequencies)
    np.testing.assert_allclose(power, expected, rtol=tolerance, atol=tolerance * expected.max())
