"""Which seconds of which recordings are a sample: splits by subject first, then windows.

Splitting comes before windowing, so that no two windows of a subject lie on both sides of a split; a window lies
inside one labelled stretch, so that its label is true for all of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from neurolm.data.store import Label, Row, Store
from neurolm.errors import ConfigError, StoreError
from neurolm.montage import RATE

SHORTEST = 4
"""Seconds that the rest of a recording must have to become a shorter, last unlabelled window."""
ROUNDING = 1e-6
"""Samples by which a boundary given in seconds may be off from binary rounding."""


@dataclass(frozen=True)
class Window:
    """A sample: whole seconds of a recording."""

    recording: int
    """Index in the store's ``rows``."""
    start: int
    """First sample at 200 Hz."""
    seconds: int
    label: str | None
    """None for unlabelled windows."""
    subject: str


@dataclass(frozen=True)
class Split:
    """Subjects for training, for choosing (validation), and for the final figure (test)."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def subjects_of(store: Store, task: str) -> list[str]:
    """Return the sorted subjects that have labels of a task.

    Raises
    ------
    StoreError
        If nobody in the store has.
    """
    subjects = {row.subject for row in store.rows if any(label.task == task for label in row.labels)}
    if not subjects:
        known = sorted({label.task for row in store.rows for label in row.labels})
        raise StoreError(
            f"{store.path}: no recording has labels of the task {task!r}; "
            + (f"tasks with labels here: {', '.join(known)}" if known else "no recording here has labels")
        )
    return sorted(subjects)


def split_subjects(
    subjects: Sequence[str],
    *,
    counts: tuple[int, int, int] | None = None,
    fractions: tuple[float, float, float] | None = None,
) -> Split:
    """Split subjects in the order of their ids: train first, then validation, then test.

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
            "add the missing recordings, or change the split of the task"
        )
    train, validation = counts[0], counts[0] + counts[1]
    return Split(tuple(ordered[:train]), tuple(ordered[train:validation]), tuple(ordered[validation:]))


def _counts(subjects: int, fractions: tuple[float, float, float]) -> tuple[int, int, int]:
    if min(fractions) < 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise ConfigError(f"the fractions of a split must be positive and add up to 1, not {fractions}")
    least = [int(fraction > 0) for fraction in fractions]
    if subjects < sum(least):
        raise ConfigError(f"a split into {sum(least)} parts needs as many subjects, but there are only {subjects}")
    validation, test = (max(low, round(f * subjects)) for low, f in zip(least[1:], fractions[1:], strict=True))
    while subjects - validation - test < least[0]:  # so few subjects that rounding left none to train on
        validation, test = (validation, test - 1) if test >= validation else (validation - 1, test)
    return subjects - validation - test, validation, test


def labelled_windows(
    store: Store, *, task: str, seconds: int, stride: float, subjects: Collection[str] | None = None
) -> list[Window]:
    """Cut windows out of the labelled stretches of a task.

    Parameters
    ----------
    store
        Where the recordings are.
    task
        Whose labels are meant.
    seconds
        Length of a window.
    stride
        Seconds from the start of a window to the start of the next within a stretch.
    subjects
        Only of these subjects (None: of all).

    Returns
    -------
    list of Window
        By recording, then by time; each inside one labelled stretch.

    Raises
    ------
    StoreError
        If no recording has labels of the task.
    ConfigError
        If a length is not positive, or the stride is not a whole number of samples.
    """
    subjects_of(store, task)
    step = round(stride * RATE)
    if seconds < 1 or step < 1 or abs(step - stride * RATE) > ROUNDING:
        raise ConfigError(
            f"windows of {seconds} s every {stride:g} s: both must be positive, the length in whole seconds and the "
            f"stride in whole samples of 1/{RATE} s"
        )
    windows = []
    for index, row in enumerate(store.rows):
        if subjects is not None and row.subject not in subjects:
            continue
        for label in sorted((x for x in row.labels if x.task == task), key=lambda x: (x.start, x.stop)):
            first, last = label_samples(row, label)
            windows += [
                Window(index, start, seconds, label.label, row.subject)
                for start in range(first, last - seconds * RATE + 1, step)
            ]
    return windows


def label_samples(row: Row, label: Label) -> tuple[int, int]:
    """First sample of a labelled stretch, and the one after its last: boundary samples belong to neither side."""
    first = max(0, math.ceil(label.start * RATE - ROUNDING))
    return first, min(row.samples, math.floor(label.stop * RATE + ROUNDING))


def unlabelled_windows(
    store: Store, *, max_patches: int, max_seconds: int, subjects: Collection[str] | None = None
) -> list[Window]:
    """Cut recordings into consecutive windows, as long as the number of channels allows.

    Parameters
    ----------
    store
        Where the recordings are.
    max_patches
        Most patches (seconds × channels) in a window.
    max_seconds
        Longest window.
    subjects
        Only of these subjects (None: of all).

    Returns
    -------
    list of Window
        By recording, then by time. The rest of a recording becomes a shorter window of whole seconds if it has at
        least ``SHORTEST`` seconds.

    Raises
    ------
    ConfigError
        If a recording has more channels than ``max_patches``, or a limit is not positive.
    """
    if max_patches < 1 or max_seconds < 1:
        raise ConfigError(f"max_patches ({max_patches}) and max_seconds ({max_seconds}) must be positive")
    windows = []
    for index, row in enumerate(store.rows):
        if subjects is not None and row.subject not in subjects:
            continue
        seconds = min(max_seconds, max_patches // len(row.channels))
        if seconds < 1:
            raise ConfigError(
                f"{row.recording}: one second of its {len(row.channels)} channels is more than max_patches "
                f"({max_patches}); raise max_patches to at least {len(row.channels)}"
            )
        whole, rest = divmod(row.samples // RATE, seconds)
        windows += [Window(index, n * seconds * RATE, seconds, None, row.subject) for n in range(whole)]
        if rest >= SHORTEST:
            windows.append(Window(index, whole * seconds * RATE, rest, None, row.subject))
    return windows
