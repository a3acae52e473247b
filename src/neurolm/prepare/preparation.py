"""A preparation under way: what is done, what has to be done, and what the store becomes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from heapq import merge
from itertools import zip_longest
from pathlib import Path

from neurolm.core.errors import RecordingError, StoreError
from neurolm.core.files import dump_json, remove_partial, write_lines
from neurolm.core.names import nearly_same, readable
from neurolm.core.small_files import LARGE, parse_json, read_text
from neurolm.core.workers import Crash, Pool
from neurolm.corpora import LAYOUTS
from neurolm.corpora.source import AnnotationsGone, WatchedExtent
from neurolm.corpora.table import CUT
from neurolm.prepare.channel_names import concerns, differ_in_names, names_of, require_used
from neurolm.prepare.journal import Entry, Journal, forget
from neurolm.prepare.report import SHOWN, Meter, PrepareProgress, examples, summary
from neurolm.prepare.worker import RecordingJob, Unreadable, check_labels, prepare_recording
from neurolm.recording.suffixes import walk
from neurolm.recording.unread import others
from neurolm.store.exclusions import Exclusion, read_exclusions
from neurolm.store.index import INDEX, MANIFEST, lines, scan, write_index, write_manifest
from neurolm.store.manifest import Row, parse_row
from neurolm.store.shards import is_shard_of
from neurolm.store.storage import LocalStorage
from neurolm.store.store import EXCLUDED, QUARANTINE, SHARDS


class Preparation:
    """Brings one corpus of a store up to date; the store must be locked.

    Parameters
    ----------
    data, out
        Folders of the recordings and of the store.
    corpus
        Its name.
    recordings
        All that the corpus has, sorted by id.
    exclude
        What must not be in the store.
    """

    def __init__(
        self,
        data: Path,
        out: Path,
        corpus: str,
        recordings: Sequence[RecordingJob],
        exclude: Sequence[Exclusion],
        progress: Callable[[PrepareProgress], object] | None,
    ) -> None:
        self.data, self.out, self.corpus = data, out, corpus
        self.recordings, self.excluded, self.progress = recordings, _Reasons(exclude), progress
        self.journal = Journal(out, corpus)
        self.entries: dict[str, Entry] = {}
        self.unreadable: dict[str, str] = {}
        self.left_out: list[Exclusion] = []
        self.skipped = 0
        self.layout = LAYOUTS[recordings[0].settings.layout]

    def work(self, make_pool: Callable[[], Pool]) -> None:
        """Prepare what is not in the store yet."""
        known = self.journal.read()
        pending = []
        for job in self.recordings:
            if (name := readable(job.relative)) != job.relative:
                self.unreadable[name] = "its name is not in UTF-8, as a store's must be: rename the file or its folder"
                continue
            entry = _resumed(job, known.get(job.recording))
            if self._leave_out(job, entry):
                continue
            if entry is None:
                pending.append(job)
            else:
                self.entries[job.recording] = entry
        self.skipped = len(self.entries)
        if not pending:
            return
        with make_pool() as pool:
            pending = self._check_names(pool, pending, known)
            before, size = len(self.recordings) - len(pending), sum(job.size for job in pending)
            meter = Meter(self.progress, total=len(self.recordings), before=before, size=size)
            labelled = [job for job in pending if callable(job.source.labels)]
            for _ in pool.each(check_labels, labelled):  # a wrong table shows now, not after hours of work
                pass
            for job, result in pool.each(prepare_recording, pending):
                hours = 0.0
                if not isinstance(result, Entry):
                    self._quarantine(job, result)
                elif self._leave_out(job, result):
                    (self.out / SHARDS / result.row.shard).unlink(missing_ok=True)
                else:
                    self.journal.add(result)
                    self.entries[job.recording] = result
                    hours = result.row.seconds / 3600
                meter.add(job.relative, size=job.size, hours=hours, failures=len(self.unreadable))

    def _check_names(
        self, pool: Pool, pending: Sequence[RecordingJob], known: Mapping[str, Entry]
    ) -> list[RecordingJob]:
        """Return what is left to prepare: not what a changed map of channel names does not concern."""
        old = {job.recording: known[job.recording] for job in pending if job.recording in known}
        renamed = [job for job in pending if job.recording in old and differ_in_names(job, old[job.recording])]
        kept, seen = set(), set()
        for job, names in pool.each(names_of, renamed):
            if isinstance(names, tuple) and not concerns(job, old[job.recording], names):
                entry = _resumed(job, replace(old[job.recording], reading=job.reading))
                if entry is not None and not self._leave_out(job, entry):
                    self.entries[job.recording] = entry
                kept.add(job.recording)
            seen |= set(names) if isinstance(names, tuple) else set()
        left = [job for job in pending if job.recording not in kept]
        if not self.skipped:  # else the names were found when those recordings were prepared
            require_used(pool, pending, seen)
        self.skipped = len(self.entries)
        return left

    def _quarantine(self, job: RecordingJob, found: Unreadable | Crash) -> None:
        if isinstance(found, Crash):
            code = "" if found.exit_code is None else f" (exit code {found.exit_code})"
            found = Unreadable(f"reading it crashed the reader{code}")
        reason = found.reason.replace(f"{self.data}{os.sep}", "")
        self.unreadable[job.relative] = reason.removeprefix(f"{job.relative}: ")

    def _leave_out(self, job: RecordingJob, entry: Entry | None) -> bool:
        """Tell whether a recording must not be in the store, and note it down."""
        subject, content = f"{job.source.corpus}/{job.source.subject}", "" if entry is None else entry.row.sha256
        reason = self.excluded.reason(job.recording, content, subject)
        if reason is None:
            return False
        self.left_out.append(Exclusion(job.recording, subject, content, reason))
        return True

    def finish(self) -> tuple[str, ...]:
        """Write quarantine, journal and manifest, remove what is in neither, and return the notes of the report."""
        if not self.entries and not self.left_out:
            reasons = [f"\n  {source}: {reason}" for source, reason in sorted(self.unreadable.items())]
            more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
            raise StoreError(
                f"{self.data}: none of the {len(reasons)} recordings could be prepared:{''.join(reasons[:SHOWN])}{more}"
            )
        if not self.entries:
            raise StoreError(
                f"{self.data}: of {len(self.recordings)} recordings, {len(self.left_out)} are excluded and "
                f"{len(self.unreadable)} cannot be read: none is left"
            )
        notes = tuple(self._notes())
        self._write_quarantine()
        write_lines(self.out / EXCLUDED, [f"{dump_json(asdict(entry))}\n" for entry in self._exclusions()])
        self.journal.write([self.entries[recording] for recording in sorted(self.entries)])
        self._write_manifest()
        remove_partial(self.out / SHARDS)  # of workers that died
        kept = {entry.row.shard for entry in self.entries.values()}
        for path in (self.out / SHARDS).iterdir():  # of what was left out, or was different before
            if path.name not in kept and is_shard_of(self.corpus, path.name):
                path.unlink()
        return notes

    def undo(self) -> None:
        """Leave no trace of a corpus of which the store has nothing, so that other settings can be tried."""
        if not self.journal.read():
            self.journal.write([])
            forget(self.out, self.corpus)

    def _before(self) -> Iterator[Row]:
        """Yield the rows of the manifest as it is."""
        file = self.out / MANIFEST
        for number, line in enumerate(lines(LocalStorage(self.out)) if file.is_file() else (), start=1):
            yield parse_row(line, source=f"{file}, line {number}")

    def _rows(self) -> Iterator[Row]:
        """Yield the rows of the manifest as it shall be."""
        others = (row for row in self._before() if row.corpus != self.corpus)
        own = (self.entries[recording].row for recording in sorted(self.entries))
        return merge(others, own, key=lambda row: row.recording)

    def _write_manifest(self) -> None:
        if any(old != new for old, new in zip_longest(self._before(), self._rows())):
            write_manifest(self.out, self._rows())
        elif not (self.out / INDEX).is_file():
            write_index(self.out, scan(LocalStorage(self.out), str(self.out)))

    def _write_quarantine(self) -> None:
        file = self.out / QUARANTINE
        text = read_text(file, most=LARGE) if file.is_file() else ""
        entries = [entry for entry in map(parse_json, text.splitlines()) if entry["corpus"] != self.corpus]
        entries += [{"corpus": self.corpus, "source": source, "reason": why} for source, why in self.unreadable.items()]
        entries.sort(key=lambda entry: (entry["corpus"], entry["source"]))
        write_lines(file, [dump_json(entry) + "\n" for entry in entries])

    def _exclusions(self) -> list[Exclusion]:
        others = [entry for entry in excluded_from(self.out) if not entry.recording.startswith(f"{self.corpus}/")]
        return sorted((*others, *self.left_out), key=lambda entry: entry.recording)

    def _notes(self) -> Iterator[str]:
        own = [entry.row for entry in self.entries.values()]
        yield from summary([(row.source, row.notes) for row in own])
        clipped = sorted((row for row in own if row.clipped), key=_clipped, reverse=True)
        if clipped:
            most = examples([f"{row.recording} ({row.clipped:,} samples, {_clipped(row):.2g} %)" for row in clipped])
            yield f"samples beyond the range of the store were clipped in {most}"
        by_content = defaultdict(list)
        for row in self._rows():
            by_content[row.sha256].append((row.recording, row.subject))
        for same in by_content.values():
            if len({subject for _, subject in same}) > 1:
                yield f"the same signal under different subjects: {examples([recording for recording, _ in same])}"
        for task in sorted({label.task for row in own for label in row.labels}):
            for group in nearly_same(label.label for row in own for label in row.labels if label.task == task):
                yield f"labels {' and '.join(map(repr, group))} of task {task} differ, if only in capitals or zeros"
        for group in nearly_same(row.subject for row in own):
            yield (
                f"subjects {' and '.join(group)} count as {len(group)} people, although they differ in capitals or "
                "zeros alone: give them one name if they are one"
            )
        gone = [row for row in self._before() if row.corpus == self.corpus and row.recording not in self.entries]
        left_out = {entry.recording for entry in self.left_out}
        gone = [row for row in gone if row.source not in self.unreadable and row.recording not in left_out]
        for there, where in ((False, self.data), (True, f"the corpus {self.corpus!r}")):
            rows = [row.recording for row in gone if (self.data / row.source).exists() == there]
            if rows:
                yield f"no longer in {where}, taken out of the manifest: {examples(rows)}"
        known = {job.source.path for job in self.recordings}
        found = walk(self.data)
        left = [readable(str(path.relative_to(self.data))) for path in found.recordings if path not in known]
        if left:
            yield f"not part of the corpus {self.corpus!r}, left out: {examples(left)}"
        yield from found.notes(self.data)
        if not self.layout.url:  # a public corpus has other files too, as its authors meant
            yield from others(self.data, known)
        yield from self.layout.notes(self.data)
        if left_out:
            yield f"excluded: {examples(sorted(left_out))}"
        for source, reason in sorted(self.unreadable.items())[:SHOWN]:
            yield f"quarantined: {source}: {reason}"


class _Reasons:
    """Finds why something is excluded: the recording is named, its signal, or its subject."""

    def __init__(self, exclusions: Sequence[Exclusion]) -> None:
        self.by = {
            name: {getattr(entry, name): entry.reason for entry in exclusions if getattr(entry, name)}
            for name in ("recording", "content", "subject")
        }

    def reason(self, recording: str, content: str, subject: str) -> str | None:
        """Return the reason; None where it is not excluded."""
        keys = {"recording": recording, "content": content, "subject": subject}
        return next((self.by[name][key] for name, key in keys.items() if key in self.by[name]), None)


def _clipped(row: Row) -> float:
    """Per cent of a recording's samples that were clipped."""
    return 100 * row.clipped / (row.samples * len(row.channels))


def excluded_from(out: Path) -> tuple[Exclusion, ...]:
    """Return what was left out of a store on demand."""
    return read_exclusions(out / EXCLUDED) if (out / EXCLUDED).is_file() else ()


def _resumed(job: RecordingJob, entry: Entry | None) -> Entry | None:
    """Return the entry of a recording that is in the store and unchanged, with its labels as of now."""
    if entry is None:
        return None
    settings = replace(entry.settings, layout=job.settings.layout)  # which labels a recording, but does not read it
    if (entry.files, settings, entry.reading, entry.mains) != (job.files, job.settings, job.reading, job.mains):
        return None
    source, extent = job.source, WatchedExtent(entry)
    try:
        labels, of_labels = source.labelled(extent), source.label_notes(extent)
    except (RecordingError, AnnotationsGone):  # as the table is now, they are not for this recording; or need it again
        return None
    kept = (note for note in entry.row.notes if not note.startswith(CUT))
    row = replace(
        entry.row,
        subject=f"{source.corpus}/{source.subject}",
        licence=source.licence,
        labels=labels,
        notes=(*kept, *of_labels),
    )
    annotations = entry.annotations if extent.read else None
    return replace(entry, settings=job.settings, row=row, annotations=annotations)
