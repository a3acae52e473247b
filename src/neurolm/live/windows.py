"""Windows that fill up second by second, each with the caches of encoder and language model

A causal model reads every second when it is whole, one pass for each open window; a model with full attention, whose
features of a second change with later ones, reads a window when it is complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from neurolm.ask.engine import Heard, Prefix, read_on, read_prefix, score_after
from neurolm.ask.prompt import Prompt, all_contributions, with_evidence
from neurolm.batches.loader import Document, Sample, build_batch, sample_from
from neurolm.core.physics import RATE
from neurolm.live.electrodes import Montage
from neurolm.model.neurolm import NeuroLM


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """A window that is whole, and what was said about it."""

    start: int
    """First sample at 200 Hz, counted from the last interruption."""
    sample: Sample
    language: np.ndarray
    """float64 (1, options): what the language model adds to the log-likelihoods."""
    evidence: np.ndarray
    """float64 (1, options): what the evidence adds."""


@dataclass
class _Open:
    """A window that is not whole yet."""

    start: int
    montage: Montage
    heard: Heard = field(default_factory=Heard)
    prefix: Prefix | None = None
    read: int = 0
    """Seconds that were read."""


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
        for window in list(self._open):
            while window.read < self.seconds and window.start + (window.read + 1) * RATE <= self.samples:
                self._read(window)
            if window.read == self.seconds:
                self._open.remove(window)
                self.finished += 1
                yield self._finish(window)
        needed = min((window.start for window in self._open), default=self._next)
        if needed > self._first:
            self._held, self._first = self._held[needed - self._first :], min(needed, self.samples)

    def _cut(self, montage: Montage, start: int, seconds: int) -> Sample:
        first = start - self._first
        return sample_from(montage.of(self._held[first : first + seconds * RATE]), montage.ids)

    def _read(self, window: _Open) -> None:
        """Read a window's next second."""
        if self.causal:
            sample = self._cut(window.montage, window.start + window.read * RATE, 1)
            sample.second[:] = window.read
            batch = build_batch([sample], [Document(sample=0)], packed=False).to(self.device)
            with torch.no_grad():
                window.prefix = read_prefix(self.model, batch, heard=window.heard)
        window.read += 1

    def _finish(self, window: _Open) -> Finished:
        sample, prompt = self._cut(window.montage, window.start, self.seconds), self.prompt
        if window.prefix is None:
            (found,) = all_contributions(self.model, [prompt], [sample], device=self.device)
            return Finished(start=window.start, sample=sample, language=found[0], evidence=found[1])
        with torch.no_grad():
            asked = read_on(self.model, window.prefix, prompt.question, room=max(map(len, prompt.answers)) - 1)
            said = score_after(self.model, asked, prompt.answers).double().cpu().numpy()
        language, evidence = with_evidence(prompt, said, [sample])
        return Finished(start=window.start, sample=sample, language=language, evidence=evidence)
