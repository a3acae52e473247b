"""Unlabelled recordings in any folder, as for pretraining.

The subject is the first folder below the root (``S001/S001R01.edf``, ``sub-01/…``); a recording that lies in the root
itself is a subject of its own. ``corpus.json`` in the root may state what `neurolm.corpora.about` knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from neurolm.core.errors import StoreError
from neurolm.corpora.about import read_about
from neurolm.corpora.layouts import CorpusLayout
from neurolm.corpora.source import RecordingSource
from neurolm.recording.recording import find_recordings
from neurolm.recording.unread import contents


class Folder(CorpusLayout):
    name = "folder"
    title = "any folder of recordings, without labels"

    def recognise(self, root: Path) -> bool:
        """Whether recordings may lie in a folder: always."""
        return root.is_dir()

    def sources(self, root: Path, *, arrays: bool = False) -> list[RecordingSource]:
        """List all recordings of a folder and the folders below it.

        With ``arrays``, or where ``corpus.json`` says a rate, tables and arrays that do not say theirs are among them.
        """
        about = read_about(root)
        paths = find_recordings(root, arrays=arrays or about.rate is not None)
        if not paths:
            raise StoreError(
                f"{root}: no EEG recordings in this folder; give the folder that holds the EDF, BDF, … files"
                f"{contents(root)}"
            )
        return [self.source(path, _subject(path.relative_to(root)), **about.facts) for path in paths]

    def notes(self, root: Path) -> Iterator[str]:
        """Name a table beside the recordings that may be meant for their labels, but is called otherwise."""
        for path in sorted(root.iterdir()):
            if re.fullmatch(r"labels?\.\w+(\.\w+)?", path.name.lower()):
                yield f"{path.name} was not read: a table of labels must be called labels.csv"


LAYOUT = Folder()


def _subject(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else path.stem
