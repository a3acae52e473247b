"""Live EEG by the name of its source, as `neurolm live` takes it.

>>> source = open_source("lsl:ActiChamp", reading=ReadingOptions(unknown="drop"))
>>> source.layout.channels, source.layout.rate
>>> for arrived in source: ...          # chunks of µV, and notices of gaps, jumps, lost connections
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurolm.core.errors import ConfigError, argument
from neurolm.core.names import choose
from neurolm.live.guard import Guard
from neurolm.live.source import Source
from neurolm.recording.options import BELIEVED, ReadingOptions

SOURCES = {
    "lsl": "lsl:NAME[@SOURCE_ID]",
    "file": "file:PATH[?speed=8]",
    "brainflow": "brainflow:ID[?port=…]",
    "synthetic": "synthetic:[?task=eyes&every=20&seconds=600]",
}
"""Kinds of sources → how one is written."""


def open_source(
    name: str, *, reading: ReadingOptions = BELIEVED, markers: Sequence[str] | None = None, timeout: float = 10.0
) -> Source:
    """Open a source of live EEG.

    Parameters
    ----------
    name
        ``lsl:NAME`` is a stream of the Lab Streaming Layer (``lsl:`` the only one of type EEG), ``file:PATH`` replays a
        recording, ``synthetic:`` makes EEG up, ``brainflow:ID`` is a board of BrainFlow's. Settings follow a question
        mark: ``file:night.edf?speed=8``.
    reading
        Which channels are electrodes, and what the numbers are, where the source does not say it.
    markers
        LSL: names of the streams whose markers are taken along; by default all of the same machine.
    timeout
        LSL: seconds to look for a stream.

    Returns
    -------
    Source
        Behind a guard: samples in order and once, notices of all that went wrong.

    Raises
    ------
    ConfigError
        For a kind of source or a setting that does not exist.
    RecordingError
        If there is no such source, or it is no EEG.
    """
    kind, colon, rest = name.partition(":")
    if not colon or kind not in SOURCES:
        if Path(name).exists():
            raise ConfigError(f"{name}: for a recording write file:{name}")
        known = "; sources are written " + ", ".join(SOURCES.values())
        raise ConfigError(f"{name!r}: no kind of source is called {kind!r}{choose(kind, list(SOURCES))}{known}")
    if markers is not None and kind != "lsl":
        raise ConfigError(f"{name}: {argument(markers=list(markers))} names LSL streams, which go with lsl: alone")
    if kind == "file":
        from neurolm.live.sources.replay import open_replay

        return Guard(open_replay(rest, reading), live=False)
    if kind == "lsl":
        from neurolm.live.sources.lsl import open_lsl

        stream = open_lsl(rest, reading, markers=markers, timeout=timeout)
        return Guard(stream, live=True, ahead=stream.ahead)
    if kind == "brainflow":
        from neurolm.live.sources.boards import open_board

        board = open_board(rest, reading)
        return Guard(board, live=True, ahead=board.ahead)
    from neurolm.live.sources.synthetic import open_synthetic

    return Guard(open_synthetic(rest, reading), live=False)
