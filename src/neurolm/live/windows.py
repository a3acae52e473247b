"""Windows that fill up second by second, each with the caches of encoder and language model

A causal model reads every second when it is whole, one pass for each open window; the power that evidence and training
range look at is added up, each second's once for all windows that show it. A model with full attention, whose features
of a second change with later ones, reads a window when it is complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from neurolm.ask import spectra
from neurolm.ask.engine import Heard, Prefix, read_on, read_prefix, score_after
from neurolm.ask.evidence import Beside
from neurolm.ask.novelty import describe, electrode_features, patch_power
from neurolm.ask.prompt import Prompt, all_contributions, with_evidence
from neurolm.batches.loader import Document, Sample, build_batch, sample_from
from neurolm.core.physics import RATE, SCALE
from neurolm.live.electrodes import Montage
from neurolm.model.neurolm import NeuroLM


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """A window that is whole, and what was said about it."""

    start: int
    """First sample at 200 Hz, counted from the last interruption."""
    channels: np.ndarray
    """Electrode ids."""
    features: np.ndarray
    """float64 (1, features), of `novelty.describe`."""
    language: np.ndarray
    """float64 (1, options): what the language model adds to the log-likelihoods."""
    evidence: np.ndarray
    """float64 (1, options): what the evidence adds."""


@dataclass(frozen=True, eq=False)
class _Second:
    """A second of a montage, and what it adds to the sums of the windows that show it."""

    patches: np.ndarray
    """float32 (electrodes, 200), in units of 100 µV."""
    power: np.ndarray
    """Of `novelty.patch_power`."""
    own: np.ndarray
    """Of `spectra.second_power`, …"""
    between: np.ndarray
    """… with the second before."""


@dataclass
class _Open:
    """A window that is not whole yet."""

    start: int
    montage: Montage
    heard: Heard = field(default_factory=Heard)
    prefix: Prefix | None = None
    read: int = 0
    """Seconds that were read."""
    power: np.ndarray | float = 0.0
    """Sums over them, …"""
    cross: np.ndarray | float = 0.0
    """… and over the segments of `spectra`."""

    def add(self, second: _Second) -> None:
        """Add what the next second adds."""
        self.power = self.power + second.power
        self.cross = self.cross + second.own + (second.between if self.read else 0.0)
        self.read += 1


class Windows:
    """The windows of EEG that nothing interrupts.

    Parameters
    ----------
    model, prompt, device
        Who is asked what.
    seconds
        Length of a window.
    step
        Samples at 200 Hz from the start of one window to that of the next.
    """

    def __init__(self, model: NeuroLM, prompt: Prompt, device: torch.device, *, seconds: int, step: int) -> None:
        self.model, self.prompt, self.device = model, prompt, device
        self.seconds, self.step = seconds, step
        self.causal = model.tokenizer.encoder.causal
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a gap: no window spans it."""
        self.samples = 0
        """Samples at 200 Hz that have come since, …"""
        self.finished = 0
        """… and windows that have become whole."""
        self._held = np.empty((0, 0), np.float32)
        self._first = 0
        self._open: list[_Open] = []
        self._next = 0

    def drop(self, channels: Collection[int]) -> int:
        """Give up the open windows that show some of the filtered channels; returns how many they were."""
        left = [window for window in self._open if window.montage.sources.isdisjoint(channels)]
        given_up, self._open = len(self._open) - len(left), left
        return given_up

    def push(self, signal: np.ndarray, montage: Montage | None) -> Iterator[Finished]:
        """Take filtered signal, and yield the windows that it completes.

        Parameters
        ----------
        signal
            float32 (filtered channels, samples at 200 Hz), µV.
        montage
            What windows that open now show; None opens none.
        """
        self._held = np.concatenate([self._held, signal.T]) if self._held.size else signal.T
        self.samples += signal.shape[1]
        while self._next + RATE <= self.samples:
            if montage is not None:
                self._open.append(_Open(self._next, montage))
            self._next += self.step
        shared: dict[tuple[int, Montage], _Second] = {}
        for window in list(self._open):
            while window.read < self.seconds and window.start + (window.read + 1) * RATE <= self.samples:
                self._read(window, shared)
            if window.read == self.seconds:
                self._open.remove(window)
                self.finished += 1
                yield self._finish(window)
        needed = min((window.start for window in self._open), default=self._next)
        if needed > self._first:
            self._held, self._first = self._held[needed - self._first :], min(needed, self.samples)

    def _read(self, window: _Open, shared: dict[tuple[int, Montage], _Second]) -> None:
        """Read a window's next second, which others may show too."""
        if not self.causal:
            window.read += 1
            return
        at = window.start + window.read * RATE, window.montage
        second = shared.get(at) or self._second(*at)
        shared[at] = second
        ids = window.montage.ids
        sample = Sample(patches=second.patches, channel=ids, second=np.full(len(ids), window.read))
        batch = build_batch([sample], [Document(sample=0)], packed=False).to(self.device)
        with torch.no_grad():
            window.prefix = read_prefix(self.model, batch, heard=window.heard)
        window.add(second)

    def _second(self, start: int, montage: Montage) -> _Second:
        first = start - self._first
        signal = montage.of(self._held[max(first - RATE, 0) : first + RATE]).T / np.float32(SCALE)
        if signal.shape[1] < 2 * RATE:  # no window that shows this second shows the one before it
            signal = np.concatenate([np.zeros_like(signal[:, :RATE]), signal[:, -RATE:]], axis=1)
        patches = np.ascontiguousarray(signal[:, RATE:])
        own, between = spectra.second_power(signal[self._known(montage)])
        return _Second(patches=patches, power=patch_power(patches), own=own, between=between)

    def _known(self, montage: Montage) -> list[int]:
        """Places of the electrodes that the evidence knows."""
        known = () if self.prompt.beside is None else self.prompt.beside.electrodes
        return [place for place, electrode in enumerate(montage.ids.tolist()) if electrode in known]

    def _finish(self, window: _Open) -> Finished:
        prompt, montage = self.prompt, window.montage
        if window.prefix is None:
            first = window.start - self._first
            sample = sample_from(montage.of(self._held[first : first + self.seconds * RATE]), montage.ids)
            ((language, evidence),) = all_contributions(self.model, [prompt], [sample], device=self.device)
            features = describe([sample])
        else:
            with torch.no_grad():
                asked = read_on(self.model, window.prefix, prompt.question, room=max(map(len, prompt.answers)) - 1)
                said = score_after(self.model, asked, prompt.answers).double().cpu().numpy()
            language, evidence = with_evidence(prompt, said, lambda beside: self._weighed(window, beside))
            features = electrode_features(np.asarray(window.power) / self.seconds)[None]
        return Finished(
            start=window.start, channels=montage.ids, features=features, language=language, evidence=evidence
        )

    def _weighed(self, window: _Open, beside: Beside) -> tuple[np.ndarray, np.ndarray]:
        """What the evidence says of a window, by its sums."""
        known = window.montage.ids[self._known(window.montage)].tolist()
        power = np.asarray(window.cross) / (2 * self.seconds - 1)
        return beside.weigh(spectra.window_features(power, known, beside.electrodes), [self.seconds])
