"""Markers of the Lab Streaming Layer: streams of texts or codes at no regular rate, beside the EEG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from neurolm.core.errors import RecordingError, argument
from neurolm.live.sources.lsl_streams import LOOK, OPENING, describe, listed, lsl, open_inlet

_TYPES = ("markers", "marker", "events", "event", "annotations", "stim", "trigger")
"""Types of streams that mark moments in numbers."""
_ANNOTATIONS = "annotations"
"""Type of MNE-LSL's streams of annotations: a channel for each text, in which any number but 0 marks it."""


class MarkerStream:
    """A stream of markers that is listened to; liblsl connects again where it was away."""

    def __init__(self, stream: Any) -> None:
        self._inlet = open_inlet(stream, recover=True)
        self._texts: list[str] = []
        if stream.dtype != "string" and stream.stype.lower() == _ANNOTATIONS:
            self._texts = [channel.name for channel in describe(self._inlet.get_sinfo(OPENING)).channels]

    def arrived(self) -> Iterator[tuple[float, str]]:
        """Yield time and text of the markers since the last call; those without a text are passed over."""
        rows, stamps = self._inlet.pull_chunk(timeout=0.0)
        for row, stamp in zip(rows, stamps, strict=True):
            if self._texts:
                parts = [text for text, number in zip(self._texts, row, strict=True) if number != 0]
            else:
                parts = [value.strip() if isinstance(value, str) else f"{value:g}" for value in row]
            if text := "/".join(part for part in parts if part):
                yield float(stamp), text


def open_markers(names: Sequence[str] | None, host: str, timeout: float) -> tuple[list[MarkerStream], list[str]]:
    """Open streams of markers: those of some names, or all that are there of the same machine.

    Parameters
    ----------
    names
        None for all.
    host
        The machine.
    timeout
        Seconds to look for each of the names.

    Returns
    -------
    tuple
        The streams, and notes about those that nobody named and that no longer answer.

    Raises
    ------
    RecordingError
        If one that is named is not there, or does not answer.
    """
    found: list[MarkerStream] = []
    if names is None:
        notes = []
        for stream in lsl().resolve_streams(2 * LOOK):
            if stream.hostname == host and _marks(stream):
                try:
                    found.append(MarkerStream(stream))
                except (RuntimeError, TimeoutError):
                    notes.append(f"markers of {stream.name} are not taken along: it was listed, but does not answer")
        return found, notes
    for name in names:
        there = lsl().resolve_streams(timeout, name=name)
        if not there:
            said = listed(lsl().resolve_streams(LOOK)) or "none at all"
            asked = argument(markers=list(names))
            raise RecordingError(f"{asked}: no stream is called {name!r} within {timeout:g} s; there is {said}")
        try:
            found.append(MarkerStream(there[0]))
        except (RuntimeError, TimeoutError) as error:
            raise RecordingError(f"{argument(markers=list(names))}: {name} does not answer: {error}") from error
    return found, []


def _marks(stream: Any) -> bool:
    return stream.sfreq == 0 and (stream.dtype == "string" or stream.stype.lower() in _TYPES)
