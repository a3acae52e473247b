"""Preprocessing against MNE's own pipeline, and against what filters must do."""

from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.data.preprocess import preprocess
from neurolm.data.recording import Recording, open_recording
from neurolm.errors import RecordingError


def recording(data: np.ndarray, rate: float) -> Recording:
    names = ["Cz", "Pz", "Oz", "Fz"][: len(data)]
    return open_recording(mne.io.RawArray(data * 1e-6, mne.create_info(names, rate, "eeg"), verbose="error"))


def waves(frequency: float, seconds: float, rate: float, amplitude: float = 30.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def noise(channels: int, seconds: float, rate: float) -> np.ndarray:
    """Noise with the 1/f spectrum of EEG, about 20 µV."""
    count = round(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=(channels, count)))
    shaped = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.fft.rfftfreq(count, 1 / rate), 0.5)), count)
    return 20 * shaped / shaped.std()


@pytest.mark.parametrize("rate", [160.0, 200.0, 256.0, 500.0])
def test_equals_mne(rate: float) -> None:
    given = recording(noise(3, 40, rate), rate)
    ours = preprocess(given, mains=50.0)
    raw = mne.io.RawArray(given.read(), mne.create_info(3, rate, "eeg"), verbose="error")
    raw.filter(0.1, 75.0, verbose="error").notch_filter(50.0, verbose="error").resample(200.0, verbose="error")
    assert ours.signal.dtype == np.float32
    assert ours.signal.shape == (40 * 200, 3)
    assert ours.signal.flags.c_contiguous
    assert ours.band == (0.1, 75.0)
    np.testing.assert_allclose(ours.signal, raw.get_data().T, rtol=1e-5, atol=1e-5)


def test_equals_mne_on_real_eeg(shared: Path) -> None:
    path = shared / "eeg" / "eegmmidb" / "S001" / "S001R01.edf"
    opened = open_recording(path, channels=["Fc5", "Cz", "Oz"])
    ours = preprocess(opened)
    raw = mne.io.read_raw_edf(path, verbose="error").load_data(verbose="error").pick(["Fc5.", "Cz..", "Oz.."])
    raw.filter(0.1, 75.0, verbose="error").notch_filter(60.0, verbose="error").resample(200.0, verbose="error")
    assert ours.mains == 60.0
    np.testing.assert_allclose(ours.signal, raw.get_data().T * 1e6, rtol=1e-5, atol=1e-4)


def test_alpha_passes_and_hum_offset_and_high_frequencies_do_not() -> None:
    rate, seconds = 512.0, 60.0
    spoilt = waves(10, seconds, rate) + waves(50, seconds, rate) + waves(110, seconds, rate) + 5000
    signal = preprocess(recording(np.stack([spoilt]), rate), mains=50.0).signal[:, 0]
    kept = slice(17 * 200, 43 * 200)  # half a kernel from the edges
    wanted = waves(10, seconds, 200)
    np.testing.assert_allclose(signal[kept], wanted[kept], atol=0.1)


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_mains_are_found_and_removed(mains: float) -> None:
    data = noise(3, 30, 256.0) + waves(mains, 30, 256.0, amplitude=5.0)
    result = preprocess(recording(data, 256.0))
    assert result.mains == mains
    assert f"mains {mains:g} Hz" in result.notes[-1]
    spectrum = np.abs(np.fft.rfft(result.signal[400:-400], axis=0)).mean(axis=1)
    frequencies = np.fft.rfftfreq(len(result.signal) - 800, 1 / 200)
    line = spectrum[np.abs(frequencies - mains) < 0.2].max()
    assert line < np.median(spectrum[np.abs(frequencies - mains - 6) < 3])


def test_mains_are_assumed_where_they_do_not_show() -> None:
    assert "no line" in preprocess(recording(noise(2, 30, 256.0), 256.0)).notes[-1]
    short = preprocess(recording(noise(2, 5, 256.0), 256.0))
    assert short.mains == 50.0
    assert "too short" in short.notes[-1]
    assert "shorter than the 33 s" in short.notes[0]


@pytest.mark.parametrize(("rate", "high"), [(100.0, 45.0), (128.0, 57.6), (150.0, 67.5)])
def test_slow_recordings_have_a_narrower_band(rate: float, high: float) -> None:
    data = np.stack([waves(10, 50, rate), waves(20, 50, rate)])
    result = preprocess(recording(data, rate))
    assert result.band == (0.1, high)
    assert f"band limited to {high:g} Hz" in result.notes[0]
    assert result.signal.shape == (50 * 200, 2)
    kept = slice(17 * 200, 33 * 200)  # half a kernel from the edges
    spectrum = np.abs(np.fft.rfft(result.signal[kept], axis=0)) * 2 / (16 * 200)
    np.testing.assert_allclose(spectrum[[160, 320], [0, 1]], 30, rtol=0.01)  # 10 and 20 Hz keep their 30 µV


def test_too_slow_and_too_short_recordings_are_refused() -> None:
    with pytest.raises(RecordingError, match=r"64 samples per second.*at least 100"):
        preprocess(recording(noise(1, 10, 64.0), 64.0))
    with pytest.raises(RecordingError, match=r"0\.5 s long"):
        preprocess(recording(noise(1, 0.5, 256.0), 256.0))


def test_one_second_is_one_patch() -> None:
    assert preprocess(recording(noise(2, 1, 256.0), 256.0)).signal.shape == (200, 2)


def test_channels_do_not_depend_on_each_other() -> None:
    data = noise(3, 12, 256.0)
    together = preprocess(recording(data, 256.0), mains=50.0).signal
    alone = preprocess(recording(data[1:2], 256.0), mains=50.0).signal
    np.testing.assert_allclose(together[:, 1], alone[:, 0], atol=1e-4)
