"""What a layout says about a recording before anybody opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from neurolm.data.store import Label


class Extent(Protocol):
    """What labels may depend on: the length of a recording and its annotations. A ``Recording`` is one."""

    @property
    def seconds(self) -> float:
        """Length of the recording."""

    @property
    def annotations(self) -> tuple:
        """The recording's annotations (onset, duration, text)."""


Labeller = Callable[[Extent], tuple[Label, ...]]
"""Gives the labels of a recording once it is open. Picklable: it travels to worker processes."""


@dataclass(frozen=True)
class Source:
    """A recording as the layout of its corpus knows it."""

    path: Path
    corpus: str
    subject: str
    """Id within the corpus."""
    labels: Labeller | tuple[Label, ...]
    licence: str
    mains: float | None
    """Mains frequency in Hz where the recording was made; None: to be detected."""

    def labelled(self, extent: Extent) -> tuple[Label, ...]:
        """Return the recording's labels."""
        return self.labels(extent) if callable(self.labels) else self.labels
