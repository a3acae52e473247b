"""Where windows of a store are cut: which seconds of which recordings are a sample.

A window lies inside one labelled stretch, so that its label is true for all of it. Who is in which part of a split is
decided before, by `neurolm.batches.splits`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from neurolm.batches.splits import subjects_of
from neurolm.core.errors import ConfigError
from neurolm.core.physics import RATE, SHORTEST_WINDOW
from neurolm.core.stretches import moment, overlapping
from neurolm.store.store import Label, Outline, Row, Store

T = TypeVar("T")
ROUNDING = 1e-6
"""Samples by which a boundary given in seconds may be off from binary rounding."""
Spans = Sequence[tuple[int, int]]
"""Parts of a recording: first sample, and the one after the last."""


@dataclass(frozen=True, slots=True)  # a store has millions
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
    span: tuple[int, int]
    """First sample, and the one after the last, between which augmentation may move the window: what its label or its
    side of the split holds for."""


def labelled_windows(
    store: Store,
    *,
    task: str,
    seconds: int,
    stride: float,
    subjects: Collection[str] | None = None,
    part: str | None = None,
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
    part
        Only of stretches whose label says this part of the split (None: of all).

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
    step = round(stride * RATE)
    if seconds < 1 or step < 1 or abs(step - stride * RATE) > ROUNDING:
        raise ConfigError(
            f"windows of {seconds} s every {stride:g} s: both must be positive, the length in whole seconds and the "
            f"stride in whole samples of 1/{RATE} s"
        )
    wanted = None if subjects is None else frozenset(subjects)
    windows = []
    found = False
    for index, row in enumerate(store.outlines):
        labels = sorted((x for x in row.labels if x.task == task), key=lambda x: (x.start, x.stop))
        found = found or bool(labels)
        if wanted is not None and row.subject not in wanted:
            continue
        for label in labels:
            if part is not None and label.split != part:
                continue
            windows += [
                Window(index, start, seconds, label.label, row.subject, (first, last))
                for first, last in label_samples(row, label)
                for start in range(first, last - seconds * RATE + 1, step)
            ]
    if not found:
        subjects_of(store, task)  # raises, naming what there is
    return windows


def stretches(store: Store, *, task: str, parts: Collection[str]) -> dict[int, list[tuple[int, int]]]:
    """Return the stretches whose labels say that they belong to some parts of a task's split, by recording, in order.

    Samples that they have a share in count, unlike in a window: these are to be passed over.
    """
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, row in enumerate(store.outlines):
        for label in row.labels:
            if label.task == task and label.split in parts:
                found[index] += _stored(row, math.floor(label.start * RATE), math.ceil(label.stop * RATE))
    return {index: sorted(spans) for index, spans in found.items()}


def overlaps(span: tuple[int, int], others: Spans) -> bool:
    """Whether a part of a recording shares a sample with one of some others."""
    return any(first < span[1] and span[0] < last for first, last in others)


def label_samples(row: Row | Outline, label: Label) -> list[tuple[int, int]]:
    """What is stored of a labelled stretch, as first and last sample (exclusive): several parts where gaps divide it.

    Boundary samples belong to neither side.
    """
    return _stored(row, math.ceil(label.start * RATE - ROUNDING), math.floor(label.stop * RATE + ROUNDING))


def _stored(row: Row | Outline, start: int, stop: int) -> list[tuple[int, int]]:
    """Where in the store lies what is there of a recording between two moments."""
    parts = overlapping(row.stretches, start, stop)
    return [(part.first, part.first + part.samples) for part in parts]


def second_of(row: Row | Outline, sample: int) -> float:
    """Return when a stored sample was recorded: seconds from the start of the recording, gaps included."""
    return moment(row.stretches, sample) / RATE


def unlabelled_windows(
    store: Store,
    *,
    max_patches: int,
    max_seconds: int,
    subjects: Collection[str] | None = None,
    without: Mapping[int, Spans] | None = None,
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
    without
        Parts of recordings to pass over, by index in the store's ``rows``.

    Returns
    -------
    list of Window
        By recording, then by time. The rest of a recording, or of what lies between two parts passed over, becomes a
        shorter window of whole seconds if it has at least ``SHORTEST_WINDOW`` seconds.

    Raises
    ------
    ConfigError
        If a recording has more channels than ``max_patches``, or a limit is not positive.
    """
    if max_patches < 1 or max_seconds < 1:
        raise ConfigError(f"max_patches ({max_patches}) and max_seconds ({max_seconds}) must be positive")
    wanted = None if subjects is None else frozenset(subjects)
    windows = []
    for index, row in enumerate(store.outlines):
        if wanted is not None and row.subject not in wanted:
            continue
        seconds = min(max_seconds, max_patches // len(row.channels))
        if seconds < 1:
            raise ConfigError(
                f"{row.recording}: one second of its {len(row.channels)} channels is more than max_patches "
                f"({max_patches}); raise max_patches to at least {len(row.channels)}"
            )
        passed = (without or {}).get(index, ())
        parts = [(part.first, part.first + part.samples) for part in row.stretches]
        for first, last in (span for part in parts for span in _between(*part, passed)):
            whole, rest = divmod((last - first) // RATE, seconds)
            lengths = [seconds] * whole + [rest] * (rest >= SHORTEST_WINDOW)
            starts = range(first, last, seconds * RATE)
            windows += [
                Window(index, start, length, None, row.subject, (first, last))
                for start, length in zip(starts, lengths, strict=False)
            ]
    return windows


def _between(begin: int, end: int, passed_over: Spans) -> list[tuple[int, int]]:
    """What is left between two samples when some parts, which may overlap, are passed over."""
    left = []
    for first, last in sorted(passed_over):
        left.append((begin, min(first, end)))
        begin = max(begin, last)
    return [(first, last) for first, last in (*left, (begin, end)) if first < last]


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of a list, evenly out of all, with the first and the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in np.unique(places)]
