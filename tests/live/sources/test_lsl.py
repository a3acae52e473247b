"""Real streams of the Lab Streaming Layer, sent and received on this machine; each test has names of its own."""

import subprocess
import sys
import threading
import time
import uuid

import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.live.source import Chunk, Notice
from neurolm.live.sources import lsl as lsl_source
from neurolm.live.sources import lsl_streams
from neurolm.live.sources.open_source import open_source
from neurolm.recording.options import ReadingOptions

lsl = pytest.importorskip("mne_lsl.lsl")
RATE = 200


@pytest.fixture
def name():
    """A name that no other test's stream has."""
    return f"neurolm-{uuid.uuid4().hex[:12]}"


def outlet(name, labels=("C3", "C4"), *, rate=RATE, units="uV", types="EEG", source_id="", kind="EEG"):
    """Begin a stream."""
    info = lsl.StreamInfo(name, kind, len(labels), rate, "float64", source_id)
    info.set_channel_names(list(labels))
    if units is not None:
        info.set_channel_units(units)
    info.set_channel_types(types)
    return lsl.StreamOutlet(info)


class Listener:
    """What a source gives, gathered in a thread."""

    def __init__(self, source):
        self.source, self.arrived = source, []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for one in self.source:
            self.arrived.append(one)

    def wait(self, enough, seconds=30.0):
        """Wait until what has arrived is enough."""
        until = time.monotonic() + seconds
        while not enough(self) and time.monotonic() < until:
            time.sleep(0.01)
        assert enough(self), [one if isinstance(one, Notice) else one.samples.shape for one in self.arrived]

    @property
    def chunks(self):
        return [one for one in self.arrived if isinstance(one, Chunk)]

    @property
    def kinds(self):
        return [one.kind for one in self.arrived if isinstance(one, Notice)]

    def numbers(self, row=0):
        return np.concatenate([np.empty(0), *(chunk.samples[row] for chunk in self.chunks)])

    def close(self):
        self.source.close()
        self._thread.join(5)
        assert not self._thread.is_alive()


@pytest.fixture
def listen():
    """What listens to a source, and is closed after the test."""
    listeners = []

    def begin(source, **options):
        listeners.append(Listener(open_source(source, timeout=30, **options)))
        return listeners[-1]

    yield begin
    for one in listeners:
        one.close()


def push(stream, numbers, began, *, rate=RATE, shift=0.0):
    """Send samples that carry their number, stamped by it."""
    numbers = np.asarray(numbers, float)
    columns = np.column_stack([numbers * (i + 1) for i in range(stream.n_channels)])
    stream.push_chunk(np.ascontiguousarray(columns), began + numbers / rate + shift)


def test_what_is_sent_arrives(name, listen):
    stream = outlet(name, ("Fp1", "Cz", "EOG1"), units=["uV", "mV", "uV"], types=["EEG", "EEG", "EOG"])
    heard = listen(f"lsl:{name}")
    layout = heard.source.layout
    assert (layout.channels, layout.rate, layout.name) == (("FP1", "CZ"), 200.0, f"lsl:{name}")
    assert any("EOG1" in note for note in layout.notes)
    began = lsl.local_clock() - 5
    for first in range(0, 1000, 50):
        push(stream, range(first, first + 50), began)
    heard.wait(lambda h: len(h.numbers()) == 1000)
    assert np.array_equal(heard.numbers(), np.arange(1000)) and heard.kinds == []
    assert np.array_equal(heard.numbers(1), np.arange(1000) * 2 * 1000)  # millivolts
    times = np.concatenate([chunk.times for chunk in heard.chunks])
    np.testing.assert_allclose(times, began + np.arange(1000) / RATE, atol=2e-3)
    assert all(chunk.received <= time.monotonic() for chunk in heard.chunks)


def test_faults_of_a_stream_are_said_and_mended(name, listen):
    stream = outlet(name)
    heard = listen(f"lsl:{name}")
    began, arrived = lsl.local_clock() - 20, 0
    for numbers, new, shift in (
        (range(400), 400, 0),
        (range(500, 900), 400, 0),  # a hundred are missing
        ([*range(905, 920), *range(900, 905), *range(920, 1200)], 300, 0),  # five are late
        ([*range(1190, 1200), *range(1200, 1500)], 300, 0),  # ten come twice
        (range(1500, 2000), 500, 500),  # a clock is set
        (range(2000, 2400), 400, -100),
    ):
        push(stream, numbers, began, shift=shift)
        arrived += new
        heard.wait(lambda h, many=arrived: len(h.numbers()) == many)
    assert np.array_equal(heard.numbers(), np.r_[0:400, 500:2400])
    assert heard.kinds == ["gap", "late", "duplicate", "clock-jump", "clock-jump"]
    said = [one.text for one in heard.arrived if isinstance(one, Notice)]
    assert said[:3] == [
        "0.5 s are missing (100 samples)",
        "5 samples came late and were put in their place",
        "10 samples came twice; what came again was left out",
    ]
    assert said[3].startswith("the source's clock jumped ahead by 500") and "back by 600" in said[4]


def test_a_stream_that_is_begun_again_is_found_again(name, listen, monkeypatch):
    monkeypatch.setattr(lsl_source, "_SILENT", 0.3)
    stream = outlet(name)
    heard = listen(f"lsl:{name}")
    began = lsl.local_clock() - 10
    push(stream, range(400), began)
    heard.wait(lambda h: len(h.numbers()) == 400)
    del stream
    heard.wait(lambda h: h.kinds == ["reconnecting"])
    stream = outlet(name)
    stream.wait_for_consumers(5)
    heard.wait(lambda h: h.kinds == ["reconnecting", "reconnected"])
    push(stream, range(1000, 1400), began)
    heard.wait(lambda h: len(h.numbers()) == 800)
    assert np.array_equal(heard.numbers(), np.r_[0:400, 1000:1400])
    assert heard.kinds == ["reconnecting", "reconnected", "gap"]


@pytest.mark.parametrize(
    ("labels", "rate", "kind", "said", "channels"),
    [
        (("C3", "O1"), RATE, "channels-changed", "without C4; with O1", ("C3", "O1")),
        (("Fp1", "C3"), 100, "channels-changed", r"without C4; with FP1; with 100 samples per second, not 200", None),
        (("C4", "C3"), RATE, "channels-changed", "its channels in another order", ("C4", "C3")),
        (("C4", "left hand"), RATE, "channels-changed", "without C3", ("C4",)),
        (("C3", "C4"), 400, "rate-changed", "with 400 samples per second, not 200", ("C3", "C4")),
    ],
)
def test_what_comes_back_may_be_another(name, listen, monkeypatch, labels, rate, kind, said, channels):
    monkeypatch.setattr(lsl_source, "_SILENT", 0.2)
    stream = outlet(name)
    heard = listen(f"lsl:{name}")
    del stream
    stream = outlet(name, labels, rate=rate)
    heard.wait(lambda h: h.kinds[-1:] == [kind])
    notice = heard.arrived[-1]
    assert said in notice.text and notice.layout == heard.source.layout
    assert notice.layout.rate == rate and notice.layout.channels in (channels, ("FP1", "C3"))
    push(stream, range(200), lsl.local_clock() - 4, rate=rate)
    heard.wait(lambda h: len(h.numbers()) == 200)
    assert heard.chunks[-1].samples.shape[0] == len(notice.layout.channels)
    assert np.array_equal(heard.numbers(), np.arange(200))


SENDER = """
import sys, time
import numpy as np
from mne_lsl.lsl import StreamInfo, StreamOutlet
info = StreamInfo(sys.argv[1], "EEG", 2, 200, "float64", "amplifier")
info.set_channel_names(["C3", "C4"])
info.set_channel_units("uV")
stream = StreamOutlet(info)
number = 0
while True:
    stream.push_chunk(np.full((10, 2), float(number)))
    number += 1
    time.sleep(0.05)
"""


def test_a_program_that_is_killed_and_begun_again(name, listen):
    def begin():
        return subprocess.Popen([sys.executable, "-c", SENDER, name])

    program = begin()
    try:
        heard = listen(f"lsl:{name}@amplifier")
        heard.wait(lambda h: len(h.numbers()) > 20)
        program.kill()
        program.wait()
        heard.wait(lambda h: h.kinds[:1] == ["reconnecting"])
        before = len(heard.numbers())
        program = begin()
        heard.wait(lambda h: "reconnected" in h.kinds and len(h.numbers()) > before + 20)
        assert heard.kinds[:2] == ["reconnecting", "reconnected"]
    finally:
        program.kill()
        program.wait()


def test_markers_are_taken_along(name, listen):
    stream = outlet(name)
    info = lsl.StreamInfo(f"{name}-marks", "Markers", 1, 0, "string", "")
    marks = lsl.StreamOutlet(info)
    heard = listen(f"lsl:{name}", markers=[f"{name}-marks"])
    began = lsl.local_clock() - 5
    marks.push_sample(["tone"], began + 0.5)
    marks.push_sample([" "], began + 0.6)
    push(stream, range(400), began)
    heard.wait(lambda h: len(h.numbers()) == 400)
    marks.push_sample(["answer"], began + 2.5)
    push(stream, range(400, 800), began)
    heard.wait(lambda h: len(h.numbers()) == 800)
    push(stream, range(800, 840), began)  # whatever arrived beside the last
    heard.wait(lambda h: len(h.numbers()) == 840)
    found = [mark for chunk in heard.chunks for mark in chunk.markers]
    assert [text for _, text in found] == ["tone", "answer"]
    np.testing.assert_allclose([at - began for at, _ in found], [0.5, 2.5], atol=2e-3)


def test_markers_that_vanish_while_they_are_opened_cost_themselves_alone(name, listen, monkeypatch):
    stream, marks = outlet(name), lsl.StreamInfo(f"{name}-gone", "Markers", 1, 0, "string", f"{name}-gone")
    away = lsl.StreamOutlet(marks)

    def opened(found):
        raise TimeoutError("the timeout expired")

    monkeypatch.setattr("neurolm.live.sources.lsl_markers.MarkerStream", opened)
    heard = listen(f"lsl:{name}")
    assert (
        f"markers of {name}-gone are not taken along: it was listed, but does not answer" in heard.source.layout.notes
    )
    with pytest.raises(RecordingError, match=f"{name}-gone does not answer: the timeout expired"):
        open_source(f"lsl:{name}", markers=[f"{name}-gone"], timeout=30)
    del stream, away


def test_the_player_of_mne_lsl_sends_a_recording(name, listen):
    """Volts, by the powers of ten that MNE-LSL writes for units; its annotations, a channel for each text."""
    from mne_lsl.player import PlayerLSL

    # No multiple of the chunk: the player sends such a recording whole where it begins again.
    numbers = np.random.default_rng(0).normal(0, 2e-5, (3, 480))
    raw = mne.io.RawArray(
        numbers, mne.create_info(["Fz", "C3", "STI 014"], 250, ["eeg", "eeg", "stim"]), verbose="error"
    )
    raw.set_annotations(mne.Annotations([0.5, 1.5], [0, 0.1], ["tone", "answer"]))
    with PlayerLSL(raw, chunk_size=50, n_repeat=np.inf, name=name, source_id=name, annotations=True):
        heard = listen(f"lsl:{name}", markers=[f"{name}-annotations"])
        assert heard.source.layout.channels == ("FZ", "C3")
        heard.wait(
            lambda h: len(h.numbers()) > 550 and {m[1] for c in h.chunks for m in c.markers} >= {"tone", "answer"}
        )
    found = np.array([heard.numbers(0), heard.numbers(1)])[:, :550]
    first = int(np.abs(numbers[0] * 1e6 - found[0, 0]).argmin())
    expected = np.take(numbers[:2] * 1e6, np.arange(first, first + 550), axis=1, mode="wrap")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("units", "reading", "scale", "note"),
    [
        ("volts", {}, 1e6, None),
        ("microvolts", {}, 1.0, None),
        ("-3", {}, 1e3, None),
        (None, {}, 1.0, "no unit given, taken as µV: C3, C4"),
        (None, {"unit": "V"}, 1e6, None),
        ("fT", {"unit": "mV"}, 1e3, "taken for EEG because a unit is given"),
    ],
)
def test_numbers_become_microvolts(units, reading, scale, note):
    """By the description alone, without a network."""
    info = lsl.StreamInfo("any", "EEG", 2, 200, "float64", "")
    info.set_channel_names(["C3", "C4"])
    if units is not None:
        info.set_channel_units(units)
    from neurolm.live.sources.electrodes import choose_electrodes
    from neurolm.live.sources.lsl_streams import describe

    found = choose_electrodes(describe(info).channels, "lsl:any", ReadingOptions(**reading))
    np.testing.assert_allclose(found.of(np.array([[1.0], [2.0]])), np.array([[1.0], [2.0]]) * scale)
    assert (note is None and not found.notes) or any(note in one for one in found.notes)


def test_a_unit_that_is_no_voltage_needs_one_that_is_said(name):
    _stream = outlet(name, units="fT")
    with pytest.raises(RecordingError, match=r"no EEG electrode.*say their unit.*unit='uV'"):
        open_source(f"lsl:{name}", timeout=5)
    with pytest.raises(ConfigError, match="unit='auto' looks at the amplitude of a whole recording"):
        open_source(f"lsl:{name}", timeout=5, reading=ReadingOptions(unit="auto"))


def test_what_is_not_there_is_said_with_what_is(name):
    _other = outlet(f"{name}x", source_id="amp")
    began = time.monotonic()
    with pytest.raises(RecordingError, match=rf"lsl:{name}: no stream of this name within 0.3 s: did you mean {name}x.*"
                       rf"'{name}x' \(EEG, 2 channels, 200 Hz, source id 'amp'\)"):  # fmt: skip
        open_source(f"lsl:{name}", timeout=0.3)
    assert time.monotonic() - began < 10
    with pytest.raises(RecordingError, match=r"markers=.*no stream is called 'nobody' within 0.3 s"):
        open_source(f"lsl:{name}x", markers=["nobody"], timeout=0.3)


def test_what_the_last_listing_alone_shows_is_opened(name, monkeypatch):
    _stream, _near = outlet(name, source_id="amp"), outlet(f"{name}x")
    monkeypatch.setattr(lsl_streams, "look", lambda *_given, **_how: [])  # as where answers come too late
    source = open_source(f"lsl:{name}", timeout=0.3)
    assert source.layout.channels == ("C3", "C4")
    source.close()
    with pytest.raises(RecordingError, match=rf"source id 'other' within 0.3 s: did you mean {name}x\?; .*'{name}' "):
        open_source(f"lsl:{name}@other", timeout=0.3)


def test_of_several_streams_of_a_name_one_is_chosen_by_its_source(name):
    _one, _other = outlet(name, source_id="left"), outlet(name, ("O1", "O2"), source_id="right")
    with pytest.raises(RecordingError, match=rf"2 streams could be meant.*as lsl:{name}@"):
        open_source(f"lsl:{name}", timeout=0.3)
    source = open_source(f"lsl:{name}@right", timeout=5)
    assert source.layout.channels == ("O1", "O2")
    source.close()


def test_a_stream_without_a_rate_needs_one_that_is_said(name):
    _stream = outlet(name, rate=0)
    with pytest.raises(RecordingError, match=r"declares no regular rate.*rate=250"):
        open_source(f"lsl:{name}", timeout=5)
    source = open_source(f"lsl:{name}", timeout=5, reading=ReadingOptions(rate=128.0))
    assert source.layout.rate == 128
    source.close()
