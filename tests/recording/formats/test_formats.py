"""Every format, sample by sample: shared files against MNE and pyxdf, others written as small as MNE accepts them."""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

RATE = 250
NAMES = ("Fp1", "Cz", "O2", "P4")
TIME = np.arange(4 * RATE) / RATE
SIGNAL = np.stack([40 * np.sin(2 * np.pi * (5 + i) * TIME + i) + np.linspace(-9, 9, len(TIME)) for i in range(4)])
"""µV, (channels, samples); every channel differs, and so do all its samples from their neighbours."""


# --- shared files ----------------------------------------------------------------------------------------------------

SHARED: dict[str, tuple[Callable[[Path], mne.io.BaseRaw], dict, float]] = {
    "edf/duplicate_channel_labels.edf": (mne.io.read_raw_edf, {}, 1e6),
    "edf/test.edf": (mne.io.read_raw_edf, {"channels": {"B3": "Cz", "A7": "Fp1", "I8": "O1"}}, 1e6),
    "bdf/test.bdf": (mne.io.read_raw_bdf, {}, 1e6),
    "brainvision/test.vhdr": (mne.io.read_raw_brainvision, {}, 1e6),
    "eeglab/eeglab_data.set": (mne.io.read_raw_eeglab, {}, 1e6),
    "egi/test_egi.raw": (mne.io.read_raw_egi, {"unknown": "nearest", "unit": "auto"}, 1e6),
    "fif/ssvep_subject03_raw.fif": (mne.io.read_raw_fif, {"unit": "mV"}, 1e3),
    "gdf/ssvep_subject03.gdf": (mne.io.read_raw_gdf, {"unit": "mV"}, 1e9),
    "bids/tiny_bids/sub-01/ses-eeg/eeg/sub-01_ses-eeg_task-rest_eeg.vhdr": (mne.io.read_raw_brainvision, {}, 1e6),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.filterwarnings("ignore")
def test_shared_files_sample_by_sample(shared: Path, name: str) -> None:
    read, options, worth = SHARED[name]
    path = shared / "eeg" / "formats" / name
    recording = open_recording(path, reading=ReadingOptions(**options))
    raw = read(path, verbose="error")
    own = {row.electrode: row.channel for row in recording.coverage if row.electrode}
    if name.endswith("duplicate_channel_labels.edf"):
        own = {"F1": raw.ch_names[0], "F2": raw.ch_names[1]}
    picks = [own[electrode] for electrode in recording.channels]
    expected = raw.get_data(picks)
    if recording.unit == "uV" and name.startswith("egi"):
        worth = 1.0 if np.abs(expected).max() > 1e-2 else 1e6
    assert (recording.rate, recording.samples) == (raw.info["sfreq"], raw.n_times)
    np.testing.assert_allclose(recording.read(), expected * worth, rtol=1e-9, atol=1e-9)
    start, stop = (round(part * recording.samples) for part in (0.3, 0.7))
    np.testing.assert_array_equal(
        recording.read(start / recording.rate, stop / recording.rate), recording.read()[:, start:stop]
    )
    assert len(recording.channels) > 1


def test_xdf_sample_by_sample(shared: Path) -> None:
    import pyxdf

    path = shared / "eeg" / "formats" / "xdf" / "clock_resets.xdf"
    channels = {f"ch{i + 1}": name for i, name in enumerate(["Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"])}
    recording = open_recording(path, reading=ReadingOptions(channels=channels, unit="mV"))
    streams, _ = pyxdf.load_xdf(path, verbose=False)
    (eeg,) = [s for s in streams if s["info"]["type"][0] == "EEG"]
    signal, stamps = recording.read(), np.asarray(eeg["time_stamps"])
    there = np.isfinite(signal).all(axis=0)
    np.testing.assert_array_equal(signal[:, there], np.asarray(eeg["time_series"], np.float64).T * 1e3)
    # What follows the reset of the clock begins where its time stamp says.
    _, after = recording.stretches
    assert after.start / recording.rate == pytest.approx(stamps[after.first] - stamps[0], abs=1 / recording.rate)


def test_mixed_rates_give_each_channel_at_its_own(shared: Path) -> None:
    """MNE upsamples all to the highest rate; what it has at that rate must be the same."""
    path = shared / "eeg" / "formats" / "edf" / "test_uneven_samp.edf"
    whole = mne.io.read_raw_edf(path, verbose="error")
    names = dict.fromkeys(whole.ch_names[:1], "Cz")
    recording = open_recording(path, reading=ReadingOptions(channels=names), check=False)
    alone = mne.io.read_raw_edf(path, include=list(names), verbose="error")
    assert recording.rate == alone.info["sfreq"]
    np.testing.assert_allclose(recording.read(), alone.get_data() * 1e6, rtol=1e-9, atol=1e-9)


# --- files that are written here -------------------------------------------------------------------------------------


def neuroscan(path: Path, *, width: int, samples: int | None = None, gain: float = 0.1, between: bytes = b"") -> Path:
    """SETUP, ELECTLOCs, numbers, TEEG with one event of type 7 at sample 100 (https://paulbourke.net/dataformats/eeg)."""
    channels, count = SIGNAL.shape
    head = bytearray(900)
    head[:11] = b"Version 3.0"
    head[225:243] = b"01/02/20\0\x0010:11:12"
    data = 900 + 75 * channels
    for start, kind, value in ((370, "H", channels), (376, "H", RATE), (864, "i", samples or count)):
        struct.pack_into("<" + kind, head, start, value)
    struct.pack_into("<i", head, 886, data + count * channels * width + len(between))
    parts = [bytes(head)]
    for name in NAMES:
        electrode = bytearray(75)
        electrode[: len(name)] = name.encode()
        struct.pack_into("<f", electrode, 59, 1.0)
        struct.pack_into("<f", electrode, 71, gain * 204.8)
        parts.append(bytes(electrode))
    parts.append(np.round(SIGNAL / gain).T.astype(f"<i{width}").tobytes() + between)
    event = struct.pack("<HBcl", 7, 0, b"\0", data + 100 * channels * width)
    path.write_bytes(b"".join([*parts, struct.pack("<Bll", 1, len(event), 0), event]))
    return path


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("samples", [None, 77_777])
def test_neuroscan_of_either_width(tmp_path: Path, width: int, samples: int | None) -> None:
    """Also where the header's count of samples is wrong, as in many real files."""
    recording = open_recording(neuroscan(tmp_path / "a.cnt", width=width, samples=samples))
    assert recording.channels == ("FP1", "CZ", "O2", "P4")
    assert (recording.rate, recording.samples) == (RATE, 1000)
    np.testing.assert_allclose(recording.read(), SIGNAL, atol=0.0501)
    assert f"Neuroscan numbers read as int{8 * width}" in recording.notes[0]
    assert ("the file holds 1,000" in " ".join(recording.notes)) == (samples is not None)
    (event,) = recording.annotations
    assert event.text == "7"
    assert event.onset == pytest.approx(0.4, abs=2 / RATE)


_TABLE = b"".join(struct.pack("<HBcl", i % 5, 0, b"\0", 1200 + 4000 * i) for i in range(100))
_RANDOM = np.random.default_rng(0).integers(0, 256, 3203, np.uint8).tobytes()


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("between", [_TABLE, bytes(7000), _RANDOM, b"x" * 5], ids=["table", "zeros", "random", "bytes"])
def test_neuroscan_with_something_else_between_samples_and_events(tmp_path: Path, width: int, between: bytes) -> None:
    """The header's count of samples fits, and is believed; a deviation over the whole would not show the rest."""
    if width == 2 and between is _RANDOM:
        between = np.random.default_rng(0).integers(-(2**15), 2**15, 1600, np.int16).tobytes()
    path = neuroscan(tmp_path / "a.cnt", width=width, between=between)
    recording = open_recording(path)
    assert recording.samples == 1000
    np.testing.assert_allclose(recording.read(), SIGNAL, atol=0.0501)
    left = len(between) >= 4 * width
    assert any(f"{len(between):,} bytes after them are none" in note for note in recording.notes) == left
    raw = mne.io.read_raw_cnt(path, data_format=f"int{8 * width}", verbose="error")
    assert raw.n_times == 1000


@pytest.mark.parametrize("width", [2, 4])
def test_neuroscan_whose_header_counts_too_few(tmp_path: Path, width: int) -> None:
    recording = open_recording(neuroscan(tmp_path / "a.cnt", width=width, samples=600))
    np.testing.assert_allclose(recording.read(), SIGNAL, atol=0.0501)
    assert "the header says 600 samples, the file holds 1,000, which are taken" in recording.notes


def test_eeglab_with_numbers_for_names(tmp_path: Path) -> None:
    import scipy.io

    path = tmp_path / "a.set"
    places = [{"labels": label, "X": [], "Y": [], "Z": []} for label in (1.0, 2.0, "Cz", 3.5)]
    eeg = {"srate": 250.0, "nbchan": 4.0, "trials": 1.0, "pnts": 1000.0, "xmin": 0.0, "data": SIGNAL, "event": []}
    kinds = [(name, object) for name in ("labels", "X", "Y", "Z")]
    eeg["chanlocs"] = np.array([tuple(place.values()) for place in places], dtype=kinds)
    scipy.io.savemat(path, {"EEG": eeg}, appendmat=False)
    with pytest.raises(RecordingError, match=r"3 of 4 EEG channels are no known electrodes: 1, 2, 3\.5"):
        open_recording(path)
    recording = open_recording(path, reading=ReadingOptions(channels={"1": "Fp1", "2": "Fp2", "3.5": "O2"}))
    order = [("FP1", "FP2", "CZ", "O2").index(name) for name in recording.channels]
    np.testing.assert_allclose(recording.read(), SIGNAL[order], rtol=1e-9, atol=1e-9)


def test_neuroscan_by_the_users_word_and_damaged(tmp_path: Path) -> None:
    path = neuroscan(tmp_path / "a.cnt", width=4)
    asked = open_recording(path, reading=ReadingOptions(data_format="int16"), check=False)
    assert asked.samples == 2000
    assert "as asked for" in asked.notes[0]
    with pytest.raises(RecordingError, match="data_format is for Neuroscan"):
        open_recording(eximia(tmp_path / "a.nxe"), reading=ReadingOptions(data_format="int16"))
    with pytest.raises(ConfigError, match="data_format='int8': choose one of int16, int32"):
        open_recording(path, reading=ReadingOptions(data_format="int8"))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(RecordingError, match=r"a\.cnt: truncated or damaged: .* table of events"):
        open_recording(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(RecordingError, match=r"truncated: 500 bytes where its header has 900"):
        open_recording(path)


def persyst(path: Path) -> Path:
    lines = ["[FileInfo]", f"File={path.stem}.dat", "FileType=Interleaved", f"SamplingRate={RATE}", "Calibration=0.1"]
    lines += [f"WaveformCount={len(NAMES)}", "DataType=0", "[ChannelMap]"]
    lines += [f"{name}-Ref={i + 1}" for i, name in enumerate(NAMES)]
    lines += [
        "[Sections]",
        "[Patient]",
        "TestDate=2020.01.02",
        "TestTime=10:11:12",
        "BirthDate=01/02/80",
        "Sex=",
        "Hand=",
        "[Comments]",
        "1.5,0.5,0,0,blink",
    ]
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".dat").write_bytes(np.round(SIGNAL / 0.1).T.astype("<i2").tobytes())
    return path


def nicolet(path: Path) -> Path:
    head = {"start_ts": "2020-01-02 10:11:12.000", "num_samples": SIGNAL.shape[1], "sample_freq": RATE}
    head |= {"conversion_factor": 0.1, "num_channels": len(NAMES), "elec_names": f"[{','.join(NAMES)}]"}
    path.with_suffix(".head").write_text("".join(f"{name}={value}\n" for name, value in head.items()))
    path.write_bytes(np.round(SIGNAL / 0.1).T.astype("<i2").tobytes())
    return path


def eximia(path: Path) -> Path:
    """64 channels at 1,450 Hz: three triggers, EOG, 60 electrodes; the first is the signal."""
    frames = np.zeros((SIGNAL.shape[1], 64), "<i2")
    frames[:, 4:] = np.round(SIGNAL[0] / 0.07629510948348212)[:, None]
    path.write_bytes(frames.tobytes())
    return path


def nihon(path: Path) -> Path:
    """Device block, one control block with one data block; the codes of Fp1, Cz, O2 and P4 are 0, 17, 9 and 7."""
    device = b"EEG-1100C V01.00"
    control, data = 0x400, 0x1800
    file = bytearray(data + 0x27 + 10 * len(NAMES))
    file[:16] = file[0x81 : 0x81 + 16] = device
    file[0x91] = 1
    struct.pack_into("<I", file, 0x92, control)
    file[control + 17] = 1
    struct.pack_into("<I", file, control + 18, data)
    file[0x17FE] = 1
    struct.pack_into("<H", file, data + 0x1A, 0xC000 | RATE)
    struct.pack_into("<I", file, data + 0x1C, SIGNAL.shape[1] * 10 // RATE)  # tenths of a second
    file[data + 0x26] = len(NAMES)
    for i, code in enumerate((0, 17, 9, 7)):
        file[data + 0x27 + 10 * i] = code
    gain = 6399.902 / 65535  # ±3,200 µV
    digits = np.round((SIGNAL + 3200) / gain)
    frames = np.concatenate([digits, np.zeros((1, SIGNAL.shape[1]))]).T.astype("<u2")
    path.write_bytes(bytes(file) + frames.tobytes())
    return path


def egi(path: Path) -> Path:
    """Version 2 (16 bits) with the amplifier's range: ±3,276.8 µV over 16 bits."""
    head = struct.pack(">i6hi5hih", 2, 2020, 1, 2, 10, 11, 12, 0, RATE, len(NAMES), 1, 16, 6554, SIGNAL.shape[1], 0)
    path.write_bytes(head + np.round(SIGNAL / (6554 / 2**16)).T.astype(">i2").tobytes())
    return path


def mff(path: Path) -> Path:
    from mffpy.writer import BinWriter, Writer

    writer = Writer(str(path))
    writer.addxml("fileInfo", recordTime=datetime(2020, 1, 2, 10, 11, 12, tzinfo=UTC))
    writer.add_coordinates_and_sensor_layout("HydroCel GSN 32 1.0")
    signal = BinWriter(sampling_rate=RATE, data_type="EEG")
    signal.add_block(np.tile(SIGNAL, (9, 1))[:33].astype(np.float32))
    writer.addbin(signal)
    writer.write()
    return path


def curry(path: Path) -> Path:
    lines = ["DATA_PARAMETERS START", "FileVersion = 804", f"NumSamples = {SIGNAL.shape[1]}", "NumChannels = 4"]
    lines += ["NumTrials = 1", f"SampleFreqHz = {RATE}", "TriggerOffsetUsec = 0", "DataFormat = FLOAT"]
    lines += ["DataSampOrder = SAMP", f"SampleTimeUsec = {1e6 / RATE:g}", "DataByteOrder = INTEL", "AmplifierInfo = "]
    when = {"Year": 2020, "Month": 1, "Day": 2, "Hour": 10, "Min": 11, "Sec": 12, "Millisec": 0}
    lines += [f"Start{name} = {value}" for name, value in when.items()]
    lines += ["DATA_PARAMETERS END", "DEVICE_PARAMETERS START", "DataUnit = uV", "NumChanThisGroup = 4"]
    lines += ["DEVICE_PARAMETERS END", "IMPEDANCE_VALUES START_LIST", "5 5 5 5", "IMPEDANCE_VALUES END_LIST"]
    lists = {"LABELS": list(NAMES), "SENSORS": ["-30 80 40", "0 0 120", "30 -80 40", "40 -60 70"]}
    for name, rows in lists.items():
        lines += [f"{name} START", f"{name} END", f"{name} START_LIST", *rows, f"{name} END_LIST"]
    path.with_name(path.name + ".dpa").write_text("\n".join(lines) + "\n")
    path.write_bytes(SIGNAL.T.astype("<f4").tobytes())
    return path


def ant(path: Path) -> Path:
    """Written by ANT's own library, and the chunk of recording information that it needs to read the file again."""
    from antio.libeep import pyeep

    channels = pyeep.create_channel_info()
    for name in NAMES:
        pyeep.add_channel(channels, name, "REF", "uV")
    handle = pyeep.write_cnt(str(path), RATE, channels, 0)
    pyeep.add_samples(handle, SIGNAL.T.astype(np.float32).ravel().tolist(), len(NAMES))
    pyeep.close(handle)
    text = b"[StartDate]\n43831.5\n[StartFraction]\n0.0\n[SubjectDateOfBirth]\n0 0 0 1 0 80 0 0 0\n"
    file = bytearray(path.read_bytes()) + b"info" + struct.pack("<I", len(text) + len(text) % 2) + text
    file += b"\n" * (len(text) % 2)
    struct.pack_into("<I", file, 4, len(file) - 8)
    path.write_bytes(file)
    return path


WRITTEN = {
    "a.lay": (persyst, {}, 0.0501), "a.data": (nicolet, {}, 0.0501), "a.EEG": (nihon, {}, 0.0501),
    "a.cdt": (curry, {}, 1e-5), "a.cnt": (ant, {}, 0.0079),
    "a.raw": (egi, {"channels": {"E1": "Fp1", "E2": "Cz", "E3": "O2", "E4": "P4"}}, 0.0501),
    "a.mff": (mff, {"channels": {"E1": "Fp1", "E2": "Cz", "E3": "O2", "E4": "P4"}}, 1e-5),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_written_files_sample_by_sample(tmp_path: Path, name: str) -> None:
    write, options, digit = WRITTEN[name]
    recording = open_recording(write(tmp_path / name), reading=ReadingOptions(**options))
    assert recording.channels == ("FP1", "CZ", "O2", "P4")
    assert (recording.rate, recording.samples) == (RATE, SIGNAL.shape[1])
    np.testing.assert_allclose(recording.read(), SIGNAL, atol=digit)
    np.testing.assert_allclose(recording.read(1.0, 2.5), SIGNAL[:, 250:625], atol=digit)
    if name == "a.lay":
        assert [(mark.onset, mark.duration, mark.text) for mark in recording.annotations] == [(1.5, 0.5, "blink")]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
@pytest.mark.parametrize(
    ("named", "note"),
    [("a.dat", None), ("C:\\EEG\\a.dat", None), ("other.dat", "File= names other.dat, which is not there; a.dat was")],
)
def test_persyst_in_any_encoding_and_renamed(tmp_path: Path, encoding: str, named: str, note: str | None) -> None:
    path = persyst(tmp_path / "a.lay")
    text = path.read_text().replace("File=a.dat", f"File={named}").replace("blink", "Augen öffnen – zu")
    path.write_bytes(text.encode(encoding, "replace"))
    recording = open_recording(path)
    np.testing.assert_allclose(recording.read(), SIGNAL, atol=0.0501)
    expected = "Augen öffnen – zu".encode(encoding, "replace").decode(encoding)
    assert [mark.text for mark in recording.annotations] == [expected]
    assert any(said.startswith(note) for said in recording.notes) if note else not recording.notes
    assert recording.path == path
    (tmp_path / "a.dat").write_bytes((tmp_path / "a.dat").read_bytes()[:-3])
    with pytest.raises(RecordingError, match=r"a\.dat: truncated"):
        open_recording(path)
    (tmp_path / "a.dat").unlink()
    with pytest.raises(RecordingError, match=r"a\.lay: File= names .*, which is not there, and no a\.dat either"):
        open_recording(path)


def test_eximia_in_microvolts(tmp_path: Path) -> None:
    recording = open_recording(eximia(tmp_path / "a.nxe"))
    assert len(recording.channels) == 60
    assert (recording.rate, recording.unit) == (1450.0, "uV")
    np.testing.assert_allclose(recording.read(), np.tile(SIGNAL[0], (60, 1)), atol=0.0382)


def test_parts_of_a_recording_open_the_whole(tmp_path: Path) -> None:
    for whole, part in (
        (persyst(tmp_path / "p.lay"), tmp_path / "p.dat"),
        (nicolet(tmp_path / "n.data"), tmp_path / "n.head"),
        (curry(tmp_path / "c.cdt"), tmp_path / "c.cdt.dpa"),
    ):
        recording = open_recording(part)
        assert recording.path == whole
        assert f"opened through {whole.name}" in recording.notes
