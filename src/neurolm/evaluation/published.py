"""Figures that others published, from a data file with an address for each, shown beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from neurolm.core.decode import decode
from neurolm.core.small_files import parse_toml, read_text
from neurolm.tasks.metrics import METRICS

FILE = Path(__file__).with_name("published.toml")
SAME = "the card's"
"""The test set of a figure whose test recordings are those of our card."""


@dataclass(frozen=True)
class PublishedScore:
    """One score."""

    value: float
    sd: float | None = None
    """Standard deviation over seeds; None where it is not given."""


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """What was published of one model on one task, as in the data file."""

    task: str
    model: str
    source: str
    """Which of the file's sources it was read in."""
    origin: str
    """Who measured it."""
    test_set: str
    """``SAME``, or what it is instead."""
    protocol: str
    """How it differs from ours."""
    scores: dict[str, tuple[float, ...]]
    """By name out of ``metrics.METRICS``: the value, and where it is given its standard deviation over seeds."""

    def __post_init__(self) -> None:
        for name, values in self.scores.items():
            if name not in METRICS:
                raise ValueError(f"no score {name!r}; known are {', '.join(METRICS)}")
            if len(values) not in (1, 2) or not all(0 <= value <= 1 for value in values):
                raise ValueError(f"{name} must be [value] or [value, standard deviation] in 0 to 1, not {values}")

    def score(self, name: str) -> PublishedScore | None:
        """Return a score, or None where none was published."""
        return PublishedScore(*self.scores[name]) if name in self.scores else None


@dataclass(frozen=True)
class PublishedSource:
    """Where figures were read."""

    address: str
    read: str
    """When, as 2026-11-23."""

    def __post_init__(self) -> None:
        if not self.address.startswith("https://"):
            raise ValueError(f"address must be https://…, not {self.address!r}")


@dataclass(frozen=True, kw_only=True)
class Published(PublishedFigure):
    """A published figure with its source."""

    address: str
    read: str


@dataclass(frozen=True)
class PublishedFile:
    """The data file."""

    sources: dict[str, PublishedSource]
    figures: tuple[PublishedFigure, ...]

    def __post_init__(self) -> None:
        for number, figure in enumerate(self.figures, start=1):
            if figure.source not in self.sources:
                known = ", ".join(self.sources)
                raise ValueError(f"figures {number}: no source {figure.source!r}; known are {known}")


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
    file = decode(PublishedFile, parse_toml(read_text(path)), source=path.name)
    return tuple(Published(**vars(figure), **vars(file.sources[figure.source])) for figure in file.figures)
