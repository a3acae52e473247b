"""BrainVision files as programs of all countries write them, against MNE's reading of the same as it should be."""

import os
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

NAMES = ("Fp1", "Cz", "O2")
SIGNAL = np.random.default_rng(0).normal(0, 20, (3, 1000)).astype("<f4")
HEADER = """Brain Vision Data Exchange Header File Version 1.0
; written by a test

[Common Infos]
Codepage=UTF-8
DataFile=a.eeg
MarkerFile=a.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=3
SamplingInterval=4000

[Binary Infos]
BinaryFormat=IEEE_FLOAT_32

[Channel Infos]
Ch1=Fp1,,1,µV
Ch2=Cz,,1,µV
Ch3=O2,,1,µV
"""
MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile=a.eeg

[Marker Infos]
Mk1=New Segment,,1,1,0,20200101100000000000
Mk2=Comment,Augen öffnen,501,1,0
"""


def write(
    folder: Path,
    *changes: tuple[str, str],
    encoding: str = "utf-8",
    codepage: str | None = "UTF-8",
    stem: str = "a",
    header: str = HEADER,
    markers: str | None = MARKERS,
    worth: float = 1.0,
) -> Path:
    """A header with changes, in an encoding, and what belongs to it."""
    for old, new in changes:
        assert old in header
        header = header.replace(old, new)
    line = "" if codepage is None else f"Codepage={codepage}\n"
    for suffix, text in ((".vhdr", header), (".vmrk", markers)):
        if text is not None:
            text = text.replace("Codepage=UTF-8\n", line).replace("\n", "\r\n")
            (folder / f"{stem}{suffix}").write_bytes(text.encode(encoding))
    (folder / f"{stem}.eeg").write_bytes((SIGNAL / worth).T.astype("<f4").tobytes())
    return folder / f"{stem}.vhdr"


def check(path: Path, *, worth: float = 1e-6, text: str | None = "Comment/Augen öffnen") -> list[str]:
    """Compare with the signal that was written; returns the notes."""
    recording = open_recording(path)
    assert (recording.channels, recording.rate, recording.samples) == (("FP1", "CZ", "O2"), 250.0, 1000)
    np.testing.assert_allclose(recording.read(), SIGNAL, rtol=1e-5)
    marks = [(mark.onset, mark.text) for mark in recording.annotations]
    assert marks == ([] if text is None else [(2.0, text)])
    assert recording.path == path
    return list(recording.notes)


def test_a_file_as_it_should_be_is_read_as_mne_reads_it(tmp_path):
    path = write(tmp_path)
    assert check(path) == []
    raw = mne.io.read_raw_brainvision(path, verbose="error")
    np.testing.assert_allclose(open_recording(path).read(), raw.get_data() * 1e6, rtol=1e-9)


@pytest.mark.parametrize(
    ("encoding", "codepage"),
    [
        ("latin-1", None), ("latin-1", "UTF-8"), ("cp1252", "ANSI"), ("cp1252", "1252"), ("utf-16", None),
        ("utf-8-sig", "UTF-8"), ("utf-8", None), ("cp850", "cp850"),
    ],
)  # fmt: skip
def test_headers_and_markers_in_any_encoding(tmp_path, encoding, codepage):
    assert check(write(tmp_path, encoding=encoding, codepage=codepage)) == []


@pytest.mark.parametrize(
    "unit", ["\u03bcV", "\u00b5V", "uV", "Âµ" + "V", "Î¼V", "\ufffdV", "?V", "microvolts", "µVolt", " µV", "UV"]
)
def test_every_way_to_write_microvolts(tmp_path, unit):
    assert check(write(tmp_path, (",1,µV", f",1,{unit}"))) == []


def test_a_unit_that_nobody_knows_needs_one_that_is_given(tmp_path):
    path = write(tmp_path, (",1,µV", ",1,bits"))
    with pytest.raises(RecordingError, match=r"say their unit, which the file does not \(unit='uV'\)"):
        open_recording(path)
    recording = open_recording(path, reading=ReadingOptions(unit="uV"))
    assert recording.channels == ("FP1", "CZ", "O2")
    np.testing.assert_allclose(recording.read(), SIGNAL, rtol=1e-5)


def test_units_that_are_no_microvolts_stay_what_they_are(tmp_path):
    path = write(tmp_path, ("Ch1=Fp1,,1,µV", "Ch1=Fp1,,0.001,mV"), ("Ch3=O2,,1,µV", "Ch3=GSR,,1,µS"))
    recording = open_recording(path)
    assert recording.channels == ("FP1", "CZ")
    np.testing.assert_allclose(recording.read(), SIGNAL[:2], rtol=1e-5)


@pytest.mark.parametrize("resolution", ["0.5", r"0\15", "0,5"])
def test_decimal_commas(tmp_path, resolution):
    path = write(tmp_path, (",1,µV", f",{resolution},µV"), ("Interval=4000", "Interval=4000,0"), worth=0.5)
    assert check(path) == []


@pytest.mark.parametrize("named", ["raw_0815.eeg", r"C:\Raw Files\day 1.eeg", "MD5E-s12--ab.eeg", "A.EEG", "$b.eeg"])
def test_a_renamed_recording_is_found_beside_its_header(tmp_path, named):
    markers = named.replace("eeg", "vmrk").replace("EEG", "VMRK")
    path = write(tmp_path, ("DataFile=a.eeg", f"DataFile={named}"), ("MarkerFile=a.vmrk", f"MarkerFile={markers}"))
    notes = check(path)
    if named == "$b.eeg":  # the specification's word for the name of the header
        assert notes == []
        return
    assert notes[0] == f"DataFile= names {named}, which is not there; a.eeg was taken, which is"
    assert notes[1] == f"MarkerFile= names {markers}, which is not there; a.vmrk was taken, which is"


def test_data_in_a_folder_below(tmp_path):
    path = write(tmp_path, ("DataFile=a.eeg", "DataFile=data/a.eeg"))
    (tmp_path / "data").mkdir()
    (tmp_path / "a.eeg").rename(tmp_path / "data" / "a.eeg")
    assert check(path) == []


def test_without_its_data_the_line_to_correct_is_named(tmp_path):
    path = write(tmp_path, ("DataFile=a.eeg", "DataFile=other.eeg"))
    (tmp_path / "a.eeg").unlink()
    with pytest.raises(RecordingError, match=r"a\.vhdr: DataFile= names other\.eeg, which is not there, and no a\.eeg"):
        open_recording(path)


@pytest.mark.parametrize("line", ["MarkerFile=a.vmrk", "MarkerFile=", ""])
def test_without_markers_there_are_no_annotations_and_it_is_said(tmp_path, line):
    path = write(tmp_path, ("MarkerFile=a.vmrk\n", f"{line}\n" if line else ""), markers=None)
    (note,) = check(path, text=None)
    assert note.endswith(": no annotations")


@pytest.mark.parametrize("part", ["eeg", "vmrk", "vhdr"])
def test_a_part_that_was_not_fetched_is_named_with_the_command(tmp_path, part):
    path = write(tmp_path)
    (tmp_path / f"a.{part}").unlink()
    (tmp_path / f"a.{part}").symlink_to(f"../.git/annex/objects/xx/yy/MD5E-s1--ab.{part}/MD5E-s1--ab.{part}")
    with pytest.raises(
        RecordingError, match=rf"a\.{part}: a link to a file that is not there .*datalad get 'a\.{part}'"
    ):
        open_recording(path)
    if part == "vhdr":
        with pytest.raises(RecordingError, match=r"a\.vhdr: a link to a file that is not there"):
            open_recording(tmp_path / "a.eeg")


def test_the_data_of_a_renamed_recording_are_checked_too(tmp_path):
    path = write(tmp_path, ("DataFile=a.eeg", "DataFile=b.eeg"))
    (tmp_path / "a.eeg").write_bytes((tmp_path / "a.eeg").read_bytes()[:-7])
    with pytest.raises(RecordingError, match=r"a\.eeg: truncated"):
        open_recording(path)
    assert open_recording(path, reading=ReadingOptions(truncated="accept")).samples == 999


def test_what_is_no_file_is_said_to_be_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.vmrk")
    path = write(tmp_path, ("MarkerFile=a.vmrk", "MarkerFile=pipe.vmrk"), markers=None)
    (note,) = [note for note in open_recording(path).notes if "MarkerFile" in note]
    assert note == "MarkerFile= names pipe.vmrk, which is a pipe (FIFO), not a file: no annotations"
    path = write(tmp_path, ("DataFile=a.eeg", "DataFile=/dev/zero"))
    with pytest.raises(RecordingError, match=r"DataFile= names /dev/zero, which is a device, not a file"):
        open_recording(path)
