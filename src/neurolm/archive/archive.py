"""Questions about thousands of recordings, answered into tables: ``neurolm ask … --out``.

Each recording is answered on its own, and its answers are written down in a folder beside the output; the tables are
made of them at the end, in the order of the recordings. All of it can be killed at any moment and goes on where it was.
The bytes of the tables depend on the recordings, the model and the questions alone, not on the number of workers or on
interruptions. A recording that cannot be answered is put down with its reason and never stops the others.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from neurolm.archive.inputs import Source, find_sources, is_folder
from neurolm.archive.request import ALL, EmbedRequest, Request, held, request_for
from neurolm.archive.worker import (
    DamagedPart,
    Done,
    Job,
    answer_recording,
    check_part,
    embed_recording,
    read_outcome,
)
from neurolm.ask.rows import Outcome
from neurolm.ask.table_files import SUFFIXES, TablePaths, write_tables
from neurolm.core.amounts import many
from neurolm.core.cluster import Cluster
from neurolm.core.config import Precision
from neurolm.core.errors import ConfigError, RecordingError, argument
from neurolm.core.files import dump_json, remove_partial, require_writable
from neurolm.core.workers import Crash, Pool, Workers
from neurolm.prepare.journal import FileState, FileStates
from neurolm.prepare.report import SHOWN, Meter, PrepareProgress
from neurolm.recording.options import BELIEVED, ReadingOptions, Unseen
from neurolm.report.overview_page import write_overview

Written = TypeVar("Written")
PARTS = ".parts"
"""Suffix of the folder in which answers are kept, beside the output."""
PAGE = ".html"
"""Suffix of the page beside the tables."""
CRASHED = "{} it ended the process, twice: the file crashes its reader, or memory is short"


class Archive:
    """Recordings with their answers or features, as far as they are there.

    Parameters
    ----------
    recordings
        Sorted by name.
    request
        What is asked about each, or which features are wanted.
    parts
        Folder of the answers or features.
    """

    def __init__(self, recordings: Sequence[Source], request: Request | EmbedRequest, parts: Path) -> None:
        self.recordings, self.request, self.parts = recordings, request, parts
        settings = hashlib.sha256(dump_json(asdict(request.settings), sort_keys=True).encode()).hexdigest()
        states, self.jobs = FileStates(), dict[Source, Job]()
        for source in recordings:
            files: tuple[FileState, ...] = ()
            stored = source.stored
            with suppress(OSError):  # that it is missing is said when its turn comes
                files = () if stored else states.of(source.path)
            told = dump_json([settings, source.name, stored.content if stored else [asdict(file) for file in files]])
            name = hashlib.sha256(told.encode() + source.odd).hexdigest()[:32] + request.part
            size = stored.size if stored else sum(file.size for file in files)
            self.jobs[source] = Job(source, request, parts / name, size)
        there = {path.name for path in parts.iterdir()} if parts.is_dir() else set()
        self.done = {source for source, job in self.jobs.items() if job.part.name in there}
        self.before = frozenset(self.done)
        self.reasons: dict[Source, str] = {}
        self.damaged: dict[Source, str] = {}
        """Those whose answers could not be read, and are made anew, with what was wrong."""

    @property
    def skipped(self) -> int:
        """How many were done before, and are still good."""
        return len(self.before & self.done - self.damaged.keys())

    def work(
        self, make_pool: Callable[[], Pool], progress: Callable[[PrepareProgress], object] | None
    ) -> Iterator[Source]:
        """Do what is not done yet; yields recordings when they are done, or cannot be."""
        yield from sorted(self.done)
        seen = self.done | self.reasons.keys()
        pending = [job for source, job in self.jobs.items() if source not in seen]
        if not pending:
            return
        total, size = len(self.jobs), sum(job.size for job in pending)
        meter = Meter(progress, total=total, before=total - len(pending), size=size)
        do = answer_recording if isinstance(self.request, Request) else embed_recording
        with make_pool() as pool:
            for job, result in pool.each(do, pending):
                source, hours = job.source, 0.0
                if isinstance(result, Done):
                    self.done.add(source)
                    hours = result.seconds / 3600
                else:
                    self.reasons[source] = (
                        CRASHED.format(self.request.doing) if isinstance(result, Crash) else result.reason
                    )
                meter.add(source.name, size=job.size, hours=hours, failures=len(self.reasons))
                yield source

    def complete(
        self,
        write: Callable[[], Written],
        make_pool: Callable[[], Pool],
        progress: Callable[[PrepareProgress], object] | None,
    ) -> Written:
        """Do what is not done yet, and write all of it; what turns out to be damaged on the disk is made anew before.

        Raises
        ------
        RecordingError
            If nothing can be done.
        """
        while True:
            for _ in self.work(make_pool, progress):
                pass
            self.require_some()
            try:
                written = write()
            except DamagedPart as error:
                self._mend(error)
            else:
                self._tidy()
                return written

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed."""
        if not self.damaged:
            return ()
        source, fault = min(self.damaged.items())
        return (
            f"{self.request.what} that were damaged, and made anew: of {many(len(self.damaged), 'recording')}, the "
            f"first of {source.name} ({fault})",
        )

    @property
    def first_reasons(self) -> dict[str, str]:
        """Why the first `SHOWN` recordings could not be done."""
        return {source.name: reason for source, reason in sorted(self.reasons.items())[:SHOWN]}

    def outcome(self, source: Source) -> Outcome:
        """Return what became of a recording."""
        if source in self.done:
            return read_outcome(self.jobs[source])
        return self.failure(source, self.reasons[source])

    def failure(self, source: Source, reason: str) -> Outcome:
        """Return that a recording cannot be answered."""
        return Outcome(recording=source.name, subject=source.subject, session=source.session, failure=reason)

    def _mend(self, found: DamagedPart) -> None:
        """Forget that part, and others that cannot be read: `work` makes them anew, each once."""
        errors = [found]
        for source in self.done - {found.source}:
            try:
                check_part(self.jobs[source])
            except DamagedPart as error:
                errors.append(error)
        for one in errors:
            self.done.remove(one.source)
            if one.source in self.damaged:
                self.reasons[one.source] = (
                    f"{self.request.done} twice, and both times the {self.request.what} were damaged: {one.fault}"
                )
            self.damaged[one.source] = one.fault
            with suppress(OSError):  # then it cannot be written either, which is said
                self.jobs[one.source].part.unlink(missing_ok=True)

    def require_some(self) -> None:
        """Raise the RecordingError of an archive of which nothing was done."""
        if not self.done:
            reasons = [f"\n  {source.name}: {reason}" for source, reason in sorted(self.reasons.items())]
            more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
            raise RecordingError(
                f"none of the recordings could be {self.request.done}:{''.join(reasons[:SHOWN])}{more}"
            )

    def _tidy(self) -> None:
        """Remove what was made of recordings that are no longer meant or are not as they were, and left-overs."""
        kept = {job.part.name for job in self.jobs.values()}
        for path in self.parts.glob(f"*{self.request.part}"):
            if path.name not in kept:
                path.unlink()
        remove_partial(self.parts)


@dataclass(frozen=True)
class ArchiveReport:
    """What became of an archive."""

    recordings: int
    """How many were answered."""
    skipped: int
    """Of these, those that were answered before."""
    quarantined: int
    """How many could not be answered; the table of the quarantine has the reasons."""
    seconds: float
    """Time taken."""
    tables: TablePaths
    page: Path
    """What deserves a look comes first."""
    parts: Path
    """Where the answers are kept, so that the next run goes on from them."""
    notes: tuple[str, ...]
    """What was noticed."""
    reasons: Mapping[str, str]
    """Why the first `SHOWN` recordings in quarantine could not be answered."""


def ask_archive(
    recordings: str | Path | Sequence[str | Path],
    questions: str | Sequence[str] = ALL,
    *,
    model: str | Path,
    out: str | Path,
    options: Sequence[str] | None = None,
    reading: ReadingOptions = BELIEVED,
    unseen: Unseen = "nearest",
    risk: float | None = None,
    jobs: int = 0,
    scheduler: str | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    progress: Callable[[PrepareProgress], object] | None = None,
) -> ArchiveReport:
    """Ask questions about many recordings, and write the answers into tables; called again, go on.

    Parameters
    ----------
    recordings
        Files, folders and patterns such as ``archive/**/*.edf``, one or several.
    questions
        In English, or names of tasks; by default all that the model was tuned on.
    model
        Folder of a run or checkpoint, or the id of a model on the hub, as for ``neurolm.load``.
    out
        The table of the answers: ``.parquet``, ``.csv`` or ``.jsonl``. Those of the windows and of what could not be
        answered lie beside it, with a page of both, and a folder with the answers so far.
    options, reading, unseen, risk
        As for ``Model.ask``.
    jobs
        Worker processes; 0: as many as there are cores.
    scheduler
        Address of a Dask scheduler, whose workers do the work instead (docs/prepare.md).
    device, precision
        As for ``neurolm.load``; all workers compute in the precision that this process would.
    progress
        Called per finished recording.

    Raises
    ------
    RecordingError
        If there are no such recordings, or none of them can be answered.
    QuestionError, CheckpointError
        As for ``neurolm.load`` and ``Model.ask``.
    StoreError
        If the folder beside the output has answers to something else, or another process writes there.
    WriteError
        If something cannot be written.
    ConfigError
        If an argument is not valid, or the scheduler does not answer.
    """
    begun, out = time.monotonic(), Path(out)
    given = [recordings] if isinstance(recordings, str | Path) else recordings
    require_engine(jobs, scheduler)
    paths, page = TablePaths.of(out), out.with_suffix(PAGE)
    for path in (*paths.each, page):
        require_writable(path)
    found = find_sources(given, arrays=reading.rate is not None)
    require_apart(found.recordings, paths.each)
    request = request_for(
        model, questions, options=options, reading=reading, unseen=unseen, risk=risk, device=device, precision=precision
    )
    parts = out.absolute().with_name(f"{out.stem}{PARTS}")
    with held(parts, request):
        archive = Archive(found.recordings, request, parts)

        def write() -> None:
            write_tables(out, map(archive.outcome, archive.recordings))
            outcomes = map(archive.outcome, archive.recordings)
            write_overview(page, outcomes, model=str(model), digest=request.content, tables=paths.each)

        archive.complete(write, lambda: pool_of(archive, jobs, scheduler), progress)
    return ArchiveReport(
        recordings=len(archive.done), skipped=archive.skipped, quarantined=len(archive.reasons),
        seconds=time.monotonic() - begun, tables=paths, page=page, parts=out.with_name(parts.name),
        notes=(*found.notes, *archive.notes),
        reasons=archive.first_reasons,
    )  # fmt: skip


def ask_many(
    recordings: str | Path | Sequence[str | Path],
    questions: str | Sequence[str] = ALL,
    *,
    model: str | Path,
    options: Sequence[str] | None = None,
    reading: ReadingOptions = BELIEVED,
    unseen: Unseen = "nearest",
    risk: float | None = None,
    jobs: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
) -> Iterator[Outcome]:
    """Ask questions about several recordings by several processes, and yield what became of each, sorted by path.

    Takes and raises what `ask_archive` does; nothing is kept.
    """
    given = [recordings] if isinstance(recordings, str | Path) else recordings
    require_engine(jobs, None)
    found = find_sources(given, arrays=reading.rate is not None)
    request = request_for(
        model, questions, options=options, reading=reading, unseen=unseen, risk=risk, device=device, precision=precision
    )
    with tempfile.TemporaryDirectory(prefix="neurolm-ask-") as folder:
        archive = Archive(found.recordings, request, Path(folder))
        waiting, ready = deque(archive.recordings), set[Source]()
        for done in archive.work(lambda: pool_of(archive, jobs, None), None):
            ready.add(done)
            while waiting and waiting[0] in ready:
                source = waiting.popleft()
                try:
                    yield archive.outcome(source)
                except DamagedPart as error:  # nothing was kept that could be damaged: so it was answered
                    yield archive.failure(source, f"the answers were damaged: {error.fault}")
                archive.jobs[source].part.unlink(missing_ok=True)


def require_engine(jobs: int, scheduler: str | None) -> None:
    """Refuse what says twice, or wrongly, who works.

    Raises
    ------
    ConfigError
        If it does.
    """
    if jobs < 0:
        raise ConfigError(f"{argument(jobs=jobs)}: give 0 (all cores) or the number of worker processes")
    if jobs and scheduler is not None:
        raise ConfigError(
            f"{argument(jobs=jobs)} is for this machine, and {argument(scheduler=scheduler)} for others; give one"
        )


def require_apart(recordings: Sequence[Source], tables: Sequence[Path]) -> None:
    """Refuse to write over a recording: tables of samples have the suffixes of tables of answers.

    Raises
    ------
    ConfigError
        If one would be.
    """
    asked = {source.path.resolve(): source.name for source in recordings if source.path.suffix.lower() in SUFFIXES}
    if written := next((path for path in tables if path.resolve() in asked), None):
        raise ConfigError(
            f"{argument(out=str(tables[0]))}: {asked[written.resolve()]} is one of the recordings, and would be "
            "written over; choose another name or folder for the tables"
        )


def pool_of(archive: Archive, jobs: int, scheduler: str | None) -> Pool:
    """Who works: processes of this machine, or a scheduler's, which must see all folders."""
    if scheduler is None:
        return Workers(jobs, apart=True)
    folders = {source.path if source.stored else source.path.parent for source in archive.recordings}
    folders = {folder for folder in folders if is_folder(folder)}
    return Cluster(scheduler, (Path(archive.request.model), archive.parts, *sorted(folders)))
