"""A person's labelled recordings: whose they are, which windows have a label, what is fitted on them"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from neurolm.ask import spectra
from neurolm.ask.answering import Asked
from neurolm.ask.personal import Adapted, Person, PersonTask, fit, left_out
from neurolm.ask.prompt import voices, weighed
from neurolm.ask.recording import ModelInput
from neurolm.ask.worth import Worth, blocks_of
from neurolm.core.errors import ConfigError, argument
from neurolm.core.names import choose, readable
from neurolm.core.physics import RATE
from neurolm.core.stretches import united
from neurolm.model.neurolm import NeuroLM
from neurolm.store.store import Label
from neurolm.tasks.task import Task

if TYPE_CHECKING:
    import mne

    from neurolm.corpora.table import LabelLine, Stretches

AT_ONCE = 64
"""Windows that are held at a time."""
AnyRecording: TypeAlias = "str | Path | mne.io.BaseRaw | ModelInput"
"""A recording: its file, an MNE Raw, or what is read already."""


@dataclass(frozen=True)
class Length:
    """All that labels of a table depend on."""

    seconds: float
    annotations: tuple = ()


def of_table(table: Path) -> tuple[str, list[tuple[Path, Stretches]]]:
    """Return whose recordings a table of labels names, and the labels of each.

    Raises
    ------
    StoreError, ConfigError
        As `corpora.table.read_table`; or if they are of several people, or of nobody.
    """
    from neurolm.corpora.table import Stretches, read_table  # all layouts come along, and answers need none

    lines: dict[Path, list[LabelLine]] = defaultdict(list)
    for line in read_table(table):
        lines[table.parent / line.file].append(line)
    people = sorted({line.subject for each in lines.values() for line in each})
    if len(people) != 1:
        found = f"of {len(people)} people ({', '.join(people[:4])}{' …' if people[4:] else ''})" if people else "empty"
        raise ConfigError(f"{table}: {found}; a personal calibration takes a table of one person's recordings")
    return people[0], [(file, Stretches(tuple(each))) for file, each in lines.items()]


def fit_person(
    module: NeuroLM,
    asked: Iterable[Asked],
    labels: str | Path | Sequence[tuple[AnyRecording, Sequence[Label]]],
    opened: Callable[[AnyRecording], ModelInput],
    *,
    name: str | None = None,
    model: str,
    device: torch.device,
) -> Person:
    """Adapt answers to a person.

    Parameters
    ----------
    asked
        The model's questions; labels of other tasks, and of those that it has no evidence for, are passed over.
    labels, name
        As for ``Model.calibrate``.
    opened
        Opens a recording as the model reads it.
    model
        What tells whose answers are adapted (`personal.mark_of`).

    Raises
    ------
    ConfigError
        If a label is no option of its task, no task has windows of two options, or nothing says whose they are.
    StoreError, RecordingError
        If the table or a recording cannot be read.
    """
    tasks = {one.question.task.name: one for one in asked if one.prompt.beside is not None}
    subject, each = of_table(Path(labels)) if isinstance(labels, str | Path) else (None, labels)
    name = name or subject
    if not name:
        raise ConfigError(f"{argument(name=name)}: say whose recordings these are")
    found: dict[str, list[_Found]] = defaultdict(list)
    named: set[str] = set()
    for source, stretches in each:
        recording = opened(source)
        of_task: dict[str, list[Label]] = defaultdict(list)
        for label in stretches(Length(recording.length)) if callable(stretches) else stretches:
            of_task[label.task].append(label)
        named |= of_task.keys()
        for task in of_task.keys() & tasks.keys():
            before = int(found[task][-1].blocks[-1]) + 1 if found[task] else 0
            found[task] += _heard(module, tasks[task], recording, of_task[task], device, first_block=before)
    all_fitted = {task: _fitted(tasks[task].question.task, parts) for task, parts in sorted(found.items()) if parts}
    fitted = {task: each for task, each in all_fitted.items() if sum(map(bool, each[0].windows)) > 1}
    if not fitted:
        what = "; ".join(
            f"{task.name}: {', '.join(task.labels)}, {task.seconds} s or longer"
            for task in (one.question.task for one in tasks.values())
        )
        if named and not named & tasks.keys():
            unknown = sorted(named)
            raise ConfigError(
                f"{readable(name)}: the labels are of {', '.join(map(readable, unknown))}, of which the model has no "
                f"evidence; label stretches of two options or more of what it has ({what})"
            )
        raise ConfigError(
            f"{readable(name)}: no task has labelled windows of two options, from which something could be learned; "
            f"label stretches of two options or more ({what})"
        )
    return Person(
        name=name, model=model, tasks={task: (known, adapted) for task, (known, adapted, _) in fitted.items()},
        worth={task: worth for task, (_, _, worth) in fitted.items()},
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """What some windows of a recording say."""

    before: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    blocks: np.ndarray
    """Which of the person's blocks each lies in."""
    samples: int
    """How many they show, each counted once."""


def _heard(
    module: NeuroLM,
    asked: Asked,
    recording: ModelInput,
    labels: Sequence[Label],
    device: torch.device,
    *,
    first_block: int,
) -> Iterator[_Found]:
    """Ask the windows of a recording's labels that show electrodes which the evidence knows."""
    task, beside = asked.question.task, asked.prompt.beside
    assert beside is not None
    if not beside.knows(recording.channels.tolist()):
        return
    places = sorted(labelled_starts(recording, labels, task))
    if not places:
        return
    samples = recording.samples([start for start, _ in places], task.seconds)
    shown = sum(stop - start for start, stop in united([(start, start + task.seconds * RATE) for start, _ in places]))
    starts, classes = np.array(places).T
    blocks = first_block + blocks_of(starts, classes, length=round(max(task.seconds, task.stride) * RATE))
    for first in range(0, len(places), AT_ONCE):
        windows, part = list(islice(samples, AT_ONCE)), places[first : first + AT_ONCE]
        said, scores, known = voices(module, asked.prompt, windows, device=device)
        before = asked.question.calibration.log_probabilities(weighed(said, known, beside.weight) + scores)
        features = beside.readout.standardise(spectra.features(windows, beside.electrodes))
        yield _Found(
            before=before, features=features, labels=np.array([label for _, label in part]),
            blocks=blocks[first : first + AT_ONCE], samples=shown,
        )  # fmt: skip
        shown = 0


def labelled_starts(recording: ModelInput, labels: Sequence[Label], task: Task) -> Iterator[tuple[int, int]]:
    """Cut windows out of labelled stretches where nothing interrupts them: when each begins, in samples, and its class.

    Raises
    ------
    ConfigError
        If a label is no option of the task.
    """
    length, step = task.seconds * RATE, max(1, round(task.stride * RATE))
    for label in labels:
        if label.label not in task.labels:
            raise ConfigError(
                f"{recording.name}: the label {label.label!r} is no option of {task.name}"
                f"{choose(label.label, task.labels)}"
            )
        number, first, last = task.index(label.label), math.ceil(label.start * RATE), math.floor(label.stop * RATE)
        for part in recording.stretches:
            end = min(last, part.stop) - length
            yield from ((start, number) for start in range(max(first, part.start), end + 1, step))


def _fitted(task: Task, parts: Sequence[_Found]) -> tuple[PersonTask, Adapted, Worth | None]:
    before, features, labels, blocks = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("before", "features", "labels", "blocks")
    )
    worth = min(1.0, task.stride / task.seconds)
    adapted = fit(before, features, labels, worth=worth)
    known = PersonTask(
        task=task.name, labels=task.labels, windows=tuple(np.bincount(labels, minlength=len(task.labels)).tolist()),
        seconds=sum(part.samples for part in parts) / RATE, coldness=adapted.coldness,
    )  # fmt: skip
    return known, adapted, left_out(before, features, labels, blocks, worth=worth)
