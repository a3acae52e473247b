"""Where a recording was interrupted, and what of it is called bad: what annotations say about it

The words are MNE's and the makers': ``BAD_ACQ_SKIP`` covers time in which nothing was recorded (FIF, EGI);
``New Segment`` (BrainVision), ``boundary`` (EEGLAB), ``EDGE …`` and ``BAD boundary`` (MNE) mark where two parts were
put together; whatever else begins with ``BAD`` is signal that somebody does not want to be used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from neurolm.core.stretches import Stretches, split, united, without

SKIP = "bad_acq_skip"
_SEAMS = ("new segment", "boundary", "edge ", "edge_", "bad boundary")
_NAMED = 4  # interruptions that a note names at most

Mark = tuple[float, float, str]
"""Onset and duration in seconds, and text."""


@dataclass(frozen=True)
class Interrupted:
    """What annotations say about the time of a recording."""

    stretches: Stretches
    """What was recorded without interruption."""
    bad: tuple[tuple[int, int], ...]
    """First sample, and the one after the last, of what is called bad."""
    notes: tuple[str, ...]


def interpret(marks: Iterable[Mark], stretches: Stretches, rate: float, *, reject: bool) -> Interrupted:
    """Let annotations end stretches, and collect what they call bad.

    Parameters
    ----------
    marks
        Annotations inside the recording.
    stretches
        What the file itself says was recorded without interruption.
    rate
        Samples per second.
    reject
        Whether annotations that begin with ``BAD`` are honoured; ``BAD_ACQ_SKIP`` always is.
    """
    skipped, seams, bad, texts = [], [], [], []
    for onset, duration, text in marks:
        word = _word(text)
        span = (round(onset * rate), round((onset + duration) * rate))
        if word.startswith(SKIP):
            skipped.append(span)
        elif word.startswith(_SEAMS):
            seams.append(span[0])
        elif word.startswith("bad") and duration > 0:
            texts.append(text)
            if reject:
                bad.append(span)
    found = split(without(stretches, skipped), seams)
    notes = describe(found, rate)
    if texts:
        named = ", ".join(f"{text} × {texts.count(text):,}" for text in list(dict.fromkeys(texts))[:_NAMED])
        seconds = sum(last - first for first, last in united(bad)) / rate
        notes += [
            f"annotated as bad and left out: {seconds:,.4g} s ({named})"
            if reject
            else f"annotated as bad, and used all the same: {named}"
        ]
    return Interrupted(found, tuple(united(bad)), tuple(notes))


def is_bad(text: str) -> bool:
    """Whether an annotation of this text calls what it covers bad."""
    return _word(text).startswith("bad")


def _word(text: str) -> str:
    return text.strip().lower().removeprefix("comment").lstrip("/")  # BrainVision: type/description


def describe(stretches: Stretches, rate: float) -> list[str]:
    """What is said of a recording that was interrupted."""
    gaps = [(one.stop, other.start - one.stop) for one, other in pairwise(stretches)]
    if not gaps:
        return []
    places = [
        f"at {at / rate:,.7g} s" + (f" ({missing / rate:,.4g} s missing)" if missing else "")
        for at, missing in gaps[:_NAMED]
    ]
    more = f" and {len(gaps) - _NAMED:,} times more" if len(gaps) > _NAMED else ""
    total = sum(missing for _, missing in gaps) / rate
    times = "once" if len(gaps) == 1 else f"{len(gaps):,} times, {total:,.4g} s missing in all"
    return [f"interrupted {times}: {', '.join(places)}{more}; each part is filtered by itself, and no window spans two"]
