"""Events in recordings as labelled stretches: what a corpus of trials needs before it can be prepared

>>> found = find_trials(["ssvep/anna.gdf"], {"33025": "13 Hz", "33026": "21 Hz"}, start=0.5, stop=5.5)
>>> write_table(Path("ssvep/labels.csv"), found.trials, task="flicker", subject="anna")

A file that cannot be read costs itself alone: it is named, and passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from neurolm.core.errors import ConfigError, NeuroLMError, RecordingError, argument
from neurolm.core.physics import RATE
from neurolm.corpora.hypnograms import pair, read_beside
from neurolm.corpora.side_files import SHORTEST, end_of_window
from neurolm.corpora.trials import Trial, text_in_path
from neurolm.recording.marks import read_marks
from neurolm.recording.options import BELIEVED, ReadingOptions
from neurolm.recording.recording import Annotation

SHOWN = 12
"""Events named in a message."""
_INSTANT = 1.5
"""Samples that an event has to last to say how long it is: some formats give an instant one sample."""
_ROUNDED = 1e-6
"""Seconds by which a stretch may reach over the end of its recording: sums are rounded."""
_UNTAKEN = re.compile(
    r"annotations |\d+ markers |left out, no (markers|codes)|trigger channel .*(holds no|begins at|left out|taken )"
)
"""Notes of a recording about events that were not taken."""


@dataclass(frozen=True, kw_only=True)
class Events:
    """The events of a recording."""

    file: Path
    marks: tuple[Annotation, ...]
    seconds: float
    """Length of the recording."""
    rate: float
    """Samples per second."""
    notes: tuple[str, ...] = ()
    """What is odd about them, or was not taken."""


@dataclass(kw_only=True)
class Found:
    """What was found in recordings, and what was not."""

    files: int = 0
    """Recordings that could be read."""
    counts: Counter[str] = field(default_factory=Counter)
    """Event → how often it occurs."""
    without: list[Path] = field(default_factory=list)
    """Recordings without any event, or without one that is meant."""
    passed_over: dict[Path, str] = field(default_factory=dict)
    """File → why nothing was taken of it."""
    notes: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    """Recording → what is odd about its events, or was not taken."""
    lacking: str = "no events"
    """What the recordings ``without`` have not."""

    @property
    def changes(self) -> Iterator[str]:
        """What was left out of what was found, or made otherwise, for messages."""
        yield from ()


@dataclass(kw_only=True)
class Trials(Found):
    """Labelled stretches."""

    trials: list[Trial] = field(default_factory=list)
    """By file, then by time."""
    left_out: int = 0
    """Stretches that are not inside their recording."""
    instants: int = 0
    """Events that do not say how long they last, where they are asked."""
    instant: str = ""
    """What is said of the first of them."""
    extended: int = 0
    """Stretches that were shorter than the shortest window, and are as long now."""
    overlapping: int = 0
    """Stretches that begin before another one has ended."""

    @property
    def changes(self) -> Iterator[str]:
        """What was left out of what was found, or made otherwise, for messages."""
        if self.left_out:
            yield f"{self.left_out} events are too near to an end of their recording and were left out"
        if self.instants:
            yield (
                f"{self.instants} events do not say how long they last and were left out; say where they end "
                f"({argument('to')})"
            )
        if self.extended:
            yield f"{self.extended} stretches shorter than {SHORTEST:g} s, the shortest window, were extended to it"
        if self.overlapping:
            yield (
                f"{self.overlapping} stretches begin before the last one has ended: windows of different labels share "
                "samples; the column event says that it is meant"
            )


def one_line(text: str) -> str:
    """Write the text of an event in one line, as it is listed and meant."""
    return " ".join(text.split())


def read_events(files: Sequence[Path], found: Found, reading: ReadingOptions = BELIEVED) -> Iterator[Events]:
    """Read the events of recordings, those in files of annotations beside them too.

    Neither electrodes nor units are needed, and no amplitude is looked at.

    Parameters
    ----------
    files
        Recordings.
    found
        Gets the files that cannot be read, and what is said of the others.
    reading
        As for ``marks.read_marks``.
    """
    pairs = pair(files)
    found.passed_over |= pairs.alone
    for file in pairs.recordings:
        said = []
        try:
            more = []
            for beside in pairs.beside.get(file, ()):
                theirs, note = read_beside(beside, file)
                more += theirs
                said.append(note)
            recording = read_marks(file, more, reading=reading)
        except NeuroLMError as error:
            found.passed_over[file] = str(error)
            continue
        except Exception as error:  # a reader may fail in any way on a damaged file, and must not stop the others
            found.passed_over[file] = f"{file}: {type(error).__name__}: {error}"
            continue
        marks = tuple(replace(mark, text=one_line(mark.text)) for mark in recording.annotations)
        notes = (*said, *(note for note in recording.notes if _UNTAKEN.match(note)))
        found.files += 1
        found.counts.update(mark.text for mark in marks)
        if notes:
            found.notes[file] = notes
        yield Events(file=file, marks=marks, seconds=recording.seconds, rate=recording.rate, notes=notes)


def count_events(files: Sequence[Path], *, reading: ReadingOptions = BELIEVED) -> Found:
    """Count how often each event occurs in some recordings, which are read as ``marks.read_marks`` does.

    Raises
    ------
    RecordingError
        If none of them can be read.
    """
    found = Found()
    for events in read_events(files, found, reading):
        if not events.marks:
            found.without.append(events.file)
    _require_one(found)
    return found


def find_trials(
    files: Sequence[Path],
    labels: Mapping[str, str],
    *,
    start: float = 0.0,
    stop: float | None = None,
    reading: ReadingOptions = BELIEVED,
) -> Trials:
    """Find the stretches around some events.

    Stretches from and to given times around their events may overlap, as those of responses to quick stimuli do: each
    is locked to an event of its own. Those that last as long as their events say may not: two labels would hold for one
    time. A stretch that is shorter than the shortest window is extended to it.

    Parameters
    ----------
    files
        Recordings.
    labels
        Event → label; other events are passed over.
    start, stop
        Seconds after the event at which its stretch begins and ends; ``stop`` None: as long as the event says.
    reading
        As for ``marks.read_marks``.

    Raises
    ------
    ConfigError
        If an event occurs in no recording, or there is no stretch at all.
    RecordingError
        If none of the files can be read.
    """
    if not labels:
        raise ConfigError("no events: say which events are meant and their labels, as 33025=13 Hz,33026=21 Hz")
    _require_length(start, stop)
    wanted = {one_line(event): label for event, label in labels.items()}
    found = Trials(lacking="none of these events")
    for events in read_events(files, found, reading):
        if not any(mark.text in wanted for mark in events.marks):
            found.without.append(events.file)
        try:
            found.trials += _apart(_stretches(events, wanted, start, stop, found), locked=stop is not None)
        except ConfigError as error:
            found.passed_over[events.file] = str(error)
    _require_one(found)
    if missing := [event for event in wanted if event not in found.counts]:
        known = ", ".join(f"{name!r} ({count})" for name, count in found.counts.most_common(SHOWN)) or "no events"
        raise ConfigError(f"the event {missing[0]!r} occurs in none of the recordings, which have {known}")
    if not found.trials:
        raise ConfigError(_nothing(found))
    found.overlapping = sum(one.file == other.file and _overlap(one, other) for one, other in pairwise(found.trials))
    return found


def label_paths(
    files: Sequence[Path],
    pattern: str,
    *,
    below: Path,
    labels: Mapping[str, str] | None = None,
    start: float | None = None,
    stop: float | None = None,
    reading: ReadingOptions = BELIEVED,
) -> Trials:
    """Label recordings by what their paths say: ``S01/eyes_open.edf``.

    Parameters
    ----------
    files
        Recordings.
    pattern, below
        As for ``trials.text_in_path``.
    labels
        What is found in the path → label; others are passed over. None: what is found is the label.
    start, stop
        Seconds from the start of the recording between which the label holds; None: its start, its end.
    reading
        As for ``marks.read_marks``.

    Raises
    ------
    ConfigError
        If the expression is none, or finds a label in no path.
    RecordingError
        If none of the files can be read.
    """
    _require_length(start or 0.0, stop)
    found = Trials(lacking="no label in the path")
    texts: Counter[str] = Counter()
    for events in read_events(files, found, reading):
        text = text_in_path(events.file, pattern, below)
        if text is not None:
            texts[text] += 1
        if text is None or (labels is not None and text not in labels):
            found.without.append(events.file)
        elif max(start or 0.0, stop or 0.0) > events.seconds + _ROUNDED:
            found.left_out += 1
        else:
            label = text if labels is None else labels[text]
            found.trials.append(Trial(file=events.file, start=start, stop=stop, label=label))
    _require_one(found)
    found.counts = texts
    if not texts:
        raise ConfigError(f"{argument(from_path=pattern)}: in none of the {found.files} paths, as {found.without[0]}")
    if missing := [text for text in labels or () if text not in texts]:
        known = ", ".join(f"{text!r} ({count})" for text, count in texts.most_common(SHOWN))
        raise ConfigError(f"{missing[0]!r} is in none of the paths, which have {known}")
    if not found.trials:
        raise ConfigError(f"all {found.left_out} recordings end before the stretch does: give other times")
    return found


def _require_length(start: float, stop: float | None) -> None:
    if stop is not None and stop <= start:
        raise ConfigError(f"a stretch from {start:g} to {stop:g} s after its event has no length: give a later end")


def _require_one(found: Found) -> None:
    """Refuse files none of which can be read, with the first reason."""
    if not found.files and found.passed_over:
        reason = next(iter(found.passed_over.values()))
        count = len(found.passed_over)
        raise RecordingError(reason if count == 1 else f"none of the {count} files can be read, the first: {reason}")


def _nothing(found: Trials) -> str:
    """Why there is no stretch."""
    if found.passed_over:
        return next(iter(found.passed_over.values()))
    if found.instants:
        return found.instant
    return f"all {found.left_out} stretches reach out of their recordings: give other times around the events"


def _stretches(
    events: Events, labels: Mapping[str, str], start: float, stop: float | None, found: Trials
) -> list[tuple[Trial, float]]:
    """The stretches of a recording's events that are meant, each once, and where each ends if it is not extended."""
    stretches: dict[Trial, float] = {}
    meant = (mark for mark in events.marks if mark.text in labels)
    for mark in sorted(meant, key=lambda mark: mark.onset):
        first, last = mark.onset + start, mark.onset + (mark.duration if stop is None else stop)
        if stop is None and (last - first) * events.rate < _INSTANT:
            found.instants += 1
            found.instant = found.instant or (
                f"{events.file}: the event {mark.text!r} at {mark.onset:g} s lasts {mark.duration:g} s, so its stretch "
                f"of {last - first:g} s holds no window; say where it ends, in seconds after the event "
                f"({argument('to')})"
            )
            continue
        longer = end_of_window(first, last)
        if first < 0 or longer > events.seconds + _ROUNDED:
            found.left_out += 1
            continue
        found.extended += longer - last > 1 / RATE
        trial = Trial(
            file=events.file, start=first, stop=min(longer, events.seconds), label=labels[mark.text], event=mark.onset
        )
        stretches.setdefault(trial, last)  # what is said twice is there once
    return list(stretches.items())


def _apart(stretches: Sequence[tuple[Trial, float]], *, locked: bool) -> list[Trial]:
    """Refuse two labels for one time; where stretches overlap that are locked to their events, keep these in them."""
    for (one, end), (other, _) in pairwise(stretches):
        if locked and one.event == other.event:
            raise ConfigError(
                f"{one.file}: the event at {one.event:g} s is labelled {one.label!r} and {other.label!r}; name fewer "
                "events"
            )
        if not locked and (other.start or 0.0) < end - _ROUNDED:
            raise ConfigError(
                f"{one.file}: the stretch of {one.label!r} ends at {end:g} s, when {other.label!r} has begun "
                f"({other.start:g} s): let the stretches end earlier after their events, or name fewer events"
            )
    trials = [trial for trial, _ in stretches]
    if any(_overlap(one, other) for one, other in pairwise(trials)):
        return trials
    return [replace(trial, event=None) for trial in trials]


def _overlap(one: Trial, other: Trial) -> bool:
    return (other.start or 0.0) < (one.stop or 0.0) - _ROUNDED
