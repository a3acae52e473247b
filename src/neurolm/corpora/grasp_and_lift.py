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

from neurolm.core.errors import RecordingError, StoreError
from neurolm.corpora.arrays import as_raw, csv_header, csv_numbers
from neurolm.corpora.files import find, no_recordings, one_each, recognised
from neurolm.corpora.source import Source, terms

if TYPE_CHECKING:
    import mne

NAME = "grasp-and-lift"
TITLE = "Grasp-and-Lift EEG detection, 12 subjects"
TASK = None
LICENCE = "CC BY 4.0 (the original, WAY-EEG-GAL); the rules of the competition on Kaggle"
CITATION = "Luciw, Jarocka and Edin 2014, Scientific Data 1:140047, doi:10.1038/sdata.2014.47"
URL = "https://www.kaggle.com/c/grasp-and-lift-eeg-detection/data"
HOURS = 12.0
MAINS = 50.0
"""Recorded in Umeå."""
COUNTS = None
RATE = 500.0
MICROVOLTS = 0.1
"""Per count."""
ELECTRODES = 32
PLACES = ("*.csv", "train/*.csv", "test/*.csv", "data/*.csv", "data/train/*.csv", "data/test/*.csv")
PATTERN = re.compile(r"(subj(\d{1,2})_series(\d{1,2}))_data\.csv")


def recognise(root: Path) -> bool:
    """Whether a folder holds the competition's recordings."""
    return recognised(root, PLACES, PATTERN)


def sources(root: Path) -> list[Source]:
    """List the recordings.

    Raises
    ------
    StoreError
        If there are none, one is there twice, or a subject does not exist.
    """
    named = find(root, PLACES, PATTERN)
    if not named:
        raise no_recordings(root, TITLE, "train/subj1_series1_data.csv …", URL)
    one_each((path, path.name) for path, _ in named)
    for path, match in named:
        if not (1 <= int(match[2]) <= 12 and 1 <= int(match[3]) <= 10):
            raise StoreError(f"{path}: there are subjects 1 to 12 and series 1 to 10; was the file renamed?")
    licence = terms(LICENCE, CITATION)
    return [Source(path, NAME, f"subj{int(match[2]):02}", (), licence, MAINS, open=read_csv) for path, match in named]


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
