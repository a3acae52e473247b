"""How each channel of a file was understood, and which electrodes came of it, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

HOW = ("name", "alias", "given", "cap", "position", "derived", "interpolated", "source", "left out")
"""Ways in which a channel can be taken.

``name`` says the electrode, ``alias`` after leaving out a prefix, a reference or padding; ``given`` by the user; by the
order of a ``cap``; by ``position``; an electrode ``derived`` (a difference) or ``interpolated`` from others; a channel
that is only the ``source`` of such; ``left out``."""


@dataclass(frozen=True, kw_only=True)
class Covered:
    """A row: a channel of the file, an electrode of the recording, or both."""

    channel: str
    """Name in the file; empty for an electrode that was made from others."""
    electrode: str | None
    """Canonical name, None for a channel that gave none."""
    how: str
    """One of ``HOW``."""
    detail: str = ""
    """Distance in mm, sources, or the reason why it was left out."""
    kind: str = "eeg"
    """What the channel records: one of ``montage.KINDS``."""
    unit: str | None = None
    """Unit of the file's numbers as the file states it; empty if it does not, None if it is no voltage."""
    rate: float | None = None
    """Samples per second in the file."""
    amplitude: float | None = None
    """Robust standard deviation in µV of the part that was looked at."""


def with_amplitudes(
    rows: Sequence[Covered], indices: Sequence[int], amplitudes: Iterable[float]
) -> tuple[Covered, ...]:
    """Return rows with the amplitudes, in µV, of the channels that were looked at, which are told by their indices."""
    measured = dict(zip(indices, amplitudes, strict=True))
    return tuple(
        replace(row, amplitude=float(measured[i])) if row.channel and i in measured else row
        for i, row in enumerate(rows)
    )
