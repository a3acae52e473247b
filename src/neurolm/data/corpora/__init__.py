"""Layouts of corpora: which recordings a folder holds, whose they are, and what their labels are.

A layout is a function from the folder to a list of :class:`Source`; it opens no recording. To add one, write a module
beside these and name it in ``CORPORA``.
"""

from collections.abc import Callable
from pathlib import Path

from neurolm.data.corpora import eegmat, folder, table
from neurolm.data.corpora.source import Extent, Source
from neurolm.errors import ConfigError

__all__ = ["CORPORA", "Extent", "Source", "layout"]

AUTO = "auto"
"""Stands for the layout that the folder shows."""
CORPORA: dict[str, Callable[[Path], list[Source]]] = {
    "table": table.sources,
    "eegmat": eegmat.sources,
    "folder": folder.sources,
}


def layout(root: Path, corpus: str = AUTO) -> str:
    """Return the name of a folder's layout: the one asked for, or for ``auto`` the one that the folder shows.

    Raises
    ------
    ConfigError
        If there is no layout of that name.
    """
    if corpus != AUTO:
        if corpus not in CORPORA:
            raise ConfigError(f"unknown corpus {corpus!r}: choose one of {', '.join((AUTO, *CORPORA))}")
        return corpus
    if (root / table.TABLE).is_file():
        return "table"
    return "eegmat" if eegmat.recognise(root) else "folder"
