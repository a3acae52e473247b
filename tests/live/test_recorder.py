"""What was received can be asked again: the recording is whole at every moment, and gives the same answers."""

import resource
from dataclasses import replace
from types import SimpleNamespace

import mne
import numpy as np
import pytest

from neurolm import ReadingOptions
from neurolm.core.errors import ConfigError, WriteError
from neurolm.live.recorder import Recorder
from neurolm.live.session import Policy
from neurolm.live.source import Chunk, Layout, Notice
from neurolm.recording.recording import open_recording

QUESTION = "Is this EEG segment of high workload?"
RATE = 250.0
CHANNELS = ("C3", "O1")
LAYOUT = Layout(channels=CHANNELS, rate=RATE, name="memory")
MAINS = ReadingOptions(mains=50)
ALL = Policy(context=1e6)


def recorded(path, events, layout=LAYOUT):
    recorder = Recorder(path, layout)
    for event in events:
        recorder.interrupt(event) if isinstance(event, Notice) else recorder.write(event)
    return recorder


def test_samples_and_markers_come_back(tmp_path, lab):
    signal = lab.eeg(5)
    one = Chunk(samples=signal, times=10 + np.arange(1250) / RATE, received=0.0, markers=((12.0, "tone, high"),))
    recorded(tmp_path / "r.vhdr", [one]).close()
    raw = mne.io.read_raw_brainvision(tmp_path / "r.vhdr")
    assert raw.info["sfreq"] == RATE and raw.ch_names == list(CHANNELS)
    np.testing.assert_allclose(raw.get_data() * 1e6, signal, rtol=1e-6)
    assert [(a["onset"], a["description"]) for a in raw.annotations] == [(2.0, "Stimulus/tone, high")]


@pytest.mark.parametrize("rate", [256.0, 300.0, 512.0, 160.0])
def test_rates_come_back(tmp_path, rate, lab):
    layout = Layout(channels=CHANNELS, rate=rate)
    recorded(tmp_path / "r.vhdr", lab.chunks(lab.eeg(3, rate=rate), rate=rate), layout).close()
    assert open_recording(tmp_path / "r.vhdr").rate == pytest.approx(rate, rel=1e-12)


def test_what_was_recorded_is_there_before_it_ends(tmp_path, lab):
    recorder = recorded(tmp_path / "r.vhdr", lab.chunks(lab.eeg(5)))  # and nobody closes it
    assert open_recording(tmp_path / "r.vhdr").samples == 1250
    with recorder._data.open("ab") as file:  # killed within a sample
        file.write(b"\0\0\0")
    assert open_recording(tmp_path / "r.vhdr", reading=ReadingOptions(truncated="accept")).samples == 1250
    recorder.close()


def test_gaps_and_seams_are_those_of_the_stream(tmp_path, lab):
    gap, jump = Notice(kind="gap", text="", time=0.0), Notice(kind="clock-jump", text="", time=0.0)
    parts = [*lab.chunks(lab.eeg(4)), gap, *lab.chunks(lab.eeg(3), start=6.0), jump, *lab.chunks(lab.eeg(2), start=1.0)]
    recorded(tmp_path / "r.vhdr", parts).close()
    found = open_recording(tmp_path / "r.vhdr")
    assert [(s.start / RATE, s.samples / RATE) for s in found.stretches] == [(0, 4), (6, 3), (9, 2)]
    np.testing.assert_allclose(found.read(6, 9), lab.eeg(3), rtol=1e-6)


def test_a_new_layout_goes_into_a_file_of_its_own(tmp_path, lab):
    layout = Layout(channels=("Fz",), rate=200.0)
    changed = Notice(kind="channels-changed", text="", time=4.0, layout=layout)
    more = lab.chunks(lab.eeg(2, channels=1, rate=200.0), rate=200.0, start=4.0)
    recorder = recorded(tmp_path / "r.vhdr", [*lab.chunks(lab.eeg(4)), changed, *more])
    recorder.close()
    assert recorder.parts == [tmp_path / "r.vhdr", tmp_path / "r-2.vhdr"]
    assert open_recording(recorder.parts[1]).channels == ("FZ",)


def test_what_is_recorded_gives_the_same_answers(causal_model, tmp_path, lab):
    before, after = lab.eeg(9), lab.eeg(7, hertz=10.0, seed=1)
    events = [*lab.chunks(before), Notice(kind="gap", text="gap", time=9.0), *lab.chunks(after, start=11.0)]
    path = tmp_path / "r.vhdr"
    states = list(causal_model.live(lab.Memory(LAYOUT, events), QUESTION, policy=ALL, reading=MAINS, record=path))
    found = open_recording(path)
    parts = [found.read_samples(stretch.start, stretch.stop) for stretch in found.stretches]
    lab.assert_same(
        states, lab.offline(causal_model, parts, starts=[stretch.start / RATE for stretch in found.stretches])
    )


@pytest.mark.parametrize("mains", [None, 60.0])
def test_asked_again_it_is_answered_as_it_was(causal_model, lab, tmp_path, monkeypatch, mains):
    # A model of causally filtered EEG: from the file to the answer by ways that share no line with the session's.
    monkeypatch.setattr(causal_model, "card", replace(causal_model.card, filters="causal"))
    parts = [lab.eeg(13.3), lab.eeg(9.1, hertz=10.0, seed=1)]
    events = [*lab.chunks(parts[0]), Notice(kind="gap", text="", time=13.3), *lab.chunks(parts[1], start=20.0)]
    path, reading = tmp_path / "r.vhdr", ReadingOptions(mains=mains)
    source = lab.Memory(LAYOUT, events)
    states = list(causal_model.live(source, QUESTION, policy=ALL, reading=reading, record=path))
    answer = causal_model.ask(path, QUESTION, reading=reading)
    assert len(answer.timeline) == 8
    lab.assert_same(states, answer)


@pytest.mark.parametrize("name", ["r.edf", "r", "r.VHDR"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"BrainVision, NAME\.vhdr"):
        Recorder(tmp_path / name, LAYOUT)


@pytest.mark.parametrize("there", ["r.vhdr", "r.eeg", "r.vmrk"])
def test_a_recording_is_never_written_over(tmp_path, there):
    (tmp_path / there).write_bytes(b"mine")
    with pytest.raises(ConfigError, match=rf"{there} is there already"):
        Recorder(tmp_path / "r.vhdr", LAYOUT)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(there, b"mine")]


def test_parts_pass_over_numbers_that_are_taken(tmp_path, lab):
    (tmp_path / "r-2.eeg").write_bytes(b"mine")
    (tmp_path / "r-3.vmrk").write_bytes(b"mine")
    changed = Notice(kind="channels-changed", text="", time=4.0, layout=Layout(channels=("Fz",), rate=200.0))
    more = lab.chunks(lab.eeg(2, channels=1, rate=200.0), rate=200.0, start=4.0)
    recorder = recorded(tmp_path / "r.vhdr", [*lab.chunks(lab.eeg(4)), changed, *more])
    recorder.close()
    assert recorder.parts == [tmp_path / "r.vhdr", tmp_path / "r-4.vhdr"]
    assert open_recording(recorder.parts[1]).seconds == 2
    assert (tmp_path / "r-2.eeg").read_bytes() == (tmp_path / "r-3.vmrk").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [("a\nb.vhdr", "line breaks"), ("a\x85b.vhdr", "line breaks"), (" a.vhdr", "a space in front"),
     ("a\udcf1.vhdr", "no text"), ("a\0.vhdr", "no text"),
     ("ä" * 120 + ".vhdr", "a name of 245 bytes"), ("a" * 300 + ".vhdr", "a name of 305 bytes.*a shorter one")],
)  # fmt: skip
def test_names_that_no_header_or_disk_can_hold_are_refused(tmp_path, name, said):
    with pytest.raises(ConfigError, match=said):
        Recorder(tmp_path / name, LAYOUT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["Jürgen, 2.vhdr", "a" * 175 + ".vhdr", "脑电 x.y.vhdr"])
def test_all_other_names_can_be_opened_again(tmp_path, name, lab):
    recorded(tmp_path / name, lab.chunks(lab.eeg(1))).close()
    assert open_recording(tmp_path / name).samples == 250


def test_a_full_disk_leaves_whole_samples(tmp_path, lab):
    recorder = recorded(tmp_path / "r.vhdr", lab.chunks(lab.eeg(4)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000 * 8 + 1501, limits[1]))  # the system writes what there is room for
    try:
        with pytest.raises(WriteError, match=r"r\.eeg: cannot be written \(File too large\); free space"):
            for chunk in lab.chunks(lab.eeg(2), start=4.0):
                recorder.write(chunk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        recorder.close()
    found = open_recording(tmp_path / "r.vhdr")  # which refuses half a sample
    assert 1000 <= found.samples == recorder.samples <= 1187
    np.testing.assert_allclose(found.read(0, 4), lab.eeg(4), rtol=1e-6)


def test_what_the_system_writes_in_parts_is_written_whole(tmp_path, lab):
    recorder = Recorder(tmp_path / "r.vhdr", LAYOUT)
    raw = recorder._file
    recorder._file = SimpleNamespace(write=lambda data: raw.write(data[:1000]), closed=False, close=raw.close)
    recorder.write(lab.chunks(lab.eeg(2), most=501)[0])
    for chunk in lab.chunks(lab.eeg(2))[1:]:
        recorder.write(chunk)
    recorder.close()
    assert (tmp_path / "r.eeg").stat().st_size == recorder.samples * 8
