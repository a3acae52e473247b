"""Trigger channels as events of the recording, beside what MNE finds, for each kind of file that has them."""

from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.recording.marks import read_marks
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import Recording, open_recording
from neurolm.recording.triggers import NOTE

RATE, SECONDS = 200, 20
PULSES = {4.0: 1, 8.0: 2, 12.0: 1, 19.9: 255}


def pulses(rate: int = RATE, *, idle: int = 0, held: float = 0.1, codes: dict[float, int] = PULSES) -> np.ndarray:
    """A channel at rest at a value, with codes added for a while."""
    channel = np.full(SECONDS * rate, idle)
    for onset, code in codes.items():
        channel[round(onset * rate) : round((onset + held) * rate)] = idle + code
    return channel


def edf(path: Path, trigger: np.ndarray, name: str, *, scale: tuple[float, float], digital: tuple[int, int]) -> Path:
    """A recording of two electrodes and a trigger channel; BDF by its suffix."""
    rng = np.random.default_rng(0)
    signal, file = (edfio.BdfSignal, edfio.Bdf) if path.suffix == ".bdf" else (edfio.EdfSignal, edfio.Edf)
    parts = [
        signal(rng.normal(0, 20, SECONDS * RATE), RATE, label=label, physical_dimension="uV") for label in ("Cz", "Pz")
    ]
    rate = len(trigger) // SECONDS
    parts.append(signal(trigger.astype(float), rate, label=name, physical_range=scale, digital_range=digital))
    file(parts).write(path)
    return path


def physical(numbers: np.ndarray, scale: tuple[float, float], digital: tuple[int, int]) -> np.ndarray:
    """What a file's own numbers mean by its scale."""
    return scale[0] + (numbers - digital[0]) * (scale[1] - scale[0]) / (digital[1] - digital[0])


def found(recording: Recording) -> list[tuple[float, str]]:
    assert all(mark.duration == 0 for mark in recording.annotations)
    return [(mark.onset, mark.text) for mark in recording.annotations]


def by_mne(raw: mne.io.BaseRaw, channel: str, mask: int | None = None) -> list[tuple[float, str]]:
    events = mne.find_events(raw, channel, shortest_event=1, mask=mask, verbose="error")
    return [((place - raw.first_samp) / raw.info["sfreq"], str(code)) for place, _, code in events]


WORDS = (-(2**15), 2**15 - 1)


@pytest.mark.parametrize("name", ["Trigger", "STATUS", "TRIG 1", "Marker", "STI 014"])
def test_edf(tmp_path: Path, name: str) -> None:
    path = edf(tmp_path / "a.edf", pulses(), name, scale=WORDS, digital=WORDS)
    recording = open_recording(path)
    raw = mne.io.read_raw_edf(path, stim_channel=name, verbose="error")
    assert found(recording) == by_mne(raw, name) == [(onset, str(code)) for onset, code in PULSES.items()]
    assert f"{NOTE} {name}: 4 events, codes 1, 2, 255" in recording.notes
    assert recording.channels == ("CZ", "PZ")


@pytest.mark.parametrize("scale", [(0.0, 65535.0), (-3276.8, 3276.7), (0.0, 1000.0)])
def test_edf_whose_codes_are_its_physical_values(tmp_path: Path, scale: tuple[float, float]) -> None:
    """MNE cuts such values off where rounding leaves them a little below a whole number."""
    path = edf(tmp_path / "a.edf", pulses(), "Trigger", scale=scale, digital=WORDS)
    assert found(open_recording(path)) == [(onset, str(code)) for onset, code in PULSES.items()]


def test_edf_whose_codes_are_its_own_numbers(tmp_path: Path) -> None:
    """Their physical values are 0.01, 0.02 and 2.55, of which MNE makes 0, 0 and 2."""
    scale = (-327.68, 327.67)
    path = edf(tmp_path / "a.edf", physical(pulses(), scale, WORDS), "Trigger", scale=scale, digital=WORDS)
    assert found(open_recording(path)) == [(onset, str(code)) for onset, code in PULSES.items()]


@pytest.mark.parametrize("rate", [100, 200, 1000])
def test_a_trigger_channel_has_its_own_rate(tmp_path: Path, rate: int) -> None:
    path = edf(tmp_path / "a.edf", pulses(rate, codes={4.005: 7}), "Trigger", scale=WORDS, digital=WORDS)
    ((onset, text),) = found(open_recording(path))
    assert text == "7" and onset == pytest.approx(4.005, abs=0.5 / rate + 1e-9)


@pytest.mark.parametrize("idle", [0, 65280, 3])
@pytest.mark.parametrize("above", [0x3F0000, 0x100000, -0x800000])
def test_status_of_bdf_has_sixteen_bits(tmp_path: Path, idle: int, above: int) -> None:
    """CMS in range, speed and the like are no triggers, wherever they change; MNE leaves one bit too many."""
    status = pulses(idle=idle) + above
    status[1000:3000] ^= 1 << 16  # a new epoch, while codes come and go
    status[2000:] ^= 1 << 20  # CMS out of range
    bits = (-(2**23), 2**23 - 1)
    path = edf(tmp_path / "a.bdf", status, "Status", scale=bits, digital=bits)
    recording = open_recording(path)
    raw = mne.io.read_raw_bdf(path, verbose="error")
    expected = by_mne(raw, "Status", mask=0xFFFF)
    assert found(recording) == expected
    assert [text for _, text in expected] == [str(idle + code) for code in PULSES.values()]
    assert any(f"begins at {idle}" in note for note in recording.notes) == bool(idle)


def test_status_of_bdf_is_bits_whatever_its_scale(tmp_path: Path) -> None:
    bits = (-(2**23), 2**23 - 1)
    scale = (-262144.0, 262143.0)
    path = edf(tmp_path / "a.bdf", physical(pulses(), scale, bits), "Status", scale=scale, digital=bits)
    assert [text for _, text in found(open_recording(path))] == ["1", "2", "1", "255"]


def raw_with(channels: dict[str, np.ndarray], *, rate: int = RATE) -> mne.io.RawArray:
    rng = np.random.default_rng(1)
    info = mne.create_info(["Cz", "Pz", *channels], rate, ["eeg", "eeg", *["stim"] * len(channels)])
    eeg = rng.normal(0, 2e-5, (2, SECONDS * rate))
    return mne.io.RawArray(np.vstack([eeg, *(one[None] for one in channels.values())]), info, verbose="error")


@pytest.mark.parametrize("first", [0.0, 3.0])
def test_fif_and_objects_of_mne(tmp_path: Path, first: float) -> None:
    raw = raw_with({"STI 014": pulses(), "STI 001": pulses(codes={1.0: 5})}).crop(tmin=first)
    raw.set_annotations(mne.Annotations([6.0 - first], [0.5], ["blink"]))
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    expected = sorted([*by_mne(raw, "STI 014"), (6.0 - first, "blink")])
    for source in (raw, tmp_path / "a_raw.fif"):
        marks = open_recording(source).annotations
        assert [mark.text for mark in marks] == [text for _, text in expected] == ["1", "blink", "2", "1", "255"]
        assert [mark.onset for mark in marks] == pytest.approx([onset for onset, _ in expected])


def test_several_channels_are_told_apart() -> None:
    raw = raw_with({"Trig1": pulses(codes={2.0: 1}), "Trig2": pulses(codes={3.0: 1}), "Trig3": pulses(codes={})})
    assert found(open_recording(raw)) == [(2.0, "Trig1 1"), (3.0, "Trig2 1")]
    raw.drop_channels("Trig2")
    assert found(open_recording(raw)) == [(2.0, "1")]


def test_what_the_file_annotates_itself_is_not_there_twice() -> None:
    raw = raw_with({"STI": pulses(codes={2.0: 1, 3.0: 2, 4.0: 12})})
    raw.set_annotations(mne.Annotations([2.0, 3.005, 4.0], [0, 0, 0], ["Stimulus/S  1", "2", "2"]))
    expected = [(2.0, "Stimulus/S  1"), (3.005, "2"), (4.0, "2"), (4.0, "12")]
    assert sorted(found(open_recording(raw))) == sorted(expected)


def test_what_the_reader_annotates_by_the_channel_is_not_there_twice(shared: Path) -> None:
    """MNE makes annotations, and channels, of the events of EGI's simple binary files."""
    path = shared / "eeg" / "formats" / "egi" / "test_egi.raw"
    assert [mark.text for mark in read_marks(path).annotations] == ["TRSP", "XXX1"]


@pytest.mark.parametrize(
    ("name", "mask"), [("bdf/test.bdf", 0xFFFF), ("edf/test.edf", None)]
)  # the second begins at a value that is no event
def test_files_of_recorders(shared: Path, name: str, mask: int | None) -> None:
    path = shared / "eeg" / "formats" / name
    raw = (mne.io.read_raw_bdf if path.suffix == ".bdf" else mne.io.read_raw_edf)(path, verbose="error")
    expected = by_mne(raw, "Status", mask)
    codes = [(mark.onset, mark.text) for mark in read_marks(path).annotations if mark.text.isdecimal()]
    assert [text for _, text in codes] == [text for _, text in expected]
    np.testing.assert_allclose([onset for onset, _ in codes], [onset for onset, _ in expected])


def test_a_channel_without_codes_is_said_and_costs_nothing_else() -> None:
    rng = np.random.default_rng(2)
    analogue = raw_with({"TRIG": rng.normal(0, 1, SECONDS * RATE)})
    recording = open_recording(analogue)
    assert not recording.annotations
    assert any(note.startswith(f"{NOTE} TRIG holds no codes") for note in recording.notes)
    ended = open_recording(raw_with({"TRIG": 5 * (np.arange(SECONDS * RATE) < 99)}))
    assert not ended.annotations and f"{NOTE} TRIG begins at 5, which is taken for no event" in ended.notes
    quiet = open_recording(raw_with({"TRIG": pulses(codes={})}))
    assert not quiet.annotations and not any(note.startswith(NOTE) for note in quiet.notes)


def test_changes_that_mne_takes_for_none_are_counted() -> None:
    steps = np.repeat([0, 1, 2, 1, 2, 0], SECONDS * RATE // 6 + 1)[: SECONDS * RATE]
    recording = open_recording(raw_with({"STI": steps}))
    assert found(recording) == by_mne(raw_with({"STI": steps}), "STI")
    assert f"{NOTE} STI: 1 changes to a lower code, without 0 between, are taken for no events" in recording.notes


def test_a_few_channels_of_long_records_are_read_alone(tmp_path: Path) -> None:
    """Only their bytes are read; the numbers are those of a reading of everything."""
    rng = np.random.default_rng(3)
    data = rng.integers(-(2**15), 2**15 - 1, (64, 4000))
    parts = [
        edfio.EdfSignal(one.astype(float), 1000, label=f"x{i}", physical_range=WORDS, digital_range=WORDS)
        for i, one in enumerate(data)
    ]
    edfio.Edf(parts).write(tmp_path / "a.edf")
    names = {f"x{i}": name for i, name in ((40, "Cz"), (41, "Pz"))}
    recording = open_recording(tmp_path / "a.edf", reading=ReadingOptions(channels=names, unit="nV"), check=False)
    np.testing.assert_allclose(recording.read(0.5, 3.7), data[40:42, 500:3700] * 1e-3)
