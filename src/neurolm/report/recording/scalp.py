"""Where electrodes lie: sides, regions, the order of a page of EEG, names as they are spelt"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from neurolm.core.montage import template_positions
from neurolm.recording.electrodes.positions import sphere

REGIONS = ("frontal", "central", "temporal", "parietal", "occipital")
_PREFIXES = (
    (r"(?:FP|AF|F)(?:\d|Z)", "frontal"), (r"(?:FC|C|CP|CFC|CCP)(?:\d|Z)", "central"),
    (r"(?:FT|T|TP|FTT|TTP|TPP)\d", "temporal"), (r"P(?:\d|Z)", "parietal"), (r"(?:PO|O|I)(?:\d|Z)", "occipital"),
)  # fmt: skip
_ROOM = 1.1  # of the sphere that fits them best, on whose outline the outer ones would lie
_EARS = re.compile(r"[AM][12]$")


def spelt(electrode: str) -> str:
    """Write an electrode as people do: Fp1, Cz."""
    return re.sub(r"(?<=[A-Za-z])Z\b", "z", electrode.replace("FP", "Fp"))


def region(electrode: str) -> str | None:
    """Return one of ``REGIONS``; None for ears, differences of electrodes, and what lies elsewhere."""
    if _EARS.match(electrode):
        return None
    return next((name for prefix, name in _PREFIXES if re.fullmatch(prefix + r"\d?h?", electrode)), None)


def side(electrode: str) -> str | None:
    """Return left, right or midline, by the number in the name; None for differences of electrodes."""
    found = re.fullmatch(r"[A-Z]+(?:(Z)|(\d+))h?", electrode)
    if found is None:
        return None
    return "midline" if found[1] else "left" if int(found[2]) % 2 else "right"


def in_order(electrodes: Sequence[str]) -> list[int]:
    """Return the places of electrodes in the order of a page: left, right, midline, each from front to back.

    Differences of electrodes stay in their order, behind the others.
    """
    where = template_positions()
    sides = ("left", "right", "midline", None)

    def key(place: int) -> tuple[float, ...]:
        name = electrodes[place]
        x, y, _ = where.get(name, (0.0, -1.0, 0.0))
        return (sides.index(side(name)), -round(y, 3), -abs(x), place)

    placed = [i for i, name in enumerate(electrodes) if side(name) is not None]
    others = [i for i, name in enumerate(electrodes) if side(name) is None]
    return [*sorted(placed, key=key), *others]


def head_sphere() -> tuple[float, float, float, float]:
    """Centre and radius, in metres, of a sphere that holds the electrodes: its outline lies a little outside them."""
    middle, radius = sphere(np.array(list(template_positions().values())))
    x, y, z = (float(value) for value in middle)
    return x, y, z, _ROOM * radius


def placed(electrodes: Sequence[str]) -> list[int]:
    """Return the places of the electrodes whose position on the scalp is known."""
    where = template_positions()
    return [i for i, name in enumerate(electrodes) if name in where]
