"""Which channels are EEG and which electrodes they are, on real files and caps."""

from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

RATE = 250


def mne_raw(names: list[str], data: np.ndarray, types: str | list[str] = "eeg") -> mne.io.RawArray:
    return mne.io.RawArray(data * 1e-6, mne.create_info(names, RATE, types), verbose="error")


def noise(channels: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 20, (channels, 4 * RATE))


def test_eegmat_gives_its_19_electrodes(shared: Path) -> None:
    recording = open_recording(shared / "eeg" / "eegmat" / "Subject00_1.edf")
    assert len(recording.channels) == 19
    assert {"T3", "T4", "T5", "T6", "FP1", "PZ"} <= set(recording.channels)
    assert (recording.rate, recording.seconds, recording.unit) == (500.0, 182.0, "uV")
    assert recording.notes == ("left out, reference: EEG A2-A1", "left out, ecg: ECG ECG")


def test_eegmmidb_gives_its_64_electrodes_and_events(shared: Path) -> None:
    recording = open_recording(shared / "eeg" / "eegmmidb" / "S001" / "S001R03.edf")
    assert len(set(recording.channels)) == 64
    assert recording.notes == ()
    assert {a.text for a in recording.annotations} == {"T0", "T1", "T2"}


def test_channels_of_other_kinds_are_left_out_by_name_and_by_type() -> None:
    names = ["Fp1", "EOG left", "EMG chin", "ECG", "A2-A1", "STATUS", "SpO2", "Pz"]
    raw = mne_raw(names, noise(8), ["eeg"] * 7 + ["misc"])
    recording = open_recording(raw)
    assert recording.channels == ("FP1",)
    notes = " ".join(recording.notes)
    for kind, name in [("eog", "EOG left"), ("emg", "EMG chin"), ("ecg", "ECG"), ("reference", "A2-A1")]:
        assert f"{kind}: {name}" in notes
    for kind, name in [("stimulus", "STATUS"), ("other", "SpO2, Pz")]:
        assert f"{kind}: {name}" in notes


def test_unknown_electrodes_under_each_policy() -> None:
    raw = mne_raw(["Fp1", "B7", "X3"], noise(3))
    with pytest.raises(RecordingError, match=r"B7, X3.*unknown='drop'.*channels="):
        open_recording(raw)
    for policy in ("drop", "nearest"):  # without positions there is no nearest
        recording = open_recording(raw, reading=ReadingOptions(unknown=policy))
        assert recording.channels == ("FP1",)
        assert "B7, X3" in recording.notes[0]
    with pytest.raises(ConfigError, match="error, drop, nearest"):
        open_recording(raw, reading=ReadingOptions(unknown="ignore"))


def test_nearest_electrode_finds_the_true_ones_of_a_real_cap(shared: Path) -> None:
    path = shared / "eeg" / "formats" / "eeglab" / "eeglab_data.set"
    true = open_recording(path)
    raw = mne.io.read_raw_eeglab(path, verbose="error")
    hidden = ["F3", "C4", "Pz", "O1", "T8", "FC1", "PO7"]
    raw.rename_channels({name: f"X{i}" for i, name in enumerate(hidden)})
    found = open_recording(raw, reading=ReadingOptions(unknown="nearest"))
    assert set(found.channels) == set(true.channels)
    for name in hidden:
        electrode = name.upper()
        np.testing.assert_allclose(
            found.read(0, 1)[found.channels.index(electrode)], true.read(0, 1)[true.channels.index(electrode)]
        )
    assert "X0 → F3 (3 mm)" in " ".join(found.notes)


def test_nearest_electrode_for_a_net_without_any_known_name() -> None:
    net = mne.channels.make_standard_montage("GSN-HydroCel-128")
    raw = mne_raw(net.ch_names, noise(len(net.ch_names)))
    raw.set_montage(net)
    recording = open_recording(raw, reading=ReadingOptions(unknown="nearest"))
    assert len(set(recording.channels)) == len(recording.channels) > 64
    said = " ".join(recording.notes)
    # Luu & Ferree 2005: 10-20 equivalents of the HydroCel net
    for contact, electrode in {"E24": "F3", "E124": "F4", "E36": "C3", "E104": "C4", "E70": "O1", "E83": "O2"}.items():
        assert f"{contact} → {electrode} (" in said


def test_names_that_count_contacts_are_not_taken_for_electrodes(shared: Path) -> None:
    path = shared / "eeg" / "formats" / "edf" / "test.edf"  # A1…I8: C3 and F4 among them are contacts
    with pytest.raises(RecordingError, match=r"count contacts"):
        open_recording(path)
    with pytest.raises(RecordingError, match=r"no EEG electrode"):
        open_recording(path, reading=ReadingOptions(unknown="drop"))
    recording = open_recording(path, reading=ReadingOptions(channels={"B3": "Cz", "A7": "Fp1"}))
    assert recording.channels == ("CZ", "FP1")
    np.testing.assert_allclose(
        recording.read(), mne.io.read_raw_edf(path, verbose="error").get_data(["B3", "A7"]) * 1e6, atol=1e-6
    )


def test_duplicates_keep_the_first(shared: Path) -> None:
    path = shared / "eeg" / "formats" / "edf" / "duplicate_channel_labels.edf"
    recording = open_recording(path)
    assert recording.channels == ("F1", "F2")
    assert recording.notes == ("left out, duplicates: EEG F1-Ref (a second F1)",)
    first = mne.io.read_raw_edf(path, verbose="error").get_data([0])[0] * 1e6
    np.testing.assert_allclose(recording.read()[0], first, atol=1e-6)
    given = open_recording(path, reading=ReadingOptions(channels={"EEG F1-Ref": "F1"}))
    np.testing.assert_allclose(given.read()[0], first, atol=1e-6)


def test_chosen_channels_come_in_the_order_asked_for() -> None:
    data = noise(3)
    recording = open_recording(
        mne_raw(["Fp1", "Cz", "O2"], data), reading=ReadingOptions(channels=["O2", "EEG Fp1-REF"])
    )
    assert recording.channels == ("O2", "FP1")
    np.testing.assert_allclose(recording.read(), data[[2, 0]])
    with pytest.raises(RecordingError, match=r"no Pz; found: FP1, CZ, O2"):
        open_recording(mne_raw(["Fp1", "Cz", "O2"], data), reading=ReadingOptions(channels=["Pz"]))
    with pytest.raises(RecordingError, match=r"no known electrode: Q1"):
        open_recording(mne_raw(["a", "b"], noise(2)), reading=ReadingOptions(channels={"a": "Q1"}))


def test_no_eeg_at_all() -> None:
    with pytest.raises(RecordingError, match=r"no EEG electrode among its 2 channels"):
        open_recording(mne_raw(["ECG", "EOG"], noise(2)))


def test_a_grid_is_known_under_prefixes_too() -> None:
    names = [f"POL {shaft}{number}" for shaft in "ABC" for number in range(1, 9)]  # depth electrodes, not A1 and C3
    with pytest.raises(RecordingError, match=r"no EEG electrode|count contacts"):
        open_recording(mne_raw(names, noise(24)))


def test_nameless_differences_are_left_out_of_a_bipolar_montage_alone() -> None:
    names = ["Fp2-F4", "F4-C4", "C4-A1", "F2-F4", "T7-FT9"]  # as in the CAP sleep database
    recording = open_recording(mne_raw(names, noise(5)))
    assert recording.channels == ("FP2-F4", "F4-C4", "C4")
    assert "without a name in the official list: F2-F4, T7-FT9" in recording.notes[0]
    with pytest.raises(RecordingError, match=r"2 of 5 EEG channels are no known electrodes: Fp1-Cz, Fp2-Cz"):
        open_recording(mne_raw(["C3", "C4", "Fp2-F4", "Fp1-Cz", "Fp2-Cz"], noise(5)))


def test_e1_and_e2_are_at_the_eyes_unless_a_net_is_counted() -> None:
    recording = open_recording(mne_raw(["C3", "C4", "E1", "E2"], noise(4)))
    assert recording.channels == ("C3", "C4")
    assert recording.notes == ("left out, eog: E1, E2",)
    with pytest.raises(RecordingError, match=r"3 of 4 EEG channels are no known electrodes: E1, E2, E3"):
        open_recording(mne_raw(["C3", "E1", "E2", "E3"], noise(4)))


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (["Fp1", "C3", "Q1"], "channels={'Q1': 'Cz', …}"),  # an electrode that is not there yet
        (["Q1", "-", "."], "channels={'Q1': 'Fp1', …}"),
        (["C3", "Fz-Cz", "Q1"], "channels={'Q1': 'Fp1', …}"),
        (["C3", "EEG 01-Ref", "EEG 02-Ref"], "channels={'EEG 01-Ref': 'O1', …}"),
        (["C3", "Fz-Cz"], "channels={'Fz-Cz': 'FZ', …}"),
        (["-", ".", "ECG"], "use another recording"),
    ],
)
def test_remedies_make_sense(names: list[str], remedy: str) -> None:
    with pytest.raises(RecordingError) as error:
        open_recording(mne_raw(names, noise(len(names))))
    assert remedy in str(error.value)
    assert "'-'" not in str(error.value)


def test_a_contact_that_is_not_its_namesake_is_not_advised_to_be_it() -> None:
    names = [f"A{number}" for number in range(1, 33)]
    with pytest.raises(RecordingError, match=r"A1 is not taken for the electrode.*channels=\{'A1': 'Fp1', …\}"):
        open_recording(mne_raw(names, noise(32)))
    with pytest.raises(RecordingError, match=r"channels=\{'01': 'O1', …\}"):
        open_recording(mne_raw(["Cz", "01"], noise(2)))
