"""TUSL: the TUH EEG Slowing Corpus: background, seizure or slowing?

``edf/aaaaaaju/s005_2010/01_tcp_ar/aaaaaaju_s005_t000.edf`` (version 1: ``edf/01_tcp_ar/006/00000675/…``) with a
``.tse_agg`` beside it: a line with its version, then lines ``start stop label probability`` for stretches of 10 s. The
paper's 245 samples are those of recordings with all 23 electrodes against the average reference. It splits recordings
in the order in which the file system lists them, so a subject may train and be tested; here subjects are split.
"""

from __future__ import annotations

from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import tuh
from neurolm.corpora.side_files import seconds_of
from neurolm.corpora.source import RecordingSource
from neurolm.corpora.tueg import first_version, has_slowing_labels
from neurolm.store.store import Label

LABELS = {"bckg": "background", "seiz": "seizure", "slow": "slowing"}
_VERSION = "version"


class Tusl(tuh.TuhLayout):
    name = "tusl"
    title = "TUH EEG Slowing Corpus (TUSL), 112 recordings of 38 patients"
    task = "tusl"
    citation = (
        "von Weltin et al. 2017, Electroencephalographic slowing: A primary source of error in automatic seizure "
        f"detection, IEEE SPMB, doi:10.1109/SPMB.2017.8257018; {tuh.CITATION}"
    )
    hours = 20.6
    counts = {"all": 245}

    def recognise(self, root: Path) -> bool:
        """Whether a folder has TUSL's tree, of version 2 or 1."""
        if any(tuh.folders(subject, tuh.SESSION) for subject in tuh.folders(tuh.edf_folder(root), tuh.SUBJECT)):
            return True
        return bool(first_version(root)) and has_slowing_labels(root)

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings and read their labels."""
        paths = tuh.recordings(tuh.edf_folder(root))
        if not paths:
            raise StoreError(
                f"{root}: no recordings of TUSL in this folder (edf/aaaaaaju/s005_2010/01_tcp_ar/"
                f"aaaaaaju_s005_t000.edf); give the folder of one version. Apply for it at {self.url}"
            )
        return [self.source(path, tuh.subject_of(path), _stretches(path), channels=tuh.CHANNELS) for path in paths]


LAYOUT = Tusl()


def _stretches(path: Path) -> tuh.Shifted:
    side, lines = tuh.side_file(path, ".tse_agg", "the labels")
    if not lines or not lines[0][1].startswith(_VERSION):
        found = repr(lines[0][1]) if lines else "nothing"
        raise ConfigError(f"{side}, line 1: expected 'version = tse_v1.0.0', found {found}; copy the file again")
    events = []
    for number, line in lines[1:]:
        where = f"{side}, line {number}"
        values = line.split()
        if len(values) != 4:
            raise ConfigError(f"{where}: expected 'start stop label probability', found {line!r}; copy the file again")
        start, stop = seconds_of(where, "start", values[0]), seconds_of(where, "stop", values[1])
        if start >= stop:
            raise ConfigError(f"{where}: start ({start:g} s) must be before stop ({stop:g} s); copy the file again")
        if values[2] not in LABELS:
            raise ConfigError(f"{where}: unknown label {values[2]!r}, known: {', '.join(LABELS)}; copy the file again")
        events.append((start, Label("tusl", LABELS[values[2]], tuh.at_sample(start), tuh.at_sample(stop))))
    return tuh.Shifted(str(side), tuple(events))
