"""Preprocessing against MNE's own pipeline, and against what filters must do."""

import re
import tracemalloc
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.core.physics import Filters
from neurolm.recording import spectral
from neurolm.recording.channels import Signal
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import _block_seconds, preprocess, preprocess_blocks
from neurolm.recording.recording import Recording, open_recording


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


def mne_result(given: Recording, mains: float = 50.0, high: float = 75.0) -> np.ndarray:
    """What MNE's own steps make of a recording: (samples, channels), µV."""
    signal = mne.filter.filter_data(given.read(), given.rate, 0.1, high, verbose="error")
    if mains + 2 < given.rate / 2:
        signal = mne.filter.notch_filter(signal, given.rate, mains, verbose="error")
    if given.rate != 200.0:
        signal = mne.filter.resample(signal, up=200.0, down=given.rate, npad="auto", verbose="error")
    return signal.T


def disagreement(ours: np.ndarray, other: np.ndarray) -> float:
    """RMS difference in µV: of the whole, or of the first or last two seconds if it is larger there."""
    assert ours.shape == other.shape
    difference = np.asarray(ours, float) - other
    return max(float(np.sqrt(np.mean(part**2))) for part in (difference, difference[:400], difference[-400:]))


@pytest.mark.filterwarnings("ignore:filter_length")
@pytest.mark.parametrize("rate", [100.0, 128.0, 160.0, 200.0, 250.0, 250.3, 256.0, 500.0, 512.0, 1000.0, 2048.0])
@pytest.mark.parametrize("seconds", [2, 41])  # shorter than half the kernel, and longer than it
def test_equals_mne(rate: float, seconds: float) -> None:
    given = recording(noise(2, seconds, rate) + 100, rate)
    ours = preprocess(given, mains=50.0)
    assert ours.signal.dtype == np.float32
    assert ours.signal.shape == (round(given.samples / rate * 200), 2)
    assert ours.signal.flags.c_contiguous
    assert disagreement(ours.signal, mne_result(given, high=ours.band[1])) < (1e-5 if seconds < 10 else 6e-4)


@pytest.mark.parametrize("rate", [250.0, 128.0])
def test_the_ringing_of_mnes_padding_is_there_too(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # Short of a power of two by 200 samples, MNE pads by no more than 100 on either side.
    given = recording(noise(2, (2**13 - 200) / rate, rate), rate)
    high = min(75.0, 0.45 * rate)
    expected = mne_result(given, high=high)
    equal = disagreement(preprocess(given, mains=50.0).signal, expected)
    monkeypatch.setattr(spectral.Jump, "add", lambda self, result, first: None)
    without = disagreement(preprocess(given, mains=50.0).signal, expected)
    assert equal < 2e-3
    assert without > 5 * equal


def test_equals_mne_on_real_eeg(shared: Path) -> None:
    path = shared / "eeg" / "eegmmidb" / "S001" / "S001R01.edf"
    opened = open_recording(path, reading=ReadingOptions(channels=["Fc5", "Cz", "Oz"]))
    ours = preprocess(opened)
    raw = mne.io.read_raw_edf(path, verbose="error").load_data(verbose="error").pick(["Fc5.", "Cz..", "Oz.."])
    raw.filter(0.1, 75.0, verbose="error").notch_filter(60.0, verbose="error").resample(200.0, verbose="error")
    assert ours.mains == 60.0
    assert disagreement(ours.signal, raw.get_data().T * 1e6) < 1e-4


@pytest.mark.parametrize("name", ["Subject03_1", "Subject20_2"])
def test_equals_mne_on_eegmat(shared: Path, name: str) -> None:
    path = shared / "eeg" / "eegmat" / f"{name}.edf"
    ours = preprocess(open_recording(path, reading=ReadingOptions(channels=["Fp1", "T3", "Cz", "O2"])), mains=50.0)
    raw = mne.io.read_raw_edf(path, include=["EEG Fp1", "EEG T3", "EEG Cz", "EEG O2"], preload=True, verbose="error")
    raw.filter(0.1, 75.0, verbose="error").notch_filter(50.0, verbose="error").resample(200.0, verbose="error")
    expected = raw.get_data(picks=["EEG Fp1", "EEG T3", "EEG Cz", "EEG O2"]).T * 1e6
    assert disagreement(ours.signal, expected) < 1e-4


@pytest.mark.parametrize("offset", [30_000.0, -300_000.0])
def test_large_offsets_and_drift_cost_no_precision(offset: float) -> None:
    drift = np.linspace(0, 20_000, 50 * 256)  # direct-coupled amplifiers
    given = recording(noise(3, 50, 256.0) + offset + drift, 256.0)
    assert disagreement(preprocess(given, mains=50.0).signal, mne_result(given)) < 3e-4


@pytest.mark.parametrize("rate", [128.0, 200.0, 250.0, 256.0, 500.0])
def test_blocks_are_the_whole(rate: float) -> None:
    given = recording(noise(2, 155, rate), rate)
    whole = preprocess(given, mains=50.0)
    found = preprocess_blocks(given, mains=50.0, block_seconds=60)
    blocks = list(found.blocks)
    assert [len(block) for block in blocks] == [10_333, 10_333, 10_334]
    assert (found.samples, found.channels) == whole.signal.shape
    assert (found.mains, found.band, found.notes) == (whole.mains, whole.band, whole.notes)
    together = np.concatenate(blocks)
    assert together.dtype == np.float32
    assert np.abs(together - whole.signal).max() < 1e-3
    assert disagreement(together, mne_result(given, high=whole.band[1])) < 6e-4


def test_a_long_recording_is_blocks_by_itself() -> None:
    given = recording(noise(1, 700, 128.0), 128.0)
    blocks = [len(block) for block in preprocess_blocks(given, mains=50.0).blocks]
    assert blocks == [70_000, 70_000]
    assert disagreement(preprocess(given, mains=50.0).signal, mne_result(given, high=57.6)) < 1e-3


def test_many_channels_at_a_high_rate_make_shorter_blocks() -> None:
    assert _block_seconds(pretended(channels=20, rate=250.0, hours=1)) == 600
    assert 100 < _block_seconds(pretended(channels=64, rate=2048.0, hours=1)) < 200
    assert _block_seconds(pretended(channels=256, rate=20_000.0, hours=1)) == 60


def pretended(*, channels: int, rate: float, hours: float) -> Recording:
    """A recording that is made up while it is read."""

    def read(first: int, last: int) -> np.ndarray:
        return np.stack([np.sin(np.arange(first, last) * (0.1 + 0.001 * i)) for i in range(channels)])

    signal = Signal(rate, round(hours * 3600 * rate), (1.0,) * channels, (), read)
    names = tuple(f"C{i}" for i in range(channels))
    return Recording(
        path=None,
        channels=names,
        rate=rate,
        samples=signal.samples,
        annotations=(),
        notes=(),
        unit="uV",
        stretches=signal.stretches,
        _signal=signal,
        _microvolts=np.ones(channels),
    )


@pytest.mark.parametrize("filters", ["zero-phase", "causal"])
def test_memory_does_not_grow_with_the_recording(filters: Filters) -> None:
    peaks = []
    for hours in (0.5, 3):
        found = preprocess_blocks(pretended(channels=2, rate=100.0, hours=hours), mains=50.0, filters=filters)
        tracemalloc.start()
        assert sum(len(block) for block in found.blocks) == hours * 3600 * 200
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 3 * 3600 * 200 * 2 * 4  # less than the result


def test_blocks_that_are_too_short_are_refused() -> None:
    with pytest.raises(ValueError, match=r"block_seconds=5: give at least 60"):
        preprocess_blocks(recording(noise(1, 10, 256.0), 256.0), block_seconds=5)


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
    assert re.fullmatch(rf"mains {mains:g} Hz: hum of \d+ times the power around it, removed", result.notes[-1])
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
