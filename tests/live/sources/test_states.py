"""Every state of a live session, provoked through a real stream of the Lab Streaming Layer."""

import threading
import time
import uuid

import numpy as np
import pytest

from neurolm import ReadingOptions
from neurolm.live.session import Policy
from neurolm.live.source import Layout
from neurolm.live.sources import lsl as lsl_source
from neurolm.recording.recording import open_recording

lsl = pytest.importorskip("mne_lsl.lsl")
QUESTION, RATE = "Is this EEG segment of high workload?", 250


class Sender:
    """A stream whose samples are stamped by their number, so that nobody has to wait for them."""

    def __init__(self, name, began, labels=("C3", "O1")):
        info = lsl.StreamInfo(name, "EEG", len(labels), RATE, "float64", "")
        info.set_channel_names(list(labels))
        info.set_channel_units("uV")
        info.set_channel_types("EEG")
        self.stream, self.began = lsl.StreamOutlet(info), began
        self.next = 0.0

    def send(self, signal, *, pause=0.0, shift=0.0):
        """Send (channels, samples) after so many seconds in which nothing is."""
        assert self.stream.wait_for_consumers(30)  # else what is sent is lost
        first = round((self.next + pause) * RATE)
        stamps = self.began + (first + np.arange(signal.shape[1])) / RATE + shift
        for at in range(0, signal.shape[1], 50):
            self.stream.push_chunk(np.ascontiguousarray(signal.T[at : at + 50]), stamps[at : at + 50])
        self.next = (first + signal.shape[1]) / RATE


class Watcher:
    """Gathers states in a thread, and waits for one after those that were waited for."""

    def __init__(self, session):
        self.session, self.states, self.seen = session, [], 0
        self.thread = threading.Thread(target=lambda: self.states.extend(session), daemon=True)
        self.thread.start()

    def wait(self, status, seconds=60.0):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for number in range(self.seen, len(self.states)):
                if self.states[number].status == status:
                    self.seen = number + 1
                    return self.states[number]
            time.sleep(0.02)
        raise AssertionError(f"no {status}: {[state.status for state in self.states]}")


def test_every_state_is_said(causal_model, lab, monkeypatch, tmp_path):
    monkeypatch.setattr(lsl_source, "_SILENT", 0.5)
    name, began = f"neurolm-{uuid.uuid4().hex[:12]}", lsl.local_clock() - 60
    sender = Sender(name, began)
    path = tmp_path / "r.vhdr"
    session = causal_model.live(
        f"lsl:{name}", QUESTION, policy=Policy(context=1e6), reading=ReadingOptions(mains=50), record=path
    )
    watcher = Watcher(session)
    sender.send(lab.eeg(6.5))
    assert watcher.wait("warming up").electrodes == ("C3", "O1")
    answered = watcher.wait("answer")
    assert answered.window.start == pytest.approx(began, abs=0.05) and sum(answered.probabilities) == pytest.approx(1)
    sender.send(lab.eeg(5, seed=1), pause=2)
    assert "2 s are missing" in watcher.wait("gap").notes[0]
    assert watcher.wait("answer").window.start == pytest.approx(began + 8.5, abs=0.05)
    flat = lab.eeg(5.5, seed=2)
    flat[1] = 3.0
    sender.send(flat)
    fault = watcher.wait("bad contact")
    assert list(fault.faults) == ["O1"] and fault.electrodes == ("C3",)
    sender.send(lab.eeg(6, seed=3), shift=500)
    assert watcher.wait("clock jump").probabilities is None
    watcher.wait("answer")
    del sender.stream
    watcher.wait("reconnecting")
    sender = Sender(name, began + 30, labels=("C3", "C4"))
    assert watcher.wait("channels changed").electrodes == ("C3", "C4")
    sender.send(lab.eeg(5, seed=4))
    watcher.wait("warming up")
    watcher.wait("answer")
    session.close()
    watcher.wait("ended")
    watcher.thread.join(5)
    assert session.recorder.parts == [path, tmp_path / "r-2.vhdr"]
    found = open_recording(path)
    assert [part.start / RATE for part in found.stretches[:2]] == [0, 8.5] and len(found.stretches) == 3
    np.testing.assert_allclose(found.read(0, 6.5), lab.eeg(6.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "factor", "risk", "status"),
    [("full_model", 4, None, "unlike the training"), ("causal_model", 1, 1e-6, "undecided")],
)
def test_what_cannot_be_trusted_is_no_answer(request, lab, kind, factor, risk, status):
    name = f"neurolm-{uuid.uuid4().hex[:12]}"
    sender = Sender(name, lsl.local_clock() - 60)
    session = request.getfixturevalue(kind).live(
        f"lsl:{name}", QUESTION, policy=Policy(risk=risk), reading=ReadingOptions(mains=50)
    )
    watcher = Watcher(session)
    sender.send(factor * lab.eeg(6))
    watcher.wait(status)
    session.close()
    watcher.wait("ended")


def test_states_are_sent_on(causal_model, lab):
    name = f"neurolm-{uuid.uuid4().hex[:12]}"
    events = lab.chunks(lab.eeg(7))
    source = lab.Memory(Layout(channels=("C3", "O1"), rate=RATE, name="memory"), events)
    session = causal_model.live(source, QUESTION, reading=ReadingOptions(mains=50), outlet=name)
    (stream,) = lsl.resolve_streams(10, name=name)
    inlet = lsl.StreamInlet(stream)
    inlet.open_stream(10)
    assert inlet.get_sinfo(10).get_channel_names()[:2] == ["Yes", "No"]
    states = []
    for state in session:
        states.append(state)
        row, _ = inlet.pull_sample(timeout=10)
        expected = state.probabilities or (np.nan, np.nan)
        np.testing.assert_array_equal(row, [*expected, state.age, state.latency])
    assert [state.status for state in states] == ["warming up"] * 3 + ["answer"] * 4 + ["ended"]
