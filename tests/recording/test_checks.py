"""What is measured and said about a signal, on signals made for it."""

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording import checks
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

RATE = 250


def noise(channels: int, seconds: float = 8.0, sd: float = 20.0) -> np.ndarray:
    return np.random.default_rng(3).normal(0, sd, (channels, round(seconds * RATE)))


def mne_raw(data: np.ndarray, names: tuple[str, ...], rate: float = RATE) -> mne.io.RawArray:
    return mne.io.RawArray(data * 1e-6, mne.create_info(list(names), rate, "eeg"), verbose="error")


def test_a_clipped_channel_is_noted_and_a_saturated_one_refused() -> None:
    data = noise(4)
    data[1] = np.clip(np.cumsum(data[1]), -100, 100)  # wanders, and stays at its limits for long
    data[2, 500:650] = data[2].max() + 5  # 7.5 % of its samples
    share = float(np.mean(np.abs(data[1]) == 100))  # 2 % of it alone, in no run of three
    raw = mne_raw(data, ("Fp1", "Cz", "O2", "Pz"))
    assert share == pytest.approx(0.68, abs=0.01)
    with pytest.raises(RecordingError, match=r"CZ: saturated \(68% at its limits\).*'interpolate'"):
        open_recording(raw)
    recording = open_recording(raw, reading=ReadingOptions(unknown="drop"))
    assert recording.channels == ("FP1", "O2", "PZ")
    said = " ".join(recording.notes)
    assert "left out, saturated (68% at its limits): CZ" in said
    assert "clipped, or held at one value, at its own limits: O2 (8% of its samples)" in said
    (row,) = [row for row in recording.coverage if row.channel == "Cz"]
    assert (row.electrode, row.how, row.detail) == (None, "left out", "saturated (68% at its limits)")


def test_bridged_electrodes_are_named() -> None:
    """Gel between two leaves the amplifiers' noise alone between them; neighbours differ by more."""
    data = noise(4)
    data[1] = data[0] + noise(1, sd=0.6)[0]
    data[3] = data[2] + noise(2, sd=2.0)[1]
    names = ("Fp1", "Fp2", "Cz", "Pz")
    bridged = "electrodes bridged by gel, one channel copied, or a reference that hides the EEG"
    found = [note for note in open_recording(mne_raw(data, names)).notes if "one signal" in note]
    assert found == [f"one signal in FP1 and FP2: {bridged}"]
    assert not any("one signal" in note for note in open_recording(mne_raw(noise(4), names)).notes)
    data[:] = data[0] + noise(5, sd=0.5)[1:]
    assert f"all 4 channels show one signal: {bridged}" in open_recording(mne_raw(data, names)).notes


def test_coarse_digits_are_no_clipping() -> None:
    """A signal of few steps touches its limits often."""
    coarse = np.round(noise(2, sd=1.0)) * 5.0
    assert checks.measure_quality([coarse], RATE).clipped.max() == 0


def test_a_trigger_channel_by_an_electrodes_name_is_noted() -> None:
    data = noise(2)
    data[1] = 0.0
    data[1, ::100] = 30.0
    data[1, 50::300] = 60.0
    notes = " ".join(open_recording(mne_raw(data, ("Cz", "Pz"))).notes)
    assert "few different values, as a trigger channel or a coarse export has: PZ (3 values)" in notes


def test_the_unit_is_decided_from_the_amplitude_when_asked() -> None:
    data = noise(3)
    for factor, unit in ((1e3, "mV"), (1e6, "uV"), (1e9, "nV")):  # numbers that MNE takes for volts
        raw = mne_raw(data * factor, ("Fp1", "Cz", "O2"))
        with pytest.raises(RecordingError, match=rf"unit='{unit}' .*unit='auto'"):
            open_recording(raw)
        recording = open_recording(raw, reading=ReadingOptions(unit="auto"))
        assert recording.unit == unit
        np.testing.assert_allclose(recording.read(), data)
        assert f"unit auto: the numbers are taken as {unit}" in " ".join(recording.notes)
        assert recording.coverage[0].amplitude == pytest.approx(20, rel=0.1)
    right = open_recording(mne_raw(data, ("Fp1", "Cz", "O2")), reading=ReadingOptions(unit="auto"))
    assert "unit auto: V, as the file says" in " ".join(right.notes)
    np.testing.assert_allclose(right.read(), data)
    with pytest.raises(RecordingError, match=r"no other unit .*unit='V' opens it all the same"):
        open_recording(mne_raw(data * 1e-3, ("Fp1", "Cz", "O2")), reading=ReadingOptions(unit="auto"))


@pytest.mark.parametrize("sd", [565.0, 1500.0, 0.4])
def test_a_seizure_is_no_wrong_unit(sd: float) -> None:
    """1,000 times less, or more, would be EEG too, but hardly."""
    raw = mne_raw(noise(3, sd=sd), ("Fp1", "Cz", "O2"))
    kept = open_recording(raw, reading=ReadingOptions(unit="auto"))
    assert kept.unit == "V"
    np.testing.assert_allclose(kept.read(), raw.get_data() * 1e6)
    said = " ".join(kept.notes)
    assert "unit auto: V, as the file says; the typical amplitude is" in said
    assert "warning: with its numbers taken as V" in said
    with pytest.raises(RecordingError, match="if V is right, unit='V' opens it all the same") as error:
        open_recording(raw)
    assert "'mV'" not in str(error.value) and "'nV'" not in str(error.value) and "auto" not in str(error.value)


@pytest.mark.parametrize(("sd", "stated", "fits"), [(565e3, "mV", "uV"), (9e5, "mV", "uV"), (2e4, "uV", "nV")])
def test_of_other_units_nanovolts_come_last(tmp_path, sd: float, stated: str, fits: str) -> None:
    """A header of millivolts over numbers of microvolts, in a seizure: 0.565 µV would be within the limits too."""
    data = noise(2, sd=sd / {"mV": 1e3, "uV": 1.0}[stated])
    top = float(np.ceil(np.abs(data).max()))
    signals = [
        edfio.EdfSignal(one, RATE, label=name, physical_dimension=stated, physical_range=(-top, top))
        for one, name in zip(data, ("Fp1", "O2"), strict=True)
    ]
    edfio.Edf(signals).write(tmp_path / "a.edf")
    assert open_recording(tmp_path / "a.edf", reading=ReadingOptions(unit="auto")).unit == fits


@pytest.mark.parametrize(("sd", "unit"), [(20.0, "mV"), (20.0, "nV"), (0.001, "V"), (1e6, "V")])
def test_a_unit_that_is_given_is_taken_with_a_warning(sd: float, unit: str) -> None:
    data = noise(3, sd=sd)
    recording = open_recording(mne_raw(data, ("Fp1", "Cz", "O2")), reading=ReadingOptions(unit=unit))
    assert recording.unit == unit
    np.testing.assert_allclose(recording.read(), data * {"mV": 1e-3, "nV": 1e-9, "V": 1.0}[unit])
    (warning,) = recording.notes
    assert warning.startswith(f"warning: with its numbers taken as {unit}, the typical amplitude (robust standard")


def test_what_is_no_eeg_among_eeg_is_seen_block_by_block() -> None:
    """A table read as signal moves no median."""
    data = noise(2, seconds=120.0)
    data[:, 110 * RATE :] = np.random.default_rng(0).integers(-(2**31), 2**31, data[:, 110 * RATE :].shape) * 0.03
    raw = mne_raw(data, ("C3", "O1"))
    (note,) = open_recording(raw).notes
    assert note.startswith("between 110 and 120 s the typical amplitude is ")


def test_slow_recordings_are_taken_and_said() -> None:
    raw = mne_raw(noise(2), ("Fp1", "Cz"), rate=128.0)
    assert any("sampled at 128 Hz, below 150" in note for note in open_recording(raw).notes)
    assert open_recording(mne_raw(noise(2), ("Fp1", "Cz"), rate=160.0)).notes == ()


def test_annotations_outside_the_recording_are_cut_off_and_said() -> None:
    raw = mne_raw(noise(2), ("Fp1", "Cz"))
    marks = mne.Annotations([1.0, 7.0, 7.9], [0.5, 0.5, 0.05], ["in", "across", "late"])
    raw.set_annotations(marks)
    raw._annotations = mne.Annotations(
        [1.0, 7.0, 9.0, -2.0, np.nan, 2.0],
        [0.5, 4.0, 1.0, 1.0, 1.0, np.nan],
        ["in", "across", "late", "early", "?", "?"],
    )
    recording = open_recording(raw)
    assert [(mark.onset, mark.duration, mark.text) for mark in recording.annotations] == [
        (1.0, 0.5, "in"),
        (7.0, 1.0, "across"),
    ]
    assert recording.notes == (
        "annotations outside the recording's 8 s left out: 4",
        "annotations that reach beyond the recording cut off there: 1",
    )


def test_measuring_never_complains() -> None:
    data = noise(3)
    data[0, 5] = np.nan
    data[1] = 4.0
    found = checks.measure_quality([data[:, :1000], data[:, 1000:]], RATE)
    assert found.samples == data.shape[1]
    assert found.not_finite.tolist() == [1, 0, 0]
    assert found.flat.tolist() == [False, True, False]
    assert found.unusable == {1: "flat"}
    assert found.amplitude[2] == pytest.approx(20, rel=0.1)
    assert np.isnan(checks.measure_quality([np.ones((2, 500))], RATE).typical)


def test_every_sample_at_a_limit_counts_where_the_channel_stays_there() -> None:
    """Noise that is cut off meets its limits mostly for single samples; what touches them once is not cut off."""
    data = noise(3, seconds=40.0)
    data[1] = np.clip(data[1], -30, 30)
    true = np.mean(np.abs(data[1]) == 30)
    assert true == pytest.approx(0.134, abs=0.01)  # beyond 1.5 standard deviations
    found = checks.measure_quality([data[:, :5000], data[:, 5000:]], RATE)
    assert found.clipped == pytest.approx([0, true, 0])
