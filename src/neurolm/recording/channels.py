"""What a reader hands over: the channels as the file names them, and their signal, ready to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from neurolm.core.stretches import Stretch, Stretches, whole
from neurolm.recording.formats.edf_signal import Samples


@dataclass(frozen=True)
class Channel:
    """A channel as the file describes it."""

    name: str
    kind: str
    """What the file says it is, in the words of ``montage.kind``; ``eeg`` where the format cannot say."""
    unit: str | None
    """Unit of the file's numbers: a key of ``edf.MICROVOLTS``, ``edf.UNSTATED``, or None for one that is no voltage."""
    rate: float
    """Samples per second."""
    position: tuple[float, float, float] | None = None
    """x, y, z in metres in head coordinates, where the file has them."""
    bad: bool = False
    """Whether the file marks it as bad."""
    uncalibrated: str | None = None
    """Why nobody can tell what its numbers are worth, where the file has no range for them."""


@dataclass(frozen=True)
class Signal:
    """Some of a file's channels, ready to be read."""

    rate: float
    """Samples per second."""
    samples: int
    """Samples of each channel that are there."""
    volts: tuple[float, ...]
    """What ``read`` makes of 1 in the unit of the file, for each channel that was asked for."""
    annotations: tuple[tuple[float, float, str], ...]
    """Annotations: seconds from the first sample, gaps included; seconds; text."""
    read: Callable[[int, int], np.ndarray]
    """First and last sample (exclusive) → float64 of shape (channels that were asked for, samples)."""
    direct: Samples | None = None
    """The file's whole numbers of the same channels, where they can be had without MNE."""
    interrupted: tuple[Stretch, ...] = ()
    """The stretches of a recording that was interrupted, as far as the file tells; empty for one that was not."""

    @property
    def stretches(self) -> Stretches:
        """Where the samples lie in time."""
        return self.interrupted or whole(self.samples)

    def only(self, picks: Sequence[int]) -> Signal:
        """Return some of these channels, in this order."""
        chosen, read = list(picks), self.read
        return replace(
            self,
            volts=tuple(self.volts[pick] for pick in chosen),
            read=lambda first, last: read(first, last)[chosen],
            direct=None if self.direct is None else self.direct.only(chosen),
        )


@dataclass(frozen=True)
class RawRecording:
    """An opened recording as its file has it: channels by the file's names, and how to get at their signal."""

    path: Path | None
    """The file, None for an MNE object that comes from none."""
    channels: tuple[Channel, ...]
    load: Callable[[Sequence[int]], Signal]
    """Indices of channels → their signal; all of one rate."""
    notes: list[str] = field(default_factory=list)
    """What the reader said."""
    start: datetime | None = None
    """When it began, by the clock of the place, as the file says it; None where it does not."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path or "the MNE object")
