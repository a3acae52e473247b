"""Layouts of corpora: which recordings a folder holds, whose they are, and what their labels are.

Read `layouts.py` first, what a layout is and what `NamedFiles` does for most of them, then `hmc.py`, one of these;
`source.py` is what a layout says about a recording. To add one, write a module with a ``LAYOUT`` beside these, import
it in `__init__.py` and name it in ``_MODULES`` there.
"""

from __future__ import annotations

from pathlib import Path

from neurolm.core.errors import ConfigError
from neurolm.core.names import choose
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
from neurolm.corpora.layouts import CorpusLayout
from neurolm.corpora.source import RecordingSource

__all__ = ["AUTO", "LAYOUTS", "CorpusLayout", "RecordingSource", "layout_of"]

AUTO = "auto"
"""Stands for the layout that the folder shows."""


_MODULES = (
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

LAYOUTS: dict[str, CorpusLayout] = {module.LAYOUT.name: module.LAYOUT for module in _MODULES}


def layout_of(root: Path, corpus: str = AUTO) -> str:
    """Return the name of a folder's layout: the one asked for, or for ``auto`` the one that the folder shows.

    Raises
    ------
    ConfigError
        If there is no layout of that name.
    """
    if corpus != AUTO:
        if corpus not in LAYOUTS:
            raise ConfigError(f"unknown corpus {corpus!r}{choose(corpus, (AUTO, *LAYOUTS))}")
        return corpus
    return next(name for name, layout in LAYOUTS.items() if layout.recognise(root))
