"""What a layout says about a recording before anybody opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from neurolm.core.errors import ConfigError
from neurolm.recording.channels import RawRecording
from neurolm.recording.options import AUTO, BELIEVED, DataFormat, ReadingOptions, Unit, Unknown
from neurolm.recording.readers import open_by
from neurolm.recording.recording import Recording, open_recording
from neurolm.store.store import Label

if TYPE_CHECKING:
    import mne


class Extent(Protocol):
    """What labels may depend on: the length of a recording and its annotations. A ``Recording`` is one.

    Its ``notes``, where it has some, say whether it was cut short.
    """

    @property
    def seconds(self) -> float:
        """Length of the recording."""

    @property
    def annotations(self) -> tuple:
        """The recording's annotations (onset, duration, text)."""


class AnnotationsGone(Exception):
    """The labels of a recording depend on annotations, which were not kept when it was prepared."""


class WatchedExtent:
    """An extent that tells whether labels depend on annotations: free text about people is kept for nothing else.

    Parameters
    ----------
    extent
        A recording, or what is kept of one; its ``annotations`` are None where they were not kept.
    """

    def __init__(self, extent: Extent | Any) -> None:
        self._extent, self.read = extent, False
        self.seconds: float = extent.seconds
        self.notes: tuple[str, ...] = getattr(extent, "notes", ())

    @property
    def annotations(self) -> tuple:
        """The recording's annotations.

        Raises
        ------
        AnnotationsGone
            If they were not kept.
        """
        self.read = True
        if self._extent.annotations is None:
            raise AnnotationsGone
        return tuple(self._extent.annotations)


Labeller = Callable[[Extent], tuple[Label, ...]]
"""Gives the labels of a recording once it is open. Picklable: it travels to worker processes."""
Labels = Labeller | tuple[Label, ...]
"""The labels of a recording, or what gives them."""
Opener = Callable[[Path], "mne.io.BaseRaw"]
"""Reads a file that no reader knows (a table, MATLAB variables), in volts. Picklable, as a labeller is.

What it has to say about the reading stands in ``info["description"]`` and becomes a note of the recording."""


def terms(licence: str, citation: str) -> str:
    """What the row of a recording says about its terms: licence and citation."""
    return "; ".join(part for part in (licence, citation) if part)


@dataclass(frozen=True)
class RecordingSource:
    """A recording as the layout of its corpus knows it."""

    path: Path
    corpus: str
    subject: str
    """Id within the corpus."""
    labels: Labels
    licence: str
    mains: float | None
    """Mains frequency in Hz where the recording was made; None: to be detected."""
    channels: Mapping[str, str] | Sequence[str] | None = None
    """The file's channel names → electrodes, where they cannot be understood or not all are meant; or electrodes."""
    partly: bool = False
    """Whether a file may lack some of the names in ``channels``."""
    cap: str | None = None
    """The cap whose contacts the channels count."""
    unit: Unit | None = None
    """Unit of the file's numbers where the file does not tell the truth; the user's word goes first."""
    unknown: Unknown | None = None
    """What to do with unknown electrodes where the corpus is known to have some, unless the user says otherwise."""
    open: Opener | None = None
    """How to read the file where no reader knows the format."""
    rate: float | None = None
    """Samples per second where the file, a table or an array, does not say it; the user's word goes first."""
    data_format: DataFormat | None = None
    """``int16`` or ``int32`` for Neuroscan files of which the corpus is known to have one."""

    def open_recording(self, *, reading: ReadingOptions = BELIEVED, check: bool = True) -> Recording:
        """Open the recording as its layout says it must be.

        Parameters
        ----------
        reading, check
            As for ``neurolm.recording.recording.open_recording``. The layout decides what the options leave open, and
            about unknown electrodes also where they say ``error``.

        Raises
        ------
        RecordingError
            If the file cannot be read or is no EEG.
        ConfigError
            If a unit is given for a format that the layout itself reads: it knows the unit.
        """
        source: Path | RawRecording = self.path
        unit, unknown = reading.unit, reading.unknown
        if self.unknown is not None and unknown in (None, "error"):
            unknown = self.unknown
        if self.open is not None:
            if unit not in (None, AUTO):
                raise ConfigError(f"unit is {unit!r}, but the layout of {self.corpus} knows the unit; leave unit out")
            unit = None
            source = open_by(self.open, self.path)
        return open_recording(
            source,
            reading=replace(
                reading,
                unknown=unknown,
                unit=unit if unit is not None else self.unit,
                rate=reading.rate if reading.rate is not None else self.rate,
                channels=self.channels,
                cap=self.cap,
                data_format=reading.data_format or self.data_format,
            ),
            partly=self.partly,
            check=check,
        )

    def labelled(self, extent: Extent) -> tuple[Label, ...]:
        """Return the recording's labels.

        Raises
        ------
        RecordingError
            If they do not fit this recording.
        ConfigError
            If they contradict each other, or what says them is not valid.
        """
        return self.labels(extent) if callable(self.labels) else self.labels

    def label_notes(self, extent: Extent) -> tuple[str, ...]:
        """Return what is to be said of the labels."""
        notes = getattr(self.labels, "notes", None)
        return () if notes is None else notes(extent)
