"""Resting state EEG data (Trujillo et al. 2017, Texas State University): 22 people at rest.

BioSemi files with 64 electrodes by their 10-10 names, external channels and the trigger, whose names end in the number
of the person: ``…_S01.bdf``. Such names are nothing special: a folder is recognised only where they speak of rest, and
else the layout must be asked for. For pretraining, as in the paper: no labels. Not verified on the real files.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.corpora import raw_eeg
from neurolm.corpora.files import find, no_recordings, one_each, recognised
from neurolm.corpora.source import Source, terms

NAME = "resting-state"
TITLE = "Resting state EEG data (Trujillo 2017), 22 people"
TASK = None
LICENCE = "The terms of its record at the Texas Data Repository"
CITATION = (
    "Trujillo, Stanfield and Vela 2017, Frontiers in Neuroscience 11:425, "
    "doi:10.3389/fnins.2017.00425; data: doi:10.18738/T8/9TTLK8"
)
URL = "https://doi.org/10.18738/T8/9TTLK8"
HOURS = 3.0
MAINS = 60.0
COUNTS = None
PLACES = ("*.bdf", "dataverse_files/*.bdf")
PATTERN = re.compile(r"(.*)_(S\d+)\.bdf", re.IGNORECASE)
_SPEAKS_OF_REST = re.compile(r".*rest.*_S\d+\.bdf", re.IGNORECASE)


def recognise(root: Path) -> bool:
    """Whether a folder holds recordings whose names speak of rest."""
    return recognised(root, PLACES, _SPEAKS_OF_REST)


def sources(root: Path) -> list[Source]:
    """List the recordings.

    Raises
    ------
    StoreError
        If there are none, or one of a person is there twice.
    """
    named = [found for found in find(root, PLACES, PATTERN) if not raw_eeg.PATTERN.fullmatch(found[0].name)]
    if not named:
        raise no_recordings(root, TITLE, "…_S01.bdf …", URL)
    one_each((path, match[2].upper()) for path, match in named)
    licence = terms(LICENCE, CITATION)
    return [Source(path, NAME, match[2].upper(), (), licence, MAINS) for path, match in named]
