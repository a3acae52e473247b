"""Windows of a task with the features of the readout, and what can be changed about them"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from neurolm.ask import spectra
from neurolm.batches.loader import Sample, read_sample
from neurolm.batches.windows import Window, labelled_windows
from neurolm.core.physics import RATE
from neurolm.store.store import Store
from neurolm.tasks.task import Task

WIDTHS = np.array([high - low for low, high in spectra.BANDS])
"""Hz of each band."""
MATCHED = 100.0
"""µV² to which power is brought where amplitudes are matched: about that of EEG."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """Windows, in the order of recordings and time."""

    store: Store
    task: Task
    windows: tuple[Window, ...]
    features: np.ndarray
    """float64 (windows, features), as `spectra.features` has them."""
    electrodes: int

    @classmethod
    def of(cls, store: Store, task: Task, change: Callable[[Sample], Sample] | None = None) -> Described:
        """Describe all labelled windows of a task, each changed first where that is asked for."""
        windows = labelled_windows(store, task=task.name, seconds=task.seconds, stride=task.stride)
        samples = [read_sample(store, window) for window in windows]
        electrodes = sorted({int(channel) for sample in samples for channel in np.unique(sample.channel)})
        if change is not None:
            samples = [change(sample) for sample in samples]
        features = spectra.features(samples, electrodes)
        return cls(store=store, task=task, windows=tuple(windows), features=features, electrodes=len(electrodes))

    @property
    def labels(self) -> np.ndarray:
        """Class of each window."""
        return np.array([self.task.index(str(window.label)) for window in self.windows])

    @property
    def subjects(self) -> np.ndarray:
        """Person of each window."""
        return np.array([window.subject for window in self.windows])

    @property
    def own(self) -> np.ndarray:
        """Features of single electrodes: log band power."""
        return self.features[:, : spectra.own(self.electrodes)]

    def only(self, kept: np.ndarray) -> Described:
        """Some of the windows: bool (windows,) or their numbers."""
        numbers = np.arange(len(self.windows))[kept]
        return replace(self, windows=tuple(self.windows[i] for i in numbers), features=self.features[numbers])

    def people(self, subjects: Collection[str]) -> Described:
        """The windows of some people."""
        return self.only(np.isin(self.subjects, list(subjects)))

    def labelled(self, labels: np.ndarray) -> Described:
        """The same windows with other classes."""
        names = self.task.labels
        changed = tuple(replace(w, label=names[c]) for w, c in zip(self.windows, labels.tolist(), strict=True))
        return replace(self, windows=changed)

    def missing(self, share: float, rng: np.random.Generator) -> Described:
        """Each recording without so many of its electrodes, drawn anew for each."""
        there = np.ones((len(self.windows), self.electrodes), bool)
        recordings = np.array([window.recording for window in self.windows])
        for recording in np.unique(recordings):
            gone = rng.permutation(self.electrodes)[: round(share * self.electrodes)]
            there[np.ix_(recordings == recording, gone)] = False
        return replace(self, features=np.where(spectra.present(there), self.features, np.nan))

    def amplified(self, spread: float, rng: np.random.Generator) -> Described:
        """Each recording with another gain, whose logarithm has a standard deviation of ``spread``."""
        recordings, number = np.unique([window.recording for window in self.windows], return_inverse=True)
        gain = np.exp(2 * spread * rng.standard_normal(len(recordings)))[number, None]  # of power
        floor = np.full(self.features.shape[1], spectra.PAIR_FLOOR)
        floor[: spectra.own(self.electrodes)] = spectra.FLOOR
        power = np.maximum(np.exp(self.features) - floor, 0)
        return replace(self, features=np.log(gain * power + floor))

    def banded(self, kept: Collection[int]) -> Described:
        """Without what is not in some of the bands: features that are the same everywhere say nothing."""
        bands = np.tile(np.isin(np.arange(len(WIDTHS)), list(kept)), self.features.shape[1] // len(WIDTHS))
        return replace(self, features=np.where(bands, self.features, 0.0))

    def amplitudes(self) -> Described:
        """Nothing but the power of each electrode from 1 to 45 Hz, in place of every band."""
        power = np.exp(self.own).reshape(len(self.windows), self.electrodes, -1) @ WIDTHS
        return replace(self, features=np.repeat(np.log(power), len(WIDTHS), axis=1))

    def halves(self) -> np.ndarray:
        """Which half of its labelled stretch each window lies in, 0 or 1; -1: across the middle."""
        found = np.full(len(self.windows), -1)
        for number, window in enumerate(self.windows):
            middle = sum(window.span) / 2
            if window.start + window.seconds * RATE <= middle:
                found[number] = 0
            elif window.start >= middle:
                found[number] = 1
        return found


def match_window(sample: Sample) -> Sample:
    """Bring the mean power of a window's electrodes, 1 to 45 Hz, to ``MATCHED``."""
    power = _power(sample)[1].mean()
    return replace(sample, patches=sample.patches * np.float32(np.sqrt(MATCHED / power)))


def match_electrodes(sample: Sample) -> Sample:
    """Bring the power of every electrode, 1 to 45 Hz, to ``MATCHED``: what is left is relative power."""
    channels, power = _power(sample)
    factor = np.sqrt(MATCHED / power)[np.searchsorted(channels, sample.channel)]
    return replace(sample, patches=sample.patches * factor[:, None].astype(np.float32))


def _power(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Electrodes of a window, and the power of each in µV²."""
    channels = np.unique(sample.channel)
    own = spectra.features([sample], channels.tolist())[0, : spectra.own(len(channels))]
    return channels, np.exp(own).reshape(len(channels), -1) @ WIDTHS
