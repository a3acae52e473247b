"""GDF, the format of the Graz BCI data sets: missing values and new segments, which MNE does not know

A number at or below a channel's digital minimum is none (GDF 2.51, section 2.3; biosig reads it as NaN), and event
0x7FFE begins a new segment. Format: https://arxiv.org/abs/cs/0608052
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.stretches import Stretch, split, whole

if TYPE_CHECKING:
    import mne

_NEW_SEGMENT = str(0x7FFE)


def lowest(raw: mne.io.BaseRaw, picks: Sequence[int]) -> np.ndarray | None:
    """Return the volts of each channel's digital minimum, shape (channels, 1); None for other formats."""
    if type(raw).__name__ != "RawGDF" or len(picks) < 2:  # one channel at its minimum may be saturated
        return None
    extras = raw._raw_extras[0]
    numbers = np.asarray(extras["physical_min"], float) * np.asarray(extras["units"], float)
    return numbers[list(picks)][:, None] if len(numbers) == len(raw.ch_names) else None


def without_missing(found: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Put NaN where all channels are at their digital minimum at once."""
    missing = (found <= lowest + 1e-9 * np.abs(lowest)).all(axis=0)
    return np.where(missing, np.nan, found) if missing.any() else found


def segments(raw: mne.io.BaseRaw) -> tuple[Stretch, ...]:
    """Return the segments of a file that has several; nothing for one that has none, and for other formats."""
    if type(raw).__name__ != "RawGDF":
        return ()
    marks = zip(raw.annotations.onset, raw.annotations.description, strict=True)
    begun = [round(float(onset) * raw.info["sfreq"]) for onset, text in marks if text == _NEW_SEGMENT]
    return split(whole(int(raw.n_times)), begun) if begun else ()
