"""What a layout is: it says which recordings a folder holds, whose they are, and what their labels are.

A layout opens no recording. Most corpora are known by the names of their files: `NamedFiles` then does nearly all.
"""

from __future__ import annotations

import inspect
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from neurolm.core.errors import StoreError
from neurolm.core.names import one_spelling
from neurolm.corpora.source import Labels, RecordingSource, terms


class CorpusLayout(ABC):
    """How the folder of a corpus looks, and the facts about the corpus."""

    name: ClassVar[str]
    """Name of the layout, and of the corpus unless the folder says another."""
    title: ClassVar[str]
    """What it is, in a line."""
    task: ClassVar[str | None] = None
    """Task of its labels; None: it has none, as for pretraining, or the folder says which."""
    licence: ClassVar[str] = "not stated"
    """Terms of use."""
    citation: ClassVar[str] = ""
    """What to cite."""
    url: ClassVar[str] = ""
    """Where to download it or to apply for it; empty where the layout is for data of one's own."""
    hours: ClassVar[float | None] = None
    """Length of all recordings, about; None where the layout says nothing of it."""
    mains: ClassVar[float | None] = None
    """Mains frequency in Hz where the recordings were made."""
    counts: ClassVar[Mapping[str, int] | None] = None
    """Windows of the task in the paper: ``train``, ``validation``, ``test``, or only ``all`` where it says no more.

    None where it says nothing."""

    @property
    def about(self) -> str:
        """What its module says of it: how the folder must look, what becomes a label, what is odd."""
        return inspect.cleandoc(sys.modules[type(self).__module__].__doc__ or "")

    @abstractmethod
    def recognise(self, root: Path) -> bool:
        """Whether a folder holds this corpus: False for another's. Opens no recording."""

    @abstractmethod
    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings of a folder, in the order of their paths. Opens none; side files may be read.

        Raises
        ------
        StoreError
            If there are none, one is there twice, or a side file is missing.
        ConfigError
            If a side file is not valid; the message names the line.
        """

    def notes(self, root: Path) -> Iterator[str]:
        """Say what was noticed about the folder itself, beyond its recordings."""
        return iter(())

    def source(self, path: Path, subject: str, labels: Labels = (), **how: Any) -> RecordingSource:
        """Return a recording of the corpus; ``how`` has other fields of ``RecordingSource``.

        A person whose name is written in two ways that look the same is one.
        """
        subject = one_spelling(subject)
        facts = {"corpus": self.name, "licence": terms(self.licence, self.citation), "mains": self.mains}
        return RecordingSource(path=path, subject=subject, labels=labels, **(facts | how))


class NamedFiles(CorpusLayout):
    """A corpus whose recordings are known by their names."""

    places: ClassVar[tuple[str, ...]]
    """Where they lie, as globs below the folder: so other folders, which may be huge, are not walked."""
    pattern: ClassVar[re.Pattern[str]]
    """What the whole name of a file is like."""
    example: ClassVar[str]
    """Names as they should be, for messages."""
    how: ClassVar[Mapping[str, Any]] = {}
    """How the recordings are to be opened: fields of ``RecordingSource``."""

    def recognise(self, root: Path) -> bool:
        """Whether one of the places holds a file of such a name."""
        return any(self.named(root, self.pattern))

    def named(self, root: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
        """Yield the files of the places whose names fit a pattern."""
        paths = (path for place in self.places for path in root.glob(place))
        return ((path, match) for path in paths if (match := pattern.fullmatch(path.name)) and path.is_file())

    def find(self, root: Path) -> list[tuple[Path, re.Match[str]]]:
        """Find the recordings, in the order of their paths, and refuse those that are there twice or cannot be."""
        found = sorted(dict(self.named(root, self.pattern)).items())
        if not found:
            raise StoreError(
                f"{root}: no recordings of {self.title} in this folder; it should hold {self.example} as downloaded "
                f"from {self.url}"
            )
        seen: dict[str, Path] = {}
        for path, match in found:
            other = seen.setdefault(self.recording(match), path)
            if other != path:
                raise StoreError(f"{path} and {other} are the same recording by their names; move one of them away")
        for path, match in found:
            if problem := self.problem(path, match):
                raise StoreError(f"{path}: {problem}")
        return found

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings, and read the side files of each."""
        return [
            self.source(path, self.subject(match), self.labels(path, match), **self.how)
            for path, match in self.find(root)
        ]

    def recording(self, match: re.Match[str]) -> str:
        """What two files of the same recording have in common."""
        return match[0]

    def problem(self, path: Path, match: re.Match[str]) -> str | None:
        """Say why a file of such a name cannot be; None: it can."""
        return None

    def subject(self, match: re.Match[str]) -> str:
        """Whose recording a file is."""
        return match[1]

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        """Return the labels of a recording, or what makes them when its length is known."""
        return ()
