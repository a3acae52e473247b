"""What a store says about a recording: one row of its manifest, one line of JSON.

The line is always the same for the same recording.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from neurolm.core.decode import decode
from neurolm.core.errors import StoreError
from neurolm.core.files import dump_json
from neurolm.core.physics import RATE, Filters
from neurolm.core.stretches import Stretch, Stretches, whole

SPLITS = ("train", "validation", "test")
"""The parts of a split, as in ``Label.split``."""
SAMPLE = np.dtype("<i2")
"""How a sample is stored."""


@dataclass(frozen=True, slots=True)
class Label:
    """A labelled stretch of a recording."""

    task: str
    label: str
    start: float
    """Seconds from the start of the recording, gaps included."""
    stop: float
    """Seconds from the start of the recording, gaps included; itself not included."""
    split: str | None = None
    """``train``, ``validation`` or ``test`` where the data set itself says so; None: the task's card decides."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What splits, windows and batches need of a row: small enough to keep for all recordings of a store."""

    recording: str
    subject: str
    samples: int
    """Length at 200 Hz of what is stored."""
    channels: tuple[str, ...]
    labels: tuple[Label, ...]
    interrupted: tuple[Stretch, ...] = ()
    """As in ``Row``."""
    sha256: str = ""
    """Hash of the stored signal; empty where it is not known."""
    filters: Filters = "zero-phase"

    @property
    def stretches(self) -> Stretches:
        """Where what is stored lies in the recording's time, in samples at 200 Hz."""
        return self.interrupted or whole(self.samples)


@dataclass(frozen=True)
class Row:
    """What the manifest says about a recording."""

    recording: str
    """Unique id: the corpus and the path of the source below the data folder."""
    corpus: str
    source: str
    """Path of the source below the data folder."""
    sha256: str
    """Hash of the stored signal's bytes, the same wherever the recording lies and whatever it is called."""
    subject: str
    """Unique over corpora: ``corpus/subject``."""
    channels: tuple[str, ...]
    samples: int
    """Length at 200 Hz of what is stored."""
    scale: tuple[float, ...]
    """Microvolts per count, per channel."""
    clipped: int
    """Samples outside the range of their channel's scale."""
    mains: float
    """Mains frequency in Hz that was notched out."""
    band: tuple[float, float]
    """Pass band in Hz."""
    unit: str
    """Unit of the source's numbers."""
    version: str
    """Version of neurolm that prepared the recording."""
    licence: str
    labels: tuple[Label, ...]
    notes: tuple[str, ...]
    shard: str
    """Name of the file below ``shards/`` that holds the signal; empty where it is in none yet."""
    offset: int
    """Byte of the shard at which the signal begins; 0 where it is in none yet."""
    interrupted: tuple[Stretch, ...] = ()
    """Where what is stored lies in the recording's time, in samples at 200 Hz, if anything of it was left out or the
    recording was interrupted: the stretches are stored one after another. Empty where all of it is stored."""
    filters: Filters = "zero-phase"
    """How it was filtered; not stated for the symmetric ones, which older stores have."""

    def __post_init__(self) -> None:
        for name in ("samples", "clipped", "offset"):
            if getattr(self, name) >> 62:  # below 0, or huge
                raise ValueError(f"{name} must be 0 or more and fit a machine, not {getattr(self, name)}")
        ends = [0, *(stretch.stop for stretch in self.interrupted)]
        apart = all(one.samples > 0 and end <= one.start for one, end in zip(self.interrupted, ends, strict=False))
        if self.interrupted and not (apart and sum(one.samples for one in self.interrupted) == self.samples):
            raise ValueError(f"interrupted must be stretches of {self.samples} samples in all, one after another")
        if not 0 < len(self.channels) == len(self.scale):
            raise ValueError(f"{len(self.channels)} channels, {len(self.scale)} scales")
        if min(self.scale) <= 0:
            raise ValueError(f"scale must be above 0, not {min(self.scale)}")

    @property
    def stretches(self) -> Stretches:
        """Where what is stored lies in the recording's time, in samples at 200 Hz."""
        return self.interrupted or whole(self.samples)

    @property
    def seconds(self) -> float:
        """Length in seconds of what is stored."""
        return self.samples / RATE

    @property
    def size(self) -> int:
        """Bytes of the signal."""
        return self.samples * len(self.channels) * SAMPLE.itemsize

    def line(self) -> str:
        """The row as one line of the manifest: the same row always gives the same bytes."""
        said = asdict(self)
        if not self.interrupted:  # few recordings are
            del said["interrupted"]
        if self.filters == "zero-phase":
            del said["filters"]
        return dump_json(said, separators=(",", ":")) + "\n"


def parse_row(line: bytes | str, *, source: str) -> Row:
    """Make a row of a line of the manifest.

    Parameters
    ----------
    source
        Where it comes from, for the message.

    Raises
    ------
    StoreError
        If the line is not JSON, or fields are missing, unknown or of another kind.
    """
    return decode(Row, line, source=f"{source}: damaged", error=StoreError)
