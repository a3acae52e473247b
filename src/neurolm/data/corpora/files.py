"""Finding the recordings of a corpus in its folder, and reading what lies beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from neurolm.data.corpora.source import Extent
from neurolm.data.store import Label
from neurolm.errors import StoreError

_TOUCH = 1e-3
"""Seconds between two labels that count as none: onsets in side files are rounded."""


def find(root: Path, places: Sequence[str], name: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """Find the files in some places whose name fits.

    Parameters
    ----------
    root
        Folder of the corpus.
    places
        Glob patterns relative to the folder: where the corpus keeps its recordings. Naming the places keeps other
        folders, which may be huge, from being walked.
    name
        Pattern of the whole file name.

    Returns
    -------
    list of (path, match)
        In the order of their paths.
    """
    paths = sorted({path for place in places for path in root.glob(place)})
    named = ((path, name.fullmatch(path.name)) for path in paths)
    return [(path, match) for path, match in named if match and path.is_file()]


def recognised(root: Path, places: Sequence[str], name: re.Pattern[str]) -> bool:
    """Whether one of the places holds a file of that name."""
    return any(name.fullmatch(path.name) for place in places for path in root.glob(place))


def no_recordings(root: Path, corpus: str, names: str, url: str) -> StoreError:
    """The error of a folder without the corpus's recordings."""
    return StoreError(
        f"{root}: no recordings of {corpus} in this folder; it should hold {names} as downloaded from {url}"
    )


def read_side_file(path: Path, holds: str, url: str) -> str:
    """Read a text file that belongs to recordings.

    Raises
    ------
    StoreError
        If it is not there or cannot be read.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(f"{path}: no such file, and it holds {holds}; download it from {url}") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def one_each(recordings: Iterable[tuple[Path, str]]) -> None:
    """Refuse two files that are the same recording by their names.

    Raises
    ------
    StoreError
        Naming both.
    """
    seen: dict[str, Path] = {}
    for path, key in recordings:
        if key in seen:
            raise StoreError(f"{path} and {seen[key]} are the same recording by their names; move one of them away")
        seen[key] = path


@dataclass(frozen=True)
class Within:
    """Gives labels that side files state, cut to the length of the recording."""

    labels: tuple[Label, ...]

    def __call__(self, extent: Extent) -> tuple[Label, ...]:
        inside = (label for label in self.labels if label.start < extent.seconds)
        return tuple(replace(label, stop=min(label.stop, extent.seconds)) for label in inside)


def merged(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Make one label of neighbours that say the same, so that a night is not a thousand labels.

    Parameters
    ----------
    labels
        Sorted by time. Windows of the neighbours' length are cut at the same places as without merging.
    """
    if not labels:
        return ()
    out = [labels[0]]
    for before, label in pairwise(labels):
        same = (before.task, before.label, before.split) == (label.task, label.label, label.split)
        if same and abs(label.start - before.stop) < _TOUCH:
            out[-1] = replace(out[-1], stop=label.stop)
        else:
            out.append(label)
    return tuple(out)
