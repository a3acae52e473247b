"""EEGMAT: EEG during mental arithmetic (PhysioNet), 36 subjects, at rest and while subtracting.

``SubjectNN_1.edf`` is rest, ``SubjectNN_2.edf`` mental arithmetic. The last 60 s of each file are labelled, as in the
published comparisons (NeuroLM, LaBraM, BIOT): the arithmetic files have no more, and of rest it is as much.
Zyma et al. 2019, Data 4(1):14, doi:10.3390/data4010014; data: doi:10.13026/C2JQ1P.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.source import Extent, Labels
from neurolm.store.store import Label

TASK = "eegmat"
LABELS = {"1": "No", "2": "Yes"}
"""Answer to "is this EEG segment of high workload?" by the number in the file's name."""
LABELLED_SECONDS = 60.0


class Eegmat(NamedFiles):
    name = "eegmat"
    title = "EEG during mental arithmetic tasks (EEGMAT), 36 subjects"
    task = TASK
    licence = "ODC-By 1.0: EEG During Mental Arithmetic Tasks 1.0.0, PhysioNet"
    citation = "Zyma et al. 2019, Data 4(1):14, doi:10.3390/data4010014; data: doi:10.13026/C2JQ1P"
    url = "https://physionet.org/content/eegmat/1.0.0/"
    hours = 2.4
    mains = 50.0
    """Recorded in Kyiv."""
    counts = {"train": 1508, "validation": 290, "test": 290}
    """29 windows of each of 72 recordings; subjects 26/5/5."""
    pattern = re.compile(r"(Subject\d\d)_([12])\.edf")
    places = ("Subject*.edf",)
    example = "SubjectNN_1.edf, SubjectNN_2.edf"

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        return partial(_last_minute, label=LABELS[match[2]])


LAYOUT = Eegmat()


def _last_minute(extent: Extent, *, label: str) -> tuple[Label, ...]:
    return (Label(TASK, label, max(0.0, extent.seconds - LABELLED_SECONDS), extent.seconds),)
