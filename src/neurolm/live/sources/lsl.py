"""EEG of the Lab Streaming Layer, which most amplifiers send: ``lsl:NAME``, ``lsl:NAME@SOURCE_ID``

Time stamps are on this machine's LSL clock, corrected for the sender's. Where a stream vanishes, it is waited for; what
comes back may have other channels or another rate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurolm.core.errors import RecordingError, argument
from neurolm.live.source import Chunk, Layout, Notice, NoticeKind
from neurolm.live.sources.electrodes import choose_electrodes
from neurolm.live.sources.lsl_markers import open_markers
from neurolm.live.sources.lsl_streams import OPENING, Described, describe, find_stream, look, lsl, open_inlet
from neurolm.recording.options import ReadingOptions

_POLL = 0.02  # seconds between looks at what has arrived
_SILENT = 2.0  # seconds without a sample after which a stream is looked for
_MOST = 4096  # samples that are taken at once


class LslSource:
    """A stream of EEG, and streams of markers beside it.

    Parameters
    ----------
    name, source_id
        Which stream.
    reading
        Which channels are electrodes, and what the numbers are, where the stream does not say it.
    markers
        Names of streams of markers; by default all of the stream's machine.
    timeout
        Seconds to look for a stream.

    Raises
    ------
    RecordingError
        If it is not there, or holds no EEG.
    ConfigError
        If MNE-LSL is not installed.
    """

    def __init__(
        self,
        name: str,
        source_id: str | None,
        *,
        reading: ReadingOptions,
        markers: Sequence[str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._name, self._source_id, self._reading = name, source_id, reading
        self._closed = threading.Event()
        stream = find_stream(name, source_id, timeout)
        self._name = stream.name
        try:
            self._inlet, self._described = _connect(stream)
        except (RuntimeError, TimeoutError) as error:
            raise RecordingError(
                f"lsl:{self._name}: it was found but cannot be opened: {error} Do firewalls let it through?"
            ) from error
        self._electrodes = choose_electrodes(self._described.channels, f"lsl:{self._name}", reading)
        layout = self._laid_out()
        self._marking, notes = open_markers(markers, self._described.host, timeout)
        self._layout = replace(layout, notes=(*layout.notes, *notes))

    def _laid_out(self) -> Layout:
        rate = self._described.rate or self._reading.rate
        if not rate:
            raise RecordingError(
                f"lsl:{self._name}: the stream declares no regular rate; say how many samples per second it sends "
                f"({argument(rate=250)})"
            )
        electrodes = self._electrodes
        return Layout(channels=electrodes.names, rate=rate, name=f"lsl:{self._name}", notes=electrodes.notes)

    @property
    def layout(self) -> Layout:
        """What arrives now."""
        return self._layout

    @property
    def ahead(self) -> float:
        """Seconds by which `time.monotonic` is ahead of LSL's clock."""
        return time.monotonic() - float(lsl().local_clock())

    def __iter__(self) -> Iterator[Chunk | Notice]:
        """Yield what arrives until the source is closed."""
        arrived, newest = time.monotonic(), lsl().local_clock()
        while not self._closed.wait(_POLL):
            try:
                numbers, stamps = self._inlet.pull_chunk(timeout=0.0, max_samples=_MOST)
                lost = not len(stamps) and time.monotonic() - arrived > _SILENT and not self._is_there()
            except RuntimeError:  # liblsl's word for a connection that broke
                numbers, stamps, lost = np.empty((0, 0)), np.empty(0), True
            if lost:
                text = f"{self._name} has sent nothing since; looking for it"
                yield Notice(kind="reconnecting", text=text, time=newest)
                notice = self._reconnect()
                if notice is None:
                    return
                yield notice
                arrived = time.monotonic()
            if not len(stamps):
                continue
            arrived, newest = time.monotonic(), float(stamps[-1])
            yield Chunk(
                samples=self._electrodes.of(numbers.T),
                times=np.array(stamps, np.float64),
                received=arrived,
                markers=tuple(mark for stream in self._marking for mark in stream.arrived()),
            )

    def _is_there(self) -> bool:
        """Whether the very stream still answers, though it may send nothing."""
        there = {one.uid for one in lsl().resolve_streams(_POLL * 10, name=self._name, minimum=1)}
        return self._described.uid in there

    def _reconnect(self) -> Notice | None:
        """Wait for the stream to come back; None if the source is closed before."""
        while not self._closed.is_set():
            for stream in look(self._name, self._source_id, seconds=0.2):
                if self._take_up(stream):
                    return self._come_back()
            self._closed.wait(_POLL)
        return None

    def _take_up(self, stream: Any) -> bool:
        """Connect to a stream that came back; it may be gone again."""
        try:
            self._inlet, self._described = _connect(stream)
        except (RuntimeError, TimeoutError):
            return False
        return True

    def _come_back(self) -> Notice:
        """Say what a stream that came back is like."""
        before, source = self._layout, f"lsl:{self._name}"
        try:
            self._electrodes = choose_electrodes(self._described.channels, source, self._reading)
        except RecordingError:  # what was asked for is no longer all there
            lenient = replace(self._reading, unknown="drop", channels=None)
            self._electrodes = choose_electrodes(self._described.channels, source, lenient).only(before.channels)
        self._layout = self._laid_out()
        now = lsl().local_clock()
        said = _changes(before, self._layout)
        if not said:
            return Notice(kind="reconnected", text=f"{self._name} is back", time=now)
        kind: NoticeKind = "channels-changed" if before.channels != self._layout.channels else "rate-changed"
        return Notice(kind=kind, text=f"{self._name} is back, {'; '.join(said)}", time=now, layout=self._layout)

    def close(self) -> None:
        """Let go of the streams."""
        self._closed.set()
        self._marking = []


def _changes(before: Layout, after: Layout) -> list[str]:
    """What is another than it was, in words."""
    gone = [name for name in before.channels if name not in after.channels]
    new = [name for name in after.channels if name not in before.channels]
    said = [f"without {', '.join(gone)}"] if gone else []
    said += [f"with {', '.join(new)}"] if new else []
    if before.channels != after.channels and not said:
        said.append("with its channels in another order")
    if before.rate != after.rate:
        said.append(f"with {after.rate:g} samples per second, not {before.rate:g}")
    return said


def _connect(stream: Any) -> tuple[Any, Described]:
    """Open a stream; it is not recovered by liblsl, which would not tell that it had been away."""
    inlet = open_inlet(stream, recover=False)
    return inlet, describe(inlet.get_sinfo(OPENING))


def open_lsl(rest: str, reading: ReadingOptions, *, markers: Sequence[str] | None, timeout: float) -> LslSource:
    """Open the stream of ``lsl:NAME[@SOURCE_ID]``.

    Raises
    ------
    RecordingError
        If it is not there, or holds no EEG.
    ConfigError
        If MNE-LSL is not installed.
    """
    name, at, source_id = rest.rpartition("@")
    if not at or lsl().resolve_streams(0.2, name=rest):  # a name may have an at sign itself
        name, source_id = rest, ""
    return LslSource(name, source_id or None, reading=reading, markers=markers, timeout=timeout)
