"""How a recording is to be read, for the verbs that read one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a recording is to be read.

    Parameters
    ----------
    unknown
        What to do about unknown electrodes and flat channels.
    unit
        What the files' numbers are, where their headers are wrong.
    mains
        Mains frequency in Hz; by default found in the spectrum.
    channels
        Fp1,Fp2 for these alone; ch1=Fp1,ch2=Fp2 to name them.
    truncated
        Whether to take what is there of a file that ends too early.
    """

    unknown: Literal["error", "drop", "nearest", "interpolate"] = "error"
    unit: Literal["V", "mV", "uV", "nV", "auto"] | None = None
    mains: float | None = None
    channels: Sequence[str] | Mapping[str, str] | None = None
    truncated: Literal["refuse", "accept"] = "refuse"


NEAREST = Reading(unknown="nearest")
