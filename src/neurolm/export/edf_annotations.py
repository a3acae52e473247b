"""Answers as an EDF+ file of annotations, which EDFbrowser, MNE and YASA add to the recording

The file has annotations and no signal, as hypnograms have them: one for each stretch, and at the start one with the
answer over the whole recording, its probability and its warnings, so that they are not left behind. Start date and time
are the recording's, by which EDFbrowser lays the two over each other; nothing else of its header is taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from neurolm.ask.answer import Answer
from neurolm.ask.verdict import verdict
from neurolm.core.errors import ConfigError, RecordingError, argument
from neurolm.core.files import atomic_file
from neurolm.core.terminal import printable
from neurolm.export.stretches import Stretch, stretches_of
from neurolm.export.words import NO_DIAGNOSIS, UNLIKE, stages, text_of
from neurolm.recording.formats.edf import read_header

YEARS = (1985, 2084)
"""Which EDF can write."""
Mark = tuple[float, float | None, str]
"""Seconds from the start of the recording, seconds (None for an instant), text."""


def write_annotations(
    answers: Sequence[Answer], out: Path, *, start: datetime | None = None, merge: bool = True
) -> None:
    """Write answers about one recording as annotations.

    Parameters
    ----------
    out
        The EDF+ file; one of annotations that is there is replaced.
    start
        When the recording began; None where that is not known.
    merge
        Whether neighbouring windows with the same answer become one annotation.

    Raises
    ------
    ConfigError
        If ``out`` is a recording.
    WriteError
        If it cannot be written.
    """
    from edfio import Edf, EdfAnnotation, Recording

    _require_no_recording(out)
    known = start if start is not None and YEARS[0] <= start.year <= YEARS[1] else None
    marks = sorted((mark for answer in answers for mark in marks_of(answer, merge=merge)), key=lambda mark: mark[0])
    edf = Edf(
        [],
        recording=Recording(startdate=known.date() if known else None, equipment_code="neurolm"),
        starttime=known.time().replace(microsecond=0) if known else None,
        annotations=[EdfAnnotation(onset, duration, printable(text, line=True)) for onset, duration, text in marks],
    )
    with atomic_file(out) as temporary:
        temporary.write_bytes(edf.to_bytes())


def marks_of(answer: Answer, *, merge: bool = True) -> Iterator[Mark]:
    """Yield the annotations of an answer: what it says of the whole recording, then each stretch."""
    yield 0.0, None, summary(answer)
    each = stretches_of(answer, merge=merge)
    for stretch in each:
        yield _seconds(stretch.start), _length(stretch), text_of(answer, stretch)
    if answer.unlike and stages(answer) is not None:  # a stage's text has no room for it
        start, stop = each[0].start, each[-1].stop
        yield _seconds(start), _seconds(stop - start), f"{answer.question} {answer.outside:.0%} of it is {UNLIKE}"


def summary(answer: Answer) -> str:
    """Write what is said of the whole recording, in a line that stands by itself."""
    return f"neurolm, {NO_DIAGNOSIS}: {answer.question} {verdict(answer)}"


def _length(stretch: Stretch) -> float:
    """Up to where the next one begins, as it is written."""
    return _seconds(_seconds(stretch.stop) - _seconds(stretch.start))


def _seconds(value: float) -> float:
    """With microseconds: more of a mean of two times is noise."""
    return round(value, 6)


def _require_no_recording(out: Path) -> None:
    """Refuse to take the place of a signal."""
    if not out.exists():
        return
    try:
        annotations_only = not read_header(out).signals
    except RecordingError:
        annotations_only = False
    if not annotations_only:
        raise ConfigError(
            f"{argument(export=str(out))}: this file is there, and it holds more than annotations; choose another name"
        )
