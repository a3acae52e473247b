"""What a store says about a recording: one row of its manifest, one line of JSON.

The line is always the same for the same recording.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from neurolm.core.errors import StoreError
from neurolm.core.files import parse_json
from neurolm.core.physics import RATE

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
    """Seconds from the start of the recording."""
    stop: float
    """Seconds from the start of the recording, not included."""
    split: str | None = None
    """``train``, ``validation`` or ``test`` where the data set itself says so; None: the task's card decides."""


@dataclass(frozen=True, slots=True)
class Outline:
    """Of a row, what splits and windows need: small enough to keep for all recordings of a store."""

    subject: str
    samples: int
    """Length at 200 Hz."""
    channels: int
    labels: tuple[Label, ...]


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
    """Length at 200 Hz."""
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
    shard: str = ""
    """Name of the file below ``shards/`` that holds the signal; empty where it is in none yet."""
    offset: int = 0
    """Byte of the shard at which the signal begins."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / RATE

    @property
    def size(self) -> int:
        """Bytes of the signal."""
        return self.samples * len(self.channels) * SAMPLE.itemsize

    def line(self) -> str:
        """The row as one line of the manifest: the same row always gives the same bytes."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


_TEXT = {"recording", "corpus", "source", "sha256", "subject", "unit", "version", "licence", "shard"}
_WHOLE = {"samples", "clipped", "offset"}
_NAMES = {field.name for field in fields(Row)}
_LABEL = {field.name for field in fields(Label)}


def row_from(value: Any, *, source: str) -> Row:
    """Make a row of what JSON says; a store has 100,000 of them, so this is written out instead of derived.

    Parameters
    ----------
    value
        The object of a line.
    source
        Where it comes from, for the message.

    Raises
    ------
    StoreError
        If fields are missing, unknown or of another kind.
    """
    if not isinstance(value, dict) or value.keys() != _NAMES:
        found = value if not isinstance(value, dict) else ", ".join(sorted(value.keys() ^ _NAMES))
        raise StoreError(f"{source}: damaged, or written by another version: wrong or missing: {found}")
    try:
        wrong = [name for name in _TEXT if type(value[name]) is not str]
        wrong += [name for name in _WHOLE if type(value[name]) is not int or value[name] >> 62]  # below 0, or huge
        if wrong:
            raise ValueError(", ".join(wrong))
        low, high = map(float, value["band"])
        row = Row(
            **{
                **value,
                "channels": tuple(map(sys.intern, _texts(value["channels"]))),  # the same in many rows
                "scale": tuple(map(float, value["scale"])),
                "mains": float(value["mains"]),
                "band": (low, high),
                "labels": tuple([_label(label) for label in value["labels"]]),
                "notes": _texts(value["notes"]),
            }
        )
        if not 0 < len(row.channels) == len(row.scale):
            raise ValueError(f"{len(row.channels)} channels, {len(row.scale)} scales")
        if not (min(row.scale) > 0 and math.isfinite(sum((*row.scale, row.mains, *row.band)))):
            raise ValueError("scale, mains or band are no numbers")
    except (ValueError, TypeError, OverflowError) as error:
        raise StoreError(f"{source}: damaged: {error}") from error
    return row


def parse_row(line: bytes | str, *, source: str) -> Row:
    """Make a row of a line of the manifest; see `row_from`."""
    try:
        value = parse_json(line)
    except ValueError as error:
        raise StoreError(f"{source}: damaged: not valid JSON ({error})") from error
    return row_from(value, source=source)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not set(map(type, value)) <= {str}:
        raise ValueError(f"{value!r} is no list of texts")
    return tuple(value)


def _label(value: Any) -> Label:
    if not isinstance(value, dict) or value.keys() != _LABEL:
        raise ValueError(f"{value!r} is no label")
    task, label, split = value["task"], value["label"], value["split"]
    start, stop = float(value["start"]), float(value["stop"])
    texts = type(task) is str and type(label) is str and (split is None or type(split) is str)
    if not (texts and math.isfinite(start) and math.isfinite(stop)):
        raise ValueError(f"{value!r} is no label")
    return Label(task, label, start, stop, split)
