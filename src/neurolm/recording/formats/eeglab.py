"""EEGLAB files whose channels have numbers for names, which MNE 1.13 cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def numbers_as_names() -> Iterator[None]:
    """Let MNE find texts where a file has numbers, or nothing, for the labels of its channels."""
    from mne.io.eeglab import eeglab

    read = eeglab._get_info

    def with_texts(eeg: Any, **options: Any) -> Any:
        places = eeg.chanlocs
        if isinstance(places, dict) and not isinstance(places.get("labels"), str):
            labels = places.get("labels", [])
            several = isinstance(labels, list | tuple | np.ndarray) and np.size(labels) > 0
            places["labels"] = [_name(label, i) for i, label in enumerate(labels if several else [labels])]
        elif not isinstance(places, dict):
            for i, place in enumerate(places):
                place["labels"] = _name(place.get("labels"), i)
        return read(eeg, **options)

    eeglab._get_info = with_texts
    try:
        yield
    finally:
        eeglab._get_info = read


def _name(label: Any, index: int) -> str:
    if isinstance(label, str):
        return label
    number = np.atleast_1d(label)
    if number.size == 1 and np.issubdtype(number.dtype, np.number):
        return f"{number.item():g}"
    return f"ch{index + 1}"
