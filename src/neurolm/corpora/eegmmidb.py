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

from neurolm.core.errors import ConfigError
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.source import Extent, Labels
from neurolm.store.store import Label

TASK = "motor_imagery"
EXECUTION = "motor_execution"
EYES = "eyes"
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


class Eegmmidb(NamedFiles):
    name = "eegmmidb"
    title = "EEG Motor Movement/Imagery Dataset (EEGMMIDB), 109 subjects"
    task = TASK
    licence = "ODC-By 1.0: EEG Motor Movement/Imagery Dataset 1.0.0, PhysioNet"
    citation = (
        "Schalk et al. 2004, IEEE Transactions on Biomedical Engineering 51(6):1034-1043, "
        "doi:10.1109/TBME.2004.827072; data: doi:10.13026/C28G6P"
    )
    url = "https://physionet.org/content/eegmmidb/1.0.0/"
    hours = 47.0
    mains = 60.0
    """Recorded in Albany, New York."""
    places = ("S*R*.edf", "S*/S*R*.edf", "files/S*/S*R*.edf")
    pattern = re.compile(r"(S\d{3})R(\d{2})\.edf")
    example = "S001/S001R01.edf … S109/S109R14.edf"

    def problem(self, path: Path, match: re.Match[str]) -> str | None:
        subject, run, folder = match[1], int(match[2]), path.parent.name
        if run not in RESTING and run not in RUNS:
            return f"there are runs 1 to 14, not {run}; was the file renamed?"
        if re.fullmatch(r"S\d{3}", folder) and folder != subject:
            return f"a recording of {subject} in the folder of {folder}; put it where it belongs"
        return None

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        return partial(_labels, path=path, run=int(match[2]))


LAYOUT = Eegmmidb()


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
