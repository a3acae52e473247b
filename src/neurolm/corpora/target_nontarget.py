"""Target versus non-target: Brain Invaders 2015a (GIPSA-lab, Grenoble), a P300 game, some 50 people.

``subject_01_session_01.mat`` (variable ``DATA``) or ``.csv``, three sessions each and rest before and after, in a
folder of its own for each subject or not: one line for a sample at 512 Hz with the time, 32 electrodes in µV and two
columns of triggers. Where ``Header.csv`` lies beside the folders, its names are used. Of a recording in both formats
the MATLAB file is read. For pretraining, as in the paper, so that the flashes become no labels. Layout: MOABB's
``BI2015a`` and https://zenodo.org/record/3266930. Not verified on the real files.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.core.montage import resolve
from neurolm.corpora.arrays import as_raw, csv_header, csv_numbers, matrix, read_matlab
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.source import RecordingSource

if TYPE_CHECKING:
    import mne

URL = "https://zenodo.org/record/3266930"
RATE = 512.0
VARIABLE = "DATA"
HEADER = "Header.csv"
ELECTRODES = (
    "Fp1 Fp2 AFz F7 F3 F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 PO7 O1 Oz O2 PO8 PO9 PO10"
)
COUNT = len(ELECTRODES.split())
COLUMNS = COUNT + 3
"""The time before the electrodes, two triggers after them."""


class TargetNontarget(NamedFiles):
    name = "target-nontarget"
    title = "Target versus non-target: Brain Invaders 2015a, 50 people"
    licence = "CC BY 4.0"
    citation = "Korczowski et al. 2019, hal-02172347, doi:10.5281/zenodo.3266930"
    url = URL
    hours = 16.0
    mains = 50.0
    places = tuple(f"{folder}subject_*" for folder in ("", "subject_*/", "data/", "data/subject_*/"))
    pattern = re.compile(r"(subject_(\d\d)_(?:session_\d\d|[a-z]+_(?:before|after)))\.(mat|csv)")
    example = "subject_01/subject_01_session_01.mat …"

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings; of one in both formats the MATLAB file."""
        named = self.find(root)
        matlab = {match[1] for _, match in named if match[3] == "mat"}
        opener = partial(read, names=_electrodes(root))
        return [
            self.source(path, f"subject_{match[2]}", open=opener)
            for path, match in named
            if match[3] == "mat" or match[1] not in matlab
        ]


LAYOUT = TargetNontarget()


def _electrodes(root: Path) -> tuple[str, ...]:
    table = next((path for path in (root / HEADER, root.parent / HEADER) if path.is_file()), None)
    if table is None:
        return tuple(ELECTRODES.split())
    names = csv_header(table)[1:-2]
    unknown = [name for name in names if resolve(name) is None]
    if len(names) != COUNT or unknown:
        raise ConfigError(
            f"{table}: expected the time, {COUNT} electrodes and two triggers, found {len(names)} electrodes"
            + (f", of which unknown: {', '.join(unknown)}" if unknown else "")
            + f"; download it again from {URL}, or take it away: the names are known without it"
        )
    return tuple(names)


def read(path: Path, *, names: tuple[str, ...]) -> mne.io.RawArray:
    """Read one of the files."""
    if path.suffix == ".csv":
        width = len(csv_header(path))
        if width != COLUMNS:
            raise RecordingError(f"{path}: {width} columns where {COLUMNS} should be; download it again")
        return as_raw(csv_numbers(path, range(1, COUNT + 1), header=False), names, RATE)
    numbers = matrix(path, VARIABLE, read_matlab(path, VARIABLE)[VARIABLE], columns=COLUMNS)
    return as_raw(numbers[:, 1 : COUNT + 1].T.astype(np.float64), names, RATE)
