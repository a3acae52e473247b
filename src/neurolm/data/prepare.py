"""Many recordings into a store: ``neurolm prepare RECORDINGS --out STORE``.

Each recording is prepared on its own into a staged file; when all of a group are there, they are put into their shard.
All of it can be killed at any moment and goes on where it was; the manifest is exchanged at the end. The bytes of the
store depend on the recordings and the settings alone, not on the number of workers, on interruptions, or on the order
in which recordings were added. A recording that cannot be read is put down in ``quarantine.jsonl`` with its reason and
never stops the run.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import zip_longest
from pathlib import Path

from neurolm.data.access import Local
from neurolm.data.atomic import write_lines
from neurolm.data.cluster import Cluster
from neurolm.data.corpora import AUTO, CORPORA, Source, layout
from neurolm.data.edf import MICROVOLTS
from neurolm.data.electrodes import UNKNOWN_POLICIES
from neurolm.data.index import INDEX, MANIFEST, lines, scan, write_index, write_manifest
from neurolm.data.ledger import FileStates, Settings, State, agree, forget, locked, packed_states, staged
from neurolm.data.recording import find_recordings
from neurolm.data.rows import Row, parse_row
from neurolm.data.shards import grouped, is_shard_of, placed, sources_path, staged_name, staged_state
from neurolm.data.stage import Bad, Pack, Task, check_labels, work
from neurolm.data.store import QUARANTINE, SHARDS, SOURCES, STAGING
from neurolm.data.workers import Crash, Workers
from neurolm.errors import ConfigError, NeuroLMError, StoreError
from neurolm.montage import RATE

SHOWN = 3
"""Examples in a message."""
KINDS = 8
"""Kinds of notes in a report."""


@dataclass(frozen=True)
class Progress:
    """How far a preparation is."""

    done: int
    """Recordings that are prepared, were there already, or cannot be read."""
    total: int
    source: str
    """The one that was finished last."""
    failures: int
    """Recordings that could not be read so far."""
    hours: float
    """Hours of EEG prepared in this run."""
    seconds: float
    """Since the work began."""
    seconds_left: float
    """Estimated from the bytes of the sources."""

    @property
    def rate(self) -> float:
        """Hours of EEG per second."""
        return self.hours / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class PrepareReport:
    """What a preparation did."""

    recordings: int
    """In the store, of this corpus."""
    hours: float
    """Their total length."""
    quarantined: int
    """Sources that could not be read; ``quarantine.jsonl`` has the reasons."""
    skipped: int
    """Recordings that were already in the store."""
    seconds: float
    """Time taken."""
    notes: tuple[str, ...]
    """What was noticed, each with the number of recordings."""


def prepare(
    data: Path | str,
    out: Path | str,
    *,
    corpus: str = AUTO,
    jobs: int = 0,
    scheduler: str | None = None,
    unknown: str = "error",
    unit: str | None = None,
    mains: float | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> PrepareReport:
    """Prepare a folder of recordings into a store; given again, continue or bring the store up to date.

    Parameters
    ----------
    data
        Folder of recordings.
    out
        Folder of the store. It may hold other corpora already, and can be read meanwhile: it stays as it was until all
        is done.
    corpus
        Layout of the folder, a name in ``corpora.CORPORA``; ``auto`` recognises it.
    jobs
        Worker processes; 0: as many as there are cores.
    scheduler
        Address of a Dask scheduler, whose workers do the work instead.
    unknown
        What to do about unknown electrodes, as in `open_recording`.
    unit
        Unit of the files' numbers where the files do not tell the truth, as in `open_recording`.
    mains
        Mains frequency in Hz; None: the corpus's, else detected in each recording.
    progress
        Called per finished recording.

    Returns
    -------
    PrepareReport

    Raises
    ------
    StoreError
        If the folder is missing or has no readable recordings, or the store has other settings or cannot be written.
    ConfigError
        If an argument or the corpus's table is not valid, or the scheduler does not answer.
    """
    begun = time.monotonic()
    data, out = Path(data), Path(out)
    if scheduler is not None:  # other machines have another working directory
        data, out = data.absolute(), out.absolute()
    _check_arguments(data, jobs, scheduler, unknown, unit, mains)
    settings = Settings(layout(data, corpus), unknown, unit, mains)
    sources = CORPORA[settings.layout](data)
    name = _corpus_name(sources)
    states = FileStates()
    tasks = sorted((_task(s, data, out, settings, states) for s in sources), key=lambda task: task.recording)
    with locked(out):
        agree(out, name, settings)
        run = _Run(data, out, name, tasks, progress)
        try:
            run.work(lambda: Cluster(scheduler, (data, out)) if scheduler else Workers(jobs or _cores()))
            notes = run.finish()
        except NeuroLMError:
            run.undo()
            raise
    return PrepareReport(
        recordings=len(run.states),
        hours=sum(state.row.seconds for state in run.states.values()) / 3600,
        quarantined=len(run.bad),
        skipped=run.skipped,
        seconds=time.monotonic() - begun,
        notes=notes,
    )


def _check_arguments(
    data: Path, jobs: int, scheduler: str | None, unknown: str, unit: str | None, mains: float | None
) -> None:
    if not data.is_dir():
        what = "is a file; give the folder that holds it" if data.exists() else "no such folder"
        raise StoreError(f"{data}: {what}")
    for argument, value, valid in (("unknown", unknown, UNKNOWN_POLICIES), ("unit", unit, (None, *MICROVOLTS))):
        if value not in valid:
            raise ConfigError(f"{argument} is {value!r}: choose one of {', '.join(map(str, valid))}")
    if mains is not None and not 0 < mains < RATE / 2:
        raise ConfigError(f"mains must be a frequency in Hz, 50 or 60, not {mains}")
    if jobs < 0:
        raise ConfigError(f"jobs must be 0 (all cores) or the number of worker processes, not {jobs}")
    if jobs and scheduler is not None:
        raise ConfigError(f"jobs={jobs} is for this machine, and scheduler={scheduler!r} for others; give one of them")


class _Run:
    """A preparation under way: what is done, what was bad."""

    def __init__(
        self,
        data: Path,
        out: Path,
        corpus: str,
        tasks: Sequence[Task],
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self.data, self.out, self.corpus = data, out, corpus
        self.tasks, self.progress = tasks, progress
        self.states: dict[str, State] = {}
        self.bad: dict[str, str] = {}
        self.skipped = 0
        self.groups = grouped([task.recording for task in tasks], [task.size for task in tasks])
        self.group_of = {tasks[index].recording: group for group in self.groups for index in group}
        self.waiting: Counter[range] = Counter()

    def work(self, make_pool: Callable[[], Workers | Cluster]) -> None:
        """Prepare what is not in the store yet."""
        packed = packed_states(self.out, self.corpus)
        pending = []
        for task in self.tasks:
            state = _resumed(task, packed)
            if state is None:
                pending.append(task)
                self.waiting[self.group_of[task.recording]] += 1
            else:
                self.states[task.recording] = state
        self.skipped = len(self.states)
        complete = [pack for group in self.groups if not self.waiting[group] for pack in self._complete(group)]
        queue: deque[Task | Pack] = deque([*complete, *pending])
        if not queue:
            return
        shown = _Shown(self.progress, pending, len(self.tasks))
        with make_pool() as pool:
            labelled = [task for task in pending if callable(task.source.labels)]
            for _ in pool.each(check_labels, labelled):  # a wrong table shows now, not after hours of work
                pass
            for item, result in pool.drain(work, queue):
                if isinstance(item, Pack):
                    self._packed(item, result)
                    continue
                self._done(item, result)
                shown.one(item, self.states.get(item.recording), len(self.bad))
                group = self.group_of[item.recording]
                self.waiting[group] -= 1
                if not self.waiting[group]:
                    queue.extendleft(self._complete(group))

    def _done(self, task: Task, result: object) -> None:
        if isinstance(result, State):
            self.states[task.recording] = result
            return
        if isinstance(result, Crash):
            code = "" if result.exit_code is None else f" (exit code {result.exit_code})"
            result = Bad(f"reading it crashed the reader{code}")
        assert isinstance(result, Bad)
        reason = result.reason.replace(f"{self.data}{os.sep}", "")
        self.bad[task.relative] = reason.removeprefix(f"{task.relative}: ")
        self._unstage(task.recording)  # of an earlier, readable content

    def _complete(self, group: range) -> list[Pack]:
        """Return what is to be packed now that all recordings of a group are prepared or bad."""
        states = [self.states[r] for r in (self.tasks[i].recording for i in group) if r in self.states]
        rows = [state.row for state in states]
        if not rows:
            return []
        if rows != placed(self.corpus, rows):
            return [Pack(self.out, self.corpus, tuple(states))]
        write_lines(sources_path(self.out, rows[0].shard), [state.line() for state in states])
        return []

    def _packed(self, item: Pack, result: object) -> None:
        if isinstance(result, Crash):
            raise StoreError(
                f"{self.out}: the worker that puts recordings into their shard died twice (exit code "
                f"{result.exit_code}); give the same command again"
            )
        assert isinstance(result, tuple)
        for state in result:
            self.states[state.row.recording] = state
            self._unstage(state.row.recording)

    def _unstage(self, recording: str) -> None:
        for path in (staged_state(self.out, recording), self.out / staged_name(recording)):
            path.unlink(missing_ok=True)

    def finish(self) -> tuple[str, ...]:
        """Write quarantine and manifest, remove what is in neither, and return the notes of the report."""
        if not self.states:
            reasons = [f"\n  {source}: {reason}" for source, reason in sorted(self.bad.items())]
            more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
            raise StoreError(
                f"{self.data}: none of the {len(reasons)} recordings could be prepared:{''.join(reasons[:SHOWN])}{more}"
            )
        notes = tuple(self._notes())
        self._write_quarantine()
        self._write_manifest()
        kept = {state.row.shard for state in self.states.values()}
        for folder in (SHARDS, SOURCES):  # of groups as they were before, which no manifest names any more
            for path in (self.out / folder).iterdir():
                if is_shard_of(self.corpus, path.name) and path.with_suffix(".i16").name not in kept:
                    path.unlink()
        self._clean_staging()
        return notes

    def undo(self) -> None:
        """Leave no trace of a corpus of which the store has nothing, so that other settings can be tried."""
        waiting = (self.out / STAGING / self.corpus).rglob("*.json")
        if any(waiting) or packed_states(self.out, self.corpus):
            return
        self._clean_staging()
        forget(self.out, self.corpus)

    def _clean_staging(self) -> None:
        shutil.rmtree(self.out / STAGING / self.corpus, ignore_errors=True)
        if (self.out / STAGING).is_dir() and not any((self.out / STAGING).iterdir()):
            (self.out / STAGING).rmdir()

    def _before(self) -> Iterator[Row]:
        """Yield the rows of the manifest as it is."""
        file = self.out / MANIFEST
        for number, line in enumerate(lines(Local(self.out)) if file.is_file() else (), start=1):
            yield parse_row(line, source=f"{file}, line {number}")

    def _rows(self) -> Iterator[Row]:
        """Yield the rows of the manifest as it shall be."""
        others = (row for row in self._before() if row.corpus != self.corpus)
        own = sorted((state.row for state in self.states.values()), key=lambda row: row.recording)
        return merge(others, own, key=lambda row: row.recording)

    def _write_manifest(self) -> None:
        if any(old != new for old, new in zip_longest(self._before(), self._rows())):
            write_manifest(self.out, self._rows())
        elif not (self.out / INDEX).is_file():
            write_index(self.out, scan(Local(self.out), str(self.out)))

    def _write_quarantine(self) -> None:
        file = self.out / QUARANTINE
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        entries = [entry for entry in map(json.loads, text.splitlines()) if entry["corpus"] != self.corpus]
        entries += [{"corpus": self.corpus, "source": source, "reason": why} for source, why in self.bad.items()]
        entries.sort(key=lambda entry: (entry["corpus"], entry["source"]))
        write_lines(file, [json.dumps(entry) + "\n" for entry in entries])

    def _notes(self) -> Iterator[str]:
        own = [state.row for state in self.states.values()]
        yield from _summary([row.notes for row in own])
        clipped = [row.recording for row in own if row.clipped]
        if clipped:
            yield f"samples beyond the range of the store were clipped in {_examples(clipped)}"
        by_content = defaultdict(list)
        for row in self._rows():
            by_content[row.sha256].append((row.recording, row.subject))
        for same in by_content.values():
            if len({subject for _, subject in same}) > 1:
                yield f"the same signal under different subjects: {_examples([recording for recording, _ in same])}"
        gone = [row for row in self._before() if row.corpus == self.corpus and row.recording not in self.states]
        gone = [row for row in gone if row.source not in self.bad]
        if gone:
            yield f"no longer in {self.data}, taken out of the manifest: {_examples([row.recording for row in gone])}"
        known = {task.source.path for task in self.tasks}
        left = [str(path.relative_to(self.data)) for path in find_recordings(self.data) if path not in known]
        if left:
            yield f"not part of the corpus {self.corpus!r}, left out: {_examples(left)}"
        for source, reason in sorted(self.bad.items())[:SHOWN]:
            yield f"quarantined: {source}: {reason}"


class _Shown:
    """Counts what is done and tells it."""

    def __init__(self, progress: Callable[[Progress], object] | None, pending: Sequence[Task], total: int) -> None:
        self.progress, self.total, self.done = progress, total, total - len(pending)
        self.bytes, self.bytes_done = sum(task.size for task in pending), 0
        self.hours, self.begun = 0.0, time.monotonic()

    def one(self, task: Task, state: State | None, failures: int) -> None:
        self.done += 1
        self.bytes_done += task.size
        self.hours += 0.0 if state is None else state.row.seconds / 3600
        if self.progress is None:
            return
        seconds = time.monotonic() - self.begun
        left = seconds * (self.bytes - self.bytes_done) / max(1, self.bytes_done)
        self.progress(Progress(self.done, self.total, task.relative, failures, self.hours, seconds, left))


def _resumed(task: Task, packed: dict[str, State]) -> State | None:
    """Return the state of a recording that is in the store and unchanged, with its labels as of now."""
    for state in (packed.get(task.recording), staged(task.out, task.recording)):
        if state is None or (state.files, state.settings, state.reading, state.mains) != (
            task.files, task.settings, task.reading, task.mains
        ):  # fmt: skip
            continue
        source = task.source
        row = replace(
            state.row,
            subject=f"{source.corpus}/{source.subject}",
            licence=source.licence,
            labels=source.labelled(state),
        )
        return replace(state, row=row)
    return None


def _task(source: Source, data: Path, out: Path, settings: Settings, states: FileStates) -> Task:
    relative = source.path.relative_to(data).as_posix()
    mains = source.mains if settings.mains is None else settings.mains
    return Task(source, f"{source.corpus}/{relative}", relative, out, states.of(source.path), settings, mains)


def _corpus_name(sources: Sequence[Source]) -> str:
    (name,) = {source.corpus for source in sources}
    if name != Path(name).name or name in (".", ".."):
        raise ConfigError(f"the name of the corpus, {name!r}, must be usable as the name of a folder")
    return name


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _summary(notes: Sequence[tuple[str, ...]]) -> Iterator[str]:
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


def _examples(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
