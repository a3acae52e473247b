"""Many recordings into a store: ``neurolm prepare RECORDINGS --out STORE``.

Each recording is prepared on its own into a staged file; when all of a group are there, they are put into their shard.
All of it can be killed at any moment and goes on where it was; the manifest is exchanged at the end. The bytes of the
store depend on the recordings and the settings alone, not on the number of workers, on interruptions, or on the order
in which recordings were added. A recording that cannot be read is put down in ``quarantine.jsonl`` with its reason and
never stops the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neurolm.core.errors import ConfigError, NeuroLMError, StoreError
from neurolm.core.physics import RATE
from neurolm.core.workers import Workers
from neurolm.corpora import AUTO, CORPORA, Source, layout
from neurolm.prepare.cluster import Cluster
from neurolm.prepare.journal import FileStates, Settings, agree, locked
from neurolm.prepare.preparation import Preparation, excluded_from
from neurolm.prepare.progress import Progress
from neurolm.prepare.worker import Task
from neurolm.recording.electrodes.policy import UNKNOWN_POLICIES
from neurolm.recording.formats.completeness import TRUNCATED_POLICIES
from neurolm.recording.formats.edf import MICROVOLTS
from neurolm.recording.recording import AUTO as AUTO_UNIT
from neurolm.store.exclusions import read_exclusions
from neurolm.store.store import EXCLUDED

__all__ = ["PrepareReport", "Progress", "prepare"]


@dataclass(frozen=True)
class PrepareReport:
    """What a preparation did."""

    recordings: int
    """In the store, of this corpus."""
    hours: float
    """Their total length."""
    quarantined: int
    """Sources that could not be read; ``quarantine.jsonl`` has the reasons."""
    excluded: int
    """Sources that the exclusion list names."""
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
    truncated: str = "refuse",
    exclude: Path | str | None = None,
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
        Unit of the files' numbers where the files do not tell the truth, as in `open_recording`; ``auto`` decides.
    mains
        Mains frequency in Hz; None: the corpus's, else detected in each recording.
    truncated
        ``accept`` takes what is there of files that end too early, as in `open_recording`.
    exclude
        Exclusion list, as ``neurolm overlap`` writes it: recordings, signals and people that must not be in the store.
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
    settings = Settings("", unknown, unit, mains, truncated)
    _check_arguments(data, jobs, scheduler, settings)
    settings = replace(settings, layout=layout(data, corpus))
    sources = CORPORA[settings.layout](data)
    name = _corpus_name(sources)
    states = FileStates()
    tasks = sorted((_task(s, data, out, settings, states) for s in sources), key=lambda task: task.recording)
    excluded = () if exclude is None else read_exclusions(exclude)
    with locked(out):
        agree(out, name, settings)
        if exclude is None and any(entry.recording.startswith(f"{name}/") for entry in excluded_from(out)):
            raise StoreError(
                f"{out}: recordings of {name!r} were left out of this store on demand ({EXCLUDED}): give the exclusion "
                "list again (exclude), or prepare into another folder"
            )
        run = Preparation(data, out, name, tasks, excluded, progress)
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
        excluded=len(run.left_out),
        skipped=run.skipped,
        seconds=time.monotonic() - begun,
        notes=notes,
    )


def _check_arguments(data: Path, jobs: int, scheduler: str | None, settings: Settings) -> None:
    if not data.is_dir():
        what = "is a file; give the folder that holds it" if data.exists() else "no such folder"
        raise StoreError(f"{data}: {what}")
    allowed = {"unknown": UNKNOWN_POLICIES, "unit": (None, *MICROVOLTS, AUTO_UNIT), "truncated": TRUNCATED_POLICIES}
    for argument, valid in allowed.items():
        if (value := getattr(settings, argument)) not in valid:
            raise ConfigError(f"{argument} is {value!r}: choose one of {', '.join(map(str, valid))}")
    mains = settings.mains
    if mains is not None and not 0 < mains < RATE / 2:
        raise ConfigError(f"mains must be a frequency in Hz, 50 or 60, not {mains}")
    if jobs < 0:
        raise ConfigError(f"jobs must be 0 (all cores) or the number of worker processes, not {jobs}")
    if jobs and scheduler is not None:
        raise ConfigError(f"jobs={jobs} is for this machine, and scheduler={scheduler!r} for others; give one of them")


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
