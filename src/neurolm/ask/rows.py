"""Answers as rows of tables: for each recording and question, each window and question, each failure

Questions have different options, and rows of all questions stand in one table. So the options are no columns, of which
each question would leave most empty: ``options`` and ``probabilities`` are two lists of equal length and order. A table
with a row for each option is one step away: pandas and Polars ``explode(["options", "probabilities"])``, R
``tidyr::unnest(c(options, probabilities))``. The likeliest option and its probability have columns of their own, which
is all that most people need. What is not known is null, and no column is ever NaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from neurolm.ask.answer import UNDECIDED, Answer
from neurolm.core.decode import decode
from neurolm.core.errors import StoreError
from neurolm.core.files import dump_json

_HALF = re.compile("[\ud800-\udfff]")
"""Halves of characters, which neither JSON nor UTF-8 has: from names that are no text."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a recording that was asked one or several questions: answers, or why there are none."""

    recording: str
    """As it is called in the tables: a path of text (see `neurolm.core.names.readable`)."""
    subject: str | None = None
    """Where it is known, as in BIDS."""
    session: str | None = None
    answers: tuple[Answer, ...] = ()
    """One a question."""
    failure: str | None = None
    """Why there are none, and what to do about it."""

    def to_json(self) -> str:
        """Write it as one line of JSON, from which `from_json` makes the same again."""
        text = dump_json(self, ensure_ascii=False, separators=(",", ":"))
        return _HALF.sub(lambda half: f"\\\\u{ord(half[0]):04x}", text)

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str = "") -> Outcome:
        """Return what `to_json` wrote.

        Parameters
        ----------
        source
            Where the text is from, for the message.

        Raises
        ------
        StoreError
            If it is damaged, or of another version.
        """
        where = f"{source}: damaged, or written by another version" if source else ""
        return decode(cls, text, source=where, error=StoreError)


@dataclass(frozen=True, kw_only=True)
class RecordingRow:
    """The answer to a question about a recording."""

    recording: str
    subject: str | None
    session: str | None
    question: str
    answer: str
    """An option; ``undecided`` where a risk was stated and no option is likely enough."""
    probability: float
    """Of the likeliest option, also where nothing is decided; where not ``calibrated``, a likelihood and no more."""
    low: float | None
    """Where the probability would lie, nine times in ten, for other EEG of the recording."""
    high: float | None
    likeliest: str
    """The likeliest option, also where nothing is decided."""
    decided: bool
    """False where undecided, and for guesses: answers to a question that the model was not tuned on."""
    unlike: bool | None
    """Whether more windows are unlike the training data than needs no warning; null where its range is not known."""
    outside: float | None
    """Share of windows that are unlike the training data."""
    trained: bool
    """Whether the model was tuned on the question."""
    calibrated: bool
    """Whether temperature and pooling were fitted on validation data."""
    risk: float | None
    """Share of wrong answers that was allowed; null: every recording is answered."""
    threshold: float | None
    """Least probability of an answer for that risk; null where none is high enough."""
    windows: int
    agreeing: int
    """Windows whose likeliest option is the recording's."""
    seconds: float
    """EEG in the windows, in seconds, each moment counted once."""
    options: tuple[str, ...]
    """All options of the question, in its order."""
    probabilities: tuple[float, ...]
    """The probability of each option."""
    electrodes: tuple[str, ...]
    """Electrodes the answer rests on."""
    against: str | None
    """The next likeliest option; with the next three null in answers of older versions."""
    language_model: float | None
    """Nats that the language model spoke for the likeliest option rather than the next."""
    evidence: float | None
    """Nats of the evidence beside it; null where none spoke."""
    no_evidence: str | None
    """Why none spoke."""
    notes: tuple[str, ...]
    """What was done to make the recording fit, and what limits the answer."""


@dataclass(frozen=True, kw_only=True)
class WindowRow:
    """The answer to a question about a window of a recording."""

    recording: str
    subject: str | None
    session: str | None
    question: str
    window: int
    """Its number in the recording, from 0."""
    start: float
    """Seconds from the start of the recording."""
    stop: float
    answer: str
    """An option; ``undecided`` where a risk was stated and no option is likely enough."""
    probability: float
    """Of the likeliest option."""
    likeliest: str
    decided: bool
    options: tuple[str, ...]
    probabilities: tuple[float, ...]
    language_model: float | None
    """Nats for the recording's likeliest option rather than its next, in this window."""
    evidence: float | None


@dataclass(frozen=True, kw_only=True)
class FailureRow:
    """A recording without answers."""

    recording: str
    subject: str | None
    session: str | None
    reason: str
    """Why, and what to do about it."""


def recording_rows(outcome: Outcome) -> Iterator[RecordingRow]:
    """Yield a row for each question that was answered."""
    for answer in outcome.answers:
        spoke = answer.contributions
        low, high = answer.interval or (None, None)
        best = best_option(answer.probabilities)
        yield RecordingRow(
            recording=outcome.recording, subject=outcome.subject, session=outcome.session, question=answer.question,
            answer=answer.answer, probability=answer.probability, low=low, high=high, likeliest=answer.options[best],
            decided=answer.trained and answer.answer != UNDECIDED, unlike=answer.unlike, outside=answer.outside,
            trained=answer.trained, calibrated=answer.calibrated, risk=answer.risk, threshold=answer.threshold,
            windows=len(answer.timeline),
            agreeing=sum(best_option(window.probabilities) == best for window in answer.timeline),
            seconds=seconds_of(answer), options=answer.options, probabilities=answer.probabilities,
            electrodes=answer.electrodes, against=spoke.against if spoke else None,
            language_model=spoke.language_model if spoke else None, evidence=spoke.evidence if spoke else None,
            no_evidence=spoke.no_evidence if spoke else None, notes=answer.notes,
        )  # fmt: skip


def window_rows(outcome: Outcome) -> Iterator[WindowRow]:
    """Yield a row for each window of each question that was answered."""
    for answer in outcome.answers:
        for number, window in enumerate(answer.timeline):
            best = best_option(window.probabilities)
            likeliest = answer.options[best]
            yield WindowRow(
                recording=outcome.recording, subject=outcome.subject, session=outcome.session,
                question=answer.question, window=number, start=window.start, stop=window.stop,
                answer=likeliest if window.decided or not answer.trained else UNDECIDED,
                probability=window.probabilities[best], likeliest=likeliest, decided=window.decided,
                options=answer.options, probabilities=window.probabilities, language_model=window.language_model,
                evidence=window.evidence,
            )  # fmt: skip


def failure_rows(outcome: Outcome) -> Iterator[FailureRow]:
    """Yield a row where the recording could not be answered."""
    if outcome.failure is not None:
        yield FailureRow(
            recording=outcome.recording, subject=outcome.subject, session=outcome.session, reason=outcome.failure
        )


def best_option(probabilities: tuple[float, ...]) -> int:
    """Return the place of the likeliest option; of equally likely ones the first."""
    return max(range(len(probabilities)), key=probabilities.__getitem__)


def seconds_of(answer: Answer) -> float:
    """Return the seconds of EEG in an answer's windows, which may overlap."""
    total, until = 0.0, float("-inf")
    for window in answer.timeline:
        total += max(0.0, window.stop - max(window.start, until))
        until = max(until, window.stop)
    return total
