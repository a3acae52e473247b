"""Unlabelled recordings in any folder, as for pretraining.

The subject is the first folder below the root (``S001/S001R01.edf``, ``sub-01/…``); a recording that lies in the root
itself is a subject of its own.
"""

from __future__ import annotations

from pathlib import Path

from neurolm.core.errors import StoreError
from neurolm.corpora.source import Source
from neurolm.recording.recording import find_recordings

NAME = "folder"
TITLE = "any folder of recordings, without labels"
TASK = None
LICENCE = "not stated"
CITATION = ""
URL = ""
HOURS = None
MAINS = None
COUNTS = None


def recognise(root: Path) -> bool:
    """Whether recordings may lie in a folder: always."""
    return root.is_dir()


def sources(root: Path) -> list[Source]:
    """List all recordings of a folder and the folders below it.

    Raises
    ------
    StoreError
        If there are none.
    """
    paths = find_recordings(root)
    if not paths:
        raise StoreError(f"{root}: no EEG recordings in this folder; give the folder that holds the EDF, BDF, … files")
    return [Source(path, corpus_name(root), _subject(path.relative_to(root)), (), LICENCE, None) for path in paths]


def corpus_name(root: Path) -> str:
    """The name of a corpus that does not state one: its folder's."""
    return root.resolve().name or "recordings"


def _subject(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else path.stem
