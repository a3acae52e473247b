"""What arrives, on its way to windows: contacts judged, gaps in it cut out, filtered causally"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from neurolm.checkpoint import Card
from neurolm.core.errors import RecordingError, argument
from neurolm.core.physics import RATE
from neurolm.live.electrodes import LOOK, Electrodes
from neurolm.live.source import Layout
from neurolm.live.windows import Finished, Windows
from neurolm.recording import checks
from neurolm.recording.causal import CausalFilter
from neurolm.recording.options import Unknown, Unseen
from neurolm.recording.preprocess import LOWEST_RATE, SECONDS_FOR_MAINS, band_note, find_mains

DRIFT = 0.02
"""Seconds by which the clock of a source may leave the count of its samples before the times of windows follow it."""
MISSING = "missing samples (NaN or infinite): windows begin anew after them"


class Stream:
    """Samples of one layout as they come in.

    Parameters
    ----------
    layout
        What arrives.
    card
        What the model was trained on.
    windows
        Where filtered signal goes.
    mains
        Mains frequency in Hz; None: told by the first `SECONDS_FOR_MAINS` seconds, which wait for it.
    unknown, unseen
        As for `Electrodes`.

    Raises
    ------
    RecordingError
        If there is no electrode that the model knows, or the rate is too low.
    """

    def __init__(
        self, layout: Layout, card: Card, windows: Windows, *, mains: float | None, unknown: Unknown, unseen: Unseen
    ) -> None:
        if layout.rate < LOWEST_RATE:
            raise RecordingError(
                f"{layout.name or 'the source'}: {layout.rate:g} samples per second; the model needs frequencies that "
                f"take at least {LOWEST_RATE:g}: let the amplifier send more"
            )
        self.layout, self.windows = layout, windows
        self.electrodes = Electrodes(layout, card, unknown=unknown, unseen=unseen)
        band = band_note(layout.rate)
        self.notes: list[str] = [*layout.notes, *([band] if band else []), *self._shown()]
        """What there is to say; whoever says it empties the list."""
        self.time = 0.0
        """Of the newest sample, in seconds on the source's clock."""
        self.filter: CausalFilter | None = None
        if mains is not None:
            self._make_filter(mains)
        else:
            self.notes.append(
                f"waiting up to {SECONDS_FOR_MAINS:g} s to find the mains frequency; {argument(mains=50)} avoids it"
            )
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.restart()

    def restart(self) -> None:
        """Begin anew: what follows does not continue what came before."""
        if self.filter is not None:
            self.filter.reset()
        self.windows.reset()
        self._raw = np.empty((len(self.electrodes.rows), 0))
        self._begun: float | None = None
        self._pushed, self._missing = 0, False
        self._lacking = self._second()
        """Samples until the next second at 200 Hz is whole."""

    def take(self, samples: np.ndarray, times: np.ndarray) -> Iterator[list[tuple[float, Finished]]]:
        """Take what has arrived, float64 (channels, n) in µV with its times.

        Yields
        ------
        list of tuple
            Once for every second: when each window that it completed began, and the window.
        """
        chosen, first = samples[list(self.electrodes.rows)], 0
        while first < len(times):
            part = slice(first, first + self._lacking)
            self._waiting.append((chosen[:, part], times[part]))
            first, self._lacking = part.stop, self._lacking - len(times[part])
            if self._lacking:
                self.time = float(times[-1])
                return
            if self.filter is not None:
                yield self._take()
            elif sum(len(when) for _, when in self._waiting) >= SECONDS_FOR_MAINS * self.layout.rate:
                yield from self.flush()
            else:
                self._lacking = self._second()
                self.time = float(times[part][-1])
                yield []

    def flush(self) -> Iterator[list[tuple[float, Finished]]]:
        """Go through what waits for the second to be whole, or for the mains frequency to be told, which is then told
        by what has come; yields as `take` does, where there is something."""
        if not self._waiting:
            return
        if self.filter is None:
            rate = self.layout.rate
            samples = np.concatenate([part for part, _ in self._waiting], axis=1)[:, : round(SECONDS_FOR_MAINS * rate)]
            mains, note = find_mains([samples], rate, seconds=samples.shape[1] / rate)
            self.notes.append(note)
            self._make_filter(mains)
        if found := self._take():
            yield found

    def _second(self) -> int:
        """Samples until another second is whole at 200 Hz: until the last sample of it is due."""
        due = (self.windows.samples // RATE + 1) * RATE - 1
        return max(1, math.floor(due * self.layout.rate / RATE) + 1 - self._pushed)

    def _make_filter(self, mains: float) -> None:
        self.filter = CausalFilter(len(self.electrodes.rows), self.layout.rate, mains=mains)

    def _take(self) -> list[tuple[float, Finished]]:
        """Let what waits go through; returns the windows that it completes."""
        waiting, self._waiting = self._waiting, []
        samples, times = (np.concatenate(each, axis=-1) for each in zip(*waiting, strict=True))
        self.time = float(times[-1])
        finished: list[tuple[float, Finished]] = []
        second = max(1, round(self.layout.rate))
        for first in range(0, len(times), second):  # many where they have waited for the mains
            finished += self._hear(samples[:, first : first + second], times[first : first + second])
        self._lacking = self._second()
        return finished

    def _hear(self, samples: np.ndarray, times: np.ndarray) -> list[tuple[float, Finished]]:
        """Judge contacts, leave out what is missing, and read the rest."""
        self._raw = np.concatenate([self._raw, samples], axis=1)[:, -round(LOOK * self.layout.rate) :]
        self._look()
        wrong = np.logical_not(checks.is_number(samples))
        samples = np.where(wrong, 0.0, samples)
        wrong[list(self.electrodes.left_out)] = False
        missing = wrong.any(axis=0)
        finished: list[tuple[float, Finished]] = []
        edges = np.flatnonzero(np.diff(missing, prepend=True, append=True)).reshape(-1, 2)
        for first, last in edges.tolist():
            if first > 0 or self._missing:
                raw = self._raw
                self.restart()
                self._raw = raw
            finished += self._continue(samples[:, first:last], times[first:last])
            self._missing = False
        if missing.any():
            self.notes.append(MISSING)
            self._missing = bool(missing[-1])
        return finished

    def _continue(self, samples: np.ndarray, times: np.ndarray) -> Iterator[tuple[float, Finished]]:
        """Filter samples that follow those before; yields the windows that they complete, and when each began."""
        assert self.filter is not None
        counted = float(times[0]) - self._pushed / self.layout.rate
        if self._begun is None or abs(counted - self._begun) > DRIFT:
            self._begun = counted
        self._pushed += samples.shape[1]
        for window in self.windows.push(self.filter.push(samples), self.electrodes.montage):
            yield self._begun + window.start / RATE, window

    def _look(self) -> None:
        """Look at the contacts; windows that show a lost one are given up."""
        before = self.electrodes.faults
        changed = self.electrodes.look(self._raw, None if self.filter is None else self.filter.design.notch)
        faults = self.electrodes.faults
        self.notes += [f"bad contact: {name}, {why}" for name, why in faults.items() if name not in before]
        self.notes += [f"contact is back: {name}" for name in before if name not in faults]
        if changed:
            self.windows.drop(self.electrodes.left_out)
            self.notes += self._shown()

    def _shown(self) -> tuple[str, ...]:
        """What is said of the electrodes that are shown from now on."""
        montage = self.electrodes.montage
        return ("no electrode is left that could be used",) if montage is None else montage.notes
