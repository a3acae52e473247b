"""Figures that others published, each with its address, shown beside ours and marked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from neurolm.core.errors import ConfigError
from neurolm.tasks.metrics import METRICS

FILE = Path(__file__).with_name("published.toml")
SAME = "the card's"
"""The test set of a figure whose test recordings are those of our card."""


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """One score."""

    name: str
    """Out of ``metrics.METRICS``."""
    value: float
    sd: float | None = None
    """Standard deviation over seeds; None where it is not given."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was published of one model on one task."""

    task: str
    model: str
    origin: str
    """Who measured it."""
    address: str
    """Where it was read."""
    read: str
    """When, as 2026-11-23."""
    test_set: str
    """``SAME``, or what it is instead."""
    protocol: str
    """How it differs from ours."""
    scores: tuple[PublishedScore, ...]

    def score(self, name: str) -> PublishedScore | None:
        """Return a score, or None where none was published."""
        return next((score for score in self.scores if score.name == name), None)


def published(task: str) -> tuple[Published, ...]:
    """Return what was published on a task, in the order of the file."""
    return tuple(figure for figure in read_published() if figure.task == task)


@cache
def read_published(path: Path = FILE) -> tuple[Published, ...]:
    """Read and check the data file.

    Raises
    ------
    ConfigError
        If a figure lacks its source, has an unknown key, or a score is none.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    sources: dict[str, Any] = data.get("sources", {})
    for name, source in sources.items():
        if set(source) != {"address", "read"} or not str(source["address"]).startswith("https://"):
            _fail(path, f"source {name!r} needs an address, https://…, and when it was read, not {source!r}")
    keys = {f.name for f in fields(Published)} - {"address", "read"} | {"source"}
    found = []
    for number, figure in enumerate(data.get("figures", []), start=1):
        if set(figure) != keys:
            _fail(path, f"figure {number} must have {', '.join(sorted(keys))}, not {', '.join(sorted(figure))}")
        if figure["source"] not in sources:
            _fail(path, f"figure {number}: no source {figure['source']!r}; known are {', '.join(sources)}")
        scores = tuple(_score(path, number, name, value) for name, value in figure["scores"].items())
        texts = {name: figure[name] for name in keys - {"source", "scores"}}
        found.append(Published(**texts, **sources[figure["source"]], scores=scores))
    return tuple(found)


def _score(path: Path, number: int, name: str, value: Any) -> PublishedScore:
    if name not in METRICS:
        _fail(path, f"figure {number}: no score {name!r}; known are {', '.join(METRICS)}")
    if not isinstance(value, list) or len(value) not in (1, 2) or not all(0 <= v <= 1 for v in value):
        _fail(path, f"figure {number}: {name} must be [value] or [value, standard deviation] in 0 to 1, not {value!r}")
    return PublishedScore(name=name, value=value[0], sd=value[1] if len(value) == 2 else None)


def _fail(path: Path, message: str) -> NoReturn:
    raise ConfigError(f"{path.name}: {message}")
