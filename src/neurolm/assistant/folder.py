"""The recordings that an assistant may see: those below one folder, and no other file"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from neurolm.assistant.words import quoted
from neurolm.core.errors import RecordingError
from neurolm.core.terminal import printable
from neurolm.recording.isolation import confine
from neurolm.recording.suffixes import PLAIN, RECORDING_SUFFIXES, parts_of, suffix_of, walk

LONGEST = 1_000
"""Characters of a name or a pattern."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Recordings:
    """The recordings below a folder. From now on none of them may name data that lie elsewhere (`isolation.confine`).

    Raises
    ------
    RecordingError
        If there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RecordingError(f"{folder}: no such folder; give the folder that holds the recordings")
        self.root = folder.resolve()
        confine(self.root)

    def names(self, pattern: str | None = None) -> list[str]:
        """Return the recordings' names, sorted, that a pattern fits: ``*`` stands for anything, capitals are alike."""
        found = sorted(self._by_name())
        if pattern is None:
            return found
        wanted = pattern[:LONGEST].casefold()
        wanted = wanted if set(wanted) & set("*?[") else f"*{wanted}*"
        return [name for name in found if fnmatch.fnmatchcase(name.casefold(), wanted)]

    def path(self, name: str) -> Path:
        """Return the file of a name.

        Raises
        ------
        RecordingError
            If it is no name of a recording below the folder: a path from elsewhere, a URI, a link that leads out.
        """
        shown = quoted(name)
        if not name.strip() or len(name) > LONGEST:
            raise RecordingError(f"{shown}: no name of a recording; list_recordings shows them")
        if _SCHEME.match(name):
            raise RecordingError(f"{shown}: addresses are not opened; give a name that list_recordings shows")
        if name.startswith(("/", "\\", "~")) or ".." in re.split(r"[/\\]", name):
            raise RecordingError(
                f"{shown}: only names below the folder of recordings, without .. and not from the root; "
                "list_recordings shows them"
            )
        path = self.root / name
        if "\0" in name or not path.exists():
            path = self._by_name().get(name, path)  # of a name with characters that are not shown
        if "\0" in str(path) or not path.exists():
            raise RecordingError(f"{shown}: no such recording; list_recordings shows those there are")
        suffix = suffix_of(path)
        if suffix is None:
            raise RecordingError(f"{shown}: no recording by its ending ({', '.join(sorted(RECORDING_SUFFIXES))})")
        if suffix in PLAIN and path not in walk(path.parent, arrays=True).recordings:  # any text may end like a table
            raise RecordingError(f"{shown}: no table of EEG by its header; list_recordings shows what is")
        if not self._inside(path):
            raise RecordingError(f"{shown}: a link that leads out of the folder of recordings; it is not followed")
        return path

    def _by_name(self) -> dict[str, Path]:
        """Name as it is shown → file."""
        every = (path for path in walk(self.root).recordings if self._inside(path))
        return {printable(path.relative_to(self.root).as_posix(), line=True): path for path in every}

    def _inside(self, path: Path) -> bool:
        """Whether a recording and what belongs to it lie below the folder, wherever links lead."""
        try:
            return all(one.resolve().is_relative_to(self.root) for one in (path, *parts_of(path)))
        except (OSError, RuntimeError):  # a circle of links
            return False

    def shown(self, path: Path) -> str:
        """Return the name of a file below the folder."""
        return printable(path.relative_to(self.root).as_posix(), line=True)

    def clean(self, text: str) -> str:
        """Return a message without where the folder lies on this machine."""
        return text.replace(f"{self.root}/", "").replace(str(self.root), "the folder of recordings")
