"""Sleep stages by any of their names, in the order in which hypnograms draw them"""

from __future__ import annotations

from collections.abc import Sequence

DEPTH = ("W", "R", "N1", "N2", "N3")
"""Stages of the AASM manual from the top of a hypnogram to its bottom: REM lies below Wake and above N1."""
_NAMES = {
    "W": ("w", "wake", "awake", "wakefulness"),
    "R": ("r", "rem", "remsleep"),
    "N1": ("n1", "nrem1", "1", "s1"),
    "N2": ("n2", "nrem2", "2", "s2"),
    "N3": ("n3", "nrem3", "3", "s3", "sws", "4", "s4", "n4", "nrem4"),
}
"""Other names, in small letters and digits alone, without "sleep stage" or "stage" before them; stage 4 of
Rechtschaffen and Kales is the AASM's N3."""
_STAGES = {name: stage for stage, names in _NAMES.items() for name in names}


def stage(label: str) -> str | None:
    """Return the stage that a label names, one of ``DEPTH``; None where it names none.

    >>> stage("NREM-2"), stage("Sleep stage R"), stage("Yes")
    ('N2', 'R', None)
    """
    plain = "".join(character for character in label.lower() if character.isalnum())
    return _STAGES.get(plain.removeprefix("sleep").removeprefix("stage"))


def are_stages(labels: Sequence[str]) -> bool:
    """Return whether all labels are different sleep stages, Wake and a stage of sleep among them."""
    found = [stage(label) for label in labels]
    return None not in found and "W" in found and len(set(found)) == len(found) > 1


def drawn_order(labels: Sequence[str]) -> list[int]:
    """Return the places of labels from the top of a picture to its bottom: stages as in a hypnogram, else as given."""
    places = list(range(len(labels)))
    return sorted(places, key=lambda place: DEPTH.index(stage(labels[place]) or "W")) if are_stages(labels) else places
