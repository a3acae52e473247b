"""Where an electrode stands on a page: left before right before middle, front before back"""

from __future__ import annotations

import re

_ROWS = {
    name: row
    for row, names in enumerate(
        ("FP", "AF", "F", "FT FTT FC CFC", "T TTP C CCP", "TP CP TPP", "P", "PO", "O", "CB", "I")
    )
    for name in names.split()
}
"""Beginnings of electrodes' names → how far back they lie."""
_LIES = {
    "T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "T1": "FT9", "T2": "FT10",
    "A1": "TP9", "A2": "TP10", "M1": "TP9", "M2": "TP10",
}  # fmt: skip
"""Electrodes whose names do not say where they lie → those that do."""
_SIDES = ("left", "right", "mid")
_PARTS = re.compile(r"([A-Z]+?)(Z|\d+)H?")


def side(electrode: str | None) -> str | None:
    """Return ``left``, ``right`` or ``mid``; of a bipolar channel, the side where both its electrodes are."""
    if electrode is None:
        return None
    sides = {_side(name) for name in electrode.split("-")}
    if len(sides) == 1:
        return sides.pop()
    off = sides - {"mid"}
    return off.pop() if len(off) == 1 else "mid"


def _side(name: str) -> str | None:
    found = _PARTS.fullmatch(name.upper())
    if found is None:
        return None
    return "mid" if found[2] == "Z" else "left" if int(found[2]) % 2 else "right"


def place(electrode: str | None) -> tuple[int, int, int]:
    """Return what electrodes are sorted by: side, row, and how far from the middle, the farthest first."""
    if electrode is None:
        return (len(_SIDES), 0, 0)
    which = side(electrode)
    name = electrode.split("-")[0].upper()
    found = _PARTS.fullmatch(_LIES.get(name, name))
    if found is None or which is None:
        return (len(_SIDES), 0, 0)
    number = 0 if found[2] == "Z" else int(found[2])
    return (_SIDES.index(which), _ROWS.get(found[1], len(_ROWS)), -number)
