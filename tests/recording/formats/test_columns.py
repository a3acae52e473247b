"""Tables of known programs, written as these programs write them: what each column becomes."""

from pathlib import Path

import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.formats.columns import CYTON_COUNT
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import find_recordings, open_recording

RNG = np.random.default_rng(4)
EIGHT = ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
EPOC = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]
NAMED = ReadingOptions(channels=EIGHT)


def signal(rate: int, channels: int, offset: float = 0.0) -> np.ndarray:
    """Ten seconds of noise, to the digits that tables have."""
    return np.round(RNG.normal(offset, 20, (10 * rate, channels)), 3)


def line(*cells: object, separator: str = ",") -> str:
    return separator.join(str(cell) for cell in cells)


def write(folder: Path, name: str, lines: list[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    assert find_recordings(folder) == [path]  # known by its header in a folder too
    return path


def test_mind_monitor_with_blinks(tmp_path):
    eeg = signal(256, 4, 800)
    lines = ["TimeStamp,Delta_TP9,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,AUX_RIGHT,Accelerometer_X,HSI_TP9,Battery,Elements"]
    for i, values in enumerate(eeg):
        moment = f"2024-02-03 10:20:{i / 256:06.3f}"
        if i == 640:
            lines.append(f"{moment}{',' * 10}/muse/elements/blink")
        lines.append(line(moment, 0.4, *values, 0.0, 0.1, 1.0, 88.0, ""))
    recording = open_recording(write(tmp_path, "mindMonitor.csv", lines))
    assert (recording.channels, recording.rate, recording.unit) == (("TP9", "AF7", "AF8", "TP10"), 256, "uV")
    np.testing.assert_array_equal(recording.read(), eeg.T)
    (blink,) = recording.annotations
    assert (blink.onset, blink.text) == (2.5, "/muse/elements/blink")


def openbci_5(eeg: np.ndarray, kept: np.ndarray) -> list[str]:
    names = [f"EXG Channel {i}" for i in range(8)]
    other = ["Accel Channel 0", "Accel Channel 1", "Accel Channel 2", *["Not Used"] * 4, "Analog Channel 0"]
    head = ["%OpenBCI Raw EXG Data", "%Number of channels = 8", "%Sample Rate = 250 Hz"]
    head += ["%Board = OpenBCI_GUI$BoardCytonSerial"]
    head.append(", ".join(["Sample Index", *names, *other, "Timestamp", "Marker Channel", "Timestamp (Formatted)"]))
    rows = [
        line(i % 256, *eeg[i], 0.1, 0.2, 0.9, 0, 0, 0, 0, 0, f"{1.7e9 + np.ceil(i / 8) * 8 / 250:.6f}",
             7.0 if i == 1000 else 0.0, "2023-11-14 22:13:20.000", separator=", ")
        for i in kept
    ]  # fmt: skip
    return head + rows


def test_openbci_with_lost_packages_by_its_counter(tmp_path):
    eeg = signal(250, 8)
    path = write(tmp_path, "OpenBCI-RAW-2023.txt", openbci_5(eeg, np.arange(2500)))
    recording = open_recording(path, reading=NAMED)
    assert (recording.rate, recording.unit, recording.samples) == (250, "uV", 2500)
    np.testing.assert_array_equal(recording.read(), eeg.T)
    assert [(mark.onset, mark.text) for mark in recording.annotations] == [(4.0, "7")]
    kept = np.array([i for i in range(2500) if not (500 <= i < 504 or 1500 <= i < 1600)])
    path = write(tmp_path, "OpenBCI-RAW-2023.txt", openbci_5(eeg, kept))
    recording = open_recording(path, reading=NAMED)
    assert [(s.start, s.samples) for s in recording.stretches] == [(0, 1496), (1600, 900)]
    assert "short gaps closed: 1, of 4 samples together" in recording.notes
    with pytest.raises(RecordingError, match=r"which electrodes .* channels=\['Fp1', 'Cz'\] \(the names of all 8, in"):
        open_recording(path)


@pytest.mark.parametrize("unit", ["microvolts", "counts"])
def test_openbci_before_version_5(tmp_path, unit):
    eeg = signal(250, 8) if unit == "microvolts" else np.round(signal(250, 8) / CYTON_COUNT)
    head = ["%OpenBCI Raw EEG Data", "%", "%Sample Rate = 250.0 Hz", "%First Column = SampleIndex"]
    head += [f"%Other Columns = EEG data in {unit} followed by Accel Data (in G) interleaved with Aux Data"]
    head += ["%Number of channels = 8"]
    rows = [
        line(i % 256, *values, 0.0, 0.0, 0.0, f"10:00:{i / 250:06.3f}", 1517000000000 + 4 * i, separator=", ")
        for i, values in enumerate(eeg)
    ]
    recording = open_recording(write(tmp_path, "OpenBCI-RAW.txt", head + rows), reading=NAMED)
    assert (recording.rate, recording.channels[0]) == (250, "FP1")
    scale = 1.0 if unit == "microvolts" else 0.0223517  # µV of a count by OpenBCI's documentation, 4.5 V / 24 / 2²³
    np.testing.assert_allclose(recording.read(), eeg.T * scale, rtol=1e-5)


@pytest.mark.parametrize(("columns", "channels", "rate"), [(15, 4, 200), (24, 8, 250), (32, 16, 125)])
def test_brainflow_without_a_header(tmp_path, columns, channels, rate):
    eeg = signal(rate, channels)
    rows = []
    for i, values in enumerate(eeg):
        others = [0.0] * (columns - channels - 3)
        rows.append(line(i % 256, *values, *others, f"{1.7e9 + i / rate:.6f}", float(i == 300), separator="\t"))
    names = [*EIGHT, "F7", "F8", "F3", "F4", "T7", "T8", "P3", "P4"][:channels]
    path = write(tmp_path, "BrainFlow-RAW_2023.csv", rows)
    recording = open_recording(path, reading=ReadingOptions(channels=names))
    assert (recording.rate, recording.channels) == (rate, tuple(name.upper() for name in names))
    np.testing.assert_array_equal(recording.read(), eeg.T)
    assert [(mark.onset, mark.text) for mark in recording.annotations] == [(300 / rate, "1")]
    assert any(f"2 to {channels + 1} are channels" in note for note in recording.notes)


@pytest.mark.parametrize("described", [True, False])
def test_emotiv_pro(tmp_path, described):
    eeg = signal(128, 14, 4200)
    names = ["Timestamp", "EEG.Counter", "EEG.Interpolated", *(f"EEG.{name}" for name in EPOC), "EEG.RawCq"]
    names += ["EEG.Battery", "MarkerIndex", "MarkerType", "MarkerValueInt", "CQ.AF3", "CQ.Overall", "POW.AF3.Theta"]
    lines = [",".join(names)]
    if described:
        lines.insert(0, "title:a,start timestamp:1.5,headset type:EPOCPLUS,sampling rate:eeg_128;mot_64,samples:1280")
    for i, values in enumerate(eeg):
        marks = ("1", "2", "5") if i == 256 else ("", "", "")
        lines.append(line(f"{1.6e9 + i / 128:.6f}", i % 128, 0, *values, 0, 80, *marks, 4, 100, "" if i % 16 else 0.5))
    recording = open_recording(write(tmp_path, "emotiv.csv", lines))
    assert (recording.rate, recording.unit, len(recording.channels)) == (128, "uV", 14)
    np.testing.assert_array_equal(recording.read(), eeg.T)
    assert [(mark.onset, mark.text) for mark in recording.annotations] == [(2.0, "5")]


def test_emotiv_testbench(tmp_path):
    eeg = signal(128, 14, 4200)
    labels = " ".join(["COUNTER", "INTERPOLATED", *EPOC, "RAW_CQ", "GYROX", "GYROY", "MARKER"])
    lines = [f"title:a, recorded:01.01.12 10:00:00, sampling:128, subject:, labels:{labels}, chan:20, units:emotiv"]
    lines += [line(i % 129, 0, *values, 0, 1600, 1600, 0, separator=", ") for i, values in enumerate(eeg)]
    recording = open_recording(write(tmp_path, "testbench.csv", lines))
    assert (recording.rate, recording.channels) == (128, open_recording(tmp_path / "testbench.csv").channels)
    np.testing.assert_array_equal(recording.read(), eeg.T)


def test_other_channels_of_a_headband_are_left_out(tmp_path):
    eeg = signal(256, 5)
    lines = ["timestamps,TP9,AF7,AF8,TP10,Right AUX"]
    lines += [line(f"{1.6e9 + i / 256:.3f}", *values) for i, values in enumerate(eeg)]
    recording = open_recording(write(tmp_path, "EEG_recording.csv", lines))
    np.testing.assert_array_equal(recording.read(), eeg.T[:4])
    assert "left out, other: Right AUX" in recording.notes


def test_the_counts_of_an_sd_card_are_told(tmp_path):
    rows = [
        f"{i % 256:02X}," + ",".join(f"{v & 0xFFFFFF:06X}" for v in (i * 7919, -i, i, 0xABCDEF)) for i in range(300)
    ]
    (tmp_path / "OBCI_01.TXT").write_text("\n".join(f"{row}," for row in rows) + "\n")
    with pytest.raises(RecordingError, match="hexadecimal counts of OpenBCI's SD card: convert it in OpenBCI's GUI"):
        open_recording(tmp_path / "OBCI_01.TXT", reading=NAMED)
