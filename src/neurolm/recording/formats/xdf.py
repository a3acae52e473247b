"""XDF, the file of the Lab Streaming Layer: several streams with clocks of their own, one of them EEG.

The numbers are kept as the stream has them; their unit stands beside them. Format: https://github.com/sccn/xdf
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.core.errors import RecordingError, argument, takes
from neurolm.core.montage import resolve
from neurolm.core.stretches import Stretch
from neurolm.recording.formats.stream_channels import describe_channels
from neurolm.recording.formats.xdf_markers import find_markers
from neurolm.recording.formats.xdf_parts import Parts, find_parts
from neurolm.recording.formats.xdf_rate import TOLERANCE, find_rate, segment

if TYPE_CHECKING:
    import mne

_SLOWEST = 20.0
"""Samples per second above which a stream that declares no rate is a signal; markers do not come so fast."""
_SHORT = 1.0
"""Seconds of drop-outs that are so short that nobody notices them one by one."""


@dataclass(frozen=True)
class Contents:
    """The EEG stream of an XDF file."""

    raw: mne.io.RawArray
    """The stream's own numbers, whatever their unit."""
    kinds: tuple[str, ...]
    """``eeg``, ``other`` … for each channel, as the stream says; ``eeg`` where it says nothing."""
    units: tuple[str | None, ...]
    """Unit of each channel's numbers, as in ``edf.unit_of``."""
    notes: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    """Where the samples lie in time: drop-outs of the stream are gaps."""
    marks: tuple[tuple[float, float, str], ...]
    """Markers of the file: seconds from the first sample, gaps included; 0; text."""


def read(path: Path, stream: str | int | None = None) -> Contents:
    """Read the EEG stream of an XDF file, the longest if there are several, and the markers of all streams.

    Parameters
    ----------
    path
        The file.
    stream
        Name of the stream to read, whatever its type, or its place among the streams of the file, from 0.

    Raises
    ------
    RecordingError
        If the file cannot be read, holds no EEG stream, or not the one that is asked for.
    """
    import mne

    streams = _load(path)
    chosen, notes = _eeg_stream(path, streams) if stream is None else (_asked_for(path, streams, stream), [])
    numbers = np.asarray(chosen["time_series"], np.float64).T
    rate, parts = _rate(path, chosen, notes)
    names, kinds, units = _describe(chosen, len(numbers))
    info = mne.create_info(names, rate, "eeg", verbose="error")
    raw = mne.io.RawArray(numbers, info, verbose="error")
    stretches = parts.stretches(rate)
    markers = find_markers([_smooth(other) for other in streams if other is not chosen], parts.times, stretches, rate)
    notes += markers.notes
    marks = tuple((place / rate, 0.0, text) for place, text in markers.marks)
    return Contents(raw, tuple(kinds), tuple(units), tuple(notes), stretches, marks)


def _smooth(stream: dict[str, Any]) -> dict[str, Any]:
    """A stream beside the EEG, without the jitter of its time stamps where it has a rate."""
    rate, stamps = float(stream["info"]["nominal_srate"][0]), np.asarray(stream["time_stamps"], np.float64)
    if rate <= 0 or not len(stamps) or not np.isfinite(stamps).all():
        return stream
    return {**stream, "time_stamps": find_parts(stamps, rate).times}


def _load(path: Path) -> list[dict[str, Any]]:
    import pyxdf

    try:
        # pyxdf leaves a file open that it refuses, so open it here.
        with gzip.open(path) if path.suffix.lower() == ".xdfz" else path.open("rb") as file:
            streams, _header = pyxdf.load_xdf(file, verbose=False, dejitter_timestamps=False)
    except Exception as error:  # damaged files fail in every way there is
        what = " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"{path}: pyxdf cannot read it: {what[:300]}; copy or export it again") from error
    return streams  # type: ignore[no-any-return]


def _rate(path: Path, stream: dict[str, Any], notes: list[str]) -> tuple[float, Parts]:
    """How fast the stream ran, and its parts between drop-outs."""
    info, stamps = stream["info"], np.asarray(stream["time_stamps"], np.float64)
    if len(odd := np.flatnonzero(~np.isfinite(stamps))):
        raise RecordingError(
            f"{path}: {info['name'][0]}: {len(odd):,} of {len(stamps):,} time stamps are no numbers, the first that of "
            f"sample {odd[0]:,}, {stamps[odd[0]]}: nobody can tell when these samples were taken; export it again"
        )
    declared = float(info["nominal_srate"][0])
    parts = find_parts(stamps, declared)
    rate, said = find_rate(declared, parts.rate, parts.segments, stamps)
    if rate is None:
        raise RecordingError(
            f"{path}: {info['name'][0]}: {said}: nobody can tell how fast it ran; export it again at a regular rate"
        )
    if said:
        notes.append(said)
    short = parts.missing[(parts.missing > 0) & (parts.missing < _SHORT)]
    if short.sum() * rate > TOLERANCE * len(stamps):
        share = short.sum() * rate / (short.sum() * rate + len(stamps))
        notes.append(f"samples were lost: {share:.0%} in {len(short):,} drop-outs below {_SHORT:g} s")
    return rate, parts


def _eeg_stream(path: Path, streams: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    signals = [s for s in streams if _is_signal(s)]
    found = [s for s in signals if (s["info"]["type"][0] or "").upper() == "EEG"]
    notes = []
    if not found and (found := [s for s in signals if _holds_electrodes(s)]):
        types = ", ".join(dict.fromkeys(str(s["info"]["type"][0]) for s in found))
        notes.append(f"no stream of type EEG: one of type {types} taken, whose channels are electrodes")
    if not found:
        remedy = (
            f"; another one can be asked for by its name or number ({argument('stream')})" if takes("stream") else ""
        )
        raise RecordingError(
            f"{path}: no stream of type EEG with samples in it; streams found: {_listed(streams)}{remedy}"
        )
    best = max(found, key=lambda s: len(s["time_stamps"]))
    names = [s["info"]["name"][0] for s in found if s is not best]
    if names:
        another = f" ({argument('stream')} chooses another)" if takes("stream") else ""
        notes.append(f"EEG streams left out{another}: {', '.join(names)}")
    return best, notes


def _asked_for(path: Path, streams: list[dict[str, Any]], stream: str | int) -> dict[str, Any]:
    if isinstance(stream, int):
        found = streams[stream : stream + 1] if stream >= 0 else []
    else:
        found = [s for s in streams if s["info"]["name"][0] == stream]
    if len(found) != 1:
        many = "there are several of this name, give the number" if found else "there is none"
        raise RecordingError(f"{path}: {argument(stream=stream)}: {many}; streams found: {_listed(streams)}")
    if not _is_signal(found[0]):
        raise RecordingError(
            f"{path}: {argument(stream=stream)} is no signal: it has no samples at a regular rate; streams found: "
            f"{_listed(streams)}"
        )
    return found[0]


def _is_signal(stream: dict[str, Any]) -> bool:
    """Whether a stream holds numbers at a rate, declared or not."""
    if stream["info"]["channel_format"][0] == "string" or len(stream["time_stamps"]) == 0:
        return False
    if float(stream["info"]["nominal_srate"][0]) > 0:
        return True
    stamps = np.asarray(stream["time_stamps"])
    return segment(stamps[np.isfinite(stamps)])[0] >= _SLOWEST


def _holds_electrodes(stream: dict[str, Any]) -> bool:
    """Whether most channels of a stream are said to be EEG, or are electrodes by their names."""
    names, kinds, _ = _describe(stream, np.shape(stream["time_series"])[1])
    electrodes = [name for name, kind in zip(names, kinds, strict=True) if kind == "eeg" and resolve(name) is not None]
    return 2 * len(electrodes) > len(names)


def _listed(streams: list[dict[str, Any]]) -> str:
    named = (f"{i} {s['info']['name'][0]} ({s['info']['type'][0]})" for i, s in enumerate(streams))
    return ", ".join(named) or "none"


def _describe(stream: dict[str, Any], count: int) -> tuple[list[str], list[str], list[str | None]]:
    """Names, kinds and units of the channels; a stream need not have them: ``ch1`` …, ``eeg``, unstated."""
    described = ((stream["info"]["desc"] or [None])[0] or {}).get("channels") or [{}]
    listed = (described[0] or {}).get("channel", []) if isinstance(described[0], dict) else []
    texts = [{key: (entry.get(key) or [""])[0] or "" for key in ("label", "type", "unit")} for entry in listed]
    return describe_channels(texts, count)
