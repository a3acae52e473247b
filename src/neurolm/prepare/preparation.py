"""A preparation under way: what is done, what has to be done, and what the store becomes."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from heapq import merge
from itertools import zip_longest
from pathlib import Path

from neurolm.core.errors import StoreError
from neurolm.core.files import parse_json, write_lines
from neurolm.core.workers import Crash, Workers
from neurolm.prepare.cluster import Cluster
from neurolm.prepare.journal import State, forget, packed_states, staged
from neurolm.prepare.notes import SHOWN, examples, summary
from neurolm.prepare.progress import Meter, Progress
from neurolm.prepare.worker import Bad, Pack, Task, check_labels, work
from neurolm.recording.recording import find_recordings
from neurolm.store.exclusions import Exclusion, read_exclusions
from neurolm.store.index import INDEX, MANIFEST, lines, scan, write_index, write_manifest
from neurolm.store.manifest import Row, parse_row
from neurolm.store.shards import grouped, is_shard_of, placed, sources_path, staged_name, staged_state
from neurolm.store.storage import Local
from neurolm.store.store import EXCLUDED, QUARANTINE, SHARDS, SOURCES, STAGING


class Preparation:
    """Brings one corpus of a store up to date; the store must be locked.

    Parameters
    ----------
    data, out
        Folders of the recordings and of the store.
    corpus
        Its name.
    tasks
        All its recordings, sorted by id.
    exclude
        What must not be in the store.
    """

    def __init__(
        self,
        data: Path,
        out: Path,
        corpus: str,
        tasks: Sequence[Task],
        exclude: Sequence[Exclusion],
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self.data, self.out, self.corpus = data, out, corpus
        self.tasks, self.excluded, self.progress = tasks, _Reasons(exclude), progress
        self.states: dict[str, State] = {}
        self.bad: dict[str, str] = {}
        self.left_out: list[Exclusion] = []
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
            if self._leave_out(task, state):
                continue
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
        size = sum(task.size for task in pending)
        meter = Meter(self.progress, total=len(self.tasks), before=len(self.tasks) - len(pending), size=size)
        with make_pool() if pending else Workers(1) as pool:
            labelled = [task for task in pending if callable(task.source.labels)]
            for _ in pool.each(check_labels, labelled):  # a wrong table shows now, not after hours of work
                pass
            for item, result in pool.drain(work, queue):
                if isinstance(item, Pack):
                    self._packed(item, result)
                    continue
                self._done(item, result)
                hours = self.states[item.recording].row.seconds / 3600 if item.recording in self.states else 0.0
                meter.add(item.relative, size=item.size, hours=hours, failures=len(self.bad))
                group = self.group_of[item.recording]
                self.waiting[group] -= 1
                if not self.waiting[group]:
                    queue.extendleft(self._complete(group))

    def _done(self, task: Task, result: object) -> None:
        if isinstance(result, State):
            if not self._leave_out(task, result):
                self.states[task.recording] = result
            return
        if isinstance(result, Crash):
            code = "" if result.exit_code is None else f" (exit code {result.exit_code})"
            result = Bad(f"reading it crashed the reader{code}")
        assert isinstance(result, Bad)
        reason = result.reason.replace(f"{self.data}{os.sep}", "")
        self.bad[task.relative] = reason.removeprefix(f"{task.relative}: ")
        self._unstage(task.recording)  # of an earlier, readable content

    def _leave_out(self, task: Task, state: State | None) -> bool:
        """Tell whether a recording must not be in the store, and note it down."""
        subject, content = f"{task.source.corpus}/{task.source.subject}", "" if state is None else state.row.sha256
        reason = self.excluded.reason(task.recording, content, subject)
        if reason is None:
            return False
        self.left_out.append(Exclusion(task.recording, subject, content, reason))
        self._unstage(task.recording)
        return True

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
        if not self.states and not self.left_out:
            reasons = [f"\n  {source}: {reason}" for source, reason in sorted(self.bad.items())]
            more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
            raise StoreError(
                f"{self.data}: none of the {len(reasons)} recordings could be prepared:{''.join(reasons[:SHOWN])}{more}"
            )
        if not self.states:
            raise StoreError(
                f"{self.data}: of {len(self.tasks)} recordings, {len(self.left_out)} are excluded and {len(self.bad)} "
                "cannot be read: none is left"
            )
        notes = tuple(self._notes())
        self._write_quarantine()
        write_lines(self.out / EXCLUDED, [f"{json.dumps(asdict(entry))}\n" for entry in self._exclusions()])
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
        entries = [entry for entry in map(parse_json, text.splitlines()) if entry["corpus"] != self.corpus]
        entries += [{"corpus": self.corpus, "source": source, "reason": why} for source, why in self.bad.items()]
        entries.sort(key=lambda entry: (entry["corpus"], entry["source"]))
        write_lines(file, [json.dumps(entry) + "\n" for entry in entries])

    def _exclusions(self) -> list[Exclusion]:
        others = [entry for entry in excluded_from(self.out) if not entry.recording.startswith(f"{self.corpus}/")]
        return sorted((*others, *self.left_out), key=lambda entry: entry.recording)

    def _notes(self) -> Iterator[str]:
        own = [state.row for state in self.states.values()]
        yield from summary([row.notes for row in own])
        clipped = [row.recording for row in own if row.clipped]
        if clipped:
            yield f"samples beyond the range of the store were clipped in {examples(clipped)}"
        by_content = defaultdict(list)
        for row in self._rows():
            by_content[row.sha256].append((row.recording, row.subject))
        for same in by_content.values():
            if len({subject for _, subject in same}) > 1:
                yield f"the same signal under different subjects: {examples([recording for recording, _ in same])}"
        gone = [row for row in self._before() if row.corpus == self.corpus and row.recording not in self.states]
        left_out = {entry.recording for entry in self.left_out}
        gone = [row for row in gone if row.source not in self.bad and row.recording not in left_out]
        if gone:
            yield f"no longer in {self.data}, taken out of the manifest: {examples([row.recording for row in gone])}"
        known = {task.source.path for task in self.tasks}
        left = [str(path.relative_to(self.data)) for path in find_recordings(self.data) if path not in known]
        if left:
            yield f"not part of the corpus {self.corpus!r}, left out: {examples(left)}"
        if left_out:
            yield f"excluded: {examples(sorted(left_out))}"
        for source, reason in sorted(self.bad.items())[:SHOWN]:
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


def excluded_from(out: Path) -> tuple[Exclusion, ...]:
    """Return what was left out of a store on demand."""
    return read_exclusions(out / EXCLUDED) if (out / EXCLUDED).is_file() else ()


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
