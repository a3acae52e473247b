"""Arrays of NumPy, MATLAB and Parquet: which variable, which way round, what stands beside it, and what is refused."""

import pickle
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io

from neurolm.core.errors import RecordingError
from neurolm.recording.faults import as_recording_error
from neurolm.recording.options import ReadingOptions
from neurolm.recording.readers import open_here
from neurolm.recording.recording import open_recording

EIGHT = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
FACTS = {"rate": 250.0, "unit": "uV", "channels": EIGHT}
SIGNAL = np.random.default_rng(6).normal(0, 20, (8, 1500))
NAMES = np.array(EIGHT, dtype=object)


def read(path: Path, **how: object) -> np.ndarray:
    recording = open_recording(path, reading=ReadingOptions(**how))
    assert recording.channels == ("FP1", "FP2", "C3", "C4", "P7", "P8", "O1", "O2") and recording.rate == 250
    return recording.read()


@pytest.mark.parametrize("way", ["channels × samples", "samples × channels"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f4", "<i2"])
def test_npy_either_way_round(tmp_path, way, order, kind):
    values = SIGNAL.astype(kind)
    stored = values if way.startswith("channels") else values.T
    np.save(tmp_path / "a.npy", np.array(stored, order=order))
    np.testing.assert_array_equal(read(tmp_path / "a.npy", **FACTS), values.astype(float))
    notes = open_recording(tmp_path / "a.npy", reading=ReadingOptions(**FACTS)).notes
    assert any(note.startswith(f"taken as {way}") for note in notes)


def test_more_channels_than_samples_go_by_their_number(tmp_path):
    np.save(tmp_path / "a.npy", SIGNAL[:, :100].repeat(25, axis=0)[:200].T)  # 100 samples of 200 channels
    with pytest.raises(RecordingError, match=r"(100|200) channels × "):
        open_recording(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", SIGNAL[:2, :1500])
    found = open_recording(tmp_path / "b.npy", reading=ReadingOptions(rate=250, unit="uV", channels=["C3", "C4"]))
    np.testing.assert_array_equal(found.read(), SIGNAL[:2])


def test_one_channel(tmp_path):
    np.save(tmp_path / "a.npy", SIGNAL[0])
    recording = open_recording(tmp_path / "a.npy", reading=ReadingOptions(rate=100, unit="uV", channels=["Cz"]))
    assert (recording.channels, recording.seconds) == (("CZ",), 15.0)
    np.testing.assert_array_equal(recording.read()[0], SIGNAL[0])


def test_npz_says_everything_itself(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", eeg=SIGNAL.T, fs=250, ch_names=np.array(EIGHT), unit="uV")
        np.testing.assert_array_equal(read(tmp_path / "a.npz"), SIGNAL)


def test_which_variable_is_asked_where_it_is_not_clear(tmp_path):
    np.savez(tmp_path / "a.npz", rest=SIGNAL, task=-SIGNAL)
    with pytest.raises(RecordingError, match=r"several arrays may be the samples: rest 8×1500, task .* stream='rest'"):
        read(tmp_path / "a.npz", **FACTS)
    np.testing.assert_array_equal(read(tmp_path / "a.npz", stream="task", **FACTS), -SIGNAL)
    with pytest.raises(RecordingError, match=r"stream='other': no such array of samples; arrays: rest 8×1500, task"):
        read(tmp_path / "a.npz", stream="other", **FACTS)


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "b.npy"])
def test_nothing_is_unpickled(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if name == "b.npy":
        Path(name).write_bytes(pickle.dumps(Payload()))
    elif name == "a.npy":
        np.save(name, np.array([Payload()], dtype=object))
    else:
        np.savez(name, eeg=np.array([Payload()], dtype=object))
    with pytest.raises(RecordingError, match="holds Python objects, or is no array: such files can run code"):
        read(tmp_path / name, **FACTS)
    assert not Path("ran").exists()


def test_an_archive_that_fills_the_disk_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", eeg=np.zeros((8, 2_000_000)))
    with pytest.raises(RecordingError, match=r"eeg\.npy would be 128,000,128 bytes"):
        read(tmp_path / "a.npz", **FACTS)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (SIGNAL[:, :1200].reshape(10, 8, 120), r"three axes \(10×8×120\), as epochs have"),
        (SIGNAL[:, :64].repeat(8, axis=0), "which side are channels cannot be told"),
        (SIGNAL + 1j, "numbers of type complex128"),
        (SIGNAL[:, :30], "give real numbers with an axis of channels and one of 64 samples or more"),
        (np.zeros((2000, 3000)), "no recording has 2,000 channels"),
        (np.array(["a", "b"]), "numbers of type <U1"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, values, found):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(RecordingError, match=found):
        open_recording(tmp_path / "a.npy", reading=ReadingOptions(rate=250, unit="uV"))


def test_counts_need_a_unit(tmp_path):
    np.save(tmp_path / "a.npy", np.round(SIGNAL * 20).astype(np.int16))
    with pytest.raises(RecordingError, match=r"int16 \(whole numbers: counts\); it does not say what a count is worth"):
        open_recording(tmp_path / "a.npy", reading=ReadingOptions(rate=250, channels=EIGHT))


@pytest.mark.parametrize("name", ["fs", "Fs", "srate", "sampling_rate", "sfreq", "SampleRate"])
def test_matlab_says_its_rate(tmp_path, name):
    scipy.io.savemat(tmp_path / "a.mat", {"data": SIGNAL, name: 250.0})
    np.testing.assert_array_equal(read(tmp_path / "a.mat", unit="uV", channels=EIGHT), SIGNAL)


def test_structures_of_fieldtrip_and_eeglab(tmp_path):
    trial, time = np.empty((1, 1), object), np.empty((1, 1), object)
    trial[0, 0], time[0, 0] = SIGNAL, np.arange(1500)[None] / 250
    fieldtrip = {"trial": trial, "time": time, "label": NAMES[:, None], "fsample": 250.0}
    scipy.io.savemat(tmp_path / "ft.mat", {"data": fieldtrip})
    np.testing.assert_array_equal(read(tmp_path / "ft.mat", unit="uV"), SIGNAL)
    places = np.zeros(8, dtype=[("labels", object), ("X", "f8")])
    places["labels"] = EIGHT
    eeglab = {"data": SIGNAL, "srate": 250.0, "chanlocs": places, "times": np.arange(1500) * 4.0, "nbchan": 8}
    scipy.io.savemat(tmp_path / "eeg.mat", {"EEG": eeglab})
    np.testing.assert_array_equal(read(tmp_path / "eeg.mat", unit="uV"), SIGNAL)


def matlab_73(path: Path) -> None:
    """What MATLAB 7.3 writes: HDF5 behind a block of its own, arrays the other way round."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in {"data": SIGNAL.T, "fs": np.array([[250.0]])}.items():
            file[name] = value
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    path.write_bytes(head + path.read_bytes()[len(head) :])


def test_matlab_73(tmp_path):
    matlab_73(tmp_path / "a.mat")
    np.testing.assert_array_equal(read(tmp_path / "a.mat", unit="uV", channels=EIGHT), SIGNAL)


def test_a_damaged_matlab_file_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"data": SIGNAL, "fs": 250})
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:5000])
    with pytest.raises(RecordingError, match=r"a\.mat: .*copy or export it again"):
        read(tmp_path / "a.mat", **FACTS)
    scipy.io.savemat(tmp_path / "b.mat", {"note": "nothing"})
    with pytest.raises(RecordingError, match="no array of samples in it; its variables: note"):
        read(tmp_path / "b.mat", **FACTS)


def test_parquet(tmp_path):
    columns = {f"{name} (uV)": values for name, values in zip(EIGHT, SIGNAL, strict=True)}
    stamps = pa.array(1_700_000_000_000_000 + np.arange(1500) * 4000, pa.timestamp("us"))
    pq.write_table(pa.table({"time": stamps, **columns}), tmp_path / "a.parquet", row_group_size=400)
    np.testing.assert_array_equal(read(tmp_path / "a.parquet"), SIGNAL)
    plain = dict(zip(EIGHT, SIGNAL, strict=True))
    pq.write_table(pa.table({**plain, "who": ["a"] * 1500}), tmp_path / "b.parquet")
    with pytest.raises(RecordingError, match=r"how many samples a second has, and the unit .* rate=250 unit='uV'"):
        read(tmp_path / "b.parquet")
    np.testing.assert_array_equal(read(tmp_path / "b.parquet", rate=250, unit="uV"), SIGNAL)


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        pytest.raises(RecordingError, match=r"pip install 'neurolm\[parquet\]'"),
        as_recording_error(tmp_path / "a.parquet", "cannot be understood"),
    ):
        open_here(tmp_path / "a.parquet", ".parquet", {"reading": ReadingOptions(**FACTS)})


@pytest.mark.parametrize("inside", [False, True])
def test_rates_that_contradict_each_other_are_refused_unless_one_is_given(tmp_path, inside):
    facts = {"data": SIGNAL, "fs": 500.0, "srate": 250.0, "labels": NAMES}
    scipy.io.savemat(tmp_path / "a.mat", {"EEG": facts} if inside else facts)
    with pytest.raises(RecordingError, match=r"contradict each other: fs is 500, srate is 250; .* how many samples"):
        open_recording(tmp_path / "a.mat", reading=ReadingOptions(unit="uV"))
    recording = open_recording(tmp_path / "a.mat", reading=ReadingOptions(unit="uV", rate=250))
    assert recording.rate == 250 and any("fs is 500, srate is 250" in note for note in recording.notes)
    agreeing = facts | {"fs": 250.0, "frequency": 13.0, "emg": {"srate": 1000.0}}  # of a flicker, of another device
    scipy.io.savemat(tmp_path / "b.mat", {"EEG": agreeing} if inside else agreeing)
    assert open_recording(tmp_path / "b.mat", reading=ReadingOptions(unit="uV")).rate == 250


@pytest.mark.parametrize("shape", ["(10, 100000000000)", "(10, -100)", "(10, 126)"])
def test_an_array_that_is_not_all_there_is_said_with_what_is(tmp_path, shape):
    np.save(tmp_path / "whole.npy", np.zeros((10, 125)))
    whole = (tmp_path / "whole.npy").read_bytes()
    header = whole[10:128].decode().replace("(10, 125)", shape).rstrip()
    (tmp_path / "a.npy").write_bytes(whole[:10] + header.ljust(117).encode() + b"\n" + whole[128:])
    declared = shape.strip("()").split(", ")[1]
    with pytest.raises(RecordingError, match=rf"declares 10 × {int(declared):,} numbers of float64, and 10,000 bytes"):
        open_recording(tmp_path / "a.npy", reading=ReadingOptions(rate=250, unit="uV", unknown="drop"))


def test_trials_of_fieldtrip_are_said_to_be_trials(tmp_path):
    trials = np.empty((1, 2), object)
    trials[0, 0], trials[0, 1] = SIGNAL[:, :700], SIGNAL[:, 700:]
    scipy.io.savemat(tmp_path / "a.mat", {"data": {"trial": trials, "fsample": 250.0, "label": NAMES}})
    with pytest.raises(RecordingError, match=r"data\.trial has 2 trials \(epochs\).* a file for each trial"):
        open_recording(tmp_path / "a.mat", reading=ReadingOptions(unit="uV"))
