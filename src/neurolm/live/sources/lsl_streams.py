"""Streams of the Lab Streaming Layer: finding them, and what they say about themselves."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree.ElementTree import Element

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.core.names import did_you_mean
from neurolm.recording.channels import Channel
from neurolm.recording.formats.stream_channels import describe_channels

LOOK = 0.5
"""Seconds in which streams that are there answer."""
_LONGEST_LOOK = 2.0
"""Seconds after which one that waits is let through, as Ctrl-C is not heard while liblsl looks."""
_MANY = 64
"""More streams than one could mean."""
OPENING = 10.0
"""Seconds in which a stream that is there must answer."""
_BUFFERED = 60
"""Seconds of samples that are kept while nobody takes them."""
_CONFIGURATIONS = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
"""Where liblsl looks for its settings, unless ``LSLAPICFG`` names a file."""


@cache
def lsl() -> ModuleType:
    """Return MNE-LSL's low-level module, which brings liblsl.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        from mne_lsl import lsl as module
    except ImportError as error:
        raise ConfigError("LSL streams need MNE-LSL: pip install 'neurolm[live]'") from error
    if "LSLAPICFG" not in os.environ and not any(Path(one).expanduser().exists() for one in _CONFIGURATIONS):
        module.set_config_content("[log]\nlevel = -2\n")  # else liblsl writes to the terminal what it is doing
    return module


@dataclass(frozen=True)
class Described:
    """What a stream says about itself."""

    channels: tuple[Channel, ...]
    rate: float
    """Samples per second; 0 for none."""
    host: str
    uid: str
    """Another one whenever it is begun again."""


def describe(info: Any) -> Described:
    """Read the full description of a stream, as an open inlet has it."""
    from defusedxml.ElementTree import fromstring

    root = fromstring(info.as_xml)
    listed = [_texts(entry) for entry in root.findall("./desc/channels/channel")]
    rate = float(info.sfreq)
    channels = tuple(
        Channel(name, kind, unit, rate)
        for name, kind, unit in zip(*describe_channels(listed, info.n_channels), strict=True)
    )
    return Described(channels, rate, info.hostname, info.uid)


def _texts(entry: Element) -> dict[str, str]:
    return {child.tag: child.text or "" for child in entry}


def find_stream(name: str, source_id: str | None, timeout: float) -> Any:
    """Find the stream of a name; without a name, the only one of type EEG.

    Parameters
    ----------
    name
        The stream's name.
    source_id
        Its ``source_id``, where several streams have the same name.
    timeout
        Seconds to look for it.

    Raises
    ------
    RecordingError
        If there is none, or more than one.
    """
    until, seconds = time.monotonic() + timeout, LOOK
    while True:
        found = look(name, source_id, seconds)
        if found:  # others of the same name have as much time
            found = look(name, source_id, 2 * LOOK, fewest=_MANY) or found
        if found or time.monotonic() >= until:
            break
        seconds = min(2 * seconds, _LONGEST_LOOK)  # a busy machine's streams may need longer to answer
    there = [] if found else list(lsl().resolve_streams(2 * LOOK))
    found = found or _meant([one for one in there if (one.name == name if name else one.stype == "EEG")], source_id)
    if len(found) == 1:
        return found[0]
    if not found:
        raise RecordingError(_nothing_found(name, source_id, timeout, there))
    raise RecordingError(
        f"lsl:{name}: {len(found)} streams could be meant: {listed(found)}; add the source id of one, as "
        f"lsl:{found[0].name}@{found[0].source_id}"
    )


def open_inlet(stream: Any, *, recover: bool) -> Any:
    """Connect to a stream.

    Parameters
    ----------
    recover
        Whether liblsl connects again without a word, where the same stream comes back.

    Raises
    ------
    RuntimeError, TimeoutError
        If it does not answer.
    """
    inlet = lsl().StreamInlet(stream, max_buffered=_BUFFERED, recover=recover, processing_flags=["clocksync"])
    inlet.open_stream(OPENING)
    return inlet


def look(name: str, source_id: str | None, seconds: float = LOOK, *, fewest: int = 1) -> list[Any]:
    """Return the streams that could be meant, as soon as a number of them has answered."""
    criteria = {"name": name} if name else {"stype": "EEG"}
    return _meant(lsl().resolve_streams(seconds, **criteria, minimum=fewest), source_id)


def _meant(found: Sequence[Any], source_id: str | None) -> list[Any]:
    """Of streams with the right name, those that are signals rather than markers, of the right source."""
    signals = [one for one in found if one.dtype != "string"] or list(found)
    return [one for one in signals if source_id is None or one.source_id == source_id]


def _nothing_found(name: str, source_id: str | None, timeout: float, there: Sequence[Any]) -> str:
    what = f"no stream of this name{'' if source_id is None else f' and source id {source_id!r}'}" if name else "no EEG"
    said = listed(there) if there else "no stream at all: is it started, in the same network, and let through by "
    if not there:
        said += "firewalls (UDP 16571, TCP and UDP 16572 to 16604)?"
    near = did_you_mean(name, sorted({one.name for one in there} - {name})) if name else ""
    return f"lsl:{name}: {what} within {timeout:g} s{near}; there is {said}"


def listed(streams: Sequence[Any]) -> str:
    """Name streams, for a message."""
    return "; ".join(
        f"{one.name!r} ({one.stype or 'no type'}, {one.n_channels} channels, "
        f"{f'{one.sfreq:g} Hz' if one.sfreq else 'no regular rate'}, source id {one.source_id!r})"
        for one in sorted(streams, key=lambda one: (one.name, one.source_id))
    )
