"""What arrives, on its way to windows: contacts judged, gaps in it cut out, filtered causally"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurolm.checkpoint import Card
from neurolm.core.physics import RATE
from neurolm.live.electrodes import LOOK, Electrodes
from neurolm.live.source import Layout
from neurolm.live.windows import Finished, Windows
from neurolm.recording import checks
from neurolm.recording.causal import CausalFilter
from neurolm.recording.options import Unknown, Unseen
from neurolm.recording.preprocess import SECONDS_FOR_MAINS, find_mains

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
        self.layout, self.windows = layout, windows
        self.electrodes = Electrodes(layout, card, unknown=unknown, unseen=unseen)
        self.notes: list[str] = [*layout.notes, *self._shown()]
        """What there is to say; whoever says it empties the list."""
        self.time = 0.0
        """Of the newest sample, in seconds on the source's clock."""
        self.filter: CausalFilter | None = None
        if mains is not None:
            self._make_filter(mains)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._since = 0
        """Samples that have come since the last second that was whole."""
        self.restart()

    def restart(self) -> None:
        """Begin anew: what follows does not continue what came before."""
        if self.filter is not None:
            self.filter.reset()
        self.windows.reset()
        self._raw = np.empty((len(self.electrodes.rows), 0))
        self._begun: float | None = None
        self._pushed, self._missing = 0, False

    def take(self, samples: np.ndarray, times: np.ndarray) -> Iterator[list[tuple[float, Finished]]]:
        """Take what has arrived, float64 (channels, n) in µV with its times.

        Yields
        ------
        list of tuple
            Once for every second: when each window that it completed began, and the window.
        """
        most = round(self.layout.rate)
        chosen = samples[list(self.electrodes.rows)]
        for first in range(0, samples.shape[1], most):
            part = chosen[:, first : first + most], times[first : first + most]
            if self.filter is not None:
                yield from self._take(*part)
                continue
            self._waiting.append(part)
            self.time = float(part[1][-1])
            if sum(len(when) for _, when in self._waiting) >= SECONDS_FOR_MAINS * self.layout.rate:
                yield from self.decide()
            elif self._due(len(part[1])):
                yield []

    def decide(self) -> Iterator[list[tuple[float, Finished]]]:
        """Tell the mains frequency by what has come, where it waits for that, and go through it."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        samples = np.concatenate([part for part, _ in waiting], axis=1)
        mains, note = find_mains([samples], self.layout.rate, seconds=samples.shape[1] / self.layout.rate)
        self.notes.append(note)
        self._make_filter(mains)
        self._since = 0
        yield [window for part in waiting for second in self._take(*part) for window in second]

    def _make_filter(self, mains: float) -> None:
        self.filter = CausalFilter(len(self.electrodes.rows), self.layout.rate, mains=mains)

    def _due(self, samples: int) -> bool:
        """Count samples; returns whether a second of them has come."""
        self._since += samples
        due = self._since >= self.layout.rate
        if due:
            self._since = 0
        return due

    def _take(self, samples: np.ndarray, times: np.ndarray) -> Iterator[list[tuple[float, Finished]]]:
        """Take at most a second of the channels that are filtered."""
        self._raw = np.concatenate([self._raw, samples], axis=1)[:, -round(LOOK * self.layout.rate) :]
        self.time = float(times[-1])
        wrong = np.logical_not(checks.is_number(samples))
        samples = np.where(wrong, 0.0, samples)
        wrong[list(self.electrodes.left_out)] = False
        missing = wrong.any(axis=0)
        edges = np.flatnonzero(np.diff(missing, prepend=True, append=True)).reshape(-1, 2)
        finished: list[tuple[float, Finished]] = []
        whole = False
        for first, last in edges.tolist():
            if first > 0 or self._missing:
                raw = self._raw
                self.restart()
                self._raw = raw
            found, more = self._continue(samples[:, first:last], times[first:last])
            finished += found
            whole |= more
            self._missing = False
        if missing.any():
            self.notes.append(MISSING)
            self._missing = bool(missing[-1])
        if whole:
            self._since = 0
            yield finished
        elif self._due(len(times)):  # missing samples make no second whole
            self._look()
            yield finished

    def _continue(self, samples: np.ndarray, times: np.ndarray) -> tuple[list[tuple[float, Finished]], bool]:
        """Filter samples that follow those before; returns the windows that they complete, and whether a second is."""
        assert self.filter is not None
        counted = float(times[0]) - self._pushed / self.layout.rate
        if self._begun is None or abs(counted - self._begun) > DRIFT:
            self._begun = counted
        self._pushed += samples.shape[1]
        filtered = self.filter.push(samples)
        before = self.windows.samples
        whole = (before + filtered.shape[1]) // RATE > before // RATE
        if whole:
            self._look()
        found = self.windows.push(filtered, self.electrodes.montage)
        return [(self._begun + window.start / RATE, window) for window in found], whole

    def _look(self) -> None:
        """Look at the contacts; windows that show a lost one are given up."""
        before = self.electrodes.faults
        changed = self.electrodes.look(self._raw)
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
