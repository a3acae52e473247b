"""Resting state EEG data (Trujillo et al. 2017, Texas State University): 22 people at rest.

BioSemi files with 64 electrodes by their 10-10 names, external channels and the trigger, whose names end in the number
of the person: ``…_S01.bdf``. Such names are nothing special: a folder is recognised only where they speak of rest, and
else the layout must be asked for. For pretraining, as in the paper: no labels. Not verified on the real files.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.raw_eeg import RawEeg

_SPEAKS_OF_REST = re.compile(r".*rest.*_S\d+\.bdf", re.IGNORECASE)


class RestingState(NamedFiles):
    name = "resting-state"
    title = "Resting state EEG data (Trujillo 2017), 22 people"
    licence = "The terms of its record at the Texas Data Repository"
    citation = (
        "Trujillo, Stanfield and Vela 2017, Frontiers in Neuroscience 11:425, "
        "doi:10.3389/fnins.2017.00425; data: doi:10.18738/T8/9TTLK8"
    )
    url = "https://doi.org/10.18738/T8/9TTLK8"
    hours = 3.0
    mains = 60.0
    places = ("*.bdf", "dataverse_files/*.bdf")
    pattern = re.compile(rf"(?!{RawEeg.pattern.pattern}$).*_(?P<subject>S\d+)\.bdf", re.IGNORECASE)
    example = "…_S01.bdf …"

    def recognise(self, root: Path) -> bool:
        """Whether a folder holds recordings whose names speak of rest."""
        return any(self.named(root, _SPEAKS_OF_REST))

    def recording(self, match: re.Match[str]) -> str:
        return self.subject(match)

    def subject(self, match: re.Match[str]) -> str:
        return match["subject"].upper()


LAYOUT = RestingState()
