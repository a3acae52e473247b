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

from neurolm.corpora.layouts import NamedFiles

ELECTRODES = (
    "AF3 AF4 F3 F1 Fz F2 F4 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 T7 C5 C3 C1 Cz C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 "
    "CP6 TP8 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10 PO7 PO3 POz PO4 PO8 O1 Oz O2 Iz"
)


class Emobrain(NamedFiles):
    name = "emobrain"
    title = "eNTERFACE'06 EMOBRAIN, 5 people"
    licence = "Not stated; made public for research by the eNTERFACE'06 workshop"
    citation = "Savran et al. 2006, Emotion detection in the loop from brain signals and facial images, eNTERFACE'06"
    url = "https://www.enterface.net/results/"
    hours = 5.0
    mains = 50.0
    """Recorded in Dubrovnik."""
    places = ("*.bdf", "EEG/*.bdf", "Data/EEG/*.bdf", "*/Data/EEG/*.bdf")
    pattern = re.compile(r"PART([1-9])_IAPS_SES([1-9])_EEG_fNIRS_(\d{8})\.bdf", re.IGNORECASE)
    example = "Data/EEG/Part1_IAPS_SES1_EEG_fNIRS_….bdf …"
    how = {"channels": {name: name for name in ELECTRODES.split()}}

    def recording(self, match: re.Match[str]) -> str:
        return f"{match[1]} {match[2]}"

    def problem(self, path: Path, match: re.Match[str]) -> str | None:
        if int(match[1]) > 5 or int(match[2]) > 3:
            return "there are participants 1 to 5 and sessions 1 to 3; was the file renamed?"
        return None

    def subject(self, match: re.Match[str]) -> str:
        return f"Part{match[1]}"


LAYOUT = Emobrain()
