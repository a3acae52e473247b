"""Who trains, who validates, who is tested: decided by subject, before any window is cut.

The one rule: what the data set says itself (``Label.split``) holds; whom it does not mention, the task's card splits by
the order of their ids. No subject is in two parts, unless the card says that the unit of its split is the trial: then
the labels say the part of every stretch, and windows of one part come from its stretches alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from neurolm.core.errors import ConfigError, StoreError, argument, takes
from neurolm.store.manifest import SPLITS, Outline
from neurolm.store.store import Store

SHOWN = 3
"""Pairs of recordings that are named in messages."""


@dataclass(frozen=True)
class Split:
    """Subjects for training, for choosing (validation), and for the final figure (test)."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    by_trial: bool = False
    """Whether subjects may be in several parts, and only their labels tell which stretch belongs to which."""


def subjects_of(store: Store, task: str) -> list[str]:
    """Return the sorted subjects that have labels of a task.

    Raises
    ------
    StoreError
        If nobody in the store has.
    """
    subjects = {row.subject for row in store.outlines if any(label.task == task for label in row.labels)}
    if not subjects:
        known = sorted({label.task for row in store.outlines for label in row.labels})
        raise StoreError(
            f"{store.path}: no recording has labels of the task {task!r}; "
            + (f"tasks with labels here: {', '.join(known)}" if known else "no recording here has labels")
        )
    return sorted(subjects)


def split_task(
    store: Store,
    task: str,
    *,
    counts: tuple[int, int, int] | None = None,
    fractions: tuple[float, float, float] | None = None,
    given: bool = False,
    by_trial: bool = False,
) -> Split:
    """Split the subjects of a task: first what the labels say themselves, then the others by the order of their ids.

    Parameters
    ----------
    store
        Where the labels are.
    task
        Whose labels are meant.
    counts, fractions
        Of the subjects whose labels say nothing, as in `split_subjects`.
    given
        Whether the labels must say what the test set is. They must not where the card alone splits.
    by_trial
        Whether a subject's stretches may belong to several parts; then every label must say its own.

    Raises
    ------
    StoreError
        If no recording has labels of the task.
    ConfigError
        If the labels say less or more than the card expects, or a subject is in two parts although the task is not
        split by trials; the message names it.
    """
    said = _said(store, task)
    if not given and any(splits != {None} for splits in said.values()):
        raise ConfigError(
            f"{store.path}: the labels of task {task} say which part of the split they belong to, but its card splits "
            "by counts or fractions: give rule under [split] of the card (and fractions for train and validation, "
            "where the labels name the test set alone), or leave the split out of the labels"
        )

    def in_part(part: str) -> tuple[str, ...]:
        return tuple(sorted(subject for subject, splits in said.items() if part in splits))

    unsaid = sorted(subject for subject, splits in said.items() if None in splits)
    if by_trial:
        if unsaid:
            raise ConfigError(
                f"{store.path}: task {task} is split by trials, but labels of {', '.join(unsaid[:3])} do not say their "
                "part: prepare the corpus again, by its own layout or by a table with a column split"
            )
        _require_apart(store, task)
        return Split(in_part("train"), in_part("validation"), in_part("test"), by_trial=True)
    for subject, splits in sorted(said.items()):
        if len(splits) > 1:
            raise ConfigError(
                f"{store.path}: labels of task {task} put {subject} into several parts of the split "
                f"({', '.join(sorted(map(str, splits)))}): a subject must be in one; correct the split of the labels"
            )
    if given and not any("test" in splits for splits in said.values()):
        raise ConfigError(
            f"{store.path}: no label of task {task} belongs to the test set, which its data set names: prepare the "
            "folder with the official evaluation set too"
        )
    if given and unsaid and fractions is None and counts is None:
        raise ConfigError(
            f"{store.path}: the labels of {', '.join(unsaid[:3])} do not say which part of the split of task {task} "
            "they belong to: say it in all labels, or give fractions for train and validation under [split] of the card"
        )
    rest = split_subjects(unsaid, counts=counts, fractions=fractions) if unsaid else Split((), (), ())
    return Split(
        tuple(sorted((*in_part("train"), *rest.train))),
        tuple(sorted((*in_part("validation"), *rest.validation))),
        tuple(sorted((*in_part("test"), *rest.test))),
    )


def same_content(store: Store, splits: Sequence[Split]) -> Iterator[str]:
    """Say which recordings are there under two people: one of them would test what the other has trained.

    Within a corpus that is always wrong. Where two corpora have a recording in common, nothing is said as long as it is
    on one side of every split.
    """
    parts = [part for split in splits if not split.by_trial for part in (split.validation, split.test)]
    held_out = [frozenset(part) for part in parts]
    first: dict[str, Outline] = {}
    found: list[tuple[Outline, Outline]] = []
    for row in store.outlines:
        other = first.setdefault(row.sha256, row) if row.sha256 else row
        if other.subject == row.subject:
            continue
        corpora = {one.recording.partition("/")[0] for one in (row, other)}
        if len(corpora) == 1 or any((row.subject in part) != (other.subject in part) for part in held_out):
            found.append((other, row))
    for other, row in found[:SHOWN]:
        yield (
            f"{other.recording} of {other.subject} and {row.recording} of {row.subject} are the same recording under "
            "two people, so that one could test what the other has trained: say whose it is and prepare again, or "
            f"leave one out (neurolm overlap {store.path} lists what neurolm prepare --exclude takes)"
        )
    if len(found) > SHOWN:
        yield f"so are {len(found) - SHOWN} more pairs of recordings"


def _said(store: Store, task: str) -> dict[str, set[str | None]]:
    """What the labels of a task say of each subject's part."""
    said: dict[str, set[str | None]] = defaultdict(set)
    for row in store.outlines:
        for label in row.labels:
            if label.task != task:
                continue
            if label.split not in (None, *SPLITS):
                raise ConfigError(
                    f"{row.recording}: a label of task {task} has the split {label.split!r}; it must be "
                    f"one of {', '.join(SPLITS)}, or none"
                )
            said[row.subject].add(label.split)
    if not said:
        subjects_of(store, task)  # raises, naming what there is
    return said


def _require_apart(store: Store, task: str) -> None:
    """Refuse stretches of a recording that overlap although they belong to different parts."""
    for row in store.outlines:
        labels = sorted((x for x in row.labels if x.task == task), key=lambda x: (x.start, x.stop))
        for one, other in pairwise(labels):
            if one.split != other.split and other.start < one.stop:
                raise ConfigError(
                    f"{row.recording}: a stretch of task {task} for {other.split} begins at "
                    f"{other.start:g} s, but one for {one.split} lasts until {one.stop:g} s: correct the times or the "
                    "split of the labels"
                )


def split_subjects(
    subjects: Sequence[str],
    *,
    counts: tuple[int, int, int] | None = None,
    fractions: tuple[float, float, float] | None = None,
) -> Split:
    """Split subjects in the order of their ids: train first, then validation, then test (for folds: `split_folds`).

    Parameters
    ----------
    subjects
        Ids; order and repetitions do not matter.
    counts
        Number of subjects in train, validation and test.
    fractions
        Shares of train, validation and test, instead of ``counts``. A share above zero gets at least one subject.

    Raises
    ------
    ConfigError
        If the counts do not add up to the number of subjects, the fractions not to one, or there are too few subjects.
    """
    ordered = sorted(set(subjects))
    if (counts is None) == (fractions is None):
        raise ConfigError("a split needs either counts or fractions")
    if fractions is not None:
        counts = _counts(len(ordered), fractions)
    assert counts is not None
    if min(counts) < 0 or sum(counts) != len(ordered):
        raise ConfigError(
            f"the split {'/'.join(map(str, counts))} is for {sum(counts)} subjects, but there are {len(ordered)}; "
            "add the missing recordings, or divide those that are there: "
            + (f"by folds ({argument('fold')}), or " if takes("fold") else "")
            + "by a card of your own with fractions under [split]"
        )
    train, validation = counts[0], counts[0] + counts[1]
    return Split(tuple(ordered[:train]), tuple(ordered[train:validation]), tuple(ordered[validation:]))


def split_folds(subjects: Sequence[str], fold: tuple[int, int]) -> Split:
    """Split subjects for cross-validation: a fold tests, the next one (after the last the first) validates.

    Parameters
    ----------
    subjects
        Ids; order and repetitions do not matter. Folds are stretches of them in the order of their ids, as equal in
        size as can be.
    fold
        Which fold tests, from 1 on, and how many there are.

    Raises
    ------
    ConfigError
        If there are fewer than three folds, fewer subjects than folds, or the fold is none of them.
    """
    ordered, (number, folds) = sorted(set(subjects)), fold
    if folds < 3 or not 1 <= number <= folds:
        raise ConfigError(f"fold {number}/{folds}: give one of at least 3 folds (train, validate, test), from 1/3 on")
    if len(ordered) < folds:
        raise ConfigError(
            f"fold {number}/{folds}: there are only {len(ordered)} subjects; take fewer folds, at least 3"
        )
    parts = [tuple(ordered[len(ordered) * i // folds : len(ordered) * (i + 1) // folds]) for i in range(folds)]
    test, validation = parts[number - 1], parts[number % folds]
    return Split(tuple(s for s in ordered if s not in {*test, *validation}), validation, test)


def _counts(subjects: int, fractions: tuple[float, float, float]) -> tuple[int, int, int]:
    if min(fractions) < 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise ConfigError(f"the fractions of a split must be positive and add up to 1, not {fractions}")
    least = [int(fraction > 0) for fraction in fractions]
    if subjects < sum(least):
        raise ConfigError(
            f"a split into {sum(least)} parts needs as many subjects, but there are only {subjects}: add some, or "
            "divide their trials (a column split in the table of labels, and a rule with the unit trial in the card)"
        )
    validation, test = (max(low, round(f * subjects)) for low, f in zip(least[1:], fractions[1:], strict=True))
    while subjects - validation - test < least[0]:  # so few subjects that rounding left none to train on
        validation, test = (validation, test - 1) if test >= validation else (validation - 1, test)
    return subjects - validation - test, validation, test
