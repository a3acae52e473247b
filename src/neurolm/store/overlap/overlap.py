"""Whether recordings or people of some stores are in another one too: ``neurolm overlap``.

A model that was pretrained on the recordings it is later tested on is no evidence of anything. Here every recording of
the downstream stores is turned into codes of its waves (`fingerprint.py`), stretches of the pretraining store are
looked up among them, and whatever shares codes is compared signal by signal. People are compared by their ids, within
the same corpus or family of corpora; and whoever has a recording in both is in both, under whatever id.

What is found becomes an exclusion list (`neurolm.store.exclusions`), which ``neurolm prepare --exclude`` takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError, argument
from neurolm.core.physics import RATE
from neurolm.core.workers import Crash, Workers
from neurolm.store.exclusions import Exclusion, read_exclusions, write_exclusions
from neurolm.store.overlap.fingerprint import (
    SAME_SIGNAL,
    Candidate,
    CodeIndex,
    Codes,
    Place,
    encode_waves,
    join,
    likeness,
    trace_names,
    traces,
)
from neurolm.store.store import Row, Store

__all__ = ["Exclusion", "Overlap", "SamePerson", "Shared", "overlap", "read_exclusions", "write_exclusions"]

CONTENT, SAME_SUBJECT, SUBJECT_OF_CONTENT = "content", "subject", "subject of a shared recording"
"""Why a recording is excluded: its signal is there; its subject's id is; its subject has a recording that is."""
FAMILIES = dict.fromkeys(("tueg", "tuab", "tuev", "tusl", "tusz", "tuep", "tuar"), "tuh")
"""Corpora that give one person the same id: those of Temple University Hospital are cut from one."""
PROBE_SECONDS = 10
"""Length of a stretch that is looked up."""
PROBE_TRACES = 8
"""Traces of a stretch that are looked up, from all over the head; the next stretch takes their neighbours."""
PROBE_EVERY = (10, 60)
"""Seconds from one stretch to the next, at least and at most: as dense as the shortest recording that is to be found
needs, so that a copy of any length has a whole stretch in it."""
LEAST_PROBES = 5
"""Stretches of a recording that are looked up, if it has so many: a noisy copy keeps few codes."""
BLOCK_SECONDS, OVERLAP_SECONDS = 60, 2
"""What is turned into codes at a time; a code is shorter than the overlap."""
COMPARED_SECONDS = 10
"""Length of the signals that decide whether a candidate is a copy."""
CHUNK_SAMPLES, CHUNK_RECORDINGS = 200_000_000, 64
"""Most samples (times channels) and recordings of one item of work, unless one recording has more."""

Progress = Callable[[int, int], None]
"""Called with the number of recordings read and of all."""
_runs = count()


@dataclass(frozen=True)
class Shared:
    """A recording of the store whose signal is, in part or whole, that of a recording of another store."""

    recording: str
    subject: str
    other: str
    """Recording of the other store."""
    other_subject: str
    store: str
    """The other store."""
    start: float
    """Seconds from the start of ``other`` from which..."""
    stop: float
    """... to which shared stretches were found; the stretches looked up are ``Overlap.every`` seconds apart."""
    shift: float
    """Seconds by which the content is later in ``other`` than in ``recording``, where most was found."""
    correlation: float
    """Between the smoothed signals, where they were compared; negative for a copy of the other polarity."""


@dataclass(frozen=True)
class SamePerson:
    """A subject of the store whose id is that of a subject of another store."""

    subject: str
    other: str
    """Subject of the other store."""
    store: str
    """The other store."""
    recordings: int
    """How many the subject has in the store."""


@dataclass(frozen=True)
class Overlap:
    """What was found."""

    recordings: int
    """How many of the store were looked at."""
    others: int
    """How many the other stores have."""
    hours: tuple[float, float]
    """Hours of the store and of the others."""
    every: float
    """Seconds between the stretches that were looked up."""
    shared: tuple[Shared, ...]
    people: tuple[SamePerson, ...]
    exclusions: tuple[Exclusion, ...]
    """All recordings of the store to be left out."""
    notes: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Whether nothing was found."""
        return not self.exclusions


@dataclass(frozen=True)
class _Chunk:
    """Recordings of a store to turn into codes, in one item of work."""

    store: str
    run: int
    recordings: tuple[tuple[int, int], ...]
    """Index in the store, and number in the codes."""
    every: float | None
    """Seconds between the stretches to look at; None: all of the signal."""


def overlap(
    store: Path | str,
    against: Sequence[Path | str] = (),
    *,
    split: str | None = None,
    every: float | None = None,
    jobs: int = 0,
    progress: Progress | None = None,
) -> Overlap:
    """Find the recordings and people of some stores in another, or recordings that a store has twice.

    Parameters
    ----------
    store
        The store that should hold none of them, for pretraining say.
    against
        Stores of the recordings and people that are to be found; none: the store's own recordings are compared with
        each other, and those that are there under two people are to be left out but for the first.
    split
        Only recordings of the other stores with a label of this split (``test``), where the corpus states splits.
    every
        Seconds from one stretch of ``store`` that is looked up to the next; a shared part is found if it is at least
        10 s longer. By default what the shortest recording of the other stores needs, from 10 to 60.
    jobs
        Worker processes; 0: as many as there are cores.
    progress
        Called while signals are read.

    Raises
    ------
    StoreError
        If a store cannot be read.
    ConfigError
        If an argument is not valid, or no recording has the split.
    """
    if every is not None and not every > 0:
        raise ConfigError(f"every must be a number of seconds above 0, not {every}")
    if jobs < 0:
        raise ConfigError(f"jobs must be 0 (all cores) or the number of worker processes, not {jobs}")
    mine, others, within = Store(store), [Store(path) for path in against], not against
    for path, other in zip(against, others, strict=True):
        if other.fingerprint == mine.fingerprint:
            raise ConfigError(
                f"{path} and {store} are the same store; compare two different ones, or give one alone to look for "
                "recordings that it has twice"
            )
    if within:
        against, others = [store], [mine]
    wanted = [(which, index) for which, other in enumerate(others) for index in _of_split(other, split, against[which])]
    known = [others[which].rows[index] for which, index in wanted]
    spacing = _spacing(min(row.seconds for row in known)) if every is None else every
    run, total = next(_runs), len(known) + len(mine)
    done = 0

    def work(workers: Workers, chunks: Sequence[_Chunk]) -> Iterator[Codes]:
        nonlocal done
        for chunk, codes in workers.each(_codes, chunks):
            if isinstance(codes, Crash):
                raise StoreError(f"{chunk.store}: reading it ended a worker (exit code {codes.exit_code})")
            done += len(chunk.recordings)
            if progress:
                progress(done, total)
            yield codes

    with Workers(jobs) as workers:
        index = CodeIndex(join(list(work(workers, list(_chunks(others, against, wanted, run))))))
        found: list[Candidate] = []
        probes = [(0, number) for number in range(len(mine))]
        for codes in work(workers, list(_chunks([mine], [store], probes, run, every=spacing))):
            found += index.find(codes)
    if within:  # each pair once, the later recording as the copy
        found = [one for one in found if one.recording > wanted[one.other][1]]
    shared = tuple(_confirmed(found, mine, others, wanted, against))
    people = () if within else tuple(_people(mine, known, [str(against[which]) for which, _ in wanted]))
    return Overlap(
        recordings=len(mine),
        others=len(known),
        hours=(sum(row.seconds for row in mine.rows) / 3600, sum(row.seconds for row in known) / 3600),
        every=spacing,
        shared=shared,
        people=people,
        exclusions=tuple(_copies(mine, shared) if within else _exclusions(mine, shared, people)),
        notes=tuple(_notes(mine, [] if within else known, spacing, every, min(row.seconds for row in known))),
    )


def _of_split(store: Store, split: str | None, path: Path | str) -> list[int]:
    chosen = [
        index
        for index, row in enumerate(store.rows)
        if split is None or any(label.split == split for label in row.labels)
    ]
    if not chosen:
        stated = sorted({label.split for row in store.rows for label in row.labels if label.split})
        raise ConfigError(
            f"{path}: no recording has a label of the split {split!r}; "
            + (f"its splits are {', '.join(stated)}" if stated else "the corpus states no splits: compare all of it")
        )
    return chosen


def _spacing(shortest: float) -> float:
    least, most = PROBE_EVERY
    return float(min(most, max(least, int(shortest) - PROBE_SECONDS)))


def _chunks(
    stores: Sequence[Store],
    paths: Sequence[Path | str],
    wanted: Sequence[tuple[int, int]],
    run: int,
    *,
    every: float | None = None,
) -> Iterator[_Chunk]:
    """Deal recordings, given as (store, index), out into items of work; their place in ``wanted`` is their number."""
    part: list[tuple[int, int]] = []
    size, of = 0, 0
    for number, (which, index) in enumerate(wanted):
        row = stores[which].rows[index]
        samples = row.samples * len(row.channels)
        if every is not None:
            samples = round(samples * min(1, PROBE_SECONDS / every))
        if part and (which != of or size + samples > CHUNK_SAMPLES or len(part) == CHUNK_RECORDINGS):
            yield _Chunk(str(paths[of]), run, tuple(part), every)
            part, size = [], 0
        part.append((index, number))
        size, of = size + samples, which
    yield _Chunk(str(paths[of]), run, tuple(part), every)


@lru_cache(maxsize=4)
def _opened(path: str, run: int) -> Store:
    """Open a store once per process; ``run`` tells calls apart between which it may have changed."""
    return Store(path)


def _codes(chunk: _Chunk) -> Codes:
    """Turn recordings into codes; runs in a worker."""
    store = _opened(chunk.store, chunk.run)
    parts: list[Codes] = []
    for index, number in chunk.recordings:
        row = store.rows[index]
        stretches = _all(row) if chunk.every is None else _probes(row, chunk.every)
        for start, length, wanted in stretches:
            signal = traces(store.microvolts(index, start, length), row.channels, wanted)
            parts.append(encode_waves(signal, recording=number, start=start, wanted=wanted or ()))
    return join(parts)


def _all(row: Row) -> Iterator[tuple[int, int, None]]:
    block, more = BLOCK_SECONDS * RATE, OVERLAP_SECONDS * RATE
    for start in range(0, row.samples, block):
        yield start, min(block + more, row.samples - start), None


def _probes(row: Row, every: float) -> Iterator[tuple[int, int, list[int]]]:
    """Stretches to look up: start, length, traces. The last one ends where the recording ends."""
    length = min(PROBE_SECONDS * RATE, row.samples)
    last = row.samples - length
    step = min(round(every * RATE), max(length, last // (LEAST_PROBES - 1)))
    starts = sorted({*range(0, last, max(1, step)), last})
    all_traces = len(trace_names(row.channels))
    for number, start in enumerate(starts):
        wanted = {(number + place * all_traces // PROBE_TRACES) % all_traces for place in range(PROBE_TRACES)}
        yield start, length, sorted(wanted)


def _confirmed(
    found: Sequence[Candidate],
    mine: Store,
    others: Sequence[Store],
    wanted: Sequence[tuple[int, int]],
    paths: Sequence[Path | str],
) -> Iterator[Shared]:
    """Compare the signals of candidates; one finding per pair of recordings."""
    pairs: dict[tuple[int, int], list[tuple[Candidate, float]]] = defaultdict(list)
    for candidate in found:
        which, index = wanted[candidate.other]
        compared = (_correlation(candidate, place, mine, others[which], index) for place in candidate.places)
        correlation = next((found for found in compared if abs(found) >= SAME_SIGNAL), None)
        if correlation is not None:
            pairs[candidate.recording, candidate.other].append((candidate, correlation))
    for (number, other), copies in sorted(pairs.items()):
        which, index = wanted[other]
        row, its = mine.rows[number], others[which].rows[index]
        most, correlation = max(copies, key=lambda pair: pair[0].codes)
        yield Shared(
            recording=row.recording,
            subject=row.subject,
            other=its.recording,
            other_subject=its.subject,
            store=str(paths[which]),
            start=min(copy.first for copy, _ in copies) / RATE,
            stop=max(copy.last for copy, _ in copies) / RATE,
            shift=most.shift / RATE,
            correlation=correlation,
        )


def _correlation(candidate: Candidate, place: Place, mine: Store, other: Store, index: int) -> float:
    """Compare the traces that share a code, around it."""
    row, its = mine.rows[candidate.recording], other.rows[index]
    reach = COMPARED_SECONDS * RATE // 2
    first = max(0, place.start - reach, -candidate.shift)
    last = min(row.samples, place.start + reach, its.samples - candidate.shift)
    one, two = (
        traces(store.microvolts(number, at, last - first), of.channels, [trace])
        for store, number, at, of, trace in (
            (mine, candidate.recording, first, row, place.trace),
            (other, index, first + candidate.shift, its, place.other_trace),
        )
    )
    return likeness(one, two)


def _person(row: Row) -> tuple[str, str]:
    """Family of corpora within which an id means the same person, and the id."""
    identity = row.subject.removeprefix(f"{row.corpus}/")
    return FAMILIES.get(row.corpus.lower(), row.corpus), identity


def _people(mine: Store, known: Sequence[Row], paths: Sequence[str]) -> Iterator[SamePerson]:
    theirs = {_person(row): (row.subject, path) for row, path in zip(known, paths, strict=True)}
    recordings: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in mine.rows:
        recordings[_person(row)].append(row.subject)
    for person, subjects in sorted(recordings.items()):
        if person in theirs:
            other, path = theirs[person]
            yield SamePerson(subjects[0], other, path, len(subjects))


def _exclusions(mine: Store, shared: Sequence[Shared], people: Sequence[SamePerson]) -> Iterator[Exclusion]:
    copies = {finding.recording: finding for finding in reversed(shared)}
    same = {finding.subject: finding for finding in people}
    known_by_content = {finding.subject: finding for finding in reversed(shared)}
    for row in mine.rows:
        if row.recording in copies:
            copy = copies[row.recording]
            reason = f"{CONTENT}: {copy.other}, subject {copy.other_subject}"
        elif row.subject in same:
            reason = f"{SAME_SUBJECT}: {same[row.subject].other}"
        elif row.subject in known_by_content:
            copy = known_by_content[row.subject]
            reason = f"{SUBJECT_OF_CONTENT}: {copy.recording} is {copy.other}, subject {copy.other_subject}"
        else:
            continue
        yield Exclusion(row.recording, row.subject, row.sha256, reason)


def _copies(mine: Store, shared: Sequence[Shared]) -> Iterator[Exclusion]:
    """The recordings of a store that are those of other people in it; a person's own copies spoil no split."""
    copies = {finding.recording: finding for finding in reversed(shared) if finding.subject != finding.other_subject}
    for row in mine.rows:
        if row.recording in copies:
            copy = copies[row.recording]
            reason = f"{CONTENT}: {copy.other}, subject {copy.other_subject}"
            yield Exclusion(row.recording, row.subject, row.sha256, reason)


def _notes(mine: Store, known: Sequence[Row], spacing: float, every: float | None, shortest: float) -> Iterator[str]:
    if every is None and spacing < PROBE_EVERY[1]:
        yield (
            f"looked up a stretch every {spacing:g} s, because the shortest recording to be found lasts {shortest:.0f} "
            f"s; with {argument(every=PROBE_EVERY[1])} it takes less time, and finds shared parts from "
            f"{PROBE_EVERY[1] + PROBE_SECONDS} s on"
        )
    elif shortest < spacing + PROBE_SECONDS:
        yield (
            f"shared parts shorter than {spacing + PROBE_SECONDS:g} s may have been missed, and the shortest recording "
            f"to be found lasts {shortest:.0f} s"
        )
    ids = {identity for _, identity in map(_person, known)}
    people = {_person(row) for row in known}
    alike = sorted({row.subject for row in mine.rows if _person(row)[1] in ids and _person(row) not in people})
    if alike:
        more = f" and {len(alike) - 3} more" if len(alike) > 3 else ""
        yield (
            f"{len(alike)} subjects have an id that another corpus uses too, which says nothing: "
            f"{', '.join(alike[:3])}{more}"
        )
