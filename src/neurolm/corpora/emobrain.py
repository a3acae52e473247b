"""Emobrain: emotions while looking at pictures (eNTERFACE'06), 5 men, EEG with fNIRS.

Three sessions each.

``Data/EEG/Part1_IAPS_SES2_EEG_fNIRS_07082006.bdf``: BioSemi, the electrodes by their 10-10 names, skin, breath, pulse
and the trigger. Above the eyes sat the fNIRS, not electrodes: the 54 others are read. For pretraining, as in the paper,
so that there are no labels: the pictures' marks (``.bdf.mrk``) and the ratings (``Data/Common``) are not read.
Description: http://enterface.tel.fer.hr/docs/database_files/eNTERFACE06_EMOBRAIN.html. Not verified on the real files:
the electrodes are those that public code reads from them.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.core.errors import StoreError
from neurolm.corpora.files import find, no_recordings, one_each, recognised
from neurolm.corpora.source import Source, terms

NAME = "emobrain"
TITLE = "eNTERFACE'06 EMOBRAIN, 5 people"
TASK = None
LICENCE = "Not stated; made public for research by the eNTERFACE'06 workshop"
CITATION = "Savran et al. 2006, Emotion detection in the loop from brain signals and facial images, eNTERFACE'06"
URL = "https://www.enterface.net/results/"
HOURS = 5.0
MAINS = 50.0
"""Recorded in Dubrovnik."""
COUNTS = None
ELECTRODES = (
    "AF3 AF4 F3 F1 Fz F2 F4 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 T7 C5 C3 C1 Cz C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 "
    "CP6 TP8 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10 PO7 PO3 POz PO4 PO8 O1 Oz O2 Iz"
)
PLACES = ("*.bdf", "EEG/*.bdf", "Data/EEG/*.bdf", "*/Data/EEG/*.bdf")
PATTERN = re.compile(r"PART([1-9])_IAPS_SES([1-9])_EEG_fNIRS_(\d{8})\.bdf", re.IGNORECASE)


def recognise(root: Path) -> bool:
    """Whether a folder holds the data set's recordings."""
    return recognised(root, PLACES, PATTERN)


def sources(root: Path) -> list[Source]:
    """List the recordings.

    Raises
    ------
    StoreError
        If there are none, or a session of a participant is there twice.
    """
    named = find(root, PLACES, PATTERN)
    if not named:
        raise no_recordings(root, TITLE, "Data/EEG/Part1_IAPS_SES1_EEG_fNIRS_….bdf …", URL)
    one_each((path, f"{match[1]} {match[2]}") for path, match in named)
    for path, match in named:
        if int(match[1]) > 5 or int(match[2]) > 3:
            raise StoreError(f"{path}: there are participants 1 to 5 and sessions 1 to 3; was the file renamed?")
    electrodes = {name: name for name in ELECTRODES.split()}
    licence = terms(LICENCE, CITATION)
    return [Source(path, NAME, f"Part{m[1]}", (), licence, MAINS, channels=electrodes) for path, m in named]
