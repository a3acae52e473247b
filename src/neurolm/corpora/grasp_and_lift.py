"""Grasp-and-Lift EEG detection (Kaggle 2015): 12 subjects lift an object, ten series each.

``train/subj1_series1_data.csv`` (``id`` and 32 electrodes, 500 Hz) with ``subj1_series1_events.csv``; series 9 and 10,
in ``test``, have no events. The events last 0.3 s, shorter than a patch, so that no labels are made of them: the corpus
is for pretraining, as in the paper.

The whole numbers are taken as 0.1 µV, the resolution of the amplifier (Brain Products), as public code that reads them
does; the competition's page does not say so. Not verified on the real files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.core.errors import RecordingError
from neurolm.corpora.arrays import as_raw, csv_header, csv_numbers
from neurolm.corpora.layouts import NamedFiles

if TYPE_CHECKING:
    import mne

RATE = 500.0
MICROVOLTS = 0.1
"""Per count."""
ELECTRODES = 32


def read_csv(path: Path) -> mne.io.RawArray:
    """Read one series."""
    header = csv_header(path)
    if header[:1] != ["id"] or len(header) != ELECTRODES + 1:
        raise RecordingError(
            f"{path}: the columns must be id and {ELECTRODES} electrodes, not {', '.join(header[:3])} … "
            f"({len(header)} columns); download it again"
        )
    with path.open(encoding="utf-8-sig") as stream:
        stream.readline()
        first = stream.readline().partition(",")[0]
    series = path.name.removesuffix("_data.csv")
    if first != f"{series}_0":
        raise RecordingError(f"{path}: begins with {first!r} where {series}_0 should stand; is it another's recording?")
    numbers = csv_numbers(path, range(1, len(header)), header=True)
    return as_raw(numbers * MICROVOLTS, header[1:], RATE)


class GraspAndLift(NamedFiles):
    name = "grasp-and-lift"
    title = "Grasp-and-Lift EEG detection, 12 subjects"
    licence = "CC BY 4.0 (the original, WAY-EEG-GAL); the rules of the competition on Kaggle"
    citation = "Luciw, Jarocka and Edin 2014, Scientific Data 1:140047, doi:10.1038/sdata.2014.47"
    url = "https://www.kaggle.com/c/grasp-and-lift-eeg-detection/data"
    hours = 12.0
    mains = 50.0
    """Recorded in Umeå."""
    places = ("*.csv", "train/*.csv", "test/*.csv", "data/*.csv", "data/train/*.csv", "data/test/*.csv")
    pattern = re.compile(r"(subj(\d{1,2})_series(\d{1,2}))_data\.csv")
    example = "train/subj1_series1_data.csv …"
    how = {"open": read_csv}

    def problem(self, path: Path, match: re.Match[str]) -> str | None:
        if not (1 <= int(match[2]) <= 12 and 1 <= int(match[3]) <= 10):
            return "there are subjects 1 to 12 and series 1 to 10; was the file renamed?"
        return None

    def subject(self, match: re.Match[str]) -> str:
        return f"subj{int(match[2]):02}"


LAYOUT = GraspAndLift()
