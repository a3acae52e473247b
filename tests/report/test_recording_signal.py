"""The signal of a recording's report: spectra as SciPy and MNE have them, rhythms where they were planted."""

from dataclasses import replace

import edfio
import mne
import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt, welch

from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess
from neurolm.recording.recording import open_recording
from neurolm.report.recording.figures import sensitivity, shown_traces
from neurolm.report.recording.rhythm import find_rhythm
from neurolm.report.recording.scalp import in_order, placed, region, side, spelt
from neurolm.report.recording.spectra import BANDS, measure, without_drift

ELECTRODES = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2", "Cz", "T3")
RATE = 200


def pink(seconds: float, channels: int, seed: int = 0) -> np.ndarray:
    """Noise whose power falls with the frequency, as EEG's does: (channels, samples), 10 µV."""
    count = round(seconds * RATE)
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    noise = np.fft.rfft(np.random.default_rng(seed).standard_normal((channels, count))) / np.maximum(hertz, 0.5) ** 0.7
    noise = np.fft.irfft(noise, count)
    return 10 * noise / noise.std(axis=1, keepdims=True)


def write(path, signal: np.ndarray, names=ELECTRODES, annotations=()):
    """An EDF+ file of signals in µV."""
    edfio.Edf(
        [edfio.EdfSignal(one, RATE, label=name, physical_dimension="uV")
         for name, one in zip(names, signal, strict=True)],
        annotations=[edfio.EdfAnnotation(*one) for one in annotations],
    ).write(path)  # fmt: skip
    return open_recording(path, reading=ReadingOptions(unknown="nearest"))


def with_rhythm(seconds: float, left: float | None, right: float | None, microvolts: float = 12.0) -> np.ndarray:
    """Such noise with a rhythm at O1 and one at O2, in Hz."""
    signal, time = pink(seconds, len(ELECTRODES)), np.arange(round(seconds * RATE)) / RATE
    for name, hertz in (("O1", left), ("O2", right)):
        if hertz is not None:
            signal[ELECTRODES.index(name)] += microvolts * np.sin(2 * np.pi * hertz * time)
    return signal


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write(tmp_path_factory.mktemp("signal") / "a.edf", with_rhythm(90, 9.7, 9.7))


@pytest.fixture(scope="module")
def spectra(recording):
    return measure(recording, mains=50.0)


def test_spectra_are_those_of_scipy(recording, spectra):
    signal = preprocess(recording, mains=50.0).signal.T.astype(float)
    frequencies, power = welch(signal, RATE, nperseg=4 * RATE)
    assert np.allclose(spectra.frequencies, frequencies)
    assert np.allclose(spectra.power, power, rtol=1e-4, atol=1e-9)


def test_band_powers_are_those_of_mne(recording, spectra):
    signal = preprocess(recording, mains=50.0).signal.T.astype(float)
    power, hertz = mne.time_frequency.psd_array_welch(
        signal, RATE, n_fft=800, n_overlap=400, window="hann", verbose="error"
    )
    for name, (low, high) in BANDS.items():
        expected = power[:, (hertz >= low) & (hertz < high)].sum(axis=1) * 0.25
        assert np.allclose(spectra.bands()[name], expected, rtol=1e-3)


def test_a_planted_sine_has_its_power_in_its_band(tmp_path):
    signal = pink(60, len(ELECTRODES)) * 0.1
    signal[4] += 20 * np.sin(2 * np.pi * 10.25 * np.arange(60 * RATE) / RATE)  # 20² / 2 = 200 µV²
    found = measure(write(tmp_path / "a.edf", signal), mains=50.0)
    alpha = found.bands()["alpha"][found.electrodes.index("C3")]
    assert alpha == pytest.approx(200, rel=0.02)


def test_a_gap_and_what_is_called_bad_are_in_no_spectrum(tmp_path):
    signal = with_rhythm(120, 10.0, 10.0)
    signal[:, 40 * RATE : 60 * RATE] += 400 * np.sin(2 * np.pi * 3 * np.arange(20 * RATE) / RATE)
    bad = measure(write(tmp_path / "a.edf", signal, annotations=[(39.0, 22.0, "BAD_movement")]), mains=50.0)
    clean = measure(write(tmp_path / "b.edf", with_rhythm(120, 10.0, 10.0)), mains=50.0)
    ratio = bad.bands()["delta"] / clean.bands()["delta"]
    assert (ratio < 1.6).all()  # it would be thousands
    columns = np.isnan(bad.spectrogram).all(axis=1)
    times = np.flatnonzero(columns) * bad.step
    assert times.size and times.min() >= 36 and times.max() <= 60


def test_the_spectrogram_follows_the_time(tmp_path):
    time = np.arange(120 * RATE) / RATE
    signal = pink(120, len(ELECTRODES)) * 0.2 + 20 * np.sin(2 * np.pi * np.where(time < 60, 6.0, 20.0) * time)
    found = measure(write(tmp_path / "a.edf", signal), mains=50.0)
    peaks = found.frequencies[np.nan_to_num(found.spectrogram).argmax(axis=1)]
    assert np.allclose(peaks[1:14], 6.0) and np.allclose(peaks[16:29], 20.0)


@pytest.mark.parametrize("hertz", [6.3, 8.6, 9.7, 12.2])
def test_a_posterior_rhythm_is_found_where_it_was_planted(tmp_path, hertz):
    found = find_rhythm(measure(write(tmp_path / "a.edf", with_rhythm(90, hertz, hertz)), mains=50.0))
    assert found.frequency == pytest.approx(hertz, abs=0.1)
    assert found.left == pytest.approx(hertz, abs=0.1) and found.right == pytest.approx(hertz, abs=0.1)
    assert abs(found.asymmetry) < 1.5


def test_a_rhythm_of_one_side_is_one_sided(tmp_path):
    found = find_rhythm(measure(write(tmp_path / "a.edf", with_rhythm(90, None, 10.0, 25)), mains=50.0))
    assert found.left is None and found.right == pytest.approx(10.0, abs=0.1) and found.asymmetry > 6


def test_noise_has_no_rhythm_and_neither_has_a_head_without_a_back(tmp_path):
    for seed in range(5):
        noise = measure(write(tmp_path / f"{seed}.edf", pink(90, len(ELECTRODES), seed)), mains=50.0)
        assert find_rhythm(noise) is None
    for seed in range(5):
        short = measure(write(tmp_path / f"short{seed}.edf", pink(8 + 3 * seed, len(ELECTRODES), seed)), mains=50.0)
        assert find_rhythm(short) is None
    front = measure(write(tmp_path / "front.edf", with_rhythm(60, 10, 10)[:4], ELECTRODES[:4]), mains=50.0)
    assert find_rhythm(front) is None


def test_the_excerpt_is_typical_and_without_drift(tmp_path):
    signal = pink(60, len(ELECTRODES))
    signal[:, 20 * RATE : 30 * RATE] *= 8
    signal[:, 50 * RATE :] *= 0.05
    found = measure(write(tmp_path / "a.edf", signal), mains=50.0)
    assert found.excerpt.shape == (len(ELECTRODES), 10 * RATE)
    assert found.start not in (20.0, 50.0)
    slow = np.sin(2 * np.pi * 0.05 * np.arange(60 * RATE) / RATE)
    assert np.abs(without_drift(100 * slow)[20 * RATE : 40 * RATE]).max() < 2
    expected = sosfiltfilt(butter(2, 0.5, "highpass", fs=RATE, output="sos"), signal, axis=1)
    inner = slice(10 * RATE, 50 * RATE)
    assert np.allclose(without_drift(signal)[:, inner], expected[:, inner], atol=0.05 * signal.std())


def test_short_recordings_have_shorter_segments(tmp_path):
    found = measure(write(tmp_path / "a.edf", with_rhythm(3, 10.0, 10.0, 40)), mains=50.0)
    assert found.frequencies[1] == pytest.approx(1 / 3) and found.excerpt.shape[1] == 3 * RATE


def test_a_page_has_left_before_right_and_front_before_back():
    names = ("O2", "CZ", "FP2", "O1", "T3", "FP1", "FZ", "C3", "FP1-F7")
    assert [names[i] for i in in_order(names)] == ["FP1", "C3", "T3", "O1", "FP2", "O2", "FZ", "CZ", "FP1-F7"]


def test_names_of_electrodes_say_where_they_lie():
    assert [spelt(name) for name in ("FP1", "FPZ", "CZ", "POZ", "O1", "FP1-F7")] == [
        "Fp1", "Fpz", "Cz", "POz", "O1", "Fp1-F7"
    ]  # fmt: skip
    regions = {"FP1": "frontal", "AFZ": "frontal", "FC5": "central", "CP2": "central", "T7": "temporal",
               "FT9": "temporal", "P10": "parietal", "PO8": "occipital", "OZ": "occipital", "A1": None, "M2": None,
               "F7-T7": None}  # fmt: skip
    assert {name: region(name) for name in regions} == regions
    assert [side(name) for name in ("C3", "C4", "CZ", "F10", "FP1-F7")] == ["left", "right", "midline", "right", None]
    assert placed(("C3", "FP1-F7", "O2")) == [0, 2]


def test_many_traces_are_thinned_and_their_distance_suits_them(spectra):
    names = tuple(f"C{i}" for i in range(1, 7)) * 20
    assert len(shown_traces(names)) <= 40
    loud = replace(spectra, excerpt=spectra.excerpt * 10)
    places = range(len(ELECTRODES))
    assert sensitivity(loud, places) >= 5 * sensitivity(spectra, places)
