"""Classical features against signals whose values are known, and against other programs."""

import sys

import numpy as np
import pytest
from scipy.signal import coherence, resample_poly, welch

from neurolm.core.errors import ConfigError
from neurolm.core.montage import ELECTRODES
from neurolm.core.physics import RATE
from neurolm.evaluation.baselines.handcrafted import BANDS, SLOW, handcrafted

CAP = (
    "FP1",
    "FP2",
    "F3",
    "F4",
    "F7",
    "F8",
    "T3",
    "T4",
    "C3",
    "C4",
    "T5",
    "T6",
    "P3",
    "P4",
    "O1",
    "O2",
    "FZ",
    "CZ",
    "PZ",
)
TIME = np.arange(4 * RATE) / RATE


def noise(channels: int, seed: int = 0) -> np.ndarray:
    return 10 * np.random.default_rng(seed).standard_normal((4 * RATE, channels))


def pink(exponent: float, channels: int = 1, seconds: int = 60) -> np.ndarray:
    """Noise whose power falls with the frequency to a power."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((seconds * RATE, channels)), axis=0)
    hertz = np.fft.rfftfreq(seconds * RATE, 1 / RATE)[:, None]
    return 100 * np.fft.irfft(spectrum * np.maximum(hertz, 0.5) ** (-exponent / 2), axis=0)


def test_ten_twenty_gives_about_a_hundred() -> None:
    found = handcrafted(noise(19), CAP)
    assert len(found) == 103
    assert np.isfinite(list(found.values())).all()


def test_powers_are_those_of_welch() -> None:
    signal = noise(3) * [1, 2, 3]
    found = handcrafted(signal, ("F3", "F4", "CZ"))
    hertz, power = welch(signal, RATE, nperseg=2 * RATE, axis=0)
    total = 0.0
    for band, (low, high) in BANDS.items():
        each = power[(hertz >= low) & (hertz < high)].mean(axis=0)
        total += each
        assert found[f"mean {band}"] == pytest.approx(np.log(each).mean(), abs=1e-4)
        assert found[f"SD of {band}"] == pytest.approx(np.log(each).std(), abs=1e-4)
        assert found[f"frontal {band}"] == pytest.approx(np.log(each[:2]).mean(), abs=1e-4)
        assert found[f"central {band}"] == pytest.approx(np.log(each[2]), abs=1e-4)
        assert found[f"frontal asymmetry of {band}"] == pytest.approx(np.log(each[1] / each[0]), abs=1e-4)
    alpha = power[(hertz >= 8) & (hertz < 13)].mean(axis=0)
    assert found["mean relative alpha"] == pytest.approx(np.log(alpha / total).mean(), abs=1e-4)


@pytest.mark.parametrize("exponent", (1.0, 2.0))
def test_slope_and_peak_are_those_planted(exponent: float) -> None:
    signal = pink(exponent)
    found = handcrafted(signal, ("PZ",))
    assert found["mean slope"] == pytest.approx(-exponent, abs=0.1)
    assert found["mean alpha peak above the slope"] < 0.3
    with_alpha = signal + 40 * np.sin(2 * np.pi * 9.5 * np.arange(len(signal)) / RATE)[:, None]
    other = handcrafted(with_alpha, ("PZ",))
    assert other["mean alpha peak in Hz"] == 9.5
    assert other["mean alpha peak above the slope"] > 1
    assert other["mean slope"] == pytest.approx(found["mean slope"], abs=0.05)


def test_entropies_and_dimensions_order_a_sine_pink_noise_and_white_noise() -> None:
    sine = 10 * np.sin(2 * np.pi * 5 * TIME)[:, None]
    each = [handcrafted(signal, ("CZ",)) for signal in (sine, pink(1.5, seconds=4), noise(1))]
    for name in ("spectral entropy", "sample entropy", "permutation entropy", "Higuchi's dimension", "mobility"):
        values = [found[f"mean {name}"] for found in each]
        assert values == sorted(values), name
    assert each[0]["mean Higuchi's dimension"] == pytest.approx(1, abs=0.05)  # a smooth line
    assert each[2]["mean Higuchi's dimension"] == pytest.approx(2, abs=0.05)  # fills the plane
    assert each[2]["mean permutation entropy"] == pytest.approx(1, abs=0.02)
    assert each[0]["mean mobility"] == pytest.approx(2 * np.sin(np.pi * 5 / RATE), rel=0.01)  # of differences
    assert each[0]["mean kurtosis"] == pytest.approx(1.5, abs=0.01)
    assert each[0]["mean log variance"] == pytest.approx(np.log(50), abs=0.01)


def test_sample_entropy_is_what_its_definition_counts() -> None:
    signal = pink(1, seconds=4)
    x = resample_poly(signal[:, 0], 1, SLOW)
    near = 0.2 * x.std()

    def alike(length: int) -> int:
        parts = np.lib.stride_tricks.sliding_window_view(x, length)[: len(x) - 2]
        return int((np.abs(parts[:, None] - parts[None]).max(axis=2) < near).sum() - len(parts))

    expected = -np.log(alike(3) / alike(2))
    assert handcrafted(signal, ("CZ",))["mean sample entropy"] == pytest.approx(expected, rel=0.02)


def test_coherence_is_that_of_what_electrodes_share() -> None:
    signal = np.random.default_rng(0).standard_normal((60 * RATE, 4))
    alpha = np.fft.rfft(np.random.default_rng(1).standard_normal(60 * RATE))
    hertz = np.fft.rfftfreq(60 * RATE, 1 / RATE)
    signal[:, 2:] += np.fft.irfft(np.where((hertz >= 7) & (hertz < 14), alpha, 0))[:, None]  # C3 and C4
    found = handcrafted(signal, ("F3", "F4", "C3", "C4"))
    frequency, both = coherence(signal[:, 2], signal[:, 3], RATE, nperseg=2 * RATE)
    inside = both[(frequency >= 8) & (frequency < 13)].mean()
    assert found["coherence of alpha, left and right"] == pytest.approx(inside / 2, abs=0.02)  # and F3 with F4: none
    assert found["coherence of beta, left and right"] < 0.01


@pytest.mark.parametrize(
    "channels", [("CZ",), ("O1", "O2"), ("A1",), ("FP1-F7", "FP2-F8", "T8-P8"), ("T3", "T4", "T5"), ELECTRODES]
)
def test_any_montage_gives_the_same_finite_features_for_every_window(channels: tuple[str, ...]) -> None:
    names = None
    for signal in (noise(len(channels)), np.zeros((RATE, len(channels))), 1e4 * noise(len(channels), 1)[:RATE]):
        found = handcrafted(signal.astype(np.float32), channels)
        assert np.isfinite(list(found.values())).all()
        assert list(found) == (names or list(found))
        names = list(found)
    assert ("whole asymmetry of alpha" in names) == (len(channels) > 1)


def test_order_of_the_electrodes_does_not_matter() -> None:
    signal, order = noise(19), np.random.default_rng(0).permutation(19)
    one, other = handcrafted(signal, CAP), handcrafted(signal[:, order], [CAP[n] for n in order])
    assert other == pytest.approx(one)


def test_without_antropy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "antropy", None)
    with pytest.raises(ConfigError, match=r"pip install 'neurolm\[baselines\]'"):
        handcrafted(noise(1), ("CZ",))
