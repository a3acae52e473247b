"""Many recordings into a store: ``neurolm prepare RECORDINGS --out STORE``.

Each recording is prepared on its own and its two files (signal, row) are written atomically, so that a preparation can
be killed at any moment and goes on where it was; the manifest is assembled from the rows at the end. The bytes of the
store depend on the recordings and the settings alone, not on the number of workers nor on interruptions. A recording
that cannot be read is put down in ``quarantine.jsonl`` with its reason and never stops the run.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import neurolm
from neurolm.config import from_json, to_json
from neurolm.data.corpora import AUTO, CORPORA, Source, layout
from neurolm.data.edf import MICROVOLTS
from neurolm.data.electrodes import UNKNOWN_POLICIES
from neurolm.data.ledger import FileState, FileStates, Settings, State, agree, forget, locked
from neurolm.data.preprocess import preprocess
from neurolm.data.recording import find_recordings
from neurolm.data.store import (
    MANIFEST,
    QUARANTINE,
    ROWS,
    Row,
    encode,
    read_manifest,
    row_path,
    signal_path,
    write_parts,
)
from neurolm.data.workers import Crash, Workers
from neurolm.errors import ConfigError, NeuroLMError, StoreError
from neurolm.files import write_text
from neurolm.montage import RATE

PREVIOUS = "manifest.previous.jsonl"
"""The manifest while a preparation is under way."""
SHOWN = 3
"""Examples in a message."""
KINDS = 8
"""Kinds of notes in a report."""

Progress = Callable[[int, int, str], None]
"""Called per finished recording with the number finished, the number of all, and the source."""


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


@dataclass(frozen=True)
class _Task:
    """A recording to prepare."""

    source: Source
    recording: str
    relative: str
    out: Path
    files: tuple[FileState, ...]
    settings: Settings
    mains: float | None


@dataclass(frozen=True)
class _Bad:
    """Why a recording could not be prepared."""

    reason: str


def prepare(
    data: Path | str,
    out: Path | str,
    *,
    corpus: str = AUTO,
    jobs: int = 0,
    unknown: str = "error",
    unit: str | None = None,
    mains: float | None = None,
    progress: Progress | None = None,
) -> PrepareReport:
    """Prepare a folder of recordings into a store; given again, continue or bring the store up to date.

    Parameters
    ----------
    data
        Folder of recordings.
    out
        Folder of the store. It may hold other corpora already.
    corpus
        Layout of the folder, a name in ``corpora.CORPORA``; ``auto`` recognises it.
    jobs
        Worker processes; 0: as many as there are cores.
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
        If an argument or the corpus's table is not valid.
    """
    begun = time.monotonic()
    data, out = Path(data), Path(out)
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
    settings = Settings(layout(data, corpus), unknown, unit, mains)
    sources = CORPORA[settings.layout](data)
    name = _corpus_name(sources)
    tasks = [_task(source, data, out, settings, states) for states in [FileStates()] for source in sources]
    with locked(out):
        agree(out, name, settings)
        run = _Run(data, out, name, tasks, jobs or _cores(), progress)
        try:
            run.work()
            notes = run.finish()
        except NeuroLMError:
            run.undo()
            raise
    return PrepareReport(
        recordings=len(run.rows),
        hours=sum(row.seconds for row in run.rows.values()) / 3600,
        quarantined=len(run.bad),
        skipped=run.skipped,
        seconds=time.monotonic() - begun,
        notes=notes,
    )


class _Run:
    """A preparation under way: what is done, what was bad."""

    def __init__(
        self, data: Path, out: Path, corpus: str, tasks: Sequence[_Task], jobs: int, progress: Progress | None
    ) -> None:
        self.data, self.out, self.corpus = data, out, corpus
        self.tasks, self.jobs, self.progress = tasks, jobs, progress
        self.rows: dict[str, Row] = {}
        self.bad: dict[str, str] = {}
        self.skipped = 0

    def work(self) -> None:
        """Prepare what is not in the store yet."""
        pending = []
        for task in self.tasks:
            row = _resumed(task)
            if row is None:
                pending.append(task)
            else:
                self.rows[task.recording] = row
        self.skipped = len(self.rows)
        if not pending:
            return
        bad_before = {entry["source"] for entry in self._quarantined() if entry["corpus"] == self.corpus}
        if (self.out / MANIFEST).is_file() and any(task.relative not in bad_before for task in pending):
            (self.out / MANIFEST).replace(self.out / PREVIOUS)  # without a manifest, the store counts as unfinished
        labelled = [task for task in pending if callable(task.source.labels)]
        with Workers(min(self.jobs, len(pending))) as workers:
            for _ in workers.each(_check_labels, labelled):  # a wrong table shows now, not after hours of work
                pass
            for index, result in workers.each(_prepare_one, pending):
                task = pending[index]
                if isinstance(result, Row):
                    self.rows[task.recording] = result
                else:
                    self._quarantine(task, result)
                if self.progress:
                    self.progress(len(self.rows) + len(self.bad), len(self.tasks), task.relative)

    def _quarantine(self, task: _Task, result: _Bad | Crash) -> None:
        if isinstance(result, Crash):
            result = _Bad(f"reading it crashed the reader (exit code {result.exit_code})")
        reason = result.reason.replace(f"{self.data}{os.sep}", "")
        self.bad[task.relative] = reason.removeprefix(f"{task.relative}: ")
        for path in (row_path(self.out, task.recording), signal_path(self.out, task.recording)):
            path.unlink(missing_ok=True)  # of an earlier, readable content

    def finish(self) -> tuple[str, ...]:
        """Write quarantine and manifest, and return the notes of the report."""
        before = self._before()
        if not self.rows:
            reasons = [f"\n  {source}: {reason}" for source, reason in sorted(self.bad.items())]
            more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
            raise StoreError(
                f"{self.data}: none of the {len(reasons)} recordings could be prepared:{''.join(reasons[:SHOWN])}{more}"
            )
        self._write_quarantine()
        rows = [*(row for row in before if row.corpus != self.corpus), *self.rows.values()]
        self._write_manifest(rows)
        gone = [row for row in before if row.corpus == self.corpus and row.recording not in self.rows]
        return tuple(self._notes(rows, [row for row in gone if row.source not in self.bad]))

    def undo(self) -> None:
        """Leave no trace of a corpus of which the store has nothing, so that other settings can be tried."""
        if any((self.out / ROWS / self.corpus).rglob("*.json")):
            return
        self.bad = {}
        self._write_quarantine()
        self._write_manifest([row for row in self._before() if row.corpus != self.corpus])
        forget(self.out, self.corpus)

    def _before(self) -> tuple[Row, ...]:
        """Return the rows of the manifest that the store had; a finished one is newer than one put aside."""
        files = [name for name in (MANIFEST, PREVIOUS) if (self.out / name).is_file()]
        return read_manifest(self.out, files[0]) if files else ()

    def _write_manifest(self, rows: list[Row]) -> None:
        rows.sort(key=lambda row: row.recording)
        _write_lines(self.out / MANIFEST, [row.line() for row in rows])
        (self.out / PREVIOUS).unlink(missing_ok=True)

    def _quarantined(self) -> list[dict[str, str]]:
        file = self.out / QUARANTINE
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []

    def _write_quarantine(self) -> None:
        entries = [entry for entry in self._quarantined() if entry["corpus"] != self.corpus]
        entries += [{"corpus": self.corpus, "source": source, "reason": why} for source, why in self.bad.items()]
        entries.sort(key=lambda entry: (entry["corpus"], entry["source"]))
        _write_lines(self.out / QUARANTINE, [json.dumps(entry) + "\n" for entry in entries])

    def _notes(self, rows: Sequence[Row], gone: Sequence[Row]) -> Iterator[str]:
        yield from _summary([row.notes for row in self.rows.values()])
        clipped = [row.recording for row in self.rows.values() if row.clipped]
        if clipped:
            yield f"samples beyond the range of the store were clipped in {_examples(clipped)}"
        by_content = defaultdict(list)
        for row in rows:
            by_content[row.sha256].append(row)
        for same in by_content.values():
            if len({row.subject for row in same}) > 1:
                yield f"the same signal under different subjects: {_examples([row.recording for row in same])}"
        if gone:
            yield f"no longer in {self.data}, taken out of the manifest: {_examples([row.recording for row in gone])}"
        known = {task.source.path for task in self.tasks}
        left = [str(path.relative_to(self.data)) for path in find_recordings(self.data) if path not in known]
        if left:
            yield f"not part of the corpus {self.corpus!r}, left out: {_examples(left)}"
        for source, reason in sorted(self.bad.items())[:SHOWN]:
            yield f"quarantined: {source}: {reason}"


def _prepare_one(task: _Task) -> Row | _Bad:
    """Prepare one recording; runs in a worker."""
    try:
        recording = task.source.open_recording(unknown=task.settings.unknown, unit=task.settings.unit)
        labels = task.source.labelled(recording)
        prepared = preprocess(recording, mains=task.mains)
        encoded = encode(prepared.signal)
    except ConfigError:
        raise  # an argument or a table of the user's, not the recording
    except NeuroLMError as error:
        return _Bad(str(error))
    except Exception as error:  # a reader may fail in any way on a damaged file, and must not stop the others
        return _Bad(f"{type(error).__name__}: {error}")
    row = Row(
        recording=task.recording,
        corpus=task.source.corpus,
        source=task.relative,
        sha256=encoded.sha256,
        subject=f"{task.source.corpus}/{task.source.subject}",
        channels=tuple(recording.channels),
        samples=len(encoded.counts),
        scale=encoded.scale,
        clipped=encoded.clipped,
        mains=float(prepared.mains),
        band=(float(prepared.band[0]), float(prepared.band[1])),
        unit=recording.unit,
        version=neurolm.__version__,
        licence=task.source.licence,
        labels=labels,
        notes=(*recording.notes, *prepared.notes),
    )
    state = State(task.files, task.settings, task.mains, float(recording.seconds), tuple(recording.annotations), row)
    write_parts(signal_path(task.out, task.recording), [encoded.counts.data.cast("B")])
    write_text(row_path(task.out, task.recording), to_json(state))
    return row


def _check_labels(task: _Task) -> None:
    """Raise the ConfigError of labels that do not fit their recording; runs in a worker."""
    try:
        recording = task.source.open_recording(unknown=task.settings.unknown, unit=task.settings.unit, check=False)
    except ConfigError:
        raise
    except Exception:  # whatever is wrong with the recording shows again, and is put down, when it is prepared
        return
    task.source.labelled(recording)


def _resumed(task: _Task) -> Row | None:
    """Return the row of a recording that is in the store and unchanged, with its labels as of now."""
    file = row_path(task.out, task.recording)
    try:
        state = from_json(State, file.read_text(encoding="utf-8"), source=str(file))
        size = signal_path(task.out, task.recording).stat().st_size
    except (FileNotFoundError, ConfigError):  # never prepared, or by a version that kept other things
        return None
    if (state.files, state.settings, state.mains, size) != (task.files, task.settings, task.mains, state.row.size):
        return None
    source = task.source
    row = replace(
        state.row,
        subject=f"{source.corpus}/{source.subject}",
        licence=source.licence,
        labels=source.labelled(state),
    )
    if row != state.row:
        write_text(file, to_json(replace(state, row=row)))
    return row


def _task(source: Source, data: Path, out: Path, settings: Settings, states: FileStates) -> _Task:
    relative = source.path.relative_to(data).as_posix()
    mains = source.mains if settings.mains is None else settings.mains
    return _Task(source, f"{source.corpus}/{relative}", relative, out, states.of(source.path), settings, mains)


def _corpus_name(sources: Sequence[Source]) -> str:
    (name,) = {source.corpus for source in sources}
    if name != Path(name).name or name in (".", ".."):
        raise ConfigError(f"the name of the corpus, {name!r}, must be usable as the name of a folder")
    return name


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    """Make a file of these lines; none where there are no lines."""
    text = "".join(lines)
    if not text:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


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
