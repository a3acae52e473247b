"""``corpus.json``: what the owner of a folder says about it, for tables of labels and BIDS.

All keys are optional::

    {"name": "clinic", "licence": "CC0", "citation": "Doe 2020", "mains": 50, "task": "eyes",
     "column": "trial_type", "labels": {"eyes_closed": "closed", "eyes_open": "open"}, "seconds": 10, "split": "group"}

The last four are for BIDS: see `neurolm.corpora.bids`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurolm.core.errors import ConfigError
from neurolm.core.files import parse_json
from neurolm.corpora.folder import corpus_name

ABOUT = "corpus.json"
_KINDS: dict[str, tuple[Any, str]] = {
    "name": (str, "text"),
    "licence": (str, "text"),
    "citation": (str, "text"),
    "mains": ((int, float), "a number"),
    "task": (str, "text"),
    "column": (str, "text"),
    "labels": (dict, "an object of value in the column: label"),
    "seconds": ((int, float), "a number"),
    "split": (str, "text"),
}
_FOR_OTHERS = ("simulator",)
"""Keys of those who wrote the folder, which mean nothing here."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What ``corpus.json`` says; None where it says nothing."""

    path: Path
    """Where it is, or would be."""
    name: str
    """Name of the corpus; the folder's where the file says none."""
    licence: str | None = None
    citation: str | None = None
    mains: float | None = None
    """Hz."""
    task: str | None = None
    """Task of all labels."""
    column: str | None = None
    """Column of the events in which the labels are."""
    labels: dict[str, str] = field(default_factory=dict)
    """Label of each value in that column."""
    seconds: float | None = None
    """Length of every labelled stretch; None: as the events say."""
    split: str | None = None
    """Column of the participants which says their part of the split."""


def read_about(root: Path) -> About:
    """Read ``corpus.json`` of a folder, if there is one.

    Raises
    ------
    ConfigError
        If it is not valid; the message names the key.
    """
    path = root / ABOUT
    said: Any = {}
    if path.is_file():
        try:
            said = parse_json(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(said, dict):
        raise ConfigError(f"{path}: expected an object with {', '.join(_KINDS)}, found {type(said).__name__}")
    said = {key: value for key, value in said.items() if key not in _FOR_OTHERS}
    if unknown := [key for key in said if key not in _KINDS]:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(_KINDS)}")
    said = {key: value for key, value in said.items() if value is not None}
    for key, value in said.items():
        kind, words = _KINDS[key]
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            raise ConfigError(f"{path}: {key} must be {words}, not {value!r}")
        if words == "a number":
            said[key] = float(value)
            if not 0 < said[key] < float("inf"):
                raise ConfigError(f"{path}: {key} must be above 0, not {value!r}")
    labels = said.get("labels", {})
    if wrong := [value for value in labels.values() if not isinstance(value, str) or not value]:
        raise ConfigError(f"{path}: a label must be text, not {wrong[0]!r}")
    return About(**({"path": path, "name": corpus_name(root)} | said))
