"""neurolm embed recording.edf --out features.npz"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from neurolm.archive.inputs import is_one_file
from neurolm.ask import FREE_SECONDS
from neurolm.cli.ask import NEAREST, find_model, open_model
from neurolm.cli.show import Display, end_of_archive
from neurolm.cli.values import Answering, Machine
from neurolm.core.amounts import many
from neurolm.core.errors import ConfigError, WriteError
from neurolm.core.files import require_writable
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen

ARRAYS, TABLE = ".npz", (".parquet", ".pq")


def embed(
    files: Sequence[str],
    *,
    out: Path,
    model: Path | None = None,
    seconds: int = FREE_SECONDS,
    stride: float = FREE_SECONDS,
    evidence: bool = False,
    level: Literal["recording", "window", "second", "patch"] | None = None,
    plot: Path | None = None,
    jobs: int = 0,
    scheduler: str | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    precision: Literal["float32", "bfloat16"] = "float32",
    machine: Machine,
) -> bool:
    """Write features of recordings, for models of your own.

    Of one recording, an .npz file holds NumPy arrays: features, float32 (windows, seconds, electrodes, width); codes,
    int64 (windows, seconds, electrodes); starts, float64 (windows), in seconds; and electrodes, their names. With
    --evidence, too: evidence, float32 (windows, columns), in nats; and evidence_columns, their names, as
    "workload: Yes". Of any number of recordings, a .parquet file is a table of vectors, a row each --level, and the
    same command goes on after an interruption.

    Parameters
    ----------
    files
        A recording in any format that MNE reads, several, folders, prepared stores, patterns in quotes
        ('archive/**/*.edf'), or - for a list from standard input.
    out
        File to write: arrays, ending in .npz, or a table, ending in .parquet.
    seconds
        Length of a window.
    stride
        Seconds from the start of a window to the next.
    evidence
        Write, too, what the evidence beside the language model says for each option of each task; .npz only.
    level
        What a row of the table is, by default a window; a patch is a second of an electrode, and the others are means
        over patches.
    plot
        PNG of the table's two principal components, by subject and by label.
    jobs
        Worker processes for the table; 0: as many as there are cores.
    scheduler
        Address of a Dask scheduler, whose workers do the work instead.
    unseen
        What to do with electrodes that the model never saw.
    precision
        Of the encoder's matrix products; in bfloat16 some two codes in a hundred are others.
    """
    how: dict[str, Any] = {"seconds": seconds, "stride": stride, "reading": reading, "unseen": unseen}
    if out.suffix.lower() in TABLE:
        if evidence:
            raise ConfigError("--evidence is not in the table: give one recording, and an --out that ends in .npz")
        if plot is not None:
            require_writable(plot)
        how |= {"level": level or "window", "jobs": jobs, "scheduler": scheduler}
        whole = _into_table(files, out, model=find_model(model), device=machine.device, precision=precision, **how)
        if plot is not None:
            from neurolm.report.drawings.vectors import draw_vectors

            say(f"{draw_vectors(out, plot)}: its rows in two dimensions")
        return whole
    if out.suffix != ARRAYS:
        raise WriteError(
            f"{out}: choose another --out, ending in .npz for NumPy arrays of one recording, or in .parquet for a "
            "table of any number"
        )
    if len(files) != 1 or not is_one_file(files[0]):
        raise WriteError(f"{out}: holds the arrays of one recording; for several, let --out end in .parquet")
    for flag, given in (("--level", level), ("--jobs", jobs), ("--scheduler", scheduler), ("--plot", plot)):
        if given:
            raise ConfigError(f"{flag} {given} is for tables: let --out end in .parquet")
    require_writable(out)
    file = Path(files[0])
    answering = Answering(device=machine.device, threads=machine.threads, precision=precision)
    found = open_model(file, model, answering).embed_parts(file, evidence=evidence, **how)
    windows, length, electrodes, width = found.shape
    beside = f", evidence for {', '.join(found.evidence_columns) or 'nothing'}" if evidence else ""
    made = f"{many(windows, 'window')} of {length} s, {many(electrodes, 'electrode')}, {width} features each second"
    say(f"{found.save(out)}: {made}{beside}")
    say(*(f"note: {note}" for note in found.notes))
    return True


def _into_table(files: Sequence[str], out: Path, *, level: Any, **how: Any) -> bool:
    """Write the vectors of many recordings into a table; returns whether all were embedded."""
    from neurolm.archive.embed import embed_archive

    with Display() as display:
        report = embed_archive(files, out=out, level=level, **how, progress=display.embedding)
    rows = many(report.recordings, "recording")
    if level != "recording":
        rows = (
            f"{report.rows:,} {level if report.rows == 1 else {'patch': 'patches'}.get(level, f'{level}s')} of {rows}"
        )
    before = f"; {report.skipped:,} recordings were done before" if report.skipped else ""
    say(f"{out}: a vector for each of {rows}{before}")
    return end_of_archive(report, "embedded", report.quarantine)
