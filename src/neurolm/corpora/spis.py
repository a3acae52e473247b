"""SPIS resting state (Sabancı University): ten people with eyes open and closed.

2.5 minutes each; recorded in Istanbul.

``Pre-SART EEG/S02_restingPre_EC.mat`` holds ``dataRest`` (68 × samples, 256 Hz): 64 electrodes in the order of the data
set's README, three EOG, the trigger. Label: task ``eyes``, ``open`` or ``closed``.

The README calls the raw signals microvolts that may have to be adjusted for their gain, and public code multiplies them
by anything between 0.001 and 10. The recorder, BioSemi's, writes counts of 31.25 nV, or 32-bit words of 1/256 of that.
Of these three units, which lie far apart, the one is taken with which the signal is most like EEG; the notes of a
recording say which. Not verified on the real files.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.corpora.arrays import as_raw, matrix, read_matlab
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.side_files import Within
from neurolm.corpora.source import Labels
from neurolm.store.store import Label

if TYPE_CHECKING:
    import mne

TASK = "eyes"
RATE = 256.0
STATES = {"EO": "open", "EC": "closed"}
VARIABLE = "dataRest"
CHANNELS = 68
ELECTRODES = (
    "Fp1 AF7 AF3 F1 F3 F5 F7 FT7 FC5 FC3 FC1 C1 C3 C5 T7 TP7 CP5 CP3 CP1 P1 P3 P5 P7 P9 PO7 PO3 O1 Iz Oz POz Pz CPz "
    "Fpz Fp2 AF8 AF4 AFz Fz F2 F4 F6 F8 FT8 FC6 FC4 FC2 FCz Cz C2 C4 C6 T8 TP8 CP6 CP4 CP2 P2 P4 P6 P8 P10 PO8 PO4 O2"
)
UNITS = {"µV": 1.0, "31.25 nV": 31.25e-3, "1/8192 µV": 1 / 8192}
"""Microvolts in the units that the numbers may have."""
TYPICAL = 10.0
"""Standard deviation within a second of EEG at rest, µV."""


def read(path: Path) -> mne.io.RawArray:
    """Read one of the files."""
    numbers = matrix(path, VARIABLE, read_matlab(path, VARIABLE)[VARIABLE], columns=CHANNELS)
    names = ELECTRODES.split()
    signal = numbers[:, : len(names)].T.astype(np.float64)
    unit = _unit(signal)
    said = f"the file states no unit: taken as {unit}, with which the amplitude is most like EEG"
    return as_raw(signal * UNITS[unit], names, RATE, said=said)


def _unit(signal: np.ndarray) -> str:
    """Which unit makes the median deviation within a second come nearest to EEG's; µV for a flat signal."""
    second = round(RATE)
    whole = signal.shape[1] // second
    deviation = float(np.median(signal[:, : whole * second].reshape(len(signal), whole, second).std(axis=2)))
    if not deviation > 0:
        return next(iter(UNITS))
    return min(UNITS, key=lambda unit: abs(math.log(deviation * UNITS[unit] / TYPICAL)))


class Spis(NamedFiles):
    name = "spis"
    title = "SPIS resting state dataset, 10 people"
    task = TASK
    licence = "GPL-3.0 (the licence of its repository)"
    citation = (
        "Torkamani-Azar et al. 2020, IEEE Journal of Biomedical and Health Informatics 24(9):2550-2558, "
        "doi:10.1109/JBHI.2020.2980056"
    )
    url = "https://github.com/mastaneht/SPIS-Resting-State-Dataset"
    hours = 0.8
    mains = 50.0
    places = ("*.mat", "Pre-SART EEG/*.mat", "*/Pre-SART EEG/*.mat")
    pattern = re.compile(r"(S\d\d)_restingPre_(EC|EO)\.mat")
    example = "'Pre-SART EEG/S02_restingPre_EC.mat' …"
    how = {"open": read}

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        return Within((Label(TASK, STATES[match[2]], 0.0, math.inf),))


LAYOUT = Spis()
