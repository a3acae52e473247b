"""What a source of live EEG gives: chunks of samples, and notices of what is no number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

NoticeKind = Literal[
    "gap", "clock-jump", "reconnecting", "reconnected", "channels-changed", "rate-changed", "late", "duplicate", "ended"
]
"""What can happen between chunks."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What arrives: samples are µV already, whatever the unit of the source."""

    channels: tuple[str, ...]
    """As the source names them."""
    rate: float
    """Samples per second."""
    kinds: tuple[str, ...] = ()
    """What the source says that each channel is, in the words of ``montage.kind``; empty where it does not say."""
    name: str = ""
    """What the source is called, for answers and messages."""
    notes: tuple[str, ...] = ()
    """What was assumed, such as a unit that the source does not state."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """Samples that arrived together."""

    samples: np.ndarray
    """float64 (channels, n), µV, in the order of the layout."""
    times: np.ndarray
    """float64 (n,), seconds on the source's clock; for the Lab Streaming Layer, on this machine's LSL clock."""
    received: float
    """`time.monotonic()` when they arrived."""
    markers: tuple[tuple[float, str], ...] = ()
    """Time on the source's clock and text of what was marked meanwhile."""

    def first(self, samples: int) -> Chunk:
        """Return the chunk without what follows its first so many samples."""
        if samples >= len(self.times):
            return self
        return replace(self, samples=self.samples[:, :samples], times=self.times[:samples])


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that is no sample: it breaks the stream, or is only said."""

    kind: NoticeKind
    """After ``gap``, ``clock-jump``, ``reconnected``, ``channels-changed`` and ``rate-changed`` what follows does not
    continue what came before; ``duplicate`` tells of samples that were dropped, ``late`` of such that were dropped or
    put in their place; ``ended`` is the last thing that a source gives."""
    text: str
    """In words, with the numbers found."""
    time: float
    """Seconds on the source's clock."""
    layout: Layout | None = None
    """The new one, where channels or rate have changed."""


class Source(Protocol):
    """Where live EEG comes from."""

    @property
    def layout(self) -> Layout:
        """What arrives now."""
        ...

    def __iter__(self) -> Iterator[Chunk | Notice]:
        """Yield what arrives, in the order of time, until the source ends or is closed."""
        ...

    def close(self) -> None:
        """Let go of devices, connections and threads; closing twice does nothing."""
        ...
