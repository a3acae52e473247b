"""Annotations of WFDB records: the files beside a header that say what happened when.

Beats of the heart, which most such files hold, are counted and left out. Format:
https://physionet.org/physiotools/wag/annot-5.htm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from neurolm.core.small_files import LARGE, read_small

LARGEST = 1 << 24
"""Bytes of a file of annotations at most."""
_NO_ANNOTATIONS = (".hea", ".dat", ".mat", ".edf", ".rec", ".txt", ".csv", ".tsv", ".xws", ".json", ".png", ".pdf")
_SKIP, _NUM, _SUB, _CHAN, _AUX = 59, 60, 61, 62, 63
_NOTE = 22
_BEATS = {*range(1, 14), 25, 30, 31, 34, 35, 38, 41}
_SYMBOLS = {14: "~", 16: "|", 18: "s", 19: "T", 20: "*", 21: "D", 22: '"', 23: "=", 24: "p", 26: "^", 27: "t", 28: "+",
            29: "u", 32: "[", 33: "]", 36: "!", 37: "x", 39: "(", 40: ")", 42: "r"}  # fmt: skip
"""Type of an annotation → its symbol; without text it is what it says."""

Mark = tuple[float, float, str]
"""Onset and duration in seconds, and text."""


def read_annotations(header: Path, rate: float) -> tuple[list[Mark], list[str]]:
    """Read the annotations beside a header.

    Parameters
    ----------
    header
        The record's header.
    rate
        Frames per second, by which they count unless they say otherwise.

    Returns
    -------
    marks, notes
        In order of time; and what was left out.
    """
    marks: list[Mark] = []
    notes = []
    for path in sorted(header.parent.glob(f"{_escaped(header.stem)}.*")):
        if path.suffix.lower() in _NO_ANNOTATIONS or not path.is_file() or path.stat().st_size > LARGEST:
            continue
        found = _parsed(read_small(path, most=LARGE))
        if found is None:
            continue
        ticks = rate
        beats = 0
        for at, kind, text in found:
            if kind == _NOTE and at == 0 and (said := re.fullmatch(r"## time resolution: ([\d.]{1,20})", text)):
                ticks = float(said[1]) or rate
            elif kind in _BEATS and not text:
                beats += 1
            else:
                marks.append((at / ticks, 0.0, text or _SYMBOLS.get(kind, f"annotation {kind}")))
        if beats:
            notes.append(f"beats of the heart in {path.name}, left out: {beats:,}")
    return sorted(marks, key=lambda mark: mark[0]), notes


def _escaped(name: str) -> str:
    """A name as a pattern of ``glob`` that fits nothing else."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _parsed(data: bytes) -> list[tuple[int, int, str]] | None:
    """Time, type and text of each annotation; None for a file that is none of annotations."""
    try:
        return list(_each(data))
    except ValueError:
        return None


def _each(data: bytes) -> Iterator[tuple[int, int, str]]:
    place = time = 0
    waiting: tuple[int, int] | None = None
    text = ""
    while True:
        if place + 2 > len(data):
            raise ValueError("it does not end as annotations do")
        word = int.from_bytes(data[place : place + 2], "little")
        place += 2
        kind, more = word >> 10, word & 0x3FF
        if word == 0:
            if place != len(data):
                raise ValueError("something follows the end")
            break
        if kind == _SKIP and not more:
            if place + 4 > len(data):
                raise ValueError("it breaks off")
            high, low = data[place : place + 2], data[place + 2 : place + 4]
            time += int.from_bytes(low + high, "little", signed=True)
            place += 4
        elif kind == _AUX:
            if place + more > len(data) or waiting is None:
                raise ValueError("a text without its annotation")
            text = data[place : place + more].decode("latin-1").strip("\0 ")
            place += more + more % 2
        elif kind in (_NUM, _SUB, _CHAN):
            continue
        elif kind > 49:
            raise ValueError(f"no annotation has the type {kind}")
        else:
            if waiting is not None and waiting[1]:
                yield (*waiting, text)
            time += more
            if time < 0:
                raise ValueError("before the beginning")
            waiting, text = (time, kind), ""
    if waiting is not None and waiting[1]:  # the type 0 only moves time
        yield (*waiting, text)
