"""Features of thousands of recordings as a table: ``neurolm embed … --out features.parquet``

The recordings are found, shared out among workers and put into quarantine as those of which questions are asked, see
`archive.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from neurolm.archive.archive import Archive, pool_of, require_apart, require_engine
from neurolm.archive.inputs import find_sources
from neurolm.archive.request import embed_request, held
from neurolm.archive.worker import read_vectors
from neurolm.ask import FREE_SECONDS
from neurolm.ask.rows import FailureRow
from neurolm.ask.table_files import PARQUET, require_pyarrow, table_file
from neurolm.ask.vectors import METADATA, Level, write_vectors
from neurolm.core.config import Precision
from neurolm.core.errors import ConfigError, argument
from neurolm.core.files import dump_json, require_writable
from neurolm.prepare.report import PrepareProgress
from neurolm.recording.options import BELIEVED, ReadingOptions, Unseen

PARTS = ".embedded"
"""Suffix of the folder in which the rows of each recording are kept, beside the output."""


@dataclass(frozen=True)
class EmbedReport:
    """What became of the recordings."""

    recordings: int
    """How many were embedded."""
    skipped: int
    """Of these, those that were embedded before."""
    quarantined: int
    """How many could not be; the table of the quarantine has the reasons."""
    rows: int
    seconds: float
    """Time taken."""
    table: Path
    quarantine: Path
    parts: Path
    """Where the rows are kept, so that the next run goes on from them."""
    notes: tuple[str, ...]
    """What was noticed."""
    reasons: Mapping[str, str]
    """Why the first of those in quarantine could not be embedded."""


def embed_archive(
    recordings: str | Path | Sequence[str | Path],
    *,
    model: str | Path,
    out: str | Path,
    level: Level = "window",
    seconds: int = FREE_SECONDS,
    stride: float = FREE_SECONDS,
    reading: ReadingOptions = BELIEVED,
    unseen: Unseen = "nearest",
    jobs: int = 0,
    scheduler: str | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    progress: Callable[[PrepareProgress], object] | None = None,
) -> EmbedReport:
    """Write the features of many recordings into a table; called again, go on.

    Parameters
    ----------
    recordings
        Files, folders, prepared stores and patterns such as ``archive/**/*.edf``, one or several.
    model
        Folder of a run or checkpoint, or the id of a model on the hub, as for ``neurolm.load``.
    out
        The table, ending in ``.parquet``; that of what could not be embedded lies beside it, with a folder of what is
        done so far.
    level
        What a row is: a ``recording``, a ``window``, a ``second`` or a ``patch`` (a second of an electrode). The vector
        of a patch is the encoder's; the others are means of it over electrodes, then seconds, then windows.
    seconds, stride, unseen
        As for ``Model.embed``.
    reading
        How recordings are read, where files do not say it; does not apply to stores.
    jobs, scheduler, device, precision, progress
        As for ``neurolm.ask_archive``.

    Raises
    ------
    RecordingError
        If there are no such recordings, or none of them can be embedded.
    CheckpointError
        As for ``neurolm.load``.
    StoreError
        If the folder beside the output has other features, or another process writes there.
    WriteError
        If something cannot be written.
    ConfigError
        If an argument is not valid, or pyarrow is missing.
    """
    begun, out = time.monotonic(), Path(out)
    given = [recordings] if isinstance(recordings, str | Path) else recordings
    require_engine(jobs, scheduler)
    if out.suffix.lower() not in PARQUET:
        raise ConfigError(f"{argument(out=str(out))}: tables of features are Parquet; let the name end in .parquet")
    require_pyarrow()
    quarantine = out.with_name(f"{out.stem}.quarantine{out.suffix}")
    for path in (out, quarantine):
        require_writable(path)
    found = find_sources(given, arrays=reading.rate is not None)
    require_apart(found.recordings, (out, quarantine))
    request = embed_request(
        model, level=level, seconds=seconds, stride=stride, reading=reading, unseen=unseen, device=device,
        precision=precision,
    )  # fmt: skip
    parts = out.absolute().with_name(f"{out.stem}{PARTS}")
    with held(parts, request):
        archive = Archive(found.recordings, request, parts)

        def write() -> int:
            done = (archive.jobs[source] for source in archive.recordings if source in archive.done)
            about = {METADATA: dump_json(asdict(request.settings), sort_keys=True).encode()}
            rows = write_vectors(out, (part for job in done for part in read_vectors(job)), about=about)
            with table_file(quarantine, FailureRow) as put:
                for source in archive.recordings:
                    if reason := archive.reasons.get(source):
                        whose = {"subject": source.subject, "session": source.session}
                        put(FailureRow(recording=source.name, **whose, reason=reason))
            return rows

        rows = archive.complete(write, lambda: pool_of(archive, jobs, scheduler), progress)
    return EmbedReport(
        recordings=len(archive.done), skipped=archive.skipped, quarantined=len(archive.reasons), rows=rows,
        seconds=time.monotonic() - begun, table=out, quarantine=quarantine, parts=out.with_name(parts.name),
        notes=(*found.notes, *archive.notes), reasons=archive.first_reasons,
    )  # fmt: skip
