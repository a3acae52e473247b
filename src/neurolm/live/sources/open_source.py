"""Live EEG by the name of its source, as `neurolm live` takes it.

>>> source = open_source("lsl:ActiChamp", reading=ReadingOptions(unknown="drop"))
>>> source.layout.channels, source.layout.rate
>>> for arrived in source: ...          # chunks of µV, and notices of gaps, jumps, lost connections
"""

from __future__ import annotations

from pathlib import Path

from neurolm.core.errors import ConfigError
from neurolm.core.names import choose
from neurolm.live.guard import Guard
from neurolm.live.source import Source
from neurolm.recording.options import BELIEVED, ReadingOptions

SOURCES = {
    "file": "file:PATH[?speed=8]",
    "synthetic": "synthetic:[?task=eyes&every=20&seconds=600]",
}
"""Kinds of sources → how one is written."""


def open_source(name: str, *, reading: ReadingOptions = BELIEVED) -> Source:
    """Open a source of live EEG.

    Parameters
    ----------
    name
        ``file:PATH`` replays a recording, ``synthetic:`` makes EEG up. Settings follow a question mark:
        ``file:night.edf?speed=8``.
    reading
        Which channels are electrodes, and what the numbers are, where the source does not say it.

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
    if kind == "file":
        from neurolm.live.sources.replay import open_replay

        return Guard(open_replay(rest, reading), live=False)
    from neurolm.live.sources.synthetic import open_synthetic

    return Guard(open_synthetic(rest, reading), live=False)
