"""How answers are drawn: what kind of question it is, and where electrodes lie on the head"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from neurolm.core.montage import template_positions
from neurolm.tasks.stages import are_stages

if TYPE_CHECKING:
    from neurolm.tasks.task import Task

Kind = Literal["sleep", "yes_no", "events", "classes"]
NOTHING = ("background", "normal", "none", "nothing", "no event")
"""What an option is called where nothing happens."""
LONGEST_EVENT = 10
"""Seconds of the longest window whose answer is an event."""
EQUATOR = 0.8
"""Distance from the vertex, in the drawing, of electrodes at the head's largest circle (Fpz, T3, Oz): the tenth below
it is still inside the unit disk, as drawings of the 10-20 system have it."""
_FITTED = ("FPZ", "FZ", "CZ", "PZ", "OZ", "F3", "F4", "C3", "C4", "P3", "P4", "F7", "F8", "T3", "T4", "T5", "T6", "O1",
           "O2")  # fmt: skip


def kind_of(task: Task) -> Kind:
    """Return the kind of a task's question, by its options and windows."""
    options = [option.casefold() for option in task.labels]
    if are_stages(task.labels):
        return "sleep"
    if set(options) == {"yes", "no"}:
        return "yes_no"
    if task.seconds <= LONGEST_EVENT and any(option in NOTHING for option in options):
        return "events"
    return "classes"


@cache
def on_disk() -> dict[str, tuple[float, float]]:
    """Return where electrodes lie on a drawing of the head as the unit disk: x to the right, y to the nose.

    Their angles from the vertex and around it, seen from the centre of the sphere that fits the 10-20 system best, keep
    their sizes (azimuthal equidistant projection).
    """
    positions = template_positions()
    fitted = np.array([positions[name] for name in _FITTED])
    equations = np.column_stack([2 * fitted, np.ones(len(fitted))])
    centre = np.linalg.lstsq(equations, (fitted**2).sum(axis=1), rcond=None)[0][:3]
    found = {}
    for name, position in positions.items():
        x, y, z = np.array(position) - centre
        angle, around = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
        radius = min(1.0, EQUATOR * angle / (np.pi / 2))
        found[name] = (round(float(radius * np.cos(around)), 4), round(float(radius * np.sin(around)), 4))
    return found


def place_of(electrode: str) -> tuple[float, float] | tuple[None, None]:
    """Return where an electrode is drawn; a difference of two between them; None where no place is known."""
    placed = on_disk()
    if electrode in placed:
        return placed[electrode]
    ends = [placed[end] for end in electrode.split("-") if end in placed]
    if len(ends) != 2:
        return None, None
    (x, y), (u, v) = ends
    return round((x + u) / 2, 4), round((y + v) / 2, 4)
