"""The notes of many recordings in few lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

SHOWN = 3
"""Examples in a message."""
KINDS = 8
"""Kinds of notes in a report."""


def summary(notes: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Sum up the notes of recordings: alike up to a colon, but for a number in front, they count as one."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for note in (note for of_recording in notes for note in of_recording):
        kinds[note.partition(":")[0].lstrip("0123456789.,")][note] += 1
    ordered = sorted(kinds.items(), key=lambda kind: (-kind[1].total(), kind[0]))
    for _, texts in ordered[:KINDS]:
        count = "1 recording" if texts.total() == 1 else f"{texts.total()} recordings"
        yield f"{min(texts, key=lambda text: (-texts[text], text))} ({count}{', alike' if len(texts) > 1 else ''})"
    if len(ordered) > KINDS:
        yield f"{len(ordered) - KINDS} other kinds of notes are in the manifest"


def examples(names: Sequence[str]) -> str:
    """Name some of them."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
