"""Kernels against those that MNE designs."""

import mne
import numpy as np
import pytest
from scipy.signal import fftconvolve

from neurolm.recording.filters import Design, convolve, kernels

# At some of these rates a kernel's length lies between two numbers: MNE rounds one step up, the next to the nearest.
RATES = [90.0, 112.5, 128.0, 159.0, 162.5, 173.61, 187.5, 200.0, 250.0, 250.5, 256.0, 333.3, 512.0, 1000.0, 5000.0]


@pytest.mark.parametrize(
    ("rate", "notch"), [(r, n) for r in RATES for n in (None, 50.0, 60.0) if not n or n + 2 < r / 2]
)
def test_equal_mnes(rate: float, notch: float | None) -> None:
    high = min(75.0, 0.45 * rate)
    expected = [mne.filter.create_filter(None, rate, 0.1, high, verbose="error")]
    if notch is not None:
        edges = [notch + notch / 400 + 0.5], [notch - notch / 400 - 0.5]
        expected.append(
            mne.filter.create_filter(None, rate, *edges, l_trans_bandwidth=0.5, h_trans_bandwidth=0.5, verbose="error")
        )
    found = kernels(Design(rate, 200.0, (0.1, high), notch))
    assert [len(kernel) for kernel in found.each] == [len(kernel) for kernel in expected]
    for one, other in zip(found.each, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-15)
    total = expected[0] if notch is None else fftconvolve(*expected)
    np.testing.assert_allclose(found.total, total, rtol=0, atol=1e-15)


def test_convolving_is_that_of_scipy() -> None:
    many, kernel = np.random.default_rng(0).normal(size=(4, 300)), np.random.default_rng(1).normal(size=77)
    np.testing.assert_allclose(convolve(many, kernel), fftconvolve(many, kernel[None], axes=1), rtol=0, atol=1e-12)
