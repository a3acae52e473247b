"""Markers of an XDF file: every stream that marks moments, in texts or in numbers

What lies outside the EEG's time, and what is no marker, is counted and said. A marker is placed at the sample of the
EEG that is nearest by the time stamps, which are right where the declared rate is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurolm.recording.formats.codes import MOST_VALUES, find_codes

_CALLED = re.compile(r"marker|event|trig|stim|annot|ttl", re.IGNORECASE)
"""What streams of markers are called."""
_MOST_COLUMNS = 2
"""Columns of whole numbers that may be markers where the stream does not say so: a code, and its value perhaps."""


@dataclass(frozen=True)
class Markers:
    """What the other streams mark in an EEG stream."""

    marks: tuple[tuple[int, str], ...]
    """Sample of the EEG, text; in the order of time."""
    notes: tuple[str, ...]
    """What was left out."""


def find_markers(streams: Sequence[dict[str, Any]], times: np.ndarray) -> Markers:
    """Find the markers of streams.

    Parameters
    ----------
    streams
        Of pyxdf: all but the EEG.
    times
        float64 (samples,): the time stamps of the EEG.
    """
    marks: list[tuple[int, str]] = []
    notes: list[str] = []
    for stream in streams:
        found = _texts(stream, notes)
        if found is None:
            continue
        stamps, texts = found
        places, inside = _places(stamps, times)
        marks += [(int(place), text) for place, text, ok in zip(places, texts, inside, strict=True) if ok and text]
        if outside := np.count_nonzero(~inside):
            notes.append(f"{outside} markers outside the EEG's time left out, {_when(stream, stamps[~inside], times)}")
        if empty := sum(not text for text in texts):
            notes.append(f"{empty} markers without a text left out, of the stream {_name(stream)}")
    return Markers(tuple(sorted(marks, key=lambda mark: mark[0])), tuple(notes))


def _texts(stream: dict[str, Any], notes: list[str]) -> tuple[np.ndarray, list[str]] | None:
    """Time and text of each marker; None where the stream has none."""
    info, rows = stream["info"], stream["time_series"]
    stamps = np.asarray(stream["time_stamps"], np.float64)
    if not len(stamps):
        return None
    if info["channel_format"][0] == "string":
        return stamps, ["/".join(text for value in row if (text := str(value).strip())) for row in rows]
    values = np.asarray(rows, np.float64).reshape(len(stamps), -1)
    called = _CALLED.search(f"{info['type'][0]} {info['name'][0]}")
    if float(info["nominal_srate"][0]) > 0:
        return _steps(stream, stamps, values, notes) if called else None
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    few = values.shape[1] <= _MOST_COLUMNS and len(np.unique(values, axis=0)) <= MOST_VALUES
    if called or (whole and few):
        return stamps, ["/".join(map(_number, row)) for row in values]
    notes.append(
        f"left out, no markers: the stream {_name(stream)} of type {info['type'][0] or 'none'}, {len(stamps):,} times "
        f"{values.shape[1]} numbers at no regular rate"
    )
    return None


def _steps(
    stream: dict[str, Any], stamps: np.ndarray, values: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, list[str]] | None:
    """The codes of a stream that samples its trigger channels at a rate of its own."""
    found = [find_codes([column]) if (column == np.rint(column)).all() else None for column in values.T]
    if None in found:
        notes.append(f"left out, no codes: the stream {_name(stream)} of type {stream['info']['type'][0]}")
    codes = [one for one in found if one is not None]
    if not codes:
        return None
    return np.concatenate([stamps[one.places] for one in codes]), [str(code) for one in codes for code in one.codes]


def _places(stamps: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sample that is nearest to each stamp, and whether the stamp is in the time of the EEG."""
    order = np.argsort(times, kind="stable")  # after a reset of a clock they may not rise
    ordered = times[order]
    step = (ordered[-1] - ordered[0]) / max(1, len(times) - 1)
    inside = (stamps >= ordered[0] - step) & (stamps <= ordered[-1] + step)
    after = np.searchsorted(ordered, stamps).clip(0, len(times) - 1)
    before = (after - 1).clip(0)
    return order[np.where(stamps - ordered[before] < ordered[after] - stamps, before, after)], inside


def _when(stream: dict[str, Any], stamps: np.ndarray, times: np.ndarray) -> str:
    """Where the markers of a stream lie that are outside the EEG."""
    away = np.where(stamps < times[0], stamps - times[0], stamps - times[-1])
    nearest = away[np.argmin(np.abs(away))]
    side = "before" if nearest < 0 else "after"
    return f"of the stream {_name(stream)}: by its clock the nearest is {abs(nearest):,.6g} s {side} it"


def _name(stream: dict[str, Any]) -> str:
    return stream["info"]["name"][0] or "without a name"


def _number(value: float) -> str:
    return str(int(value)) if np.isfinite(value) and value == int(value) else f"{value:g}"
