"""From states to potentials: draws the sources' activity and lets it through the head.

Ongoing activity is noise with the spectrum of the rhythm, whose level follows the states; single waves are added at
random times. All numbers come from ``physiology``, all topographies from ``head``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len
from scipy.ndimage import uniform_filter1d

from neurolm.corpora.simulated import physiology as phys
from neurolm.corpora.simulated.head import ELECTRODES, Head
from neurolm.corpora.simulated.physiology import PEOPLE, REGIONS, BrainState, Range, Wave

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Person:
    """What is a person's own, as drawn from ``physiology.PEOPLE``; amplitudes in µV, frequencies in Hz."""

    amplitude: float
    alpha_hz: float
    alpha: float
    alpha_width: float
    exponent: float
    midline_theta: float
    spindle_hz: float
    focus: str
    sensor_noise: float
    line_noise: float
    drift: float


def make_person(seed: Sequence[int]) -> Person:
    """Draw a person; the same seed gives the same person."""
    rng = np.random.default_rng(seed)
    return Person(
        amplitude=float(np.clip(rng.lognormal(0.0, PEOPLE.amplitude_spread), *PEOPLE.amplitude_limits)),
        alpha_hz=float(np.clip(rng.normal(PEOPLE.alpha_hz, PEOPLE.alpha_hz_spread), *PEOPLE.alpha_hz_limits)),
        alpha=float(rng.lognormal(np.log(PEOPLE.alpha), PEOPLE.alpha_spread)),
        alpha_width=float(rng.uniform(*PEOPLE.alpha_width)),
        exponent=float(rng.normal(PEOPLE.exponent, PEOPLE.exponent_spread)),
        midline_theta=float(rng.lognormal(0.0, PEOPLE.midline_theta_spread)),
        spindle_hz=float(rng.normal(PEOPLE.spindle_hz, PEOPLE.spindle_hz_spread)),
        focus=str(rng.choice(phys.FOCI)),
        sensor_noise=float(rng.uniform(*PEOPLE.sensor_noise)),
        line_noise=float(rng.lognormal(np.log(PEOPLE.line_noise), PEOPLE.line_noise_spread)),
        drift=float(rng.uniform(*PEOPLE.drift)),
    )


def synthesise(
    head: Head, person: Person, scenes: Sequence[BrainState], *, scene_seconds: int, rate: int, rng: np.random.Generator
) -> Array:
    """Make a recording that goes through the given states.

    Parameters
    ----------
    head, person
        Whose recording it is.
    scenes
        The states in order. Each lasts ``scene_seconds``, and its ranges are drawn once.
    rate
        Samples per second.
    rng
        The only source of chance.

    Returns
    -------
    potentials
        (electrodes, samples) in µV against infinity, in the order of ``head.ELECTRODES``: reference them with
        ``potentials - potentials[reference]``, and then add ``sensors``.
    """
    brain = _Sources(len(scenes) * scene_seconds, rate, rng)
    spread = np.zeros((len(ELECTRODES), brain.samples))
    outside = _Sources(brain.seconds, rate, rng)  # eyes and muscles do not scale with the brain's amplitude
    levels = _Levels(scenes, scene_seconds, rate, rng)

    _ongoing(spread, brain, person, levels)
    _rhythms(brain, outside, person, levels)
    for index, state in enumerate(scenes):
        span = (float(index * scene_seconds), float((index + 1) * scene_seconds))
        _sleep_waves(brain, state, span, person)
        _discharges(brain, state, span, person)
        _eyes_and_muscles(outside, state, span)
    potentials = head.spread @ spread + head.regions.T @ brain.activity
    return potentials * person.amplitude + head.regions.T @ outside.activity


def sensors(person: Person, shape: tuple[int, int], *, rate: int, rng: np.random.Generator) -> Array:
    """What electrodes and amplifier add to every channel: drift, mains hum and noise, (channels, samples) in µV."""
    channels, samples = shape
    drift = noise(rng, shape, rate, lambda f: f**-1.0 * (f < 0.3), lowest=0.02)
    hum = person.line_noise * rng.lognormal(0.0, 0.5, (channels, 1))  # each electrode has its own impedance
    phase = rng.uniform(0, 0.6, (channels, 1)) + 2 * np.pi * phys.MAINS * np.arange(samples) / rate
    return person.drift * drift + hum * np.sin(phase) + rng.normal(0.0, person.sensor_noise, shape)


def noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    rate: int,
    amplitude: Callable[[Array], Array],
    *,
    lowest: float = 0.3,
) -> Array:
    """Gaussian noise with a given spectrum and an expected root mean square of 1.

    Parameters
    ----------
    shape
        (rows, samples); rows are independent.
    amplitude
        Amplitude density as a function of frequency in Hz, in any unit.
    lowest
        Hz; nothing below, so that 1/f stays finite.
    """
    rows, samples = shape
    length = next_fast_len(samples, real=True)
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    density = np.where(frequencies >= lowest, amplitude(np.maximum(frequencies, lowest)), 0.0)
    spectrum = rng.standard_normal((rows, len(frequencies), 2)).view(np.complex128)[..., 0] * density
    # A bin of a real series holds 2·|density|²·2/length² of power.
    return irfft(spectrum, length, axis=1)[:, :samples] * (length / np.sqrt(4 * (density**2).sum()))


def _band(low: float, high: float) -> Callable[[Array], Array]:
    """Spectrum of a broad rhythm: on a scale of octaves a bell, 4 dB down at the ends of the band."""
    centre, width = np.log(low * high) / 2, np.log(high / low) / 2
    return lambda f: np.exp(-0.5 * ((np.log(f) - centre) / width) ** 2)


def _peak(centre: float, width: float) -> Callable[[Array], Array]:
    return lambda f: np.exp(-(((f - centre) / width) ** 2) / 4)  # amplitude: the power has the standard deviation


class _Levels:
    """Values of the states over time: drawn once per scene, moving smoothly from one to the next."""

    def __init__(self, scenes: Sequence[BrainState], seconds: int, rate: int, rng: np.random.Generator) -> None:
        self._scenes, self._seconds, self._rate, self._rng = scenes, seconds, rate, rng

    def level(self, name: str) -> Array:
        """(samples,) of the state's field ``name``."""
        drawn = [self._rng.uniform(*getattr(state, name)) for state in self._scenes]
        return self._smooth(np.repeat(drawn, self._seconds * self._rate), 2.0)

    def gate(self, name: str, stretch: float) -> Array:
        """(samples,) from 0 to 1: on for the share of time ``name``, in stretches of about so many seconds."""
        gate = np.zeros(len(self._scenes) * self._seconds * self._rate)
        for index, state in enumerate(self._scenes):
            for start, stop in stretches(self._rng, getattr(state, name), float(self._seconds), stretch):
                offset = index * self._seconds
                gate[round((offset + start) * self._rate) : round((offset + stop) * self._rate)] = 1.0
        return self._smooth(gate, 0.4)

    def _smooth(self, values: Array, seconds: float) -> Array:
        return uniform_filter1d(values, max(1, round(seconds * self._rate)), mode="nearest")


def stretches(rng: np.random.Generator, share: Range, seconds: float, mean: float) -> list[tuple[float, float]]:
    """Cover a share of a span with separate stretches, exactly the share that is drawn.

    Returns
    -------
    stretches
        (start, stop) in seconds from the span's start.
    """
    covered = rng.uniform(*share) * seconds
    if covered <= 0:
        return []
    count = max(1, round(covered / mean))
    on = rng.dirichlet(np.full(count, 4.0)) * covered
    off = rng.dirichlet(np.full(count + 1, 1.5)) * (seconds - covered)
    starts = np.cumsum(off[:-1]) + np.concatenate([[0.0], np.cumsum(on[:-1])])
    return [(float(start), float(start + length)) for start, length in zip(starts, on, strict=True)]


class _Sources:
    """Activity of the named regions, (regions, samples) in µV at each region's largest electrode."""

    def __init__(self, seconds: int, rate: int, rng: np.random.Generator) -> None:
        self.seconds, self.rate, self.rng = seconds, rate, rng
        self.samples = seconds * rate
        self.activity = np.zeros((len(REGIONS), self.samples))
        self._rows = {name: row for row, name in enumerate(REGIONS)}

    def add(self, region: str, values: Array, at: float = 0.0) -> None:
        """Add a waveform that starts ``at`` seconds; what lies beyond the recording is lost."""
        start = round(at * self.rate)
        stop = min(start + len(values), self.samples)
        if start < stop:
            self.activity[self._rows[region], start:stop] += values[: stop - start]

    def onsets(self, per_minute: Range, span: tuple[float, float]) -> Array:
        """Random times within a span, in order."""
        expected = self.rng.uniform(*per_minute) * (span[1] - span[0]) / 60
        return np.sort(self.rng.uniform(*span, self.rng.poisson(expected)))

    def clock(self, seconds: float) -> Array:
        """Time from 0 to 1 over a wave of so many seconds."""
        return np.linspace(0.0, 1.0, max(2, round(seconds * self.rate)))

    def size(self, wave: Wave) -> float:
        return float(self.rng.uniform(*wave.microvolts))

    def length(self, wave: Wave) -> float:
        return float(self.rng.uniform(*wave.seconds))


def _ongoing(spread: Array, sources: _Sources, person: Person, levels: _Levels) -> None:
    """Activity of the whole convexity."""
    exponent = person.exponent
    for name, spectrum in (
        ("background", lambda f: np.maximum(f, 0.8) ** (-exponent / 2)),
        ("steep", lambda f: np.maximum(f, 0.8) ** (-(exponent + phys.STEEPER) / 2)),
        ("theta", _band(*phys.THETA_BAND)),
        ("beta", _band(*phys.BETA_BAND)),
        ("general_slowing", _band(*phys.SLOWING_BAND)),
    ):
        level = levels.level(name)
        if name == "general_slowing":
            level = level * levels.gate("slowing_time", 4.0)
        if level.any():
            spread += level * noise(sources.rng, spread.shape, sources.rate, spectrum)


def _rhythms(brain: _Sources, outside: _Sources, person: Person, levels: _Levels) -> None:
    """Rhythms with a place: posterior alpha, frontal-midline theta, focal slowing, and blinks while eyes are open."""
    rng, rate, row = brain.rng, brain.rate, (1, brain.samples)
    open_eyes = levels.gate("eyes_open", 5.0)
    reactivity = 1 - (1 - rng.uniform(*phys.REACTIVITY)) * open_eyes
    alpha = person.alpha * levels.level("alpha") * levels.gate("alpha_time", 4.0) * reactivity
    peak = _peak(person.alpha_hz, person.alpha_width)
    common = noise(rng, row, rate, peak)[0]
    for region, share in (("occipital left", 0.8), ("occipital right", 0.8), ("parietal", 0.45)):
        brain.add(region, share * alpha * (0.8 * common + 0.6 * noise(rng, row, rate, peak)[0]))

    # Midline theta comes in bursts of a few cycles to a few seconds: noise of this bandwidth does.
    theta = noise(rng, row, rate, _band(*phys.MIDLINE_THETA_BAND))[0]
    brain.add("frontal midline", person.midline_theta * levels.level("midline_theta") * theta)
    slowing = levels.level("focal_slowing")
    if slowing.any():
        slow = noise(rng, row, rate, _band(*phys.SLOWING_BAND))[0]
        brain.add(person.focus, slowing * levels.gate("slowing_time", 4.0) * slow)

    blink_rate = levels.level("blinks") * open_eyes / 60  # per second
    candidates = np.flatnonzero(rng.uniform(size=brain.samples) < blink_rate / rate)
    for onset in candidates / rate:
        # The lid falls faster than it rises.
        t = outside.clock(outside.length(phys.BLINK))
        lid = outside.size(phys.BLINK) * np.sin(np.pi * t**0.75) ** 2
        outside.add("eye left", 0.8 * lid, onset)
        outside.add("eye right", 0.8 * lid, onset)


def _sleep_waves(brain: _Sources, state: BrainState, span: tuple[float, float], person: Person) -> None:
    """Spindles, K-complexes, vertex, sawtooth and slow waves."""
    rng = brain.rng
    for onset in brain.onsets(state.spindles, span):
        _spindle(brain, float(onset), person)
    for onset in brain.onsets(state.k_complexes, span):
        t, size = brain.clock(brain.length(phys.K_COMPLEX)), brain.size(phys.K_COMPLEX)
        shape = -1.0 * np.exp(-(((t - 0.25) / 0.10) ** 2)) + 0.6 * np.exp(-(((t - 0.62) / 0.17) ** 2))
        brain.add("frontal convexity", size * shape * np.sin(np.pi * t) ** 0.3 / 1.6, float(onset))
        if rng.uniform() < 0.4:  # often a spindle rides on its end (Colrain 2005)
            _spindle(brain, float(onset) + 0.6, person)
    for onset in brain.onsets(state.vertex_waves, span):
        t = brain.clock(brain.length(phys.VERTEX_WAVE))
        shape = -np.sin(np.pi * np.minimum(t / 0.6, 1.0)) + 0.35 * np.sin(np.pi * np.clip((t - 0.6) / 0.4, 0, 1))
        brain.add("vertex", brain.size(phys.VERTEX_WAVE) * shape / 1.35, float(onset))
    for onset in brain.onsets(state.sawtooth, span):
        seconds, size, at = brain.length(phys.SAWTOOTH), brain.size(phys.SAWTOOTH), 0.0
        while at < seconds:
            t = brain.clock(1 / rng.uniform(*phys.SAWTOOTH.hz))
            tooth = np.where(t < 0.7, t / 0.7, (1 - t) / 0.3) - 0.5  # slow up, steep down
            tooth *= size * rng.uniform(0.6, 1.1)
            brain.add("vertex", 0.8 * tooth, float(onset) + at)
            brain.add("frontal midline", 0.4 * tooth, float(onset) + at)
            at += len(t) / brain.rate
    seconds = span[1] - span[0]
    for start, stop in stretches(rng, state.slow_waves, seconds, 5.0):
        _slow_waves(brain, span[0] + start, span[0] + stop, person)


def _spindle(brain: _Sources, onset: float, person: Person) -> None:
    t = brain.clock(brain.length(phys.SPINDLE))
    hz = float(np.clip(person.spindle_hz + brain.rng.normal(0, 0.5), *phys.SPINDLE.hz))
    cycles = hz * len(t) / brain.rate
    # Spindles slow down a little towards their end and wax faster than they wane.
    wave = np.sin(2 * np.pi * cycles * (t - 0.04 * t**2)) * np.sin(np.pi * t**0.85) ** 1.5
    size = brain.size(phys.SPINDLE) / 2
    for region, share in (("central left", 0.7), ("central right", 0.7), ("frontal midline", 0.6), ("parietal", 0.4)):
        brain.add(region, size * share * brain.rng.uniform(0.7, 1.2) * wave, onset)


def _slow_waves(brain: _Sources, start: float, stop: float, person: Person) -> None:
    """Fill a stretch with slow waves: a negative half wave, sharper than the positive one that follows."""
    at = start
    while at < stop:
        t = brain.clock(brain.length(phys.SLOW_WAVE))
        phase = 2 * np.pi * t**0.9
        size = max(brain.size(phys.SLOW_WAVE), phys.SLOW_WAVE_MINIMUM / person.amplitude)
        wave = -(np.sin(phase) + 0.2 * np.sin(2 * phase)) / 2
        brain.add("frontal convexity", size * wave, at)
        brain.add("convexity", 0.5 * size * wave, at + brain.rng.uniform(0.0, 0.06))  # waves travel backwards
        at += len(t) / brain.rate


def _discharges(brain: _Sources, state: BrainState, span: tuple[float, float], person: Person) -> None:
    """Epileptiform activity in the person's focus: runs of complexes, and single spikes with their slow waves."""
    rng = brain.rng
    for start, stop in stretches(rng, state.runs, span[1] - span[0], 4.0):
        at, hz, size = span[0] + start, rng.uniform(*phys.COMPLEX_HZ), brain.size(phys.SPIKE)
        while at < span[0] + stop:
            _complex(brain, at, size * rng.uniform(0.8, 1.2), person.focus)
            at += rng.normal(1.0, 0.05) / hz
    for onset in brain.onsets(state.spikes, span):
        _complex(brain, float(onset), brain.size(phys.SPIKE), person.focus)


def _complex(brain: _Sources, onset: float, size: float, focus: str) -> None:
    spike = brain.clock(brain.length(phys.SPIKE))
    after = brain.clock(brain.length(phys.AFTER_WAVE))
    # Surface negative, the rise steeper than the fall (Kane 2017).
    brain.add(focus, -size * np.where(spike < 0.4, spike / 0.4, (1 - spike) / 0.6), onset)
    tail = onset + len(spike) / brain.rate
    brain.add(focus, -size * brain.size(phys.AFTER_WAVE) * np.sin(np.pi * after) ** 1.3, tail)


def _eyes_and_muscles(outside: _Sources, state: BrainState, span: tuple[float, float]) -> None:
    """Saccades, rolling eyes and muscle bursts; eyes move together, so that one side is positive, one negative."""
    rng, rate = outside.rng, outside.rate
    for onset in outside.onsets(state.saccades, span):
        t = outside.clock(2 * outside.length(phys.SACCADE))
        move = outside.size(phys.SACCADE) * rng.choice([-1, 1]) * (1 - np.exp(-t / 0.04)) * np.exp(-t / 0.3) * (1 - t)
        outside.add("eye left", -move, float(onset))
        outside.add("eye right", move, float(onset))
    for onset in outside.onsets(state.rolling, span):
        t = outside.clock(outside.length(phys.ROLLING))
        roll = outside.size(phys.ROLLING) * rng.choice([-1, 1]) * np.sin(2 * np.pi * t) * np.sin(np.pi * t)
        outside.add("eye left", -roll, float(onset))
        outside.add("eye right", roll, float(onset))
    for onset in outside.onsets(state.muscle, span):
        t = outside.clock(outside.length(phys.MUSCLE))
        burst = noise(rng, (1, len(t)), rate, _band(*phys.MUSCLE.hz))[0] * np.sin(np.pi * t) ** 0.5
        place = rng.choice(["muscle left", "muscle right", "muscle frontal"], p=[0.4, 0.4, 0.2])
        outside.add(str(place), outside.size(phys.MUSCLE) * burst, float(onset))
