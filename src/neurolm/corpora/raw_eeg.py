"""Raw EEG data (Trujillo 2019, Texas State University): categorising pictures, two tasks.

BioSemi files at 256 Hz or more with 64 electrodes by their 10-10 names, external channels and the trigger.
``…_II_S01.bdf`` was recorded in the information-integration task, ``…_RBII_S01.bdf`` in the rule-based one; the same
number is the same person in both. For pretraining, as in the paper: no labels. Not verified on the real files: the
names are those of public code that reads them.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.corpora.files import find, no_recordings, one_each, recognised
from neurolm.corpora.source import Source, terms

NAME = "raw-eeg"
TITLE = "Raw EEG data, visual categorisation (Trujillo 2019)"
TASK = None
LICENCE = "The terms of its record at the Texas Data Repository"
CITATION = (
    "Trujillo 2019, Frontiers in Neuroscience 13:1292, doi:10.3389/fnins.2019.01292; data: doi:10.18738/T8/SS2NHB"
)
URL = "https://doi.org/10.18738/T8/SS2NHB"
HOURS = 34.0
MAINS = 60.0
COUNTS = None
PLACES = ("*.bdf", "dataverse_files/*.bdf")
PATTERN = re.compile(r"(?:.*_)?(II|RB-?II)_(S\d+)\.bdf", re.IGNORECASE)


def recognise(root: Path) -> bool:
    """Whether a folder holds the data set's recordings."""
    return recognised(root, PLACES, PATTERN)


def sources(root: Path) -> list[Source]:
    """List the recordings.

    Raises
    ------
    StoreError
        If there are none, or a task of a person is there twice.
    """
    named = find(root, PLACES, PATTERN)
    if not named:
        raise no_recordings(root, TITLE, "…_II_S01.bdf, …_RBII_S01.bdf …", URL)
    one_each((path, f"{match[1]} {match[2]}".upper().replace("-", "")) for path, match in named)
    licence = terms(LICENCE, CITATION)
    return [Source(path, NAME, match[2].upper(), (), licence, MAINS) for path, match in named]
