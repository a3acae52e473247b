"""HMC: sleep stages, Haaglanden Medisch Centrum (PhysioNet), 151 recordings of one night.

``recordings/SN001.edf`` has F4-M1, C4-M1, O2-M1 and C3-M2 beside EOG, EMG and ECG. ``SN001_sleepscoring.txt`` has the
stages, a line for 30 s (``Date, Time, Recording onset, Duration, Annotation, Linked channel``);
``SN001_sleepscoring.edf`` has them as EDF+ annotations and is read where the text is missing. The electrodes are taken
as F4, C4, O2 and C3, as in the paper: their references are mastoids. Every recording is a subject. Lines of another
duration than 30 s (lights off, lights on) are no stages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from neurolm.core.errors import ConfigError
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.side_files import Within, edf_annotations, merged, read_side_file, seconds_of, table_rows
from neurolm.corpora.source import Labels
from neurolm.store.store import Label

TASK = "hmc"
URL = "https://physionet.org/content/hmc-sleep-staging/1.1/"
STAGES = {"W": "Wake", "N1": "NREM-1", "N2": "NREM-2", "N3": "NREM-3", "R": "REM"}
CHANNELS = {"EEG F4-M1": "F4", "EEG C4-M1": "C4", "EEG O2-M1": "O2", "EEG C3-M2": "C3"}
SECONDS = 30.0
STAGE = "Sleep stage"
COLUMNS = ("Recording onset", "Duration", "Annotation")


class Hmc(NamedFiles):
    name = "hmc"
    title = "Haaglanden Medisch Centrum sleep staging database (HMC), 151 nights"
    task = TASK
    licence = "CC BY 4.0: Haaglanden Medisch Centrum sleep staging database 1.1, PhysioNet"
    citation = (
        "Alvarez-Estevez and Rijsman 2021, PLoS ONE 16(8):e0256111, "
        "doi:10.1371/journal.pone.0256111; data: doi:10.13026/t79q-fr32"
    )
    url = URL
    hours = 1144.0
    mains = 50.0
    counts = {"all": 137_243}
    places = ("SN*.edf", "recordings/SN*.edf")
    pattern = re.compile(r"(SN\d{3})\.edf")
    example = "recordings/SN001.edf … SN154.edf with their sleepscoring files"
    how = {"channels": CHANNELS}

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        return Within(_stages(path))


LAYOUT = Hmc()


def _stages(path: Path) -> tuple[Label, ...]:
    text, edf = (path.with_name(f"{path.stem}_sleepscoring{suffix}") for suffix in (".txt", ".edf"))
    if not text.exists() and edf.exists():
        lines = _edf_lines(edf)
    else:
        lines = _text_lines(text, read_side_file(text, f"the sleep stages of {path.name}", URL))
    labels = []
    for where, onset, duration, annotation in lines:
        stage = annotation.partition("@@")[0].strip()
        if not stage.startswith(STAGE) or duration != SECONDS:
            continue
        answer = STAGES.get(stage.removeprefix(STAGE).strip())
        if answer is None:
            known = ", ".join(f"{STAGE} {name}" for name in STAGES)
            raise ConfigError(f"{where}: unknown stage {annotation!r}, known: {known}; correct it or download it again")
        labels.append(Label(TASK, answer, onset, onset + duration))
    if not labels:
        raise ConfigError(f"{text}: no stages of {SECONDS:g} s in the scoring of {path.name}; download it again")
    return merged(text, labels)


def _text_lines(path: Path, text: str) -> Iterator[tuple[str, float, float, str]]:
    for where, (onset, duration, annotation) in table_rows(path, text, COLUMNS):
        yield where, seconds_of(where, "the onset", onset), seconds_of(where, "the duration", duration), annotation


def _edf_lines(path: Path) -> Iterator[tuple[str, float, float, str]]:
    for number, mark in enumerate(edf_annotations(path, "EDF+ annotations"), start=1):
        yield f"{path}, annotation {number}", *mark
