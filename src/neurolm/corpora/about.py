"""``corpus.json``: what the owner of a folder says about it, for any folder of recordings and BIDS.

All keys are optional::

    {"name": "clinic", "licence": "CC0", "citation": "Doe 2020", "mains": 50,
     "channels": {"EEG": "C4", "EEG(sec)": "C3"}, "rate": 250, "unit": "uV", "task": "eyes",
     "column": "trial_type", "labels": {"eyes_closed": "closed", "eyes_open": "open"}, "seconds": 10, "overlap": false,
     "split": "group"}

The last five are for BIDS: see `neurolm.corpora.bids`. A name among ``channels`` need not be in every recording, and
instead of ``channels`` there may be a ``cap``, as for `neurolm.ReadingOptions`. With a ``rate``, tables and arrays that
do not say theirs are recordings too; ``unit`` is that of all files, unless the user says another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurolm.core.decode import load_json
from neurolm.core.montage import resolve
from neurolm.corpora.source import terms
from neurolm.recording.options import ReadingOptions, Unit

ABOUT = "corpus.json"


@dataclass(frozen=True, kw_only=True)
class AboutFile:
    """The keys of ``corpus.json``; None where it says nothing."""

    name: str | None = None
    """Name of the corpus; the folder's where the file says none."""
    licence: str | None = None
    citation: str | None = None
    mains: float | None = None
    """Hz."""
    task: str | None = None
    """Task of all labels."""
    column: str | None = None
    """Column of the events in which the labels are."""
    labels: dict[str, str] | None = None
    """Label of each value in that column."""
    seconds: float | None = None
    """Length of every labelled stretch; None: as the events say."""
    overlap: bool = False
    """Whether stretches may overlap that are locked to different events."""
    split: str | None = None
    """Column of the participants which says their part of the split."""
    channels: dict[str, str] | None = None
    """The files' names of channels → electrodes, where the names say nothing."""
    cap: str | None = None
    """MNE's name of the cap whose contacts the channels count."""
    rate: float | None = None
    """Samples per second of tables and arrays that do not say it."""
    unit: Unit | None = None
    """Unit of the files' numbers."""
    simulator: Any = None
    """What the simulator notes for itself, if it made the folder."""

    def __post_init__(self) -> None:
        for name in ("name", "licence", "citation", "cap", "task", "column", "split"):
            if getattr(self, name) == "":
                raise ValueError(f"{name} must be text, not ''")
        for name in ("mains", "seconds", "rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, not {value:g}")
        if self.labels and "" in self.labels.values():
            raise ValueError("labels must be text, not ''")
        if unknown := [electrode for electrode in (self.channels or {}).values() if resolve(electrode) is None]:
            raise ValueError(f"channels: {unknown[0]!r} is no known electrode; give names such as Fp1, C3, T7, Oz")
        if self.channels is not None and self.cap is not None:
            raise ValueError("channels and cap both say which electrodes; give one")


@dataclass(frozen=True, kw_only=True)
class About(AboutFile):
    """What is known of a folder: what its ``corpus.json`` says, and what holds where that says nothing."""

    path: Path
    """Where the file is, or would be."""
    name: str
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What holds for every recording of the folder, as `source.RecordingSource` has it."""
        named = ("mains", "channels", "cap", "rate", "unit")
        facts: dict[str, Any] = {"corpus": self.name, "partly": True} | {name: getattr(self, name) for name in named}
        stated = terms(self.licence or "", self.citation or "")
        return facts | ({"licence": stated} if stated else {})

    def reading(self, given: ReadingOptions) -> ReadingOptions:
        """Return options with what the file says where they leave it open."""
        said = {name: getattr(self, name) for name in ("mains", "rate", "unit") if getattr(given, name) is None}
        if given.channels is None and given.cap is None:
            said |= {"channels": self.channels, "cap": self.cap}
        return replace(given, **said)


def corpus_name(root: Path) -> str:
    """The name of a corpus that does not state one: its folder's."""
    return root.resolve().name or "recordings"


def read_about(root: Path) -> About:
    """Read ``corpus.json`` of a folder, if there is one.

    Raises
    ------
    ConfigError
        If it is not valid; the message names the key.
    """
    path = root / ABOUT
    said = load_json(AboutFile, path) if path.exists() else AboutFile()
    return About(**vars(said) | {"path": path, "name": said.name or corpus_name(root), "labels": said.labels or {}})
