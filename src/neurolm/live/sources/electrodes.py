"""Which electrodes the channels of a live source are, and what its numbers are worth: as in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurolm.core.errors import ConfigError, argument
from neurolm.core.montage import resolve
from neurolm.recording.channels import Channel
from neurolm.recording.electrodes.selection import select_electrodes
from neurolm.recording.formats.edf import MICROVOLTS, UNSTATED
from neurolm.recording.options import AUTO, ReadingOptions


@dataclass(frozen=True)
class Electrodes:
    """The electrodes that are made of a source's channels."""

    names: tuple[str, ...]
    """Canonical names."""
    notes: tuple[str, ...]
    """What was left out or assumed."""
    _matrix: np.ndarray
    """float64 (electrodes, channels): what is made of the numbers of the source, in µV."""

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Return electrodes in µV, float64 (electrodes, n), of the numbers of all channels, (channels, n)."""
        used = self._matrix.any(axis=0)  # NaN of a channel that is not used must not spread
        found: np.ndarray = self._matrix[:, used] @ np.asarray(numbers, np.float64)[used]
        return found

    def only(self, names: Sequence[str]) -> Electrodes:
        """Return those of some names, in their own order; all, if none of them is there."""
        kept = [i for i, name in enumerate(self.names) if name in names] or list(range(len(self.names)))
        return replace(self, names=tuple(self.names[i] for i in kept), _matrix=self._matrix[kept])


def choose_electrodes(channels: Sequence[Channel], source: str, reading: ReadingOptions) -> Electrodes:
    """Find the electrodes among the channels of a source.

    Raises
    ------
    RecordingError
        If there is no EEG, or an electrode is unknown or wanted but missing.
    ConfigError
        If the unit is to be decided by an amplitude, which nobody knows yet.
    """
    if reading.unit == AUTO:
        raise ConfigError(
            f"{source}: {argument(unit='auto')} looks at the amplitude of a whole recording, and here it is yet to "
            "come; say what the numbers are (V, mV, uV, nV), or leave it out to believe the source"
        )
    notes = []
    # Of a file's channels with a unit that is no voltage the amplitude tells; here there is none to look at.
    channels = [replace(c, kind="other") if c.kind == "eeg" and c.unit is None else c for c in channels]
    lost = [c.name for c in channels if c.kind == "other" and c.unit is None and resolve(c.name) is not None]
    if reading.unit is not None and lost:
        channels = [replace(c, kind="eeg", unit=UNSTATED) if c.name in lost else c for c in channels]
        notes.append(
            f"taken for EEG because a unit is given, and not the source's, which is no voltage: {', '.join(lost)}"
        )
    chosen = select_electrodes(
        channels, source=source, unknown=reading.unknown or "error", wanted=reading.channels, cap=reading.cap
    )
    unstated = [channels[i].name for i in chosen.indices if channels[i].unit == UNSTATED]
    if reading.unit is None and unstated:
        notes.append(f"no unit given, taken as µV: {', '.join(unstated)}")
    matrix = np.zeros((len(chosen.electrodes), len(channels)))
    weights = np.eye(len(chosen.indices)) if chosen.weights is None else chosen.weights
    worth = [MICROVOLTS[reading.unit or channels[i].unit or "uV"] for i in chosen.indices]
    matrix[:, list(chosen.indices)] = weights * worth
    return Electrodes(chosen.electrodes, (*chosen.notes, *notes), matrix)
