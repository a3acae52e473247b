"""How recordings are to be read, where files do not say it: one set of options for every way in

>>> neurolm.ReadingOptions(unit="mV", channels=["Fp1", "Cz"])
>>> neurolm.ReadingOptions(unknown="drop", channels={"E36": "C3", "E70": "O1"})
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from neurolm.core.errors import ConfigError, argument
from neurolm.core.physics import RATE

Unknown = Literal["error", "drop", "nearest", "interpolate"]
"""What can be done with channels of the file that are no known electrode."""
Unseen = Literal["nearest", "drop", "error"]
"""What can be done with known electrodes that a model never saw in training."""
Unit = Literal["V", "mV", "uV", "nV", "auto"]
"""What the numbers in a file can be: a unit, or the one that fits the amplitude."""
Truncated = Literal["refuse", "accept"]
"""What can be done with a file that is shorter than its header says."""
BadSegments = Literal["drop", "keep"]
"""What can be done with what annotations call bad."""
DataFormat = Literal["int16", "int32"]
"""Formats of the numbers in Neuroscan's files."""
AUTO: Unit = "auto"
"""The unit that is decided from the amplitude."""


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How a recording is to be read, or many of them.

    Parameters
    ----------
    unknown
        What to do with channels that the file takes for EEG but whose names are no known electrodes, and with flat and
        saturated ones: refuse the file (``error``); leave them out (``drop``); take each for the electrode that is
        nearest to its position, within 40 mm, and that the recording lacks (``nearest``); or compute that electrode by
        spherical splines (``interpolate``). By default ``error``, but ``nearest`` for a question. It also decides about
        channels that the file marks as bad, and about electrodes in ``channels`` that are missing.
    unit
        What the files' numbers are, where their headers are wrong: it is taken, with a warning where that makes no
        EEG of them. ``auto`` takes the unit that does, and keeps the header's as long as EEG can have that amplitude.
        By default the header is believed; one that says nothing means µV.
    rate
        Samples per second of tables and arrays (CSV, NumPy, MATLAB …) that do not say it.
    mains
        Mains frequency in Hz; by default found in the spectrum.
    truncated
        Whether to take (``accept``) what is there of a file that ends too early.
    bad_segments
        Whether to leave out (``drop``) what the file's annotations call bad, those that begin with ``BAD``, or to
        ``keep`` it.
    channels
        Electrodes to read, in this order (Fp1,Cz), by default all; or which electrodes the file's own names stand for,
        where they say nothing (E36=C3,E70=O1): of a file that has such names, only these are read. Tables
        and arrays without names: all channels in their order.
    cap
        MNE's name of the cap (biosemi64, GSN-HydroCel-128) whose contacts the channels count.
    stream
        XDF: name or number of the stream to read; by default the longest of type EEG. MATLAB, ``.npz``: the variable.
    data_format
        Neuroscan: format of the numbers; by default decided from the file, and said.

    Raises
    ------
    ConfigError
        If a value is none of those that are allowed.
    """

    unknown: Unknown | None = None
    unit: Unit | None = None
    rate: float | None = None
    mains: float | None = None
    truncated: Truncated = "refuse"
    bad_segments: BadSegments = "drop"
    channels: Sequence[str] | Mapping[str, str] | None = None
    cap: str | None = None
    stream: str | int | None = None
    data_format: DataFormat | None = None

    def __post_init__(self) -> None:
        require_one_of("unknown", self.unknown, (*get_args(Unknown), None))
        require_one_of("unit", self.unit, (*get_args(Unit), None))
        require_one_of("truncated", self.truncated, get_args(Truncated))
        require_one_of("bad_segments", self.bad_segments, get_args(BadSegments))
        require_one_of("data_format", self.data_format, (*get_args(DataFormat), None))
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ConfigError(f"{argument(rate=self.rate)}: give samples per second, as 250")
        if self.mains is not None and not 0 < self.mains < RATE / 2:
            raise ConfigError(f"{argument(mains=self.mains)}: give a frequency in Hz, 50 or 60")
        if isinstance(self.channels, str):
            raise ConfigError(
                f"{argument(channels=self.channels)}: give a list of names, or a mapping of names to electrodes"
            )
        if isinstance(self.channels, Mapping) and self.cap is not None:
            raise ConfigError(f"{argument('channels')}, {argument(cap=self.cap)}: both say which electrodes; give one")


def require_one_of(name: str, value: object, valid: Sequence[object]) -> None:
    """Refuse an argument that is none of the valid values, listing them.

    Raises
    ------
    ConfigError
        If it is none of them.
    """
    if value not in valid:
        names = ", ".join(str(each) for each in valid if each is not None)
        raise ConfigError(f"{argument(**{name: value})}: choose one of {names}")


BELIEVED = ReadingOptions()
"""The file is believed."""
