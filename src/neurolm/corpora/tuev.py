"""TUEV: the TUH EEG Events Corpus: which of six types is an event?

``edf/train/aaaaaaar/aaaaaaar_00000001.edf`` and ``edf/eval/000/bckg_000_a_.edf``, each with a ``.rec`` beside it: lines
``channel,start,stop,class``, one second each. As in the paper (and before it in LaBraM and BIOT) every line is a
sample: the second, two seconds before and two after, of all 23 channels. An event seen on several channels is therefore
several samples of the same signal, now and then with different classes. At the ends of a recording the official
preparation goes on at its other end; here the five seconds are moved inside. ``eval`` is the test set.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import tuh
from neurolm.corpora.side_files import seconds_of
from neurolm.corpora.source import RecordingSource
from neurolm.store.store import Label

CLASSES = {
    1: "spike and slow wave",
    2: "generalized periodic epileptiform discharge",
    3: "periodic lateralized epileptiform discharge",
    4: "eye movement",
    5: "artifact",
    6: "background",
}
"""Labels by their numbers in ``.rec`` files: spsw, gped, pled, eyem, artf, bckg."""
AROUND = 2.0
"""Seconds before and after the event."""
EVENT = 1.0
"""Seconds of an event."""
_TRAIN = re.compile(r"(?P<subject>[a-z]{8}|\d{8})_\d+\.edf")
_EVAL = re.compile(r"[a-z]{4}_(?P<subject>\d{3})_.*\.edf")


class Tuev(tuh.TuhLayout):
    name = "tuev"
    title = "TUH EEG Events Corpus (TUEV), 518 recordings of 370 patients"
    task = "tuev"
    citation = (
        "Harati et al. 2015, Improved EEG event classification using differential energy, IEEE SPMB, "
        f"doi:10.1109/SPMB.2015.7405421; {tuh.CITATION}"
    )
    counts = {"all": 112_491}

    def recognise(self, root: Path) -> bool:
        """Whether a folder has TUEV's tree."""
        edf = tuh.edf_folder(root)
        return any(
            pattern.fullmatch(path.name)
            for part, pattern in (("train", _TRAIN), ("eval", _EVAL))
            for path in (edf / part).glob("*/*.edf")
        )

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings of both parts, refuse subjects in both, and read the events."""
        found = []
        for split, folder in tuh.parts(root, self.title).items():
            paths = tuh.recordings(folder)
            if not paths:
                raise StoreError(
                    f"{folder}: no EDF files in its folders of subjects; copy the corpus again from {self.url}"
                )
            found += [(path, _subject(path, _TRAIN if split is None else _EVAL), split) for path in paths]
        tuh.apart(found)
        return [
            self.source(path, subject, _events(path, split), channels=tuh.CHANNELS)
            for path, subject, split in sorted(found, key=lambda entry: entry[0])
        ]


LAYOUT = Tuev()


def _subject(path: Path, pattern: re.Pattern[str]) -> str:
    match = pattern.fullmatch(path.name)
    if match is None or match["subject"] != path.parent.name:
        raise ConfigError(
            f"{path}: the name of the recording must hold the subject that its folder is named after "
            "(train/aaaaaaar/aaaaaaar_00000001.edf, eval/000/bckg_000_a_.edf); restore the tree as it was downloaded"
        )
    return match["subject"]


def _events(path: Path, split: str | None) -> tuh.Shifted:
    side, lines = tuh.side_file(path, ".rec", "the events")
    events = []
    for number, line in lines:
        where = f"{side}, line {number}"
        values = [value.strip() for value in line.split(",")]
        if len(values) != 4:
            raise ConfigError(f"{where}: expected channel,start,stop,class, found {line!r}; copy the file again")
        start, stop = seconds_of(where, "start", values[1]), seconds_of(where, "stop", values[2])
        if start >= stop:
            raise ConfigError(f"{where}: start ({start:g} s) must be before stop ({stop:g} s); copy the file again")
        label = CLASSES.get(_whole(values[3]))
        if label is None:
            known = ", ".join(f"{n} ({name})" for n, name in CLASSES.items())
            raise ConfigError(f"{where}: unknown class {values[3]!r}, known: {known}; copy the file again")
        begin = tuh.at_sample((start + stop - EVENT) / 2) - AROUND
        events.append((start, Label("tuev", label, begin, begin + 2 * AROUND + EVENT, split)))
    return tuh.Shifted(str(side), tuple(events))


def _whole(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        return 0
    return int(value) if value.is_integer() else 0
