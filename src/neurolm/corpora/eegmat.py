"""EEGMAT: EEG during mental arithmetic (PhysioNet), 36 subjects, at rest and while subtracting.

``SubjectNN_1.edf`` is rest, ``SubjectNN_2.edf`` mental arithmetic. The last 60 s of each file are labelled, as in the
published comparisons (NeuroLM, LaBraM, BIOT): the arithmetic files have no more, and of rest it is as much.
Zyma et al. 2019, Data 4(1):14, doi:10.3390/data4010014; data: doi:10.13026/C2JQ1P.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from neurolm.core.errors import StoreError
from neurolm.corpora.source import Extent, Source, terms
from neurolm.store.store import Label

NAME = "eegmat"
TITLE = "EEG during mental arithmetic tasks (EEGMAT), 36 subjects"
TASK = "eegmat"
LABELS = {"1": "No", "2": "Yes"}
"""Answer to "is this EEG segment of high workload?" by the number in the file's name."""
LABELLED_SECONDS = 60.0
MAINS = 50.0
"""Recorded in Kyiv."""
LICENCE = "ODC-By 1.0: EEG During Mental Arithmetic Tasks 1.0.0, PhysioNet"
CITATION = "Zyma et al. 2019, Data 4(1):14, doi:10.3390/data4010014; data: doi:10.13026/C2JQ1P"
URL = "https://physionet.org/content/eegmat/1.0.0/"
HOURS = 2.4
COUNTS = {"train": 1508, "validation": 290, "test": 290}
"""29 windows of each of 72 recordings; subjects 26/5/5."""
PATTERN = re.compile(r"(Subject\d\d)_([12])\.edf")


def recognise(root: Path) -> bool:
    """Whether a folder holds EEGMAT's files."""
    return any(PATTERN.fullmatch(path.name) for path in root.iterdir())


def sources(root: Path) -> list[Source]:
    """List EEGMAT's recordings.

    Raises
    ------
    StoreError
        If there are none.
    """
    named = [(path, PATTERN.fullmatch(path.name)) for path in sorted(root.iterdir())]
    licence = terms(LICENCE, CITATION)
    found = [
        Source(path, NAME, match[1], partial(_last_minute, label=LABELS[match[2]]), licence, MAINS)
        for path, match in named
        if match
    ]
    if not found:
        raise StoreError(f"{root}: no EEGMAT recordings (SubjectNN_1.edf, SubjectNN_2.edf) in this folder")
    return found


def _last_minute(extent: Extent, *, label: str) -> tuple[Label, ...]:
    return (Label(TASK, label, max(0.0, extent.seconds - LABELLED_SECONDS), extent.seconds),)
