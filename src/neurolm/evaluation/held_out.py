"""The only way to the test windows of a task, and what is made sure of before they are handed out.

Training never asks for them (a test inspects its sources and watches what it reads), and nothing outside of
``neurolm.evaluation`` may call this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurolm.batches.splits import Split
from neurolm.batches.windows import Window, second_of
from neurolm.checkpoint import Card, trained_on
from neurolm.core.errors import CheckpointError, ConfigError, StoreError
from neurolm.core.physics import RATE
from neurolm.store.manifest import SPLITS
from neurolm.store.overlap.overlap import overlap
from neurolm.store.store import Store
from neurolm.tasks.task import Task

HASH = 16
"""Digits of a recording's hash that a checkpoint keeps."""
CHECKS = (
    "no subject is in two parts of a split, except in tasks that are split by trials",
    "no window of one part shares a sample with one of another",
    "no recording of one part has the content of one of another, under whatever name",
    "the model was not trained on a subject or a recording that it is evaluated on",
)
"""What ``held_out_windows`` makes sure of."""
BY_CONTENT = (
    "the model was not trained on a recording that it is evaluated on (whom it was trained on cannot be told here: its "
    "people are hashed, and neither this store nor a run.json beside it has the key)"
)
"""What is made sure of instead of the last, where the people are not known."""


def held_out_windows(
    task: Task, store: Store, split: Split, part: str, card: Card, *, keys: Sequence[str] = ()
) -> list[Window]:
    """Return the windows that a model is evaluated on, once nothing of them can have been learned from.

    Parameters
    ----------
    part
        ``test`` or ``validation``.
    card
        Card of the model.
    keys
        Keys that the hashes of the people in the card may have, besides the store's own.

    Raises
    ------
    ConfigError
        If a subject is in two parts.
    StoreError
        If windows of two parts overlap, two parts hold the same recording, or there are no windows.
    CheckpointError
        If the model was trained on a subject or a recording of the part.
    """
    _require_apart(task, split)
    people = {row.subject for row in store.outlines}
    trained = trained_on(card, people, [store.fingerprint, *keys]) or frozenset()
    if not split.by_trial:
        _require_unseen_subjects(task, store, getattr(split, part), trained)
    windows = {name: task.windows(store, split, name) for name in SPLITS}
    _require_no_overlap(task, store, windows)
    if not windows[part]:
        subjects = ", ".join(sorted(getattr(split, part))) or "none"
        raise StoreError(
            f"{store.path}: no labelled windows of task {task.name} in the {part} subjects ({subjects}): check the "
            "labels, the window length or the split"
        )
    if not split.by_trial:
        _require_unseen_content(task, store, windows, part, card, trained)
    return windows[part]


def require_not_in(
    stores: Sequence[Path | str], store: Store, recordings: frozenset[str], subjects: frozenset[str], *, jobs: int = 0
) -> None:
    """Refuse test recordings and people that are in stores a model was pretrained on, found by their content.

    Raises
    ------
    CheckpointError
        Naming them.
    """
    for path in stores:
        if Store(path).fingerprint == store.fingerprint:
            continue  # its own splits hold, and were looked at already
        found = overlap(path, [store.path], jobs=jobs)
        shared = [f"{x.other} (there {x.recording})" for x in found.shared if x.other in recordings]
        people = [f"{x.other} (there {x.subject})" for x in found.people if x.other in subjects]
        if shared or people:
            raise CheckpointError(
                f"{path}: holds what is to be tested on: {'; '.join((shared + people)[:3])}"
                f"{' …' if len(shared + people) > 3 else ''}: train without it (neurolm overlap {path} --against "
                f"{store.path} writes the list that neurolm prepare --exclude takes), or test on others"
            )


def _require_apart(task: Task, split: Split) -> None:
    if split.by_trial:
        return
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = sorted(set(getattr(split, one)) & set(getattr(split, other)))
        if both:
            raise ConfigError(
                f"task {task.name}: {', '.join(both[:3])}{' …' if both[3:] else ''} in {one} and in {other}: "
                "correct the split, a subject must be in one part"
            )


def _require_unseen_subjects(task: Task, store: Store, subjects: Sequence[str], trained: frozenset[str]) -> None:
    seen = sorted(trained & set(subjects))
    if seen:
        raise CheckpointError(
            f"{store.path}: the model was trained on {', '.join(seen[:3])}{' …' if seen[3:] else ''}, and the split of "
            f"task {task.name} in this store evaluates on them: give the store that the run was trained on, or one of "
            "other subjects"
        )


def _require_no_overlap(task: Task, store: Store, windows: dict[str, list[Window]]) -> None:
    spans = sorted(
        (w.recording, w.start, w.start + w.seconds * RATE, part) for part, found in windows.items() for w in found
    )
    reach: dict[str, tuple[int, int]] = {}
    for recording, start, stop, part in spans:
        for other, (where, until) in reach.items():
            if other != part and where == recording and start < until:
                row = store.rows[recording]
                raise StoreError(
                    f"{row.recording}: windows of task {task.name} for {other} and for {part} overlap at "
                    f"{second_of(row, start):g} s: correct the times of the labels, so that no sample is in two parts"
                )
        before = reach.get(part, (-1, 0))
        reach[part] = (recording, max(stop, before[1]) if before[0] == recording else stop)


def _require_unseen_content(
    task: Task, store: Store, windows: dict[str, list[Window]], part: str, card: Card, trained: frozenset[str]
) -> None:
    evaluated = {w.recording for w in windows[part]}
    hashes = {store.rows[n].sha256: n for n in sorted(evaluated) if store.rows[n].sha256}
    others = {w.recording for name, found in windows.items() if name != part for w in found}
    for number, row in enumerate(store.rows):
        learned = number in others or row.subject in trained
        if learned and number not in evaluated and row.sha256 in hashes:
            raise StoreError(
                f"{store.path}: {row.recording} is a copy of {store.rows[hashes[row.sha256]].recording}, which task "
                f"{task.name} keeps for {part}: leave the copy out (neurolm prepare --exclude) and train again"
            )
    kept = set(card.recordings)
    seen = [store.rows[n].recording for digest, n in hashes.items() if digest[:HASH] in kept]
    if seen:
        raise CheckpointError(
            f"{store.path}: the model was trained on the content of {', '.join(seen[:3])}{' …' if seen[3:] else ''}, "
            f"under whatever name, and task {task.name} evaluates on it: take other recordings, or another model"
        )
