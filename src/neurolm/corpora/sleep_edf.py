"""Sleep-EDF expanded (PhysioNet): 197 recordings of 100 people with their sleep stages.

153 last a day and a night of 78 healthy people (SC), 44 a night of 22 with and without temazepam (ST).
``sleep-cassette/SC4001E0-PSG.edf`` is subject 00, night 1; its stages are in ``SC4001EC-Hypnogram.edf``, whose eighth
letter is the scorer's. The two EEG channels are derivations along the midline, Fpz-Cz and Pz-Oz. The model knows
electrodes against a common reference, so that each is taken for its first electrode, Fpz and Pz: the signal remains
the difference, and a model sees it as an unusual reference. They are sampled at 100 Hz: nothing above 50 Hz is in them.
Stages 3 and 4 of Rechtschaffen and Kales are NREM-3; movement and unscored time has no label.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.side_files import Within, edf_annotations, merged
from neurolm.corpora.source import Labels
from neurolm.store.store import Label

TASK = "sleep-edf"
URL = "https://physionet.org/content/sleep-edfx/1.0.0/"
STAGES = {"W": "Wake", "1": "NREM-1", "2": "NREM-2", "3": "NREM-3", "4": "NREM-3", "R": "REM"}
UNSCORED = ("Sleep stage ?", "Movement time")
CHANNELS = {"EEG Fpz-Cz": "Fpz", "EEG Pz-Oz": "Pz"}
STAGE = "Sleep stage "
FOLDERS = ("", "sleep-cassette/", "sleep-telemetry/")


class SleepEdf(NamedFiles):
    name = "sleep-edf"
    title = "Sleep-EDF expanded, 197 recordings of 100 people"
    task = TASK
    licence = "ODC-By 1.0: Sleep-EDF Database Expanded 1.0.0, PhysioNet"
    citation = (
        "Kemp et al. 2000, IEEE Transactions on Biomedical Engineering 47(9):1185-1194, "
        "doi:10.1109/10.867928; data: doi:10.13026/C2X676"
    )
    url = URL
    hours = 3900.0
    mains = 50.0
    places = tuple(f"{folder}S*-PSG.edf" for folder in FOLDERS)
    pattern = re.compile(r"((SC4|ST7)(\d\d)[12][A-Z])[A-Z0-9]-PSG\.edf")
    example = "sleep-cassette/SC4001E0-PSG.edf … with their hypnograms"
    how = {"channels": CHANNELS}

    def recording(self, match: re.Match[str]) -> str:
        return match[1]

    def subject(self, match: re.Match[str]) -> str:
        return f"{match[2]}{match[3]}"

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        return Within(_stages(_hypnogram(path, match[1])))


LAYOUT = SleepEdf()


def _hypnogram(path: Path, night: str) -> Path:
    beside = sorted(path.parent.glob(f"{night}?-Hypnogram.edf"))
    if len(beside) != 1:
        found = ", ".join(other.name for other in beside) or "none"
        raise StoreError(
            f"{path}: there must be one hypnogram {night}?-Hypnogram.edf beside it, found: {found}; "
            f"download it from {URL}"
        )
    return beside[0]


def _stages(path: Path) -> tuple[Label, ...]:
    labels = []
    for onset, duration, text in edf_annotations(path, "an EDF+ hypnogram"):
        if text in UNSCORED:
            continue
        answer = STAGES.get(text.removeprefix(STAGE)) if text.startswith(STAGE) else None
        if answer is None:
            known = ", ".join([*(f"{STAGE}{name}" for name in STAGES), *UNSCORED])
            raise ConfigError(f"{path}: unknown stage {text!r} at {onset:g} s, known: {known}; download it again")
        labels.append(Label(TASK, answer, onset, onset + duration))
    if not labels:
        raise StoreError(f"{path}: no sleep stages in the hypnogram; download it again")
    return merged(path, labels)
