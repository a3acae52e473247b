"""NEDF: samples with and without an accelerometer, from anywhere on, and files that break off."""

from pathlib import Path

import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

MICROVOLTS = 2.4 / (6 * 8388607) * 1e6
"""Of a digit: 2.4 V at a gain of 6 over 23 bits and a sign (Neuroelectrics' EEGLAB plugin)."""
DIGITS = np.random.default_rng(9).integers(-40_000, 40_000, (1013, 2))


def write(path: Path, *, accelerometer: int = 3, lost: int = 0) -> Path:
    """Write a file with a block of three samples at its end, and a trigger at sample 500."""
    head = f"""<test><NEDFversion>1.4</NEDFversion>
    <StepDetails><StartDate_firstEEGTimestamp>1557151230520</StartDate_firstEEGTimestamp></StepDetails>
    <EEGSettings><TotalNumberOfChannels>2</TotalNumberOfChannels><EEGSamplingRate>500</EEGSamplingRate>
    <NumberOfRecordsOfEEG>{len(DIGITS)}</NumberOfRecordsOfEEG><NumberOfPacketsLost>{lost}</NumberOfPacketsLost>
    <EEGMontage><Channel1>Cz</Channel1><Channel2>Pz</Channel2></EEGMontage></EEGSettings>
    <NumberOfChannelsOfAccelerometer>{accelerometer}</NumberOfChannelsOfAccelerometer></test>""".encode()
    body = b""
    for start in range(0, len(DIGITS), 5):
        body += bytes(2 * accelerometer)
        for i in range(start, min(start + 5, len(DIGITS))):
            body += b"".join(int(digit).to_bytes(3, "big", signed=True) for digit in DIGITS[i])
            body += int(7 * (i == 500)).to_bytes(4, "big")
    path.write_bytes(head.ljust(10240, b"\0") + body)
    return path


@pytest.mark.parametrize("accelerometer", [0, 3])
def test_any_part_is_what_was_written(tmp_path, accelerometer):
    recording = open_recording(write(tmp_path / "a.nedf", accelerometer=accelerometer), check=False)
    assert (recording.channels, recording.rate, recording.samples) == (("CZ", "PZ"), 500, 1013)
    for first, last in ((0, 1013), (4, 6), (7, 9), (1009, 1013), (1011, 1012), (503, 1012)):
        np.testing.assert_allclose(recording.read_samples(first, last), DIGITS[first:last].T * MICROVOLTS)
    assert [(mark.onset, mark.text) for mark in recording.annotations] == [(1.0, "7")]


def test_a_file_that_breaks_off(tmp_path):
    path = write(tmp_path / "a.nedf")
    whole = path.read_bytes()
    for cut, there in ((1, 1010), (60, 1005), (3000, 745)):
        path.write_bytes(whole[:-cut])
        with pytest.raises(RecordingError, match=rf"truncated: .* {there:,} of 1,013 samples"):
            open_recording(path, check=False)
        recording = open_recording(path, reading=ReadingOptions(truncated="accept"), check=False)
        np.testing.assert_allclose(recording.read(), DIGITS[:there].T * MICROVOLTS)


def test_lost_packages_are_said(tmp_path):
    recording = open_recording(write(tmp_path / "a.nedf", lost=12), check=False)
    assert any("packages lost while it was recorded, by its header: 12" in note for note in recording.notes)
