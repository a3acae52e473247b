"""Many recordings into a store: ``neurolm prepare RECORDINGS --out STORE``.

Each recording is prepared on its own into its shard, then written down in the journal; the manifest is exchanged at the
end. All of it can be killed at any moment and goes on where it was. The bytes of the store depend on the recordings and
the settings alone, not on the number of workers, on interruptions, or on the order in which recordings were added. A
recording that cannot be read is put down in ``quarantine.jsonl`` with its reason and never stops the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from neurolm.core.cluster import Cluster
from neurolm.core.errors import ConfigError, NeuroLMError, StoreError, argument
from neurolm.core.physics import Filters
from neurolm.core.workers import Workers
from neurolm.corpora import AUTO, layout_of
from neurolm.prepare.journal import CorpusSettings, agree, locked
from neurolm.prepare.preparation import Preparation, excluded_from
from neurolm.prepare.report import PrepareProgress, PrepareReport
from neurolm.prepare.worker import RecordingJob, list_recordings, require_folder
from neurolm.recording.options import BELIEVED, ReadingOptions
from neurolm.store.exclusions import read_exclusions
from neurolm.store.store import EXCLUDED

__all__ = ["PrepareProgress", "PrepareReport", "prepare"]


def prepare(
    data: Path | str,
    out: Path | str,
    *,
    corpus: str = AUTO,
    jobs: int = 0,
    scheduler: str | None = None,
    reading: ReadingOptions = BELIEVED,
    filters: Filters = "zero-phase",
    exclude: Path | str | None = None,
    progress: Callable[[PrepareProgress], object] | None = None,
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
        Layout of the folder, as `neurolm corpora` lists them; ``auto`` recognises it.
    jobs
        Worker processes; 0: as many as there are cores.
    scheduler
        Address of a Dask scheduler, whose workers do the work instead (docs/prepare.md).
    reading
        How to read all of them. Of what is left open the corpus's layout may say something.
    filters
        ``zero-phase``, as in the paper, or ``causal``: from earlier samples alone, for causal recipes and live EEG. A
        model reads recordings as its store was filtered.
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
    _check_arguments(data, jobs, scheduler)
    settings = CorpusSettings.of(layout_of(data, corpus), reading, filters)
    recordings = sorted(list_recordings(data, out, settings), key=lambda job: job.recording)
    name = _corpus_name(recordings)
    excluded = () if exclude is None else read_exclusions(exclude)
    with locked(out):
        agree(out, name, settings)
        if exclude is None and any(entry.recording.startswith(f"{name}/") for entry in excluded_from(out)):
            raise StoreError(
                f"{out}: recordings of {name!r} were left out of this store on demand ({EXCLUDED}): give the exclusion "
                f"list again ({argument('exclude')}), or prepare into another folder"
            )
        run = Preparation(data, out, name, recordings, excluded, progress)
        try:
            run.work(lambda: Cluster(scheduler, (data, out)) if scheduler else Workers(jobs))
            notes = run.finish()
        except NeuroLMError:
            run.undo()
            raise
    return PrepareReport(
        recordings=len(run.entries),
        hours=sum(entry.row.seconds for entry in run.entries.values()) / 3600,
        quarantined=len(run.unreadable),
        excluded=len(run.left_out),
        skipped=run.skipped,
        seconds=time.monotonic() - begun,
        notes=notes,
        tasks=tuple(sorted({label.task for entry in run.entries.values() for label in entry.row.labels})),
    )


def _check_arguments(data: Path, jobs: int, scheduler: str | None) -> None:
    require_folder(data)
    if jobs < 0:
        raise ConfigError(f"jobs must be 0 (all cores) or the number of worker processes, not {jobs}")
    if jobs and scheduler is not None:
        raise ConfigError(
            f"{argument(jobs=jobs)} is for this machine, and {argument(scheduler=scheduler)} for others; give one"
        )


def _corpus_name(recordings: Sequence[RecordingJob]) -> str:
    (name,) = {job.source.corpus for job in recordings}
    if name != Path(name).name or name in (".", ".."):
        raise ConfigError(f"the name of the corpus, {name!r}, must be usable as the name of a folder")
    return name
