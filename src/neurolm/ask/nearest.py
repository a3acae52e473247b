"""Rows of a table of features that are nearest to another: find stretches of EEG like this one"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from neurolm.ask.vectors import read_rows
from neurolm.core.errors import ConfigError, QuestionError, argument
from neurolm.recording.options import require_one_of

COLUMNS = ("recording", "subject", "session", "labels", "window", "second", "electrode", "start", "stop")
Apart = Literal["nothing", "itself", "recording", "subject"]
"""What is not looked at: the query's own time, all of its recording, or all of its subject."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """A row of a table of features, and how like the query it is."""

    similarity: float
    """Cosine of the angle between both vectors, from the mean of all rows: 1 the same direction, 0 nothing shared."""
    recording: str
    subject: str | None
    session: str | None
    labels: tuple[str, ...]
    window: int | None
    second: int | None
    electrode: str | None
    start: float
    stop: float


@dataclass(frozen=True, kw_only=True)
class Query:
    """What others are compared with."""

    vector: np.ndarray
    """float (width,)."""
    recording: str | None = None
    """The recording that it is of, where the table has that."""
    subject: str | None = None
    start: float = -np.inf
    stop: float = np.inf
    """Seconds of the recording that it is of."""


def query_of(table: str | Path, recording: str, *, at: float | None = None) -> Query | None:
    """Take what is looked for from the table itself; None where it has no such recording.

    Parameters
    ----------
    recording
        As the table has it, or the end of its path, if only one recording has it.
    at
        A moment in seconds; by default the whole recording, which is the mean of its rows. Of windows that overlap, the
        one that begins last before the moment; of patches, the mean over the electrodes.

    Raises
    ------
    QuestionError
        If several recordings are meant, or none of the recording's rows holds the moment.
    """
    exact, meant = set[str](), set[str]()
    for rows, _ in read_rows(table):
        for name in set(rows["recording"].to_pylist()):
            (exact if name == recording else meant).add(name)
    meant = exact or {name for name in meant if name.endswith(f"/{recording}")}
    if not meant:
        return None
    if len(meant) > 1:
        several = ", ".join(sorted(meant)[:3])
        raise QuestionError(f"{recording}: {len(meant)} recordings end so ({several} …); give the whole path of one")
    (name,) = meant
    held: list[tuple[float, float, str | None, np.ndarray]] = []
    for rows, vectors in read_rows(table):
        own = np.array([one == name for one in rows["recording"].to_pylist()])
        spans = zip(rows["start"].to_pylist(), rows["stop"].to_pylist(), rows["subject"].to_pylist(), strict=True)
        held += [(*span, vectors[n]) for n, span in enumerate(spans) if own[n]]
    first, last = min(start for start, *_ in held), max(stop for _, stop, *_ in held)
    if at is not None:
        held = [one for one in held if one[0] <= at < one[1]]
        if not held:
            raise QuestionError(
                f"{name}: no row of the table holds second {at:g}; give one between {first:g} and {last:g}"
            )
        latest = max(start for start, *_ in held)
        held = [one for one in held if one[0] == latest]
        first, last = held[0][:2]
    mean = np.stack([vector for *_, vector in held]).mean(axis=0, dtype=np.float64)
    return Query(vector=mean, recording=name, subject=held[0][2], start=first, stop=last)


def nearest(
    table: str | Path,
    to: str | Query | np.ndarray,
    *,
    at: float | None = None,
    count: int = 10,
    apart: Apart = "itself",
    subject: str | None = None,
) -> tuple[Near, ...]:
    """Find the rows of a table of features that are most like another, the nearest first.

    >>> nearest("features.parquet", "study/sub-1_eeg.edf", at=30)

    All patches have a large part of their vectors in common, so that the mean of all rows is taken off before angles
    are measured.

    Parameters
    ----------
    table
        What ``neurolm.embed_archive`` wrote. It is read a part at a time.
    to
        A recording of the table, as ``query_of`` takes it with ``at``; or a vector (width,), such as the mean of
        ``Model.embed``'s features.
    at
        A moment of the recording in seconds; by default all of it.
    count
        Most rows to return.
    apart
        Which rows are not looked at: those of the query's own time (``itself``), of its ``recording``, or of its
        ``subject``, whoever may be the most like themselves; or none (``nothing``).
    subject
        Whose recordings the table's are, where it does not know: a regular expression with one group, which is looked
        for in each recording's name, such as ``Subject(\\d+)``.

    Raises
    ------
    QuestionError
        If the table has no such recording or moment, or nobody says whose it is and that is not to be looked at.
    ConfigError
        If an argument is not valid, or the query is of another model.
    StoreError
        If it is no table of features.
    """
    require_one_of("apart", apart, get_args(Apart))
    if count < 1:
        raise ConfigError(f"{argument(count=count)}: at least one row is needed")
    if isinstance(to, str):
        found = query_of(table, to, at=at)
        if found is None:
            raise QuestionError(f"{to}: the table {table} has no such recording; give one of its column recording")
        to = found
    query = to if isinstance(to, Query) else Query(vector=np.asarray(to))
    if subject is not None and query.recording is not None:
        query = replace(query, subject=whose(query.recording, subject))
    total, rows, told = np.zeros(len(query.vector)), 0, subject is not None
    for part, vectors in read_rows(table):
        if vectors.shape[1:] != query.vector.shape:
            raise ConfigError(
                f"{table}: vectors of {vectors.shape[1]} numbers, and the query has {query.vector.shape}; embed it "
                "with the model of the table"
            )
        total, rows = total + vectors.sum(axis=0, dtype=np.float64), rows + len(vectors)
        told = told or part["subject"].null_count < len(part)
    if apart == "subject" and (query.subject is None or not told):
        unknown = f"whose {query.recording or 'the query'} is" if told else "whose recordings these are"
        raise QuestionError(
            f"{table}: it is not known {unknown}, so that {argument(apart='subject')} cannot leave a person out: say "
            f"it with {argument('subject')}, an expression whose group is the person in their names: 'Subject([0-9]+)'"
        )
    mean = total / max(rows, 1)
    best: list[tuple[float, dict[str, Any]]] = []
    for part, vectors in read_rows(table):
        similar = _cosine(vectors - mean, query.vector - mean)
        similar[_left_out(part, query, apart, subject)] = -np.inf
        first = np.argsort(-similar, kind="stable")[:count]
        columns = part.select(list(COLUMNS)).take(first).to_pylist()
        best += [(float(similar[n]), row) for n, row in zip(first, columns, strict=True) if np.isfinite(similar[n])]
        best = sorted(best, key=lambda one: -one[0])[:count]
    return tuple(Near(similarity=value, **row | {"labels": tuple(row["labels"])}) for value, row in best)


def _cosine(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Cosine of the angle of each vector with the query; 0 where one has no length."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return np.divide(vectors @ query, lengths, out=np.zeros(len(vectors)), where=lengths > 0)


def whose(recording: str, subject: str) -> str:
    """Return whose a recording is by its name in a table, as ``corpora.trials.subject_of`` finds it in a path."""
    from neurolm.corpora.trials import subject_of  # all layouts come along, and answers need none

    path = Path(recording)
    return subject_of(path, Path(path.anchor), subject)


def _left_out(part: Any, query: Query, apart: Apart, subject: str | None) -> np.ndarray:
    """Which rows are not to be looked at: bool (rows,)."""

    def same(column: str, value: str | None) -> np.ndarray:
        return np.array([value is not None and one == value for one in part[column].to_pylist()], bool)

    if apart == "nothing":
        return np.zeros(len(part), bool)
    own = same("recording", query.recording)
    if apart == "itself":
        return own & (part["start"].to_numpy() < query.stop) & (part["stop"].to_numpy() > query.start)
    if apart == "recording":
        return own
    if subject is None:
        return own | same("subject", query.subject)
    names = part["recording"].to_pylist()
    same_person = {name: whose(name, subject) == query.subject for name in set(names)}
    return own | np.array([same_person[name] for name in names], bool)


def moment(text: str) -> tuple[str, float | None]:
    """Read ``recording.edf@30``: a recording, and the second that is meant, if one is."""
    name, mark, second = text.rpartition("@")
    try:
        return (name, float(second)) if mark and name else (text, None)
    except ValueError:
        return text, None
