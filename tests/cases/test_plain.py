"""Cases of recordings that are no EEG files by their suffix, and of two formats that MNE reads only in part."""

from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io

from neurolm.cli import main
from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import find_recordings, open_recording

EIGHT = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


def numbers(path: Path, columns: list[int], skip: int) -> np.ndarray:
    """Columns of a table by NumPy's reader: shape (columns, rows)."""
    return np.loadtxt(path, delimiter=",", skiprows=skip, usecols=columns).T


# --- MNE reads them, but not any part of them -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("nedf/testdata.nedf", "read_raw_nedf"),
        ("vamp_ahdr/fits.ahdr", "read_raw_brainvision"),
        ("vamp_ahdr/odd.ahdr", "read_raw_brainvision"),
    ],
)
def test_any_part_is_that_of_the_whole_file_as_mne_reads_it(cases, name, reader):
    recording = open_recording(cases / name, reading=ReadingOptions(unknown="drop"))
    raw = getattr(mne.io, reader)(cases / name, preload=True, verbose="error")
    own = {row.electrode: row.channel for row in recording.coverage if row.electrode}
    whole = raw.get_data([own[electrode] for electrode in recording.channels]) * 1e6
    assert (recording.rate, recording.samples) == (raw.info["sfreq"], raw.n_times)
    for first, last in (
        (0, raw.n_times),
        (3, 1004),
        (7, 9),
        (12, min(5009, raw.n_times)),
        (raw.n_times - 2, raw.n_times),
    ):
        np.testing.assert_allclose(recording.read_samples(first, last), whole[:, first:last], rtol=1e-9)


def test_v_amp_without_a_signal_is_flat_not_truncated(cases):
    with pytest.raises(RecordingError, match="all 4 channels are flat"):
        open_recording(cases / "vamp_ahdr" / "test_VAmp.ahdr", reading=ReadingOptions(unknown="drop"))


# --- tables and arrays ----------------------------------------------------------------------------------------------


def test_muse_as_muselsl_writes_it(cases):
    path = cases / "p300_overlap" / "data_2017-02-04-15_45_13.csv"
    recording = open_recording(path)
    assert (recording.channels, recording.rate, recording.unit) == (("TP9", "AF7", "AF8", "TP10"), 256.0, "uV")
    np.testing.assert_array_equal(recording.read(), numbers(path, [1, 2, 3, 4], 1))
    marker = numbers(path, [6], 1)
    first = int(np.flatnonzero(marker)[0])
    assert len(recording.annotations) == np.count_nonzero(marker)
    assert (recording.annotations[0].onset, recording.annotations[0].text) == (first / 256, f"{marker[first]:g}")


def test_muse_as_mind_monitor_writes_it(cases):
    path = cases / "muse_openbci" / "muse.csv"
    recording = open_recording(path)
    assert (recording.channels, recording.rate) == (("TP9", "AF7", "AF8", "TP10"), 256.0)
    np.testing.assert_array_equal(recording.read(), numbers(path, [2, 3, 4, 5], 1))
    assert any("times that jump and come back" in note for note in recording.notes)  # it writes 1.000 s as 0.000


def test_openbci(cases):
    path = cases / "muse_openbci" / "OpenBCI-RAW.txt"
    with pytest.raises(
        RecordingError, match=r"which electrodes its channels are: say it with channels=\['Fp1', 'Cz'\]"
    ):
        open_recording(path)
    for channels in (["O1", "O2"], {"EXG Channel 0": "O1", "EXG Channel 1": "O2"}):
        recording = open_recording(path, reading=ReadingOptions(channels=channels))
        assert (recording.channels, recording.rate, recording.unit) == (("O1", "O2"), 250.0, "uV")
        np.testing.assert_array_equal(recording.read(), numbers(path, [1, 2], 5))


@pytest.mark.parametrize("name", ["rec.npy", "rec.mat"])
def test_arrays_with_the_three_facts(cases, name):
    path = cases / "muse_openbci" / name
    with pytest.raises(RecordingError, match=r"8 channels × 1,000 samples .* unit='uV' channels=\['Fp1', 'Cz'\]"):
        open_recording(path)
    recording = open_recording(path, reading=ReadingOptions(rate=250, unit="uV", channels=EIGHT))
    expected = np.load(path) if name.endswith("npy") else scipy.io.loadmat(path)["data"]
    assert (recording.rate, recording.samples) == (250.0, 1000)
    np.testing.assert_array_equal(recording.read(), expected)


def test_what_cannot_be_read_says_what_makes_it_readable(cases, tmp_path, capsys):
    with pytest.raises(RecordingError, match=r"no reader for the suffix '\.h5'; read the array with h5py"):
        open_recording(cases / "muse_openbci" / "rec.h5")
    for name in ("rec.h5", "rec.npy", "rec.mat"):
        (tmp_path / name).write_bytes((cases / "muse_openbci" / name).read_bytes())
    assert main(["prepare", str(tmp_path), "--out", str(tmp_path / "store")]) == 2
    said = capsys.readouterr().err
    for text in ("no EEG recordings", "1 .h5", "1 .npy", "1 .mat", "--rate 250", "h5py"):
        assert text in said


def test_in_a_folder_only_tables_with_a_header_of_eeg_are_recordings(cases):
    found = [path.name for path in find_recordings(cases / "muse_openbci")]
    assert found == ["OpenBCI-RAW.txt", "muse.csv"]
    for folder in ("labels_tables", "hypnogram_edf", "late_labels", "psg_names", "truncated_with_labels"):
        assert not [path for path in find_recordings(cases / folder) if path.suffix in (".csv", ".txt")]
