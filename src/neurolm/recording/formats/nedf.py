"""NEDF of Neuroelectrics: its samples, which MNE 1.13 gets wrong from within a block on"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mne

_HEADER = 10240
"""Bytes of the header."""
_BLOCK = 5
"""Samples in a block, beside one of the accelerometer."""


def is_nedf(raw: mne.io.BaseRaw) -> bool:
    """Whether an MNE object comes from such a file."""
    return type(raw).__name__ == "RawNedf"


def read(raw: mne.io.BaseRaw, picks: Sequence[int], first: int, last: int) -> np.ndarray:
    """Read samples as MNE scales them: float64 of shape (picks, samples), V; the trigger as it is."""
    extras = raw._raw_extras[0]
    size = extras["dt"].itemsize
    begin, end = first // _BLOCK, min(-(-last // _BLOCK), extras["n_full"])
    with Path(raw.filenames[0]).open("rb") as file:
        file.seek(_HEADER + begin * size)
        parts = [np.frombuffer(file.read(max(0, end - begin) * size), extras["dt"])["data"]]
        if last > extras["n_full"] * _BLOCK:
            file.seek(_HEADER + extras["n_full"] * size)
            parts.append(np.frombuffer(file.read(extras["dt_last"].itemsize), extras["dt_last"])["data"])
    samples = np.concatenate([part.reshape(-1) for part in parts])[first - begin * _BLOCK :][: last - first]
    count = samples["eeg"].shape[1]
    found = np.empty((len(picks), len(samples)))
    for row, pick in enumerate(picks):
        if pick == count:
            found[row] = samples["trig"].reshape(-1)
            continue
        digits = samples["eeg"][:, pick].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
        found[row] = np.where(digits > 1 << 23, digits - (1 << 24), digits)
    return found * np.array([raw.info["chs"][pick]["cal"] for pick in picks])[:, None]


def samples_there(raw: mne.io.BaseRaw) -> int:
    """Return how many samples the file has, which may be fewer than its header says."""
    extras = raw._raw_extras[0]
    there = Path(raw.filenames[0]).stat().st_size - _HEADER
    blocks, rest = divmod(max(there, 0), extras["dt"].itemsize)
    if blocks >= extras["n_full"]:
        whole = blocks > extras["n_full"] or rest >= extras["dt_last"].itemsize
        return int(raw.n_times) if whole else int(extras["n_full"]) * _BLOCK
    return int(blocks) * _BLOCK


def lost(path: Path) -> list[str]:
    """What is to be said of packages that were lost while it was recorded."""
    with path.open("rb") as file:
        found = re.search(rb"<NumberOfPacketsLost>\s{0,9}(\d{1,12})", file.read(_HEADER))
    count = int(found[1]) if found else 0
    return [f"packages lost while it was recorded, by its header: {count:,}; where is not known"] if count else []
