"""TUAB: the TUH Abnormal EEG Corpus, versions 2 and 3: is a clinical EEG abnormal?

``edf/{train,eval}/{normal,abnormal}/01_tcp_ar/aaaaaaav_s004_t000.edf``; version 2 has folders of subjects and sessions
below ``01_tcp_ar``. A whole recording has one label. ``eval`` is the test set. In ``train`` some subjects have a normal
and an abnormal recording; the official preparation splits the two folders on their own, so that a subject may train and
validate, and takes the order of a set. Here a subject is on one side, in the order of the ids.
"""

from __future__ import annotations

from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import tuh
from neurolm.corpora.source import RecordingSource

LABELS = {"abnormal": "Yes", "normal": "No"}
"""Answer to "is this EEG segment abnormal?" by the folder."""


class Tuab(tuh.TuhLayout):
    name = "tuab"
    title = "TUH Abnormal EEG Corpus (TUAB), 2,993 recordings"
    task = "tuab"
    citation = f"Lopez 2017, Automated Identification of Abnormal EEGs, Temple University; {tuh.CITATION}"
    hours = 1137.0
    counts = {"all": 409_455}

    def recognise(self, root: Path) -> bool:
        """Whether a folder has TUAB's tree."""
        edf = tuh.edf_folder(root)
        return any((edf / part / label).is_dir() for part in ("train", "eval") for label in LABELS)

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings of both parts, and refuse folders of other labels and subjects in both parts."""
        found = []
        for split, folder in tuh.parts(root, self.title).items():
            unknown = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and path.name not in LABELS]
            if unknown:
                raise ConfigError(
                    f"{folder / unknown[0]}: unknown label {unknown[0]!r}; a folder in {folder.name} is "
                    f"{' or '.join(sorted(LABELS))}: restore the tree as it was downloaded"
                )
            here = [
                (path, tuh.subject_of(path), split, answer)
                for name, answer in sorted(LABELS.items())
                if (folder / name).is_dir()
                for path in tuh.recordings(folder / name)
            ]
            if not here:
                raise StoreError(
                    f"{folder}: no EDF files in normal/01_tcp_ar or abnormal/01_tcp_ar; copy the corpus again from "
                    f"{self.url}"
                )
            found += here
        tuh.apart((path, subject, split) for path, subject, split, _ in found)
        return [
            self.source(path, subject, tuh.Whole("tuab", answer, split), channels=tuh.CHANNELS)
            for path, subject, split, answer in sorted(found)
        ]


LAYOUT = Tuab()
