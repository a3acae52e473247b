"""Accuracy and calibration as the input gets worse: the same windows, each disturbed.

Disturbances meet the signal as it lies in the store (0.1 to 75 Hz, mains removed, 200 Hz): preparing has no chance to
take them out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from neurolm.ask.calibration import TaskCalibration
from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.batches.loader import Sample, sample_from
from neurolm.batches.windows import Window, spread
from neurolm.checkpoint import Card
from neurolm.core.montage import NAMES, channel_id
from neurolm.core.physics import RATE
from neurolm.evaluation.results import CurvePoint, RobustnessCurve
from neurolm.model.neurolm import NeuroLM
from neurolm.store.store import Store
from neurolm.tasks.metrics import score
from neurolm.tasks.task import Task

WINDOWS = 96
"""Most windows of a task that are disturbed."""
SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
"""Shares of the channels that are disturbed; at least one channel."""
NOISE = (20.0, 10.0, 5.0, 0.0, -5.0)
"""Signal-to-noise ratio in dB, over the window and its channels."""
MAINS = (20.0, 10.0, 0.0, -10.0)
RATES = (500, 256, 128, 100)
LENGTHS = (0.75, 0.5, 0.25)
"""Shares of the window that are left; whole seconds, at least one."""
TEMPORAL = (("T7", "T8"), ("T3", "T4"))
"""Electrodes beside the ears, by their newer and their older names: the reference nearest to linked ears."""

EEG = tuple[np.ndarray, list[str]]
"""µV (samples, channels), and the electrodes."""
Change = Callable[[np.ndarray, list[str], np.random.Generator], EEG]
"""Makes a disturbed window of µV (samples, channels) and electrodes."""


@dataclass(frozen=True)
class Disturbance:
    """One way to make EEG worse."""

    name: str
    unit: str
    severities: tuple[tuple[str, Change], ...]


def disturbances(known: Sequence[str]) -> list[Disturbance]:
    """Return all disturbances; ``known`` are the electrodes that the model was trained on."""
    unknown = [name for name in NAMES if name not in set(known)]

    def each(values: Sequence[float], change: Callable[..., EEG], scale: float = 1) -> tuple[tuple[str, Change], ...]:
        return tuple((f"{scale * value:g}", partial(change, value)) for value in values)

    return [
        Disturbance("dropped channels", "% of the channels", each(SHARES, _drop, 100)),
        Disturbance("flat channels", "% of the channels", each(SHARES, _flat, 100)),
        Disturbance("unknown electrodes", "% of the channels", each(SHARES, partial(_rename, unknown), 100)),
        Disturbance("white noise", "SNR in dB", each(NOISE, partial(_noise, 0.0))),
        Disturbance("pink noise", "SNR in dB", each(NOISE, partial(_noise, 1.0))),
        Disturbance("mains 50 Hz", "SNR in dB", each(MAINS, partial(_mains, 50))),
        Disturbance("mains 60 Hz", "SNR in dB", each(MAINS, partial(_mains, 60))),
        Disturbance("resampled", "Hz, and back", each(RATES, _resample)),
        Disturbance("shorter windows", "% of the length", each(LENGTHS, _shorten, 100)),
        Disturbance(
            "other reference", "", (("common average", _average), ("temporal pair", _temporal), ("Cz", _electrode))
        ),
    ]


def robustness_curves(
    module: NeuroLM,
    prompt: Prompt,
    store: Store,
    task: Task,
    windows: Sequence[Window],
    card: Card,
    device: torch.device,
    progress: Callable[[str], None] | None = None,
    *,
    calibration: TaskCalibration | None = None,
    seed: int = 0,
) -> tuple[RobustnessCurve, ...]:
    """Answer the same windows undisturbed and with every disturbance, by severity.

    Parameters
    ----------
    windows
        Windows of the task; at most ``WINDOWS`` are taken, evenly out of all.
    card
        Card of the model: which electrodes it knows.
    seed
        Seed of all noise and choices; the same severity meets every model with the same noise.
    """
    chosen = spread(windows, WINDOWS)
    labels = np.array([task.index(str(w.label)) for w in chosen])

    def point(severity: str, change: Change | None) -> CurvePoint:
        found = option_probabilities(
            module, prompt, _samples(store, chosen, change, seed), device=device, calibration=calibration
        )
        scores = score(labels, found, options=len(task.options))
        return CurvePoint(severity=severity, balanced_accuracy=scores.balanced_accuracy, ece=scores.ece)

    undisturbed = point("none", None)
    curves = []
    for disturbance in disturbances(card.electrodes):
        if progress:
            progress(f"{task.name}: {disturbance.name}")
        points = tuple(point(severity, change) for severity, change in disturbance.severities)
        curves.append(
            RobustnessCurve(
                disturbance=disturbance.name, unit=disturbance.unit, windows=len(chosen), points=(undisturbed, *points)
            )
        )
    return tuple(curves)


def _samples(store: Store, windows: Sequence[Window], change: Change | None, seed: int) -> Iterator[Sample]:
    for number, window in enumerate(windows):
        names = list(store.rows[window.recording].channels)
        signal = store.microvolts(window.recording, window.start, window.seconds * RATE).astype(np.float64)
        if change is not None:
            signal, names = change(signal, names, np.random.default_rng([seed, number]))
        yield sample_from(signal, [channel_id(name) for name in names])


def _some(count: int, share: float, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(count)[: max(1, round(share * count))]


def _drop(share: float, signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    kept = np.setdiff1d(np.arange(len(names)), _some(len(names), share, rng)[: len(names) - 1])
    return signal[:, kept], [names[n] for n in kept]


def _flat(share: float, signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    signal = signal.copy()
    signal[:, _some(len(names), share, rng)] = 0
    return signal, names


def _rename(
    unknown: Sequence[str], share: float, signal: np.ndarray, names: list[str], rng: np.random.Generator
) -> EEG:
    names, free = list(names), [name for name in unknown if name not in names]
    places = _some(len(names), share, rng)[: len(free)]
    for place, name in zip(places, rng.permutation(np.array(free))[: len(places)].tolist(), strict=True):
        names[place] = name
    return signal, names


def _noise(slope: float, decibel: float, signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    """White noise (slope 0) or pink (power falling as 1/frequency: slope 1), of the stated power."""
    hertz = np.fft.rfftfreq(len(signal), 1 / RATE)
    shape = np.where(hertz >= 0.5, np.maximum(hertz, 0.5) ** (-slope / 2), 0.0)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(signal.shape), axis=0) * shape[:, None], len(signal), 0)
    return signal + _scaled(noise, signal, decibel), names


def _mains(hertz: float, decibel: float, signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    wave = np.sin(2 * np.pi * (hertz * np.arange(len(signal)) / RATE + rng.random()))
    return signal + _scaled(np.repeat(wave[:, None], len(names), axis=1), signal, decibel), names


def _scaled(noise: np.ndarray, signal: np.ndarray, decibel: float) -> np.ndarray:
    return noise * (signal.std() / noise.std() / 10 ** (decibel / 20))


def _resample(rate: int, signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    from scipy.signal import resample_poly

    there = resample_poly(signal, rate, RATE, axis=0)
    return resample_poly(there, RATE, rate, axis=0)[: len(signal)], names


def _shorten(share: float, signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    return signal[: max(1, round(share * len(signal) / RATE)) * RATE], names


def _average(signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    return signal - signal.mean(axis=1, keepdims=True), names


def _temporal(signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    pair = next((pair for pair in TEMPORAL if set(pair) <= set(names)), (names[0], names[-1]))
    return signal - signal[:, [names.index(name) for name in pair]].mean(axis=1, keepdims=True), names


def _electrode(signal: np.ndarray, names: list[str], rng: np.random.Generator) -> EEG:
    place = next((n for n, name in enumerate(names) if name.upper() == "CZ"), len(names) // 2)
    return signal - signal[:, [place]], names
