"""What became of an archive, gathered for a page that says which recordings deserve a look.

Memory does not grow with the length of recordings, and but for a number a recording not with how many there are: only
the `MOST` lines that the page will show are kept, with a timeline of `BINS` steps each.
"""

from __future__ import annotations

import posixpath
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from neurolm.ask.answer import UNDECIDED, Answer
from neurolm.ask.rows import Outcome, RecordingRow, best_option, recording_rows
from neurolm.core.amounts import likely
from neurolm.tasks.stages import drawn_order

MOST = 5000
"""Lines of a page, which must open at once."""
BINS = 60
"""Steps of a timeline."""
COLUMNS = 20
"""Columns of a distribution of probabilities, from 0 to 1."""
GROUPS = (UNDECIDED, "unlike the training data", "most windows say otherwise")
"""What deserves a look first, in this order; then the answers, the rarest first."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The timeline of an answer as a line that steps between options, as a hypnogram: paths of SVG."""

    width: int
    """Steps from left to right."""
    line: str
    """Where windows are decided."""
    dotted: str
    """Where they are not."""


@dataclass(frozen=True, slots=True)
class Line:
    """An answer about a recording, as a line of the page."""

    row: RecordingRow
    strip: Strip
    notes: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Its place in ``GROUPS``; behind them all where it is in none."""
        if self.row.answer == UNDECIDED:
            return 0
        return 1 if self.row.unlike else 2 if self.dissents else len(GROUPS)

    @property
    def dissents(self) -> bool:
        """Whether most windows have another answer than the recording."""
        return 2 * self.row.agreeing < self.row.windows

    @property
    def order(self) -> tuple[float, str]:
        """Where it stands among others of its group: the least probable first; guesses have no size."""
        return (self.row.probability if self.row.trained else 0.0, self.row.recording)


@dataclass(frozen=True, kw_only=True)
class Count:
    """How often there was an answer, and how probable it was."""

    answer: str
    number: int
    share: float
    """Of all answers to the question."""
    spread: str
    """Median, lowest and highest probability of the likeliest option."""
    columns: str
    """Their distribution, as a path of SVG, `COLUMNS` wide and 100 high."""


@dataclass(kw_only=True)
class Question:
    """All that was answered to a question."""

    question: str
    options: tuple[str, ...]
    trained: bool
    calibrated: bool
    risk: float | None
    threshold: float | None
    probabilities: dict[str, array] = field(default_factory=dict)
    """Answer → probability of the likeliest option in each recording that got it."""
    unlike: int = 0
    unknown: int = 0
    """Recordings that could not be compared with the training data."""
    dissent: int = 0
    divided: int = 0
    """Decided answers from which most windows differ."""
    shared: int = 0
    """The other decided answers."""
    right: float = 0.0
    """How many of the shared ones are right by their probabilities."""
    common: set[str] | None = None
    """Notes of all recordings."""
    members: Counter[tuple[int, str]] = field(default_factory=Counter)
    """How many lines there are of each rank; of those in no group, of each answer."""
    held: dict[tuple[int, str], list[Line]] = field(default_factory=dict)
    """Those of them that may be shown."""

    @property
    def number(self) -> int:
        """Recordings that were answered."""
        return sum(map(len, self.probabilities.values()))

    @property
    def undecided(self) -> int:
        """Those whose answer is not likely enough for the stated risk."""
        return len(self.probabilities.get(UNDECIDED, ()))

    @property
    def expected(self) -> float | None:
        """How many of the decided answers are right by their probabilities; None where these are none.

        Recordings in which most windows differ from the answer are left out: states change there, and nothing is right
        of the whole.
        """
        return self.right if self.trained and self.calibrated else None

    def add(self, row: RecordingRow, strip: Strip, notes: tuple[str, ...]) -> None:
        """Take in an answer."""
        self.probabilities.setdefault(row.answer, array("d")).append(row.probability)
        self.unlike += bool(row.unlike)
        self.unknown += row.unlike is None
        self.common = set(notes) if self.common is None else self.common.intersection(notes)
        line = Line(row, strip, notes)
        self.dissent += line.dissents
        if row.answer != UNDECIDED:
            self.divided += line.dissents
            self.shared += not line.dissents
            self.right += 0.0 if line.dissents else row.probability
        part = (line.rank, row.answer if line.rank == len(GROUPS) else "")
        self.members[part] += 1
        held = self.held.setdefault(part, [])
        held.append(line)
        if len(held) >= 2 * MOST:
            _keep_first(held, MOST)

    def counts(self) -> list[Count]:
        """Return how often there was each answer, in the order of the options, and which was undecided."""
        found = {answer: np.array(self.probabilities.get(answer, ())) for answer in (*self.options, UNDECIDED)}
        columns = {a: np.histogram(values, COLUMNS, range=(0, 1))[0] for a, values in found.items()}
        tallest = max(int(one.max()) for one in columns.values())
        return [
            Count(
                answer=answer, number=len(values), share=len(values) / self.number,
                spread=f"{likely(np.median(values))}, {likely(values.min())} to {likely(values.max())}"
                if len(values) else "", columns=_columns(columns[answer], tallest),
            )
            for answer, values in found.items() if len(values) or answer != UNDECIDED
        ]  # fmt: skip

    def groups(self, most: int) -> Iterator[tuple[str, int, list[Line]]]:
        """Yield what deserves a look first: the name of a group, how many there are, and the lines that are shown.

        Parameters
        ----------
        most
            Lines that are shown in all; the others are dropped.
        """
        for rank, answer in sorted(self.held, key=lambda part: (part[0], self.members[part], part[1])):
            lines = self.held[rank, answer]
            _keep_first(lines, most)
            most -= len(lines)
            yield answer or GROUPS[rank], self.members[rank, answer], lines


class Overview:
    """What became of recordings."""

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.questions: dict[str, Question] = {}
        self.failures: dict[str, list[str]] = {}
        self.recordings = self.failed = 0
        self.seconds = 0.0
        self.subjects: set[str] = set()
        self.folder: str | None = None
        for outcome in outcomes:
            self._add(outcome)

    def _add(self, outcome: Outcome) -> None:
        self.recordings += 1
        folder = posixpath.dirname(outcome.recording)
        self.folder = folder if self.folder is None else _shared(self.folder, folder)
        if outcome.subject is not None:
            self.subjects.add(outcome.subject)
        if outcome.failure is not None:
            self.failed += 1
            reason = outcome.failure.removeprefix(f"{outcome.recording}: ")
            self.failures.setdefault(reason, []).append(outcome.recording)
        longest = 0.0
        for row, answer in zip(recording_rows(outcome), outcome.answers, strict=True):
            longest = max(longest, row.seconds)
            asked = self.questions.setdefault(
                row.question,
                Question(question=row.question, options=row.options, trained=row.trained, calibrated=row.calibrated,
                         risk=row.risk, threshold=row.threshold),
            )  # fmt: skip
            # That an answer is undecided has a column, and what it takes is said once for the question.
            notes = tuple(note for note in row.notes if not note.startswith(f"{UNDECIDED}: "))
            asked.add(row, timeline(answer), notes)
        self.seconds += longest


def _shared(one: str, other: str) -> str:
    """The folder that both lie in; nothing where it is none but the root, or one of the two is no absolute path."""
    try:
        return posixpath.commonpath([one, other]).rstrip("/") if one and other else ""
    except ValueError:
        return ""


def _keep_first(lines: list[Line], most: int) -> None:
    lines.sort(key=lambda line: line.order)
    del lines[max(0, most) :]


def _columns(counts: np.ndarray, tallest: int) -> str:
    """Draw columns as a path: where there is one at all, it can be seen."""
    heights = [int(max(4, round(100 * count / tallest))) if count else 0 for count in counts]
    return "".join(f"M{x} 100v-{height}h1v{height}z" for x, height in enumerate(heights) if height)


def timeline(answer: Answer) -> Strip:
    """Draw the timeline of an answer: a line at the height of the likeliest option, the first one uppermost.

    Sleep stages stand as in a hypnogram, REM below Wake.

    Windows of a long recording share a step, which shows what most of them say; where time is missing, the line is
    interrupted.
    """
    windows = answer.timeline
    if not windows:
        return Strip(1, "", "")
    distances = sorted(later.start - window.start for window, later in pairwise(windows))
    usual = distances[len(distances) // 2] if distances else 1.0
    places = [round((window.start - windows[0].start) / (usual or 1.0)) for window in windows]
    height = {option: row for row, option in enumerate(drawn_order(answer.options))}
    total = places[-1] + 1
    width = min(BINS, total)
    said: list[Counter[int]] = [Counter() for _ in range(width)]
    sure: list[int] = [0] * width
    for place, window in zip(places, windows, strict=True):
        step = place * width // total
        said[step][height[best_option(window.probabilities)]] += 1
        sure[step] += 1 if window.decided or not answer.trained else -1
    # Between two windows there may be no start of one: with more steps than windows only where time is missing.
    steps = [(counted.most_common(1)[0][0], sure[x] >= 0) if counted else None for x, counted in enumerate(said)]
    return Strip(width, *_paths(steps))


def _paths(steps: Sequence[tuple[int, bool] | None]) -> tuple[str, str]:
    """Draw decided steps, joined where they follow each other, and undecided ones."""
    line, dotted, x = "", "", 0
    before: tuple[int, bool] | None = None
    while x < len(steps):
        step, first = steps[x], x
        while x < len(steps) and steps[x] == step:
            x += 1
        if step is not None:
            height = 2 * step[0] + 1
            if not step[1]:
                dotted += f"M{first} {height}H{x}"
            elif before is not None and before[1]:
                line += f"V{height}H{x}"
            else:
                line += f"M{first} {height}H{x}"
        before = step
    return line, dotted


def file_and_folder(recording: str, folder: str) -> tuple[str, str]:
    """Return a recording's name, and the folder it lies in below one that all lie in."""
    above, name = posixpath.split(recording)
    below = above[len(folder) :].lstrip("/") if folder and above.startswith(folder) else above
    return name, below
