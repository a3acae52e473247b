"""A causal micro model, and a source in memory."""

import time
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

import neurolm
from neurolm.ask.answering import answer_all
from neurolm.ask.recording import ModelInput
from neurolm.core.montage import channel_id
from neurolm.core.physics import RATE as MODEL_RATE
from neurolm.core.stretches import one_after_another
from neurolm.live.session import Policy
from neurolm.live.source import Chunk, Layout, Notice
from neurolm.recording.causal import CausalFilter

QUESTION = "Is this EEG segment of high workload?"
RATE = 250.0
CHANNELS = ("C3", "O1")
LAYOUT = Layout(channels=CHANNELS, rate=RATE, name="memory")
MAINS = neurolm.ReadingOptions(mains=50)
ALL = Policy(context=1e6)


class Memory:
    """Gives what it is made of: chunks and notices."""

    def __init__(self, layout: Layout, events: Sequence[Chunk | Notice]) -> None:
        self.layout, self.events, self.closed = layout, events, 0

    def __iter__(self):
        for event in self.events:
            if isinstance(event, Notice) and event.layout is not None:
                self.layout = event.layout
            yield event

    def close(self) -> None:
        self.closed += 1


def chunks(
    signal: np.ndarray, *, start: float = 0.0, rate: float = RATE, seed: int = 0, most: int = 300
) -> list[Chunk]:
    """A signal (channels, samples) in chunks of random lengths, the first sample at ``start``."""
    rng, out, at = np.random.default_rng(seed), [], 0
    while at < signal.shape[1]:
        last = min(at + int(rng.integers(1, most)), signal.shape[1])
        times = start + np.arange(at, last) / rate
        out.append(Chunk(samples=signal[:, at:last], times=times, received=time.monotonic()))
        at = last
    return out


def eeg(seconds: float, *, hertz: float = 22.0, seed: int = 0, channels: int = 2, rate: float = RATE) -> np.ndarray:
    """Noise with a rhythm, float64 (channels, samples), µV, and an offset as amplifiers have it."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    noise = 5 * np.sqrt(rate / 200) * rng.standard_normal((channels, len(time)))  # the density of the training
    return noise + 30 * np.sin(2 * np.pi * hertz * time + rng.random((channels, 1))) + 1000.0


def offline(model, signals, starts=(0.0,), channels=CHANNELS, person=None):
    """The answer to a recording of such parts, float64 (channels, samples), that is filtered causally."""
    made = [CausalFilter(len(channels), RATE, mains=50.0).push(signal).T for signal in signals]
    first = [round(start * MODEL_RATE) for start in starts]
    recording = ModelInput(
        name="memory", stretches=one_after_another((at, at + len(one)) for at, one in zip(first, made, strict=True)),
        channels=np.array([channel_id(name) for name in channels]), electrodes=tuple(channels), notes=(),
        holding=lambda spans: [(0, np.concatenate(made))],
    )  # fmt: skip
    asked = model.asked(QUESTION, person=person)
    return answer_all(model.module, recording, [asked], device=model.device)[0]


def live(model, events, *, layout=LAYOUT, policy=ALL, **how):
    return list(model.live(Memory(layout, events), QUESTION, policy=policy, reading=MAINS, **how))


def finished(states):
    return [window for state in states for window in state.finished]


def assert_same(states, answer):
    windows = finished(states)
    assert [w.start for w in windows] == pytest.approx([w.start for w in answer.timeline])
    assert [w.stop for w in windows] == pytest.approx([w.stop for w in answer.timeline])
    for window, expected in zip(windows, answer.timeline, strict=True):
        assert window.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert abs(window.evidence) == pytest.approx(abs(expected.evidence), abs=1e-5)  # of each one's own best option
    assert states[-1].probabilities == pytest.approx(answer.probabilities, abs=1e-5)
    assert states[-1].answer == answer.answer


@pytest.fixture(scope="session")
def causal_model(evidence_run) -> neurolm.Model:
    """The micro model with evidence and calibration, as one whose encoder sees no later second."""
    model = neurolm.load(evidence_run)
    model.module.tokenizer.encoder.causal, model.ranges = True, None  # else all of this is unlike the training
    return model


@pytest.fixture(scope="session")
def full_model(evidence_run) -> neurolm.Model:
    """The same as it was trained: every second sees the whole window."""
    return neurolm.load(evidence_run)


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    """Signals, sources and what to compare with."""
    return SimpleNamespace(
        Memory=Memory, chunks=chunks, eeg=eeg, offline=offline, live=live, finished=finished, assert_same=assert_same
    )
