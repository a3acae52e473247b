"""Markers of an XDF file: every stream that marks moments, in texts or in numbers

What lies outside the EEG's time, and what is no marker, is counted and said. A marker is placed at the sample of the
EEG that is nearest by the time stamps, which are right where the declared rate is not; in a drop-out, at its own time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurolm.core.stretches import Stretches
from neurolm.recording.formats.codes import MOST_VALUES, find_codes

_CALLED = re.compile(r"marker|event|trig|stim|annot|ttl", re.IGNORECASE)
"""What streams of markers are called."""
_MOST_COLUMNS = 2
"""Columns of whole numbers that may be markers where the stream does not say so: a code, and its value perhaps."""
_LARGEST = 2.0**53
"""Beyond it not every whole number is one of float64; no program numbers its markers so."""


@dataclass(frozen=True)
class Markers:
    """What the other streams mark in an EEG stream."""

    marks: tuple[tuple[int, str], ...]
    """Moment in samples since the start of the EEG, drop-outs included; text; in the order of time."""
    notes: tuple[str, ...]
    """What was left out."""


def find_markers(streams: Sequence[dict[str, Any]], times: np.ndarray, stretches: Stretches, rate: float) -> Markers:
    """Find the markers of streams.

    Parameters
    ----------
    streams
        Of pyxdf: all but the EEG.
    times
        float64 (samples,): the time stamps of the EEG, without jitter.
    stretches
        The EEG between its drop-outs.
    rate
        Samples of the EEG per second.
    """
    marks: list[tuple[int, str]] = []
    notes: list[str] = []
    for stream in streams:
        found = _texts(stream, notes)
        if found is None:
            continue
        stamps, texts = found
        timed = np.isfinite(stamps)
        if untimed := np.count_nonzero(~timed):
            notes.append(f"{untimed} markers left out whose time stamp is no number, of the stream {_name(stream)}")
            stamps, texts = stamps[timed], [text for text, ok in zip(texts, timed, strict=True) if ok]
        places, inside = _places(stamps, times, stretches, rate)
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
        sane = (np.abs(values) <= _LARGEST).all(axis=1)  # nor is NaN
        if odd := np.count_nonzero(~sane):
            notes.append(f"{odd} markers left out whose value is no code (NaN, or huge), of the stream {_name(stream)}")
        return stamps[sane], ["/".join(map(_number, row)) for row in values[sane]]
    notes.append(
        f"left out, no markers: the stream {_name(stream)} of type {info['type'][0] or 'none'}, {len(stamps):,} times "
        f"{values.shape[1]} numbers at no regular rate"
    )
    return None


def _steps(
    stream: dict[str, Any], stamps: np.ndarray, values: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, list[str]] | None:
    """The codes of a stream that samples its trigger channels at a rate of its own."""
    whole = ((values == np.rint(values)) & (np.abs(values) <= _LARGEST)).all(axis=0)
    found = [find_codes([column]) if ok else None for column, ok in zip(values.T, whole, strict=True)]
    if None in found:
        notes.append(f"left out, no codes: the stream {_name(stream)} of type {stream['info']['type'][0]}")
    codes = [one for one in found if one is not None]
    if not codes:
        return None
    return np.concatenate([stamps[one.places] for one in codes]), [str(code) for one in codes for code in one.codes]


def _places(stamps: np.ndarray, times: np.ndarray, stretches: Stretches, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The moment of each stamp, that of the nearest sample but in drop-outs, and whether it is in the EEG's time."""
    order = np.argsort(times, kind="stable")  # after a reset of a clock they may not rise
    ordered = times[order]
    step = float(np.median(np.diff(ordered))) if len(times) > 1 else 1 / rate
    inside = (stamps >= ordered[0] - step) & (stamps <= ordered[-1] + step)
    after = np.searchsorted(ordered, stamps).clip(0, len(times) - 1)
    before = (after - 1).clip(0)
    nearest = order[np.where(stamps - ordered[before] < ordered[after] - stamps, before, after)]
    firsts, starts = (np.array([getattr(one, key) for one in stretches], np.int64) for key in ("first", "start"))
    part = np.searchsorted(firsts, nearest, side="right") - 1
    away = stamps - times[nearest]
    beyond = np.where(inside & (np.abs(away) > step), np.rint(away * rate), 0).astype(np.int64)
    return starts[part] + nearest - firsts[part] + beyond, inside


def _when(stream: dict[str, Any], stamps: np.ndarray, times: np.ndarray) -> str:
    """Where the markers of a stream lie that are outside the EEG."""
    away = np.where(stamps < times[0], stamps - times[0], stamps - times[-1])
    nearest = away[np.argmin(np.abs(away))]
    side = "before" if nearest < 0 else "after"
    return f"of the stream {_name(stream)}: by its clock the nearest is {abs(nearest):,.6g} s {side} it"


def _name(stream: dict[str, Any]) -> str:
    return stream["info"]["name"][0] or "without a name"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"
