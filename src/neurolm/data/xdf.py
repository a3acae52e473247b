"""XDF, the file of the Lab Streaming Layer: several streams with clocks of their own, one of them EEG.

The numbers are kept as the stream has them; their unit stands beside them. Format: https://github.com/sccn/xdf
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.data.edf import UNSTATED, unit_of
from neurolm.errors import RecordingError

if TYPE_CHECKING:
    import mne

_CLOCK_TOLERANCE = 0.01
"""Relative difference between nominal and measured rate above which a note is made."""


@dataclass(frozen=True)
class Contents:
    """The EEG stream of an XDF file."""

    raw: mne.io.RawArray
    """The stream's own numbers, whatever their unit, with the markers of the file as annotations."""
    kinds: tuple[str, ...]
    """``eeg``, ``other`` … for each channel, as the stream says; ``eeg`` where it says nothing."""
    units: tuple[str | None, ...]
    """Unit of each channel's numbers, as in ``edf.unit_of``."""
    notes: tuple[str, ...]


def read(path: Path) -> Contents:
    """Read the EEG stream of an XDF file, the longest if there are several, and the markers of all streams.

    Raises
    ------
    RecordingError
        If the file cannot be read or holds no EEG stream.
    """
    import mne
    import pyxdf

    try:
        # pyxdf leaves a file open that it refuses, so open it here.
        with gzip.open(path) if path.suffix.lower() == ".xdfz" else path.open("rb") as file:
            streams, _header = pyxdf.load_xdf(file, verbose=False)
    except Exception as error:  # damaged files fail in every way there is
        what = " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"{path}: pyxdf cannot read it: {what[:300]}; copy or export it again") from error
    stream, notes = _eeg_stream(path, streams)
    numbers = np.asarray(stream["time_series"], np.float64).T
    times = np.asarray(stream["time_stamps"])
    rate = float(stream["info"]["nominal_srate"][0])
    measured = float(stream["info"]["effective_srate"])
    if abs(measured / rate - 1) > _CLOCK_TOLERANCE:
        notes.append(f"taken as {rate:g} Hz, as the stream declares, though {measured:.4g} samples per second arrived")
    names, kinds, units = _describe(stream, len(numbers))
    info = mne.create_info(names, rate, "eeg", verbose="error")
    raw = mne.io.RawArray(numbers, info, verbose="error")
    marks = [mark for other in streams if other is not stream for mark in _markers(other, times, rate)]
    for first, _last in stream["info"].get("segments", [])[1:]:
        marks.append((first / rate, "boundary: the stream was interrupted"))
        notes.append(f"the stream was interrupted at {first / rate:.1f} s; what follows was moved up")
    marks.sort()
    raw.set_annotations(mne.Annotations([m[0] for m in marks], [0.0] * len(marks), [m[1] for m in marks]))
    return Contents(raw, tuple(kinds), tuple(units), tuple(notes))


def _eeg_stream(path: Path, streams: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    found = [
        s
        for s in streams
        if (s["info"]["type"][0] or "").upper() == "EEG"
        and float(s["info"]["nominal_srate"][0]) > 0
        and len(s["time_stamps"])
    ]
    if not found:
        listed = ", ".join(f"{s['info']['name'][0]} ({s['info']['type'][0]})" for s in streams) or "none"
        raise RecordingError(f"{path}: no stream of type EEG with samples in it; streams found: {listed}")
    best = max(found, key=lambda s: len(s["time_stamps"]))
    names = [s["info"]["name"][0] for s in found if s is not best]
    return best, [f"EEG streams left out: {', '.join(names)}"] if names else []


def _describe(stream: dict[str, Any], count: int) -> tuple[list[str], list[str], list[str | None]]:
    """Names, kinds and units of the channels; a stream need not have them: ``ch1`` …, ``eeg``, unstated."""
    described = ((stream["info"]["desc"] or [None])[0] or {}).get("channels") or [{}]
    listed = (described[0] or {}).get("channel", []) if isinstance(described[0], dict) else []
    names, kinds, units = [], [], []
    for i in range(count):
        entry = listed[i] if i < len(listed) else {}
        text = {key: (entry.get(key) or [""])[0] or "" for key in ("label", "type", "unit")}
        names.append(text["label"] or f"ch{i + 1}")
        kinds.append("eeg" if text["type"].upper() in ("", "EEG") else "other")
        units.append(unit_of(text["unit"]) if text["unit"] else UNSTATED)
    repeated = {name for name in names if names.count(name) > 1}
    return [f"{name}-{i}" if name in repeated else name for i, name in enumerate(names)], kinds, units


def _markers(stream: dict[str, Any], times: np.ndarray, rate: float) -> list[tuple[float, str]]:
    """Markers of a stream as (seconds in the recording, text), placed at the sample that was current."""
    if float(stream["info"]["nominal_srate"][0]) > 0 or stream["info"]["channel_format"][0] != "string":
        return []
    stamps = np.asarray(stream["time_stamps"])
    inside = (stamps >= times[0]) & (stamps <= times[-1])
    places = np.searchsorted(times, stamps)
    texts = [str(value[0]) for value in stream["time_series"]]
    return [(int(p) / rate, text) for p, text, ok in zip(places, texts, inside, strict=True) if ok]
