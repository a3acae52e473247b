"""Opening recordings: what is refused and why, units, names, and that samples are where and what they should be."""

import logging
from collections.abc import Sequence
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.recording import checks
from neurolm.recording.formats import edf
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import RECORDING_SUFFIXES, find_recordings, open_recording

RATE = 250
FREQUENCY = 10.0
AMPLITUDE = 40.0  # µV


def sine(seconds: float, rate: int = RATE) -> np.ndarray:
    return AMPLITUDE * np.sin(2 * np.pi * FREQUENCY * np.arange(round(seconds * rate)) / rate)


def write_edf(
    path: Path, signals: dict[str, np.ndarray], *, unit: str = "uV", rate: int | dict[str, int] = RATE, annotations=()
) -> Path:
    parts = []
    for label, values in signals.items():
        own_rate = rate[label] if isinstance(rate, dict) else rate
        top = float(f"{1.3 * np.abs(values).max():.1g}")
        limits = (-top, top)
        parts.append(edfio.EdfSignal(values, own_rate, label=label, physical_dimension=unit, physical_range=limits))
    edfio.Edf(parts, annotations=annotations).write(path)
    return path


def mne_raw(names: list[str], data: np.ndarray, types: str | list[str] = "eeg") -> mne.io.RawArray:
    return mne.io.RawArray(data * 1e-6, mne.create_info(names, RATE, types), verbose="error")


def noise(channels: int, seconds: float = 4.0, sd: float = 20.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, sd, (channels, round(seconds * RATE)))


# --- samples: right value, right place -------------------------------------------------------------------------------


def test_microvolts_and_alignment_of_an_edf_file(tmp_path: Path) -> None:
    index = np.arange(8 * RATE, dtype=float)  # its own sample number: a shift by one sample would show
    path = write_edf(
        tmp_path / "a.edf",
        {"EEG Fp1-REF": sine(8), "EEG O2-REF": index},
        annotations=[edfio.EdfAnnotation(2.5, 0.5, "blink")],
    )
    recording = open_recording(path, check=False)
    assert recording.channels == ("FP1", "O2")
    assert (recording.rate, recording.samples, recording.seconds, recording.unit) == (RATE, 8 * RATE, 8.0, "uV")
    whole = recording.read()
    assert whole.dtype == np.float64
    np.testing.assert_allclose(whole[0], sine(8), atol=2e-3)  # half a digit: 80 µV over 65,535 digits
    np.testing.assert_allclose(whole[1], index, atol=0.05)
    np.testing.assert_allclose(recording.read(1.5, 3.2), whole[:, 375:800])
    np.testing.assert_allclose(recording.read(7.0), whole[:, 1750:])
    (mark,) = recording.annotations
    assert (mark.onset, mark.duration, mark.text) == (2.5, 0.5, "blink")


def test_a_part_outside_the_recording_is_refused(tmp_path: Path) -> None:
    recording = open_recording(write_edf(tmp_path / "a.edf", {"Cz": sine(2)}))
    for start, stop in ((-1.0, 1.0), (0.0, 2.1), (1.5, 1.0)):
        with pytest.raises(ValueError, match="not inside"):
            recording.read(start, stop)


def test_an_mne_object_gives_what_its_file_gives(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", {"Fp1": sine(4), "Cz": sine(4) / 2})
    raw = mne.io.read_raw_edf(path, verbose="error")
    np.testing.assert_allclose(open_recording(raw).read(), open_recording(path).read())
    assert open_recording(raw).path == path
    assert open_recording(mne_raw(["Cz"], noise(1))).path is None


def test_annotations_are_counted_from_the_first_sample_that_is_kept() -> None:
    raw = mne_raw(["Cz"], noise(1, 10))
    raw.set_meas_date(0)
    raw.set_annotations(mne.Annotations([6.0], [1.0], ["x"], orig_time=raw.info["meas_date"]))
    raw.crop(tmin=4.0)
    assert open_recording(raw).annotations[0].onset == 2.0


# --- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "worth"), [("uV", 1.0), ("mV", 1e3), ("V", 1e6), ("nV", 1e-3), ("", 1.0), (b"\xb5V", 1.0), ("n/a", 1.0)]
)
def test_units_of_edf_headers(tmp_path: Path, written: str | bytes, worth: float) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4) / worth}, unit="uV")
    replace_unit(path, written)
    recording = open_recording(path)
    assert recording.read().std() == pytest.approx(AMPLITUDE / np.sqrt(2), rel=0.03)
    assert bool(recording.notes) == (written in ("", "n/a"))  # an assumption is said


@pytest.mark.parametrize(
    "written", [b"\xce\xbcV", b"\xc2\xb5V", b"\x83\xcaV", b"\xecV", b"\xe6V", "µV", "μV", "Microvolts"]
)
def test_every_way_to_write_a_micro_sign(written: str | bytes) -> None:
    assert edf.unit_of(written) == "uV"


@pytest.mark.parametrize("written", ["мкВ", "мкВ".encode("cp1251"), "мкВ".encode(), "МКВ"])
def test_microvolts_in_cyrillic(written: str | bytes) -> None:
    assert edf.unit_of(written) == "uV"
    assert edf.unit_of("мВ".encode("cp1251")) == "mV"


def test_electrodes_in_a_unit_that_nobody_knows_need_one_that_is_given(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", {"Fp1": sine(4), "Cz": sine(4) / 2, "SpO2": sine(4)}, unit="counts/3")
    with pytest.raises(
        RecordingError, match=r"no EEG electrode .*say their unit, which the file does not \(unit='uV'\)"
    ):
        open_recording(path)
    for unit in ("uV", "auto"):
        recording = open_recording(path, reading=ReadingOptions(unit=unit))
        assert (recording.channels, recording.unit) == (("FP1", "CZ"), "uV")
        np.testing.assert_allclose(recording.read()[0], sine(4), atol=0.01)
        assert "taken for EEG because a unit is given" in " ".join(recording.notes)


def test_a_unit_that_is_no_voltage_is_left_out(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4), "Pz": sine(4)})
    replace_unit(path, "degC", signal=1)
    recording = open_recording(path)
    assert recording.channels == ("CZ",)
    assert recording.notes == ("left out, other: Pz",)
    (row,) = [row for row in recording.coverage if row.how == "left out"]
    assert (row.kind, row.detail) == ("other", "other, by the file's unit or type")


def replace_unit(path: Path, written: str | bytes, signal: int = 0) -> None:
    data = bytearray(path.read_bytes())
    count = int(data[252:256])
    start = 256 + count * (16 + 80) + signal * 8
    data[start : start + 8] = (written if isinstance(written, bytes) else written.encode("latin-1")).ljust(8)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["fif/ssvep_subject03_raw.fif", "gdf/ssvep_subject03.gdf"])
def test_wrong_units_are_refused_with_the_unit_that_would_be_right(shared: Path, name: str) -> None:
    path = shared / "eeg" / "formats" / name
    with pytest.raises(RecordingError, match=r"unit='mV'") as error:
        open_recording(path)
    assert str(path) in str(error.value)
    assert ("6,982 µV" in str(error.value)) or ("0.00698 µV" in str(error.value))


def test_the_same_recording_from_two_files_with_wrong_units_is_the_same(shared: Path) -> None:
    folder = shared / "eeg" / "formats"
    fif = open_recording(folder / "fif" / "ssvep_subject03_raw.fif", reading=ReadingOptions(unit="mV"))
    gdf = open_recording(folder / "gdf" / "ssvep_subject03.gdf", reading=ReadingOptions(unit="mV"))
    assert fif.channels == gdf.channels == ("OZ", "O1", "O2", "PO3", "POZ", "PO7", "PO8", "PO4")
    assert (fif.rate, fif.samples, fif.unit) == (gdf.rate, gdf.samples, gdf.unit)
    np.testing.assert_allclose(fif.read(), gdf.read(), rtol=1e-4, atol=1e-3)
    assert 1 < np.median(np.abs(fif.read())) < 50
    assert len(gdf.annotations) == 98


def test_no_unit_would_make_it_eeg() -> None:
    with pytest.raises(RecordingError, match=r"no other unit"):
        open_recording(mne_raw(["Cz"], noise(1, sd=1e-9)))


def test_drift_of_direct_coupled_amplifiers_is_no_amplitude() -> None:
    drift = 20_000 + np.linspace(0, 5_000, 4 * RATE)
    assert open_recording(mne_raw(["Cz", "Pz"], noise(2) + drift)).channels == ("CZ", "PZ")


def test_channels_of_another_rate_are_not_upsampled(tmp_path: Path) -> None:
    signals = {"Fp1": sine(4), "Cz": sine(4), "ECG": sine(4, 500), "O1": sine(4, 125)}
    path = write_edf(tmp_path / "a.edf", signals, rate={"Fp1": 250, "Cz": 250, "ECG": 500, "O1": 125})
    with pytest.raises(RecordingError, match=r"different rates.*O1 \(125 Hz\)"):
        open_recording(path)
    recording = open_recording(path, reading=ReadingOptions(unknown="drop"))
    assert (recording.channels, recording.rate, recording.samples) == (("FP1", "CZ"), 250.0, 1000)
    np.testing.assert_allclose(recording.read()[1], sine(4), atol=2e-3)


# --- other formats ---------------------------------------------------------------------------------------------------


def test_formats_open_with_their_electrodes(shared: Path) -> None:
    formats = shared / "eeg" / "formats"
    found = {
        path.suffix: open_recording(path)
        for path in (
            formats / "bdf" / "test.bdf",
            formats / "eeglab" / "eeglab_data.set",
            formats / "brainvision" / "test.vhdr",
        )
    }
    assert {suffix: len(r.channels) for suffix, r in found.items()} == {".bdf": 66, ".set": 30, ".vhdr": 26}
    assert len(found[".set"].annotations) == 154
    assert "left out, eog: EOG1, EOG2" in found[".set"].notes
    for recording in found.values():
        assert 5 < np.median(np.abs(recording.read() - np.median(recording.read(), axis=1, keepdims=True))) < 60


@pytest.mark.parametrize("name", ["bdf/test.bdf", "brainvision/test.vhdr", "fif/ssvep_subject03_raw.fif"])
def test_when_a_recording_began_is_what_mne_says(shared: Path, name: str) -> None:
    path = shared / "eeg" / "formats" / name
    began = mne.io.read_raw(path, verbose="error").info["meas_date"]
    assert open_recording(path, reading=ReadingOptions(unknown="drop", unit="auto")).start == began.replace(tzinfo=None)


def test_a_file_without_a_start_has_none(shared: Path) -> None:
    assert open_recording(shared / "eeg" / "formats" / "eeglab" / "eeglab_data.set").start is None


def test_a_part_of_a_recording_opens_the_whole(shared: Path) -> None:
    folder = shared / "eeg" / "formats" / "brainvision"
    assert open_recording(folder / "test.eeg").path == folder / "test.vhdr"


def test_a_net_without_positions_takes_those_of_its_cap(shared: Path) -> None:
    path = shared / "eeg" / "formats" / "egi" / "test_egi.raw"
    with pytest.raises(RecordingError, match=r"E1, E2.*cap='GSN-HydroCel-256'"):
        open_recording(path)
    with pytest.raises(RecordingError, match="no EEG electrode among its"):
        open_recording(path, reading=ReadingOptions(unknown="drop"))
    named = open_recording(path, reading=ReadingOptions(channels={"E59": "C3", "E183": "C4"}))
    assert named.channels == ("C3", "C4")
    recording = open_recording(path, reading=ReadingOptions(unknown="nearest", unit="auto"))
    assert len(set(recording.channels)) == len(recording.channels) > 90
    said = " ".join(recording.notes)
    assert "count the contacts of GSN-HydroCel-256" in said
    assert "E59 → C3 (" in said  # Luu & Ferree 2005


def test_xdf_finds_the_eeg_stream_and_its_markers(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = shared / "eeg" / "formats" / "xdf" / "clock_resets.xdf"
    named = {f"ch{i + 1}": name for i, name in enumerate(["Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"])}
    with caplog.at_level(logging.WARNING):
        with pytest.raises(RecordingError, match=r"8 of 8 EEG channels are no known electrodes: ch1"):
            open_recording(path)
        recording = open_recording(path, reading=ReadingOptions(channels=named, unit="mV"))
    assert not caplog.records  # what the reader says is in the notes
    before, after = recording.stretches
    assert (len(recording.channels), recording.rate, before.samples + after.samples) == (8, 93.0, 27815)
    (rate,) = [note for note in recording.notes if "arrived" in note]
    assert rate == "the stream declares 100 Hz, but 92.93 samples per second arrived, steadily: taken as 93 Hz"
    assert len(recording.annotations) > 100
    assert "interrupted once: at 138.4" in " ".join(recording.notes)
    assert np.nanmean(recording.read()) == pytest.approx(500, rel=0.02)  # uniform noise from 0 to 1


def test_another_stream_of_an_xdf_file(shared: Path) -> None:
    path = shared / "eeg" / "formats" / "xdf" / "clock_resets.xdf"
    named = {"ch1": "Fp1"}
    by_default = open_recording(path, reading=ReadingOptions(channels=named), check=False)
    import pyxdf

    infos = [stream["info"] for stream in pyxdf.load_xdf(path, verbose=False)[0]]
    (eeg,) = [i for i, info in enumerate(infos) if info["type"][0] == "EEG"]
    for stream in (eeg, infos[eeg]["name"][0]):
        chosen = open_recording(path, reading=ReadingOptions(channels=named, stream=stream), check=False)
        np.testing.assert_array_equal(chosen.read(), by_default.read())
    with pytest.raises(RecordingError, match=r"stream='none': there is none; streams found: 0 "):
        open_recording(path, reading=ReadingOptions(stream="none"))
    with pytest.raises(RecordingError, match=r"stream=9: there is none; streams found"):
        open_recording(path, reading=ReadingOptions(stream=9))
    with pytest.raises(RecordingError, match=r"is no signal: it has no samples at a regular rate"):
        open_recording(path, reading=ReadingOptions(stream=next(i for i in range(len(infos)) if i != eeg)))
    with pytest.raises(RecordingError, match=r"stream is for XDF files"):
        open_recording(shared / "eeg" / "eegmat" / "Subject00_1.edf", reading=ReadingOptions(stream=0))


def test_cnt_files_are_not_given_to_the_wrong_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.cnt"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(RecordingError, match=r"neither Neuroscan .* nor ANT"):
        open_recording(path)


# --- what must be refused --------------------------------------------------------------------------------------------

BROKEN = {
    "truncated.edf": r"500,000 bytes, the header promises 3,848,636 \(23 of 182 data records are there\)",
    "header_only.edf": r"truncated: 100 bytes",
    "empty.edf": r"empty \(0 bytes\)",
    "noise.edf": r"not an EDF or BDF file",
    "newline_corrupted.edf": r"2,607,197 bytes where the header promises 2,596,896.*text mode.*binary mode",
}


@pytest.mark.parametrize(("name", "found"), BROKEN.items())
def test_broken_files_are_refused(shared: Path, name: str, found: str) -> None:
    path = shared / "eeg" / "formats" / "broken" / name
    with pytest.raises(RecordingError, match=found) as error:
        open_recording(path)
    assert str(error.value).startswith(str(path))
    with pytest.raises(RecordingError, match=found):
        open_recording(
            path, check=False, reading=ReadingOptions(unknown="drop")
        )  # no policy makes a damaged file whole


def test_missing_files_folders_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.edf: no such file"):
        open_recording(tmp_path / "none.edf")
    with pytest.raises(RecordingError, match=r"a folder, not a recording"):
        open_recording(tmp_path)
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(RecordingError, match=r"no reader for the suffix '\.doc'.*\.edf.*\.xdf"):
        open_recording(tmp_path / "a.doc")
    for suffix in RECORDING_SUFFIXES:
        if suffix not in (".mff", ".mefd"):
            (tmp_path / f"a{suffix}").write_bytes(b"\x17not what the suffix says\n" * 40)
            with pytest.raises(RecordingError, match=r"a\."):
                open_recording(tmp_path / f"a{suffix}")
    with pytest.raises(TypeError, match="int"):
        open_recording(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"unit='pV': choose one of V, mV, uV, nV"):
        open_recording(tmp_path / "a.edf", reading=ReadingOptions(unit="pV"))


@pytest.mark.parametrize(
    ("start", "stop", "text", "found"),
    [
        (184, 192, b"99999   ", "damaged header: 2 signals need"),
        (236, 244, b"abc     ", "number of data records reads"),
        (236, 244, b"-7      ", "no signal in this file; nothing was recorded: export it again"),
        (252, 256, b"0   ", "damaged header"),
    ],
)
def test_damaged_headers(tmp_path: Path, start: int, stop: int, text: bytes, found: str) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4)})
    data = bytearray(path.read_bytes())
    data[start:stop] = text
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=found):
        open_recording(path)


def test_a_file_that_ends_with_its_header_is_to_be_copied_again(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4)})
    path.write_bytes(path.read_bytes()[: 256 * 3])
    with pytest.raises(RecordingError, match=r"4 data records: there is no signal in this file; it was cut short: "):
        open_recording(path)


@pytest.mark.parametrize("counted", [0, 1, 3])
def test_records_that_the_header_does_not_count_are_taken_as_mne_does(tmp_path: Path, counted: int) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4)})
    data = bytearray(path.read_bytes())
    data[236:244] = f"{counted:<8}".encode()
    path.write_bytes(data)
    recording = open_recording(path)
    raw = mne.io.read_raw_edf(path, verbose="error")
    np.testing.assert_allclose(recording.read(), raw.get_data() * 1e6, rtol=1e-9, atol=1e-9)
    assert f"the header says {counted} data records, the file holds 4, which are taken" in recording.notes


@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize(
    "tail", [bytes(300), bytes(5000), b"\xff" * 2000, "another file", b"\x1aSAUCE00 what some programs append"]
)
def test_what_follows_the_last_record_is_left_out(tmp_path: Path, annotated: bool, tail: bytes | str) -> None:
    marks = [edfio.EdfAnnotation(1.0, None, "x")] if annotated else []
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4), "Pz": sine(4) / 2}, annotations=marks)
    whole = open_recording(path).read()
    data = path.read_bytes()
    extra = data if isinstance(tail, str) else tail
    path.write_bytes(data + extra)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording.read(), whole)
    assert f"{len(extra):,} bytes after the last data record left out" in recording.notes


def test_fields_that_a_nul_ends(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4)})
    whole = open_recording(path).read()
    data = bytearray(path.read_bytes())
    for start, field in ((0, b"0\0\0\0abc "), (236, b"4\0\0junk "), (256, b"Cz\0\0left over...")):
        data[start : start + len(field)] = field
    data[448:456] = b"uV\0mm\0\0\0"
    path.write_bytes(data)
    recording = open_recording(path)
    assert (recording.channels, recording.unit) == (("CZ",), "uV")
    np.testing.assert_array_equal(recording.read(), whole)


def with_range(path: Path, which: str, *, of: Sequence[int]) -> Path:
    """Write a range of nothing, from 5 to 5, into the header for some of its channels."""
    data = bytearray(path.read_bytes())
    channels = int(data[252:256])  # edfio adds one of annotations
    start = 256 + channels * (104 if which == "physical" else 120)
    for limit in range(2):
        for i in of:
            at = start + 8 * (limit * channels + i)
            data[at : at + 8] = b"5       "
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("which", ["physical", "digital"])
def test_a_channel_without_a_range_has_no_amplitude(tmp_path: Path, which: str) -> None:
    signals = {"Fp1": sine(4), "Cz": sine(4) / 2, "O2": sine(4) / 3}
    path = write_edf(tmp_path / "a.edf", signals)
    whole = open_recording(path).read()
    with_range(path, which, of=[1])
    with pytest.raises(RecordingError, match=f"CZ: no {which} range: amplitude unknown; .*'interpolate'"):
        open_recording(path)
    recording = open_recording(path, reading=ReadingOptions(unknown="drop"))
    assert recording.channels == ("FP1", "O2")
    assert recording.notes == (f"left out, no {which} range: amplitude unknown: CZ",)
    np.testing.assert_array_equal(recording.read(), whole[[0, 2]])
    unchecked = open_recording(path, check=False)
    assert f"read as 0: CZ (no {which} range: amplitude unknown)" in unchecked.notes
    np.testing.assert_array_equal(unchecked.read(), whole * [[1], [0], [1]])


@pytest.mark.parametrize("which", ["physical", "digital"])
def test_nor_has_one_of_an_mne_object(tmp_path: Path, which: str) -> None:
    path = with_range(write_edf(tmp_path / "a.edf", {"Fp1": sine(4), "Cz": sine(4) / 2}), which, of=[1])
    recording = open_recording(mne.io.read_raw_edf(path, verbose="error"), reading=ReadingOptions(unknown="drop"))
    assert recording.notes == (f"left out, no {which} range: amplitude unknown: CZ",)


@pytest.mark.parametrize("which", ["physical", "digital"])
def test_a_gdf_channel_without_a_range_has_no_amplitude(tmp_path: Path, shared: Path, which: str) -> None:
    data = bytearray((shared / "eeg" / "formats" / "gdf" / "ssvep_subject03.gdf").read_bytes())
    channels = int(np.frombuffer(data[252:254], "<u2")[0])
    start = 256 + channels * (104 if which == "physical" else 120)  # minima and maxima are float64
    data[start + 8 * channels : start + 8 * channels + 8] = data[start : start + 8]
    (tmp_path / "a.gdf").write_bytes(data)
    recording = open_recording(tmp_path / "a.gdf", reading=ReadingOptions(unknown="drop", unit="mV"))
    whole = open_recording(
        shared / "eeg" / "formats" / "gdf" / "ssvep_subject03.gdf", reading=ReadingOptions(unit="mV")
    )
    assert recording.channels == whole.channels[1:]
    assert f"left out, no {which} range: amplitude unknown: {whole.channels[0]}" in recording.notes


@pytest.mark.parametrize("which", ["physical", "digital"])
@pytest.mark.parametrize("unit", [None, "auto", "mV"])
def test_where_no_channel_has_a_range_no_unit_helps(tmp_path: Path, which: str, unit: str | None) -> None:
    path = with_range(write_edf(tmp_path / "a.edf", {"Fp1": sine(4), "Cz": sine(4)}), which, of=[0, 1])
    with pytest.raises(RecordingError, match=f"no {which} range: amplitude unknown, in all 2 channels") as error:
        open_recording(path, reading=ReadingOptions(unknown="drop", unit=unit))
    assert "unit" not in str(error.value)


def test_a_recorder_that_was_never_stopped_is_noted(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4)})
    data = bytearray(path.read_bytes())
    data[236:244] = b"-1      "
    path.write_bytes(data)
    recording = open_recording(path)
    assert recording.samples == 4 * RATE
    assert "never stopped" in recording.notes[0]


def test_gaps_are_in_the_time_of_an_interrupted_recording(tmp_path: Path) -> None:
    notes = [edfio.EdfAnnotation(0, None, "x"), edfio.EdfAnnotation(7.5, None, "late")]
    path = write_edf(tmp_path / "a.edf", {"Cz": sine(4)}, annotations=notes)
    data = bytearray(path.read_bytes())
    data[192:197] = b"EDF+D"
    path.write_bytes(data)
    assert open_recording(path).samples == 4 * RATE
    assert data.count(b"+2\x14\x14") == 1
    path.write_bytes(data.replace(b"+2\x14\x14", b"+7\x14\x14").replace(b"+3\x14\x14", b"+8\x14\x14"))
    recording = open_recording(path)
    assert recording.seconds == 9.0 and recording.annotations[-1].onset == 7.5
    assert "interrupted once: at 2 s (5 s missing)" in " ".join(recording.notes)
    signal = recording.read()
    assert np.isnan(signal[:, 2 * RATE : 7 * RATE]).all()
    np.testing.assert_allclose(signal[0, 7 * RATE :], sine(4)[2 * RATE :], atol=0.1)
    np.testing.assert_allclose(recording.read(7, 8), signal[:, 7 * RATE : 8 * RATE])


# --- checks of the signal --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_channel_that_is_mostly_missing_is_as_useless_as_a_flat_one(value: float) -> None:
    data = noise(2)
    data[1, 7:] = value
    with pytest.raises(RecordingError, match=r"PZ: missing \(99% NaN or infinite\); name the others"):
        open_recording(mne_raw(["Cz", "Pz"], data))
    recording = open_recording(mne_raw(["Cz", "Pz"], data), reading=ReadingOptions(unknown="drop"))
    assert recording.channels == ("CZ",) and "left out, missing (99% NaN or infinite): PZ" in recording.notes
    data[0] = value
    with pytest.raises(RecordingError, match=r"NaN or infinite values among 1,000 samples of CZ \(1,000\), PZ"):
        open_recording(mne_raw(["Cz", "Pz"], data))


def test_flat_channels() -> None:
    data = noise(3)
    data[1] = 12.0
    raw = mne_raw(["Fp1", "Cz", "O2"], data)
    with pytest.raises(RecordingError, match=r"flat channels: CZ"):
        open_recording(raw)
    recording = open_recording(raw, reading=ReadingOptions(unknown="drop"))
    assert recording.channels == ("FP1", "O2")
    assert recording.notes == ("left out, flat: CZ",)
    np.testing.assert_allclose(recording.read(), data[[0, 2]])
    with pytest.raises(RecordingError, match=r"all 2 channels are flat"):
        open_recording(mne_raw(["Fp1", "Cz"], np.ones((2, 500))), reading=ReadingOptions(unknown="drop"))


def test_a_channel_of_odd_amplitude_is_noted() -> None:
    data = noise(3)
    data[2] *= 100
    (note,) = open_recording(mne_raw(["Fp1", "Cz", "O2"], data)).notes
    assert note.startswith("amplitude outside 0.5–500 µV: O2 (")


def test_a_day_of_eeg_is_checked_on_a_minute() -> None:
    day = 24 * 3600 * 256
    looked_at = checks.blocks(day, 256.0)
    assert sum(stop - start for start, stop in looked_at) == 60 * 256
    assert looked_at[0][0] == 0
    assert looked_at[-1][1] == day
    assert checks.blocks(1000, 256.0) == [(0, 1000)]
    parts = checks.blocks(30 * 256, 256.0)
    assert parts[0][0] == 0
    assert [stop for _, stop in parts[:-1]] == [start for start, _ in parts[1:]]


# --- folders ---------------------------------------------------------------------------------------------------------


def test_recordings_of_a_folder_are_found_once(tmp_path: Path) -> None:
    names = ["b.EDF", "a/x.vhdr", "a/x.eeg", "a/x.vmrk", "a/y.set", "a/y.fdt", "n.eeg", ".hidden.edf", "r_raw.fif"]
    names += ["r_raw-1.fif", "s-eve.fif", "s_epo.fif", "notes.txt", "net.mff/signal1.bin", "net.mff/part.edf"]
    names += ["q_split-01_raw.fif", "q_split-02_raw.fif", "labels.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in find_recordings(tmp_path)]
    assert found == ["a/x.vhdr", "a/y.set", "b.EDF", "n.eeg", "net.mff", "q_split-01_raw.fif", "r_raw.fif"]
    with pytest.raises(RecordingError, match="no such folder"):
        find_recordings(tmp_path / "none")


def test_all_recordings_of_the_shared_folder_are_found(shared: Path) -> None:
    assert len(find_recordings(shared / "eeg" / "eegmat")) == 72
    formats = [path.name for path in find_recordings(shared / "eeg" / "formats")]
    assert "ssvep_subject03-eve.fif" not in formats
    assert len(formats) == 16


@pytest.mark.parametrize(("name", "held"), [("x-eve.fif", "events"), ("sub-1_epo.fif", "epochs")])
def test_a_fif_file_that_is_no_recording_by_its_name_is_called_what_it_is(tmp_path: Path, name: str, held: str) -> None:
    (tmp_path / name).write_bytes(b"no FIF" * 20)
    with pytest.raises(RecordingError, match=f"{name}: no recording: by its name it holds {held}: .*; name the record"):
        open_recording(tmp_path / name)


def test_a_fif_file_that_holds_a_recording_is_read_whatever_its_name(tmp_path: Path, shared) -> None:
    path = tmp_path / "cleaned_ica.fif"
    path.symlink_to(shared / "eeg/formats/fif/ssvep_subject03_raw.fif")
    assert open_recording(path, reading=ReadingOptions(unit="mV")).seconds == pytest.approx(246, abs=1)


def test_paths_start_from_the_folder_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers run in a process that outlives a change of folder."""
    for seconds in (20, 30):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        noise = np.random.default_rng(0).normal(0, 2e-5, (1, 200 * seconds))
        mne.io.RawArray(noise, mne.create_info(["Cz"], 200, "eeg"), verbose="error").save(folder / "a_raw.fif")
        monkeypatch.chdir(folder)
        assert open_recording("a_raw.fif").seconds == seconds
