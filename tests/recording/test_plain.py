"""Recordings that are no EEG files: single channels, rates that are given, what other files and folders are told."""

from pathlib import Path

import numpy as np
import pytest

from neurolm.cli import main
from neurolm.core.errors import RecordingError
from neurolm.recording.inspect import inspect
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess
from neurolm.recording.recording import open_recording
from neurolm.recording.unread import TOOLS, contents

SIGNAL = np.random.default_rng(8).normal(0, 20, (3, 4000))
NAMES = ("Fp1", "Cz", "O2")


def table(path: Path, signal: np.ndarray = SIGNAL, rate: float = 250.0) -> Path:
    lines = ["time," + ",".join(NAMES)]
    lines += [f"{i / rate:.6f}," + ",".join(f"{v:.6f}" for v in values) for i, values in enumerate(signal.T)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_is_what_an_edf_of_the_same_numbers_is(tmp_path, write_edf):
    write_edf(tmp_path / "a.edf", seed=1, names=NAMES, seconds=16)
    edf = open_recording(tmp_path / "a.edf")
    csv = open_recording(table(tmp_path / "a.csv", edf.read()), reading=ReadingOptions(unit="uV"))
    assert (csv.channels, csv.rate, csv.samples) == (edf.channels, edf.rate, edf.samples)
    np.testing.assert_allclose(preprocess(csv, mains=50.0).signal, preprocess(edf, mains=50.0).signal, atol=1e-3)


@pytest.mark.parametrize("name", ["EEG", "Signal", "channel 1"])
def test_the_only_channel_is_the_electrode_that_is_asked_for(tmp_path, write_edf, name):
    write_edf(tmp_path / "a.edf", seed=1, names=[name])
    with pytest.raises(RecordingError):
        open_recording(tmp_path / "a.edf")
    recording = open_recording(tmp_path / "a.edf", reading=ReadingOptions(channels=["Cz"]))
    assert recording.channels == ("CZ",)
    assert any("is taken for CZ, as asked for" in note for note in recording.notes)
    channel = recording.coverage[0].channel
    mapped = open_recording(tmp_path / "a.edf", reading=ReadingOptions(channels={channel: "Cz"}))
    np.testing.assert_array_equal(mapped.read(), recording.read())


def test_one_name_is_no_electrode_among_several(tmp_path, write_edf):
    write_edf(tmp_path / "a.edf", seed=1, names=["one", "two"])
    with pytest.raises(RecordingError, match="there is no Cz"):
        open_recording(tmp_path / "a.edf", reading=ReadingOptions(channels=["Cz"]))
    write_edf(tmp_path / "b.edf", seed=1, names=["Fp1"])
    with pytest.raises(RecordingError, match="there is no Cz"):  # the file says which one it is
        open_recording(tmp_path / "b.edf", reading=ReadingOptions(channels=["Cz"]))


def test_a_file_of_eeg_knows_its_rate(tmp_path, write_edf):
    write_edf(tmp_path / "a.edf", seed=1)
    assert open_recording(tmp_path / "a.edf", reading=ReadingOptions(rate=250)).rate == 250
    with pytest.raises(RecordingError, match=r"rate=200: its header says 250 samples per second; leave it out"):
        open_recording(tmp_path / "a.edf", reading=ReadingOptions(rate=200))


def test_inspect_says_what_is_missing_and_takes_it(tmp_path):
    table(tmp_path / "a.csv")
    (problem,) = inspect(tmp_path / "a.csv").problems
    assert problem.startswith("3 columns of samples × 4,000 rows; it does not say the unit")
    found = inspect(tmp_path / "a.csv", reading=ReadingOptions(unit="uV"))
    assert found.usable and found.electrodes == ("FP1", "CZ", "O2") and found.seconds == 16.0


def test_the_command_line_takes_the_three_facts(tmp_path, capsys):
    np.save(tmp_path / "a.npy", SIGNAL)
    assert main(["inspect", str(tmp_path / "a.npy")]) == 2
    said = capsys.readouterr().out
    assert "--rate 250 --unit uV --channels Fp1,Cz (the names of all 3, in their order)" in said
    facts = ["--rate", "250", "--unit", "uV"]
    assert main(["inspect", str(tmp_path / "a.npy"), *facts, "--channels", "Fp1,Cz,O2"]) == 0
    assert main(["inspect", str(tmp_path), *facts, "--channels", "ch1=Fp1,ch3=O2"]) == 0
    assert "FP1" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".h5", ".pkl", ".xlsx", ".nwb", ".trc", ".smr", ".acq", ".poly5", ".zip"])
def test_other_files_name_the_tool(tmp_path, suffix):
    (tmp_path / f"a{suffix.upper()}").write_bytes(b"1234")
    with pytest.raises(RecordingError) as refused:
        open_recording(tmp_path / f"a{suffix.upper()}")
    assert TOOLS[suffix] in str(refused.value) and "those that open: .edf" in str(refused.value)


def test_a_folder_without_recordings_says_what_it_holds(tmp_path):
    assert contents(tmp_path) == ""
    for i in range(12):
        (tmp_path / f"{i}.csv").write_text("a,b\n")
    (tmp_path / "deeper").mkdir()
    for i in range(3):
        (tmp_path / "deeper" / f"{i}.h5").write_bytes(b"x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.pkl").write_bytes(b"x")
    (tmp_path / "deeper" / "circle").symlink_to(tmp_path)
    said = contents(tmp_path)
    assert said.startswith("; it holds 12 .csv, 3 .h5 (.csv: if they are EEG, rate=250 says")
    assert TOOLS[".h5"] in said and ".pkl" not in said


def test_names_that_say_nothing_take_electrodes_in_their_order(tmp_path):
    path = table(tmp_path / "a.csv")
    path.write_text(path.read_text().replace("Fp1,Cz,O2", "EEG 1,EEG 2,EEG 3", 1))
    with pytest.raises(RecordingError, match=r"which electrodes its channels are \(EEG 1, EEG 2, EEG 3\): say it with"):
        open_recording(path, reading=ReadingOptions(unit="uV", unknown="nearest"))
    recording = open_recording(path, reading=ReadingOptions(unit="uV", channels=["C3", "Cz", "C4"]))
    assert recording.channels == ("C3", "CZ", "C4")
    assert "channels named in their order: EEG 1 is C3, EEG 2 is Cz, EEG 3 is C4" in recording.notes
    assert open_recording(table(path), reading=ReadingOptions(unit="uV", channels=["O2"])).channels == ("O2",)


def test_a_header_made_to_take_long_does_not(tmp_path):
    for line in (f"sampl{'_' * 100_000}", "_" * 200_000 + "[x", "time" + " (a" * 60_000):
        (tmp_path / "a.csv").write_text(f"# {line}\n{line},Cz\n" + "\n".join(f"{i},{i % 7}" for i in range(50)))
        with pytest.raises(RecordingError):
            open_recording(tmp_path / "a.csv")
