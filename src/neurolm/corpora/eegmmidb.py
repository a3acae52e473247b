"""EEGMMIDB: EEG motor movement/imagery dataset (PhysioNet), 109 subjects, 14 runs each.

``S001/S001R03.edf`` is subject 1, run 3: 64 electrodes (``Fc5.``), 160 Hz, T0, T1 and T2 as annotations, which also lie
in ``S001R03.edf.event`` and are read from the recording. What T1 and T2 mean depends on the run. Labels, by task:
``eyes`` (runs 1 and 2: open, closed), ``motor_execution`` and ``motor_imagery`` (rest, left fist, right fist, both
fists, both feet). Subjects 88, 92 and 100 were sampled at 128 Hz.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora.files import find, no_recordings, one_each, recognised
from neurolm.corpora.source import Extent, Source, terms
from neurolm.store.store import Label

NAME = "eegmmidb"
TITLE = "EEG Motor Movement/Imagery Dataset (EEGMMIDB), 109 subjects"
TASK = "motor_imagery"
EXECUTION = "motor_execution"
EYES = "eyes"
LICENCE = "ODC-By 1.0: EEG Motor Movement/Imagery Dataset 1.0.0, PhysioNet"
CITATION = (
    "Schalk et al. 2004, IEEE Transactions on Biomedical Engineering 51(6):1034-1043, "
    "doi:10.1109/TBME.2004.827072; data: doi:10.13026/C28G6P"
)
URL = "https://physionet.org/content/eegmmidb/1.0.0/"
HOURS = 47.0
MAINS = 60.0
"""Recorded in Albany, New York."""
COUNTS = None
RESTING = {1: "open", 2: "closed"}
FISTS = {"T0": "rest", "T1": "left fist", "T2": "right fist"}
FISTS_OR_FEET = {"T0": "rest", "T1": "both fists", "T2": "both feet"}
RUNS = {
    **dict.fromkeys((3, 7, 11), (EXECUTION, FISTS)),
    **dict.fromkeys((4, 8, 12), (TASK, FISTS)),
    **dict.fromkeys((5, 9, 13), (EXECUTION, FISTS_OR_FEET)),
    **dict.fromkeys((6, 10, 14), (TASK, FISTS_OR_FEET)),
}
"""Run → task, and label by annotation."""
PLACES = ("S*R*.edf", "S*/S*R*.edf", "files/S*/S*R*.edf")
PATTERN = re.compile(r"(S\d{3})R(\d{2})\.edf")


def recognise(root: Path) -> bool:
    """Whether a folder holds EEGMMIDB's recordings."""
    return recognised(root, PLACES, PATTERN)


def sources(root: Path) -> list[Source]:
    """List the recordings.

    Raises
    ------
    StoreError
        If there are none, a run does not exist, or a recording lies in another subject's folder.
    """
    named = find(root, PLACES, PATTERN)
    if not named:
        raise no_recordings(root, TITLE, "S001/S001R01.edf … S109/S109R14.edf", URL)
    one_each((path, path.name) for path, _ in named)
    licence = terms(LICENCE, CITATION)
    found = []
    for path, match in named:
        subject, run = match[1], int(match[2])
        if run not in RESTING and run not in RUNS:
            raise StoreError(f"{path}: there are runs 1 to 14, not {run}; was the file renamed?")
        folder = path.parent.name
        if re.fullmatch(r"S\d{3}", folder) and folder != subject:
            raise StoreError(f"{path}: a recording of {subject} in the folder of {folder}; put it where it belongs")
        found.append(Source(path, NAME, subject, partial(_labels, path=path, run=run), licence, MAINS))
    return found


def _labels(extent: Extent, *, path: Path, run: int) -> tuple[Label, ...]:
    if run in RESTING:
        return (Label(EYES, RESTING[run], 0.0, extent.seconds),)
    task, meaning = RUNS[run]
    labels = []
    for mark in extent.annotations:
        if mark.text not in meaning:
            raise ConfigError(
                f"{path}: unknown annotation {mark.text!r} at {mark.onset:g} s, known: {', '.join(meaning)}; "
                f"download it again"
            )
        labels.append(Label(task, meaning[mark.text], mark.onset, min(mark.onset + mark.duration, extent.seconds)))
    if not labels:
        raise ConfigError(f"{path}: run {run} must have annotations T0, T1, T2, there are none; download it again")
    return tuple(label for label in labels if label.start < label.stop)
