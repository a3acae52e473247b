"""BCI Competition IV, data set 1 (Berlin): motor imagery, subjects a to g, 59 electrodes.

``BCICIV_calib_ds1a_1000Hz.mat`` and ``BCICIV_eval_ds1a_1000Hz.mat`` with ``cnt`` (samples × channels, int16, 0.1 µV),
``nfo`` (``fs``, ``clab``, ``classes``) and, for calibration, ``mrk`` (``pos``, ``y``). The copies at 100 Hz, of the
same names without ``_1000Hz``, hold nothing above 50 Hz and are not read. Subjects c, d and e are artificial, mixed
from real EEG by the organisers: leave them out where that matters. Labels: the class of each cue, 4 s long, in the
calibration; the evaluation's true labels are a file of their own and are not read.

MATLAB files have no lazy reader: a recording (some 250 MB) is in memory while it is prepared. Description:
https://www.bbci.de/competition/iv/desc_1.html. Not verified on the real files.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.corpora.arrays import as_raw, matrix, read_matlab
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.source import Extent, Labels
from neurolm.store.store import Label

if TYPE_CHECKING:
    import mne

TASK = "bcic-iv-1"
CLASSES = ("left", "right", "foot")
CUE_SECONDS = 4.0
MICROVOLTS = 0.1
"""Per count."""
_ANY_RATE = re.compile(r"BCICIV_(calib|eval)_ds1[a-g](_1000Hz)?\.mat")


def read_mat(path: Path) -> mne.io.RawArray:
    """Read one of the files; its cues become annotations."""
    variables = read_matlab(path, "cnt", "nfo")
    about = variables["nfo"]
    try:
        names = [str(name) for name in about["clab"]]
        rate = float(about["fs"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"{path}: nfo must have clab and fs ({error!r}); download it again") from error
    counts = matrix(path, "cnt", variables["cnt"], columns=len(names))
    return as_raw(counts.T * MICROVOLTS, names, rate, marks=_cues(path, variables, rate))


def _cues(path: Path, variables: dict, rate: float) -> list[tuple[float, float, str]]:
    cues = variables.get("mrk")
    if not cues or "_eval_" in path.name:
        return []
    try:
        classes = [str(name) for name in variables["nfo"]["classes"]]
        texts = {-1: classes[0], 1: classes[1]}
        samples, answers = np.atleast_1d(cues["pos"]), np.atleast_1d(cues["y"])
        pairs = list(zip(samples.tolist(), answers.tolist(), strict=True))
        return [((sample - 1) / rate, CUE_SECONDS, texts[int(y)]) for sample, y in pairs]  # MATLAB counts from 1
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise RecordingError(f"{path}: mrk must have pos and y of −1 or 1 ({error!r}); download it again") from error


def _labels(extent: Extent, *, path: Path) -> tuple[Label, ...]:
    for mark in extent.annotations:
        if mark.text not in CLASSES:
            raise ConfigError(f"{path}: unknown class {mark.text!r}, known: {', '.join(CLASSES)}; download it again")
    cues = (mark for mark in extent.annotations if mark.onset < extent.seconds)
    return tuple(Label(TASK, m.text, m.onset, min(m.onset + m.duration, extent.seconds)) for m in cues)


class BcicIv1(NamedFiles):
    name = "bcic-iv-1"
    title = "BCI Competition IV, data set 1 (Berlin), 7 subjects"
    task = TASK
    licence = "On acceptance of the competition's terms: for research, with citation"
    citation = "Blankertz et al. 2007, NeuroImage 37(2):539-550, doi:10.1016/j.neuroimage.2007.01.051"
    url = "https://www.bbci.de/competition/iv/"
    hours = 8.0
    mains = 50.0
    places = ("*.mat", "BCICIV_1*_mat/*.mat", "BCICIV_1*/*.mat")
    pattern = re.compile(r"BCICIV_(calib|eval)_ds1([a-g])_1000Hz\.mat")
    example = "BCICIV_calib_ds1a_1000Hz.mat …"
    how = {"open": read_mat}

    def recognise(self, root: Path) -> bool:
        """Whether a folder holds the data set's recordings, be it their copies at 100 Hz."""
        return any(self.named(root, _ANY_RATE))

    def find(self, root: Path) -> list[tuple[Path, re.Match[str]]]:
        """Find the recordings at 1000 Hz, and refuse a folder that has only their copies at 100 Hz."""
        any_rate = sorted(path for path, _ in self.named(root, _ANY_RATE))
        if any_rate and not any(self.named(root, self.pattern)):
            raise StoreError(
                f"{root}: only the copies at 100 Hz ({any_rate[0].name} …), which hold nothing above 50 Hz; download "
                f"the 1000 Hz MATLAB files (BCICIV_1calib_1000Hz_mat, BCICIV_1eval_1000Hz_mat) from {self.url}"
            )
        return super().find(root)

    def subject(self, match: re.Match[str]) -> str:
        return match[2]

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        return partial(_labels, path=path)


LAYOUT = BcicIv1()
