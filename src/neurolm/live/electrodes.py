"""Which channels of a source are which electrodes of the model, and which have lost their contact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurolm.ask.recording import fit_electrodes
from neurolm.checkpoint import Card
from neurolm.core.errors import RecordingError
from neurolm.core.montage import channel_id
from neurolm.live.source import Layout
from neurolm.recording import checks
from neurolm.recording.channels import Channel
from neurolm.recording.electrodes.selection import Selection, select_electrodes
from neurolm.recording.options import Unknown, Unseen
from neurolm.recording.welch import welch

HUM = 0.98
"""Share of the power above 1 Hz at the mains frequency that a contact as good as none has: seven times the amplitude of
all else. The notch takes out what there is of it, so that the electrode stays, as in files."""
LOOK = 4.0
"""Seconds that a contact is judged by: it is lost after so long, and back after so long."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Montage:
    """The electrodes that a model is shown, made of the channels that are filtered."""

    electrodes: tuple[str, ...]
    """As the model knows them."""
    ids: np.ndarray
    """Electrode ids."""
    weights: np.ndarray
    """float32 (electrodes, filtered channels)."""
    notes: tuple[str, ...]

    @property
    def sources(self) -> frozenset[int]:
        """Places, among the channels that are filtered, of those that it is made of."""
        return frozenset(np.flatnonzero(self.weights.any(axis=0)).tolist())

    def of(self, filtered: np.ndarray) -> np.ndarray:
        """Make the electrodes of filtered channels: (samples, channels) to (samples, electrodes)."""
        places = self.weights.argmax(axis=1)
        if (self.weights != 0).sum() == len(places) and (self.weights[np.arange(len(places)), places] == 1).all():
            return filtered[:, places]
        return filtered @ self.weights.T


class Electrodes:
    """The channels of a source as electrodes.

    Parameters
    ----------
    layout
        What arrives.
    card
        What the model was trained on.
    unknown
        What to do with channels that are no known electrode and with those that lost their contact, as of a file.
    unseen
        What to do with electrodes that the model never saw.

    Raises
    ------
    RecordingError
        If there is no EEG, or no electrode that the model knows.
    """

    def __init__(self, layout: Layout, card: Card, *, unknown: Unknown, unseen: Unseen) -> None:
        self.layout, self.card, self.unknown, self.unseen = layout, card, unknown, unseen
        chosen = self._select({})
        self.rows = chosen.indices
        """Places of the channels to filter, among those of the source."""
        self.names = tuple(chosen.labels)
        """The electrode that each of these is."""
        self.montage: Montage | None = self._montage(chosen)
        """What windows that open now show; None where no electrode is left."""
        self.faults: dict[str, str] = {}
        """Electrode → why it is left out, or what is odd about it."""
        self.left_out: frozenset[int] = frozenset()
        """Places, among the channels that are filtered, of those that are."""

    def look(self, samples: np.ndarray, mains: float | None) -> bool:
        """Judge all contacts by the last seconds.

        Parameters
        ----------
        samples
            float64 (filtered channels, samples), µV, as they arrived.
        mains
            Mains frequency in Hz; None where the rate does not reach it.

        Returns
        -------
        bool
            Whether other electrodes are shown from now on.
        """
        quality = checks.measure_quality([samples], self.layout.rate)
        unusable = quality.unusable
        odd = {i: f"{checks.readable(float(quality.amplitude[i]))} µV" for i in range(len(self.rows))
               if i not in unusable and not checks.plausible(float(quality.amplitude[i]))}  # fmt: skip
        if mains is not None and samples.shape[1] >= self.layout.rate / 2:
            hum = _hum(samples, self.layout.rate, mains)
            odd |= {int(i): f"{hum[i]:.1%} of its power is mains hum" for i in np.flatnonzero(hum >= HUM)
                    if i not in unusable}  # fmt: skip
        self.faults = {self.names[i]: why for i, why in sorted((odd | unusable).items())}
        changed = self.left_out != frozenset(unusable)
        if changed:
            self.left_out = frozenset(unusable)
            try:
                self.montage = self._montage(self._select({self.rows[i]: why for i, why in unusable.items()}))
            except RecordingError:  # none is left
                self.montage = None
        return changed

    def _select(self, bad: Mapping[int, str]) -> Selection:
        layout = self.layout
        kinds = layout.kinds or ("eeg",) * len(layout.channels)
        channels = [
            Channel(name=name, kind=kind, unit="uV", rate=layout.rate)
            for name, kind in zip(layout.channels, kinds, strict=True)
        ]
        return select_electrodes(channels, source=layout.name or "the source", unknown=self.unknown, bad=bad)

    def _montage(self, chosen: Selection) -> Montage:
        kept, notes = fit_electrodes(chosen.electrodes, self.card, self.layout.name or "the source", self.unseen)
        columns, electrodes = [column for column, _ in kept], tuple(electrode for _, electrode in kept)
        made = np.eye(len(chosen.indices)) if chosen.weights is None else chosen.weights
        place = {row: number for number, row in enumerate(getattr(self, "rows", chosen.indices))}
        weights = np.zeros((len(kept), len(place)), np.float32)
        weights[:, [place[row] for row in chosen.indices]] = made[columns]
        return Montage(
            electrodes=electrodes, ids=np.array([channel_id(electrode) for electrode in electrodes]),
            weights=weights, notes=(*notes, *chosen.notes),
        )  # fmt: skip


def _hum(samples: np.ndarray, rate: float, mains: float) -> np.ndarray:
    """Share of each channel's power above 1 Hz that is at the mains frequency; samples that are no numbers are 0."""
    numbers = np.where(checks.is_number(samples), samples, 0.0)
    frequencies, power = welch(numbers, rate, segment=round(rate))
    heard = np.maximum(power[:, frequencies >= 1].sum(axis=1), 1e-12)
    found: np.ndarray = power[:, np.abs(frequencies - mains) <= 1.5].sum(axis=1) / heard
    return found
