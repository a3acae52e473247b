"""EEG that nobody recorded, of the simulated corpus's people, with markers that say what is going on

    synthetic:                                     eyes closed and open, twenty seconds each, without end
    synthetic:?task=workload&every=30&seconds=600
    synthetic:?speed=max&seed=3&person=7&channels=O1,O2,C3,C4

The same settings give the same samples at any speed. Scenes follow one another with a second between them in which one
fades into the next.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from neurolm.core.errors import ConfigError
from neurolm.core.names import choose
from neurolm.corpora.simulated.head import make_head
from neurolm.corpora.simulated.physiology import WORKLOAD, BrainState
from neurolm.corpora.simulated.simulate import PROTOCOLS, Protocol, record
from neurolm.corpora.simulated.synthesis import make_person
from neurolm.live.source import Chunk, Layout, Notice
from neurolm.live.sources.electrodes import choose_electrodes
from neurolm.live.sources.pace import Pace
from neurolm.live.sources.settings import number, speed, split_settings
from neurolm.recording.channels import Channel
from neurolm.recording.options import ReadingOptions

EYES: dict[str, BrainState] = {
    "eyes closed": replace(
        WORKLOAD["No"], alpha=(1.0, 1.3), alpha_time=(0.95, 1.0), eyes_open=(0.0, 0.0), blinks=(0.0, 0.0)
    ),
    "eyes open": replace(WORKLOAD["No"], alpha=(0.4, 0.6), alpha_time=(0.3, 0.5), eyes_open=(1.0, 1.0)),
}
"""Rest with closed and with open eyes, which leave a third of what alpha there is."""
_FADE = 1
"""Seconds in which one scene becomes the next."""
_PERSON, _HEAD, _SCENE = 0, 1, 7
"""What a seed is for; persons and heads are those of the corpus of the same seed."""
_STATE, _SECONDS, _RATE, _SEED = 3600, 10**9, 20_000, 2**63 - 1
"""Most seconds of a state and in all, samples per second, and seed."""
_SAMPLES = 2_000_000
"""Most samples of a state, which is made at once."""
_NOBODY = 1000
"""A person whom no corpus of usual size has."""
_BY_TASK = {protocol.task: protocol for protocol in PROTOCOLS}
_TASKS = {"eyes": replace(_BY_TASK["workload"], task="eyes", states=EYES)} | _BY_TASK


@dataclass(frozen=True)
class Scenario:
    """What is made up."""

    protocol: Protocol
    """Whose ``scene_seconds`` says how long each state lasts; its states come in turn."""
    seconds: float
    """How long it lasts; may be infinite."""
    seed: int
    person: int


class Synthetic:
    """Simulated EEG in chunks. Its clock begins at 0."""

    def __init__(self, scenario: Scenario, pace: Pace, reading: ReadingOptions) -> None:
        self._scenario, self._pace = scenario, pace
        protocol = scenario.protocol
        channels = [Channel(name, "eeg", "uV", protocol.rate) for name, _ in protocol.channels]
        self._electrodes = choose_electrodes(channels, "synthetic:", replace(reading, unit=None))
        self._layout = Layout(
            channels=self._electrodes.names, rate=float(protocol.rate), name=f"synthetic:{protocol.task}"
        )
        seeds = (scenario.seed, scenario.person)
        self._head, self._person = make_head((*seeds, _HEAD)), make_person((*seeds, _PERSON))

    @property
    def layout(self) -> Layout:
        """What arrives."""
        return self._layout

    def __iter__(self) -> Iterator[Chunk | Notice]:
        """Yield the EEG from its beginning, each time it is iterated."""
        rate, seconds = self._scenario.protocol.rate, self._scenario.seconds
        step = max(1, round(self._pace.chunk_seconds * rate))
        end = seconds * rate if math.isinf(seconds) else round(seconds * rate)
        given = 0
        for label, scene in self._scenes():
            for first in range(0, scene.shape[1], step):
                samples = scene[:, first : min(first + step, int(min(scene.shape[1], first + end - given)))]
                if not samples.shape[1]:
                    yield Notice(kind="ended", text=f"{seconds:g} s were asked for", time=given / rate)
                    return
                times = (given + np.arange(samples.shape[1])) / rate
                given += samples.shape[1]
                if not self._pace.wait(given / rate):
                    return
                yield Chunk(
                    samples=self._electrodes.of(samples),
                    times=times,
                    received=time.monotonic(),
                    markers=((float(times[0]), label),) if first == 0 else (),
                )

    def _scenes(self) -> Iterator[tuple[str, np.ndarray]]:
        """Label and (channels, samples) of each scene, without end."""
        protocol = self._scenario.protocol
        labels = list(protocol.states)
        fade = _FADE * protocol.rate
        rise = np.sqrt(np.arange(fade) / fade)  # of what is independent, powers add up
        longer = replace(protocol, scene_seconds=protocol.scene_seconds + _FADE)
        tail: np.ndarray | None = None
        place = 0
        while True:
            label = labels[place % len(labels)]
            rng = np.random.default_rng((self._scenario.seed, self._scenario.person, _SCENE, place))
            made = record(longer, self._head, self._person, [label], rng)
            if tail is not None:
                made[:, :fade] = made[:, :fade] * rise + tail * np.sqrt(1 - rise**2)
            tail = made[:, -fade:].copy()
            yield label, made[:, :-fade]
            place += 1

    def close(self) -> None:
        """End it."""
        self._pace.close()


def _task(text: str) -> Protocol:
    if text not in _TASKS:
        raise ValueError(f"there is none of this name{choose(text, list(_TASKS))}")
    return _TASKS[text]


def open_synthetic(rest: str, reading: ReadingOptions) -> Synthetic:
    """Make what ``synthetic:[?task=eyes&every=20&seconds=…&rate=…&channels=…&seed=…&person=…&speed=…]`` asks for.

    Raises
    ------
    ConfigError
        For a setting that does not exist, or a value that cannot be.
    RecordingError
        For electrodes that are not simulated.
    """
    settings = {
        "task": _task,
        "every": number(4, "whole seconds that each state lasts", most=_STATE, whole=True),
        "seconds": number(1, "seconds", most=_SECONDS),
        "rate": number(160, "whole samples per second", most=_RATE, whole=True),
        "channels": lambda text: text.split(","),
        "seed": number(0, "a whole number", most=_SEED, whole=True),
        "person": number(0, "a whole number", most=_SEED, whole=True),
        "speed": speed,
    }
    name, given = split_settings(rest, settings, "synthetic")
    if name:
        raise ConfigError(f"synthetic:{rest}: nothing but settings may follow, as synthetic:?task=workload")
    protocol = given.get("task", _TASKS["eyes"])
    protocol = replace(protocol, scene_seconds=given.get("every", 20), rate=given.get("rate", protocol.rate))
    if (samples := protocol.scene_seconds * protocol.rate) > _SAMPLES:
        raise ConfigError(
            f"synthetic:{rest}: every={protocol.scene_seconds} at rate={protocol.rate} are {samples:,} samples of each "
            f"state, and {_SAMPLES:,} are the most; lower one of them"
        )
    scenario = Scenario(protocol, given.get("seconds", math.inf), given.get("seed", 0), given.get("person", _NOBODY))
    if "channels" in given:
        reading = replace(reading, channels=given["channels"])
    return Synthetic(scenario, Pace(given.get("speed", 1.0)), reading)
