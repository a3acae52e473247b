"""Raw EEG data (Trujillo 2019, Texas State University): categorising pictures, two tasks.

BioSemi files at 256 Hz or more with 64 electrodes by their 10-10 names, external channels and the trigger.
``…_II_S01.bdf`` was recorded in the information-integration task, ``…_RBII_S01.bdf`` in the rule-based one; the same
number is the same person in both. For pretraining, as in the paper: no labels. Not verified on the real files: the
names are those of public code that reads them.
"""

from __future__ import annotations

import re

from neurolm.corpora.layouts import NamedFiles


class RawEeg(NamedFiles):
    name = "raw-eeg"
    title = "Raw EEG data, visual categorisation (Trujillo 2019)"
    licence = "The terms of its record at the Texas Data Repository"
    citation = (
        "Trujillo 2019, Frontiers in Neuroscience 13:1292, doi:10.3389/fnins.2019.01292; data: doi:10.18738/T8/SS2NHB"
    )
    url = "https://doi.org/10.18738/T8/SS2NHB"
    hours = 34.0
    mains = 60.0
    places = ("*.bdf", "dataverse_files/*.bdf")
    pattern = re.compile(r"(?:.*_)?(II|RB-?II)_(S\d+)\.bdf", re.IGNORECASE)
    example = "…_II_S01.bdf, …_RBII_S01.bdf …"

    def recording(self, match: re.Match[str]) -> str:
        return f"{match[1]} {match[2]}".upper().replace("-", "")

    def subject(self, match: re.Match[str]) -> str:
        return match[2].upper()


LAYOUT = RawEeg()
