"""What a live session says every second: an answer, or a state that is no number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from neurolm.ask.answer import WindowAnswer

Status = Literal[
    "answer", "undecided", "unlike the training", "bad contact", "warming up", "gap", "clock jump", "reconnecting",
    "channels changed", "rate changed", "ended",
]  # fmt: skip
"""What a state is, the worst that applies: only ``answer`` is one to act on."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known at a moment."""

    time: float
    """Seconds on the source's clock: of the newest sample, or of what has happened."""
    status: Status
    question: str
    options: tuple[str, ...]
    answer: str | None = None
    """The likeliest option over the context; ``undecided`` where a risk was stated; None where there is none yet."""
    probabilities: tuple[float, ...] | None = None
    """Of every option over the context."""
    interval: tuple[float, float] | None = None
    """As `Answer.interval`, over the context."""
    windows: int = 0
    """Windows that were pooled."""
    since: float | None = None
    """Seconds on the source's clock at which the first of them begins."""
    finished: tuple[WindowAnswer, ...] = ()
    """Windows that have become whole since the last state; seconds are the source's."""
    window: WindowAnswer | None = None
    """The newest window that is whole."""
    outside: float | None = None
    """Share of the windows that are unlike the training; None where its range is not known."""
    electrodes: tuple[str, ...] = ()
    """Electrodes that the newest seconds rest on, as the model knows them."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Electrode → what is wrong with its contact."""
    age: float = 0.0
    """Seconds since the newest sample arrived, when the state was made."""
    latency: float = 0.0
    """Milliseconds of computing from the arrival of the newest samples to this state."""
    delay: float = 0.0
    """Seconds by which the filters delay what the windows show."""
    markers: tuple[tuple[float, str], ...] = ()
    """Time and text of what was marked since the last state."""
    notes: tuple[str, ...] = ()
    """What there is to say that was not said before."""
