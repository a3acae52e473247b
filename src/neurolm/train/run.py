"""A run: one folder with a subfolder per stage, the store it learns from, and who is held out.

Splits are made once, by subject and before any window is cut: a subject held out by one task is in no task's
training data and in no unlabelled window either. Where a task is split by trials, that holds for the trials.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from neurolm import __version__
from neurolm.batches.splits import Split, same_content
from neurolm.batches.windows import Window, overlaps, stretches
from neurolm.checkpoint import CONFIG, Card, hashed, key_mark
from neurolm.core import distributed
from neurolm.core.config import STAGES, RunConfig, flat, to_json
from neurolm.core.decode import load_json
from neurolm.core.device import choose_device
from neurolm.core.errors import CheckpointError, ConfigError, StoreError, argument
from neurolm.core.files import write_text
from neurolm.store.store import Store
from neurolm.tasks.card import all_tasks, load_task
from neurolm.tasks.status import unknown_labels
from neurolm.tasks.task import Task, in_fold
from neurolm.train.figures.runs import RUN
from neurolm.train.figures.sinks import require_sinks

_NEEDS: dict[str, tuple[str, ...]] = {
    "language": (), "tokenizer": ("language",), "pretrain": ("language", "tokenizer"),
    "instruct": ("language", "pretrain"),
}  # fmt: skip
"""The stages whose checkpoints a stage reads. The authors' weights take the place of tokenizer and pretrain."""


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """What ``run.json`` holds: everything that decides the outcome."""

    config: RunConfig
    tasks: tuple[str, ...]
    store: str
    """Fingerprint of the store."""
    threads: int
    """CPU threads: sums are rounded differently with another number, so a resumed run keeps it."""
    fold: tuple[int, int] | None = None
    """Which fold of how many tests, in a cross-validation."""
    unlabelled: str = ""
    """Hash of what stages that read no labels take from the store; empty where it is not known, as in older runs."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """An open run."""

    folder: Path
    config: RunConfig
    store: Store
    tasks: tuple[Task, ...]
    splits: dict[str, Split]
    """Subjects of each task's training, validation and test data."""
    device: torch.device
    workers: int | None = None
    """Threads that make batches; None: as ``loop.run_stage`` chooses."""
    log_to: tuple[str, ...] = ()
    """Where figures go besides the files: names of ``sinks.SINKS``."""

    @property
    def unasked(self) -> list[str]:
        """Tasks that the store has labels of, and this run does not learn."""
        return sorted({x.task for row in self.store.outlines for x in row.labels} - {task.name for task in self.tasks})

    @property
    def _by_subject(self) -> list[Split]:
        return [split for split in self.splits.values() if not split.by_trial]

    @property
    def held_out(self) -> frozenset[str]:
        """Subjects in the validation or test data of any task that is split by subjects."""
        return frozenset(s for split in self._by_subject for s in (*split.validation, *split.test))

    @cached_property
    def held_out_stretches(self) -> dict[int, list[tuple[int, int]]]:
        """Samples in the validation or test data of tasks that are split by trials, by index of the recording."""
        found: dict[int, list[tuple[int, int]]] = {}
        for name, split in self.splits.items():
            if split.by_trial:
                for index, spans in stretches(self.store, task=name, parts=("validation", "test")).items():
                    found.setdefault(index, []).extend(spans)
        return found

    @property
    def training_subjects(self) -> list[str]:
        """Subjects whose unlabelled EEG may be learned from."""
        return sorted({row.subject for row in self.store.outlines} - self.held_out)

    @property
    def validation_subjects(self) -> list[str]:
        """Subjects for the curves of the unlabelled stages: in some task's validation, in no task's test data."""
        tested = {s for split in self._by_subject for s in split.test}
        return sorted({s for split in self._by_subject for s in split.validation} - tested)

    @property
    def unlabelled(self) -> str:
        """Hash of what the stages before ``instruct`` take from the store: signals, and who may be learned from.

        Where only labels were corrected, it stays. Empty for a store without hashes of its signals.
        """
        if not all(row.sha256 for row in self.store.outlines):
            return ""
        digest = hashlib.sha256()
        for index, row in enumerate(self.store.outlines):
            said = (row.recording, row.subject, row.samples, row.channels, row.interrupted, row.sha256)
            digest.update(repr(said).encode() + self.store.scale(index).tobytes())
        people = (self.training_subjects, self.validation_subjects, sorted(self.held_out_stretches.items()))
        digest.update(repr(people).encode())
        return digest.hexdigest()

    def labelled_windows(self, task: Task, part: str) -> list[Window]:
        """Return a task's windows in ``train`` or ``validation``; to train on, none that any task holds out."""
        windows = task.windows(self.store, self.splits[task.name], part)
        if part != "train":
            return windows
        subjects, spans = self.held_out, self.held_out_stretches
        return [w for w in windows if w.subject not in subjects and not overlaps(w.span, spans.get(w.recording, ()))]

    def card(self, stage: str, steps: int, *, tasks: tuple[Task, ...] = ()) -> Card:
        """What a checkpoint of this run says of itself."""
        rows = [row for row in self.store.rows if row.subject not in self.held_out]
        return Card(
            version=__version__,
            stage=stage,
            steps=steps,
            run=self.config,
            tasks=tasks,
            electrodes=tuple(sorted({name for row in rows for name in row.channels})),
            band=(min(row.band[0] for row in rows), max(row.band[1] for row in rows)),
            filters=self.store.filters,
            subjects=hashed(self.training_subjects, self.store.fingerprint),
            people=key_mark(self.store.fingerprint),
            recordings=tuple(sorted({row.sha256[:16] for row in rows if row.sha256})),
            corpora=tuple(sorted({row.corpus for row in rows})),
            licences=tuple(sorted({row.licence for row in rows})),
        )


def open_run(
    folder: Path,
    *,
    config: RunConfig,
    store: Path | str,
    tasks: Sequence[str] | None = None,
    fold: tuple[int, int] | None = None,
    device: str = "auto",
    workers: int | None = None,
    log_to: Sequence[str] = (),
) -> Run:
    """Open a run folder, creating it, or checking that it was begun with the same configuration and data.

    Parameters
    ----------
    tasks
        Names of task cards or paths of cards; by default every known task whose labels are in the store.
    fold
        For cross-validation: which fold of the subjects of each task tests, from 1 on, and how many there are, instead
        of the split of the cards (``splits.split_folds``).
    workers
        Threads that make batches ahead; the training is the same with any number.
    log_to
        Where figures go besides the files: names of ``sinks.SINKS``.

    Raises
    ------
    ConfigError
        If the run was begun otherwise and a stage has started, naming what differs, if no task fits the store, or if
        one recording is there under two people.
    """
    sinks = require_sinks(log_to)
    opened = Store(store)
    opened.filters  # noqa: B018 (one kind, which is said now rather than after the training)
    present = {label.task for row in opened.outlines for label in row.labels}
    chosen = [load_task(name) for name in tasks] if tasks else [t for t in all_tasks().values() if t.name in present]
    missing = [task.name for task in chosen if task.name not in present]
    if missing or not chosen:
        has = f"labels of {', '.join(sorted(present))}" if present else "no labels"
        remedy = "prepare a corpus with labels of a task that has a card"
        if present and not missing:  # there is a card, probably, that was not given
            one = min(present)
            remedy = f"give their cards with {argument(tasks=[f'{one}.toml'])} (neurolm tasks new {one} writes one)"
        raise ConfigError(
            f"{store}: has {has}, not of {', '.join(missing) or 'a task whose card ships with neurolm'}: {remedy}"
        )
    for task in chosen:
        if (wrong := unknown_labels(task, opened.outlines)) is not None:
            raise ConfigError(f"{store}: {wrong}")
    if fold is not None:
        chosen = [in_fold(task, fold) for task in chosen]
    splits = {task.name: task.split(opened) for task in chosen}
    for problem in same_content(opened, list(splits.values())):
        raise ConfigError(f"{store}: {problem}")
    run = Run(folder=folder, config=config, store=opened, tasks=tuple(chosen), splits=splits,
              device=choose_device(device), workers=workers, log_to=sinks)  # fmt: skip
    wanted = RunFile(
        config=config,
        tasks=tuple(t.name for t in chosen),
        store=opened.fingerprint,
        threads=torch.get_num_threads(),
        fold=fold,
        unlabelled=run.unlabelled,
    )
    path = folder / RUN
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: a file, not a folder; choose another --out")
    if path.exists() and any((folder / stage).exists() for stage in STAGES):
        begun = load_json(RunFile, path)
        _check_same(begun, wanted, path)
        torch.set_num_threads(begun.threads)
        if begun.store != wanted.store and distributed.is_main():
            write_text(path, to_json(replace(begun, store=wanted.store)))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        if distributed.is_main():
            write_text(path, to_json(wanted))
    if not os.access(folder, os.W_OK):
        raise StoreError(f"{folder}: not writable; choose another --out")
    return run


def _check_same(begun: RunFile, wanted: RunFile, path: Path) -> None:
    for name in ("config", "tasks", "store", "fold"):
        if getattr(begun, name) == getattr(wanted, name):
            continue
        remedy = "give the same one, another --out, or delete the folder"
        if name == "config":
            remedy = f"the first stage fixes the settings of all: leave them out later, or {remedy}"
        if name == "store" and begun.unlabelled == wanted.unlabelled != "":  # only labels were corrected
            if not (path.parent / STAGES[-1]).exists():
                continue
            remedy = (
                f"only labels differ, and no stage before {STAGES[-1]} reads any: delete {path.parent / STAGES[-1]} to "
                f"train that stage again, or {remedy}"
            )
        raise ConfigError(
            f"{path}: this run was begun with another {name} ({_difference(begun, wanted, name)}); {remedy}"
        )


def _difference(begun: RunFile, wanted: RunFile, name: str) -> str:
    old, new = (dict(flat({name: asdict(one)[name]})) for one in (begun, wanted))
    changed = [f"{key} {old[key]} then, {new[key]} now" for key in old if old[key] != new[key]]
    return "; ".join(changed[:3])


def require_before(folder: Path, stage: str) -> None:
    """Refuse a stage whose predecessors are not finished, before anything is written.

    Raises
    ------
    CheckpointError
        Naming the stage to run first.
    """
    for before in _NEEDS[stage]:
        if not (folder / before / CONFIG).exists():
            raise CheckpointError(
                f"{folder / before}: the {before} stage is not finished; run `neurolm train {before}` first"
            )


def is_done(run: Run, stage: str) -> bool:
    """Return whether the stage's checkpoint is complete."""
    return (run.folder / stage / CONFIG).exists()
