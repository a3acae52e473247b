"""Windows like those of the training go without a warning; scaled ones and ones with noise added do not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from neurolm.ask.novelty import BANDS, FEATURES, Ranges, TrainingRange, compare, describe, measure_range
from neurolm.batches.loader import Sample, sample_from
from neurolm.core.errors import ConfigError


def person(seed: int, *, seconds: int = 4, windows: int = 30) -> list[Sample]:
    """Windows of somebody: 1/f noise with an amplitude of the person's own, four electrodes."""
    rng = np.random.default_rng(seed)
    size = 8.0 * np.exp(0.2 * rng.standard_normal())
    spectrum = np.fft.rfft(rng.standard_normal((seconds * windows * 200, 4)), axis=0)
    frequency = np.maximum(np.fft.rfftfreq(seconds * windows * 200, 1 / 200), 0.5)[:, None]
    signal = np.fft.irfft(spectrum / np.sqrt(frequency), axis=0)
    signal *= size / signal.std()
    return [sample_from(part, [1, 2, 3, 4]) for part in np.split(signal, windows)]


@pytest.fixture(scope="module")
def known() -> TrainingRange:
    people = [person(seed) for seed in range(12)]
    subjects = [str(number) for number, windows in enumerate(people) for _ in windows]
    return measure_range("t", np.concatenate([describe(windows) for windows in people]), subjects)


def changed(samples: list[Sample], change) -> list[Sample]:
    return [replace(s, patches=change(s.patches).astype(np.float32)) for s in samples]


def test_a_rhythm_shows_in_its_band_and_amplitude_in_microvolts():
    time = np.arange(800) / 200
    for name, hz in (("delta", 2), ("theta", 6), ("alpha", 10), ("beta", 20), ("gamma", 40)):
        signal = 20 * np.sqrt(2) * np.sin(2 * np.pi * hz * time)[:, None] * np.ones(2)
        (found,) = describe([sample_from(signal, [1, 2])])
        typical = dict(zip(FEATURES, found, strict=True))
        powers = {band: typical[f"{band}, typical electrode"] for band in BANDS}
        assert max(powers, key=powers.__getitem__) == name
        assert 10 ** (typical["amplitude, typical electrode"] / 2) == pytest.approx(20, rel=1e-3)


def test_people_like_those_of_the_training_are_not_warned_about(known):
    warned = [compare(known, describe(person(seed))).warning for seed in range(100, 130)]
    assert sum(found is not None for found in warned) <= 3  # one in thirteen or so, with twelve to learn from


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p * 5, "above"),
        (lambda p: p / 5, "below"),
        (lambda p: p + 0.3 * np.random.default_rng(0).standard_normal(p.shape), "above"),
    ],
)
def test_scaled_and_noisy_windows_are_warned_about(known, change, words):
    for seed in range(100, 105):
        found = compare(known, describe(changed(person(seed), change)))
        assert found.outside > 0.9 and found.warning is not None
        assert words in found.warning and "unlike the training data" in found.warning


def test_a_single_wild_electrode_is_seen(known):
    def wild(patches: np.ndarray) -> np.ndarray:
        out = patches.copy()
        out[::4] *= 20
        return out

    found = compare(known, describe(changed(person(100), wild)))
    assert found.warning is not None and "strongest electrode" in found.warning


def test_it_comes_back_from_its_file_and_may_be_missing(known, tmp_path):
    assert Ranges.load(tmp_path) is None
    Ranges(tasks=(known,)).save(tmp_path)
    assert Ranges.load(tmp_path) == Ranges(tasks=(known,))
    assert (tmp_path / Ranges.FILE).stat().st_size < 4000


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"margin": float("nan")}, "margin: expected a finite number, found NaN"),
        ({"margin": -1.0}, "margin must be between 0"),
        ({"spread": 0.0}, "spread must be between"),
        ({"low": float("-inf")}, "low 1: expected a finite number, found -inf"),
        ({"high": 1e9}, "high must be between"),
    ],
)
def test_a_range_that_would_never_warn_is_refused(tmp_path, known, change, wrong):
    Ranges(tasks=(known,)).save(tmp_path)
    assert Ranges.load(tmp_path).of("t") == known
    found = json.loads((tmp_path / Ranges.FILE).read_text())
    for name, value in change.items():
        found["tasks"][0][name] = value if name == "margin" else [value, *found["tasks"][0][name][1:]]
    (tmp_path / Ranges.FILE).write_text(json.dumps(found))
    with pytest.raises(ConfigError, match=rf"training_range\.json: tasks 1\.{wrong}"):
        Ranges.load(tmp_path)


def test_what_is_hardly_outside_is_not_called_0_db_above():
    flat = np.zeros((40, len(FEATURES)))
    known = measure_range("t", flat, ["one"] * len(flat))
    for shift, words in ((0.001, "less than 0.1 dB above"), (0.03, "0.3 dB above"), (-0.25, "2 dB below")):
        warning = compare(known, flat + shift).warning
        assert warning is not None and f"is {words} it there" in warning
