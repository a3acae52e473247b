"""Layouts of corpora: which recordings a folder holds, whose they are, and what their labels are.

A layout is a module that fulfils :class:`Layout`: constants that say what the corpus is, `recognise` and `sources`. It
opens no recording.

Read `table.py` first, the layout for anybody's own data, then `source.py`, what a layout says about a recording.
To add one, write the module beside these, import it here and name it in ``_MODULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from neurolm.core.errors import ConfigError
from neurolm.corpora import (
    bcic_iv_1,
    bids,
    eegmat,
    eegmmidb,
    emobrain,
    folder,
    grasp_and_lift,
    hmc,
    inria,
    raw_eeg,
    resting_state,
    seed,
    siena,
    sleep_edf,
    spis,
    table,
    target_nontarget,
    tuab,
    tueg,
    tuev,
    tusl,
)
from neurolm.corpora.source import Extent, Source

__all__ = ["AUTO", "CORPORA", "LAYOUTS", "Extent", "Layout", "Source", "layout"]

AUTO = "auto"
"""Stands for the layout that the folder shows."""


class Layout(Protocol):
    """What a layout's module holds."""

    @property
    def NAME(self) -> str:
        """Name of the layout, and of the corpus unless the folder says another."""

    @property
    def TITLE(self) -> str:
        """What it is, in a line."""

    @property
    def TASK(self) -> str | None:
        """Task of its labels; None: it has none, as for pretraining, or the folder says which."""

    @property
    def LICENCE(self) -> str:
        """Terms of use."""

    @property
    def CITATION(self) -> str:
        """What to cite."""

    @property
    def URL(self) -> str:
        """Where to download it or to apply for it; empty where the layout is for data of one's own."""

    @property
    def HOURS(self) -> float | None:
        """Length of all recordings, about; None where the layout says nothing of it."""

    @property
    def MAINS(self) -> float | None:
        """Mains frequency in Hz where the recordings were made."""

    @property
    def COUNTS(self) -> Mapping[str, int] | None:
        """Windows of the task in the paper: ``train``, ``validation``, ``test``, or only ``all`` where it says no more.

        None where it says nothing.
        """

    def recognise(self, root: Path) -> bool:
        """Whether a folder holds this corpus: False for another's. Opens no recording."""

    def sources(self, root: Path) -> list[Source]:
        """List the recordings of a folder, in the order of their paths. Opens none; side files may be read.

        Raises
        ------
        StoreError
            If there are none, or a side file is missing.
        ConfigError
            If a side file is not valid; the message names the line.
        """


_MODULES: tuple[Layout, ...] = (
    table,  # first: whoever puts a table beside a corpus wants it read
    tueg,
    tuab,
    tuev,
    tusl,
    seed,
    hmc,
    eegmat,
    eegmmidb,
    sleep_edf,
    siena,
    bcic_iv_1,
    inria,
    grasp_and_lift,
    target_nontarget,
    spis,
    emobrain,
    raw_eeg,
    resting_state,
    bids,
    folder,  # last: it takes any folder
)
"""All layouts, in the order in which a folder is tried."""

LAYOUTS: dict[str, Layout] = {module.NAME: module for module in _MODULES}
CORPORA: dict[str, Callable[[Path], list[Source]]] = {name: module.sources for name, module in LAYOUTS.items()}


def layout(root: Path, corpus: str = AUTO) -> str:
    """Return the name of a folder's layout: the one asked for, or for ``auto`` the one that the folder shows.

    Raises
    ------
    ConfigError
        If there is no layout of that name.
    """
    if corpus != AUTO:
        if corpus not in LAYOUTS:
            raise ConfigError(f"unknown corpus {corpus!r}: choose one of {', '.join((AUTO, *LAYOUTS))}")
        return corpus
    return next(name for name, module in LAYOUTS.items() if module.recognise(root))
