"""After instruction tuning: evidence, range of the training windows, calibration on validation windows

    neurolm calibrate RUN --store STORE

The files lie beside the checkpoint and travel with it; ``neurolm train instruct`` writes them at its end. Evidence
comes before the calibration, which is of the answers that rest on it. The test split is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurolm.ask import calibration, novelty
from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.evidence import HALF, Evidence, EvidenceFile, remove_evidence
from neurolm.ask.novelty import Ranges, TrainingRange
from neurolm.ask.precision import choose_precision
from neurolm.ask.prompt import Prompt, voices, weighed
from neurolm.batches.loader import Sample, read_sample
from neurolm.batches.text import TextTokenizer
from neurolm.batches.windows import Window, spread
from neurolm.checkpoint import hashed_as, keys_of, load_card, load_neurolm, require_same_filters, trained_on
from neurolm.core.config import Precision
from neurolm.core.errors import CheckpointError
from neurolm.core.files import require_writable
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16
from neurolm.store.store import Store
from neurolm.tasks.task import Task
from neurolm.train.evidence import fit_evidence, fit_weight
from neurolm.train.left_out import left_out
from neurolm.train.run import Run

MOST_WINDOWS = 4000
"""Most windows of a task that are looked at, spread evenly over all."""
AT_ONCE = 256
"""Windows that are described at a time."""


def calibrate(
    folder: Path,
    store: Path | str,
    *,
    evidence: bool | None = None,
    precision: Precision = "auto",
    device: torch.device | None = None,
) -> Calibration:
    """Calibrate an instruction-tuned checkpoint, or calibrate it anew.

    Parameters
    ----------
    folder
        Folder of the checkpoint.
    store
        The one it was trained on.
    evidence
        Whether to fit evidence beside the language model first (`neurolm.ask.evidence`), or to leave it out; by default
        it is fitted where the run's settings say so or the checkpoint has some.
    precision
        Of the answers that it is fitted on, and so of those to come: ``auto`` takes bfloat16 where it is faster here.

    Raises
    ------
    CheckpointError
        If it is not instruction-tuned, the store was filtered otherwise than what it was trained on, or who trains or
        validates in this store is not who did for the checkpoint.
    """
    card = load_card(folder, stage="instruct")
    require_writable(folder / Calibration.FILE)
    opened = Store(store)
    require_same_filters(card, opened.filters, opened.path)
    splits = {task.name: task.split(opened) for task in card.tasks}
    for task in card.tasks:
        split, keys = splits[task.name], [opened.fingerprint, *keys_of(folder)]
        known = trained_on(card, split.validation, keys) or ()
        seen = [] if split.by_trial else sorted(known)
        if seen:
            raise CheckpointError(
                f"{store}: the model was trained on {', '.join(seen[:3])}{' …' if seen[3:] else ''}, who validate task "
                f"{task.name} in this store: give the store that the run was trained on"
            )
    run = Run(folder=folder.parent, config=card.run, store=opened, tasks=card.tasks, splits=splits,
              device=device or torch.device("cpu"))  # fmt: skip
    people = _learned_from(run)
    trained = trained_on(card, people, [opened.fingerprint, *keys_of(folder)]) if card.people else None
    strangers = [] if trained is None else sorted(people - trained)
    if strangers:
        raise CheckpointError(
            f"{store}: the model was not trained on {', '.join(strangers[:3])}{' …' if strangers[3:] else ''}, of whom "
            "evidence and range would be learned from this store: give the store that the run was trained on"
        )
    return calibrate_run(folder, run, evidence=evidence, precision=precision)


def _learned_from(run: Run) -> frozenset[str]:
    """People of the training windows of all tasks."""
    return frozenset(window.subject for task in run.tasks for window in run.labelled_windows(task, "train"))


def is_calibrated(folder: Path) -> bool:
    """Whether both files are there."""
    return (folder / Calibration.FILE).is_file() and (folder / Ranges.FILE).is_file()


def calibrate_run(
    folder: Path, run: Run, *, evidence: bool | None = None, precision: Precision = "auto"
) -> Calibration:
    """Calibrate the checkpoint of a run's last stage.

    Parameters
    ----------
    evidence
        Whether to fit evidence beside the language model first; by default where the run's settings say so or the
        checkpoint has some.
    precision
        As for `calibrate`.
    """
    has = (folder / EvidenceFile.FILE).is_file()
    wanted = run.config.instruct.evidence or has if evidence is None else evidence
    module, card, text = load_neurolm(folder, stage="instruct", decoders=False)
    module.to(run.device)
    chosen = choose_precision(precision, card.run.model, run.device)
    if chosen == "bfloat16":
        keep_in_bfloat16(module)
    beside, heard = run_evidence(module, text, run, card.tasks, wanted=wanted)
    ranges = tuple(found for task in card.tasks if (found := training_range(run, task)) is not None)
    fitted = tuple(calibrate_task(one) for one in heard)
    if beside is None:
        remove_evidence(folder)
    else:
        keys = [run.store.fingerprint, *keys_of(folder)]
        beside = replace(beside, people=hashed_as(card, _learned_from(run), keys))
    digest = "" if beside is None else beside.save(folder)
    Ranges(tasks=ranges).save(folder)
    done = Calibration(tasks=fitted, evidence=digest, precision=chosen)
    done.save(folder)
    return done


@dataclass(frozen=True)
class StoredSamples(Sequence[Sample]):
    """Windows of a store, each read when it is asked for: all of them together may be larger than memory."""

    store: Store
    windows: Sequence[Window]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return StoredSamples(self.store, self.windows[place])
        return read_sample(self.store, self.windows[place])


def run_evidence(
    module: NeuroLM, text: TextTokenizer, run: Run, tasks: Sequence[Task], *, wanted: bool = True
) -> tuple[Evidence | None, tuple[Heard, ...]]:
    """Fit the evidence of all tasks where it is wanted, and ask their validation windows, by which it is weighed."""
    beside = task_evidence(run, tasks) if wanted else None
    heard = tuple(one for task in tasks if (one := hear(module, text, run, task, beside)) is not None)
    if beside is not None:
        weights = {one.task.name: one.weight for one in heard}
        beside = Evidence(
            tasks={
                name: (replace(known, weight=weights.get(name, HALF)), readout)
                for name, (known, readout) in beside.tasks.items()
            }
        )
    return beside, heard


def task_evidence(run: Run, tasks: Sequence[Task]) -> Evidence | None:
    """Fit the evidence of all tasks on their training windows."""
    fitted = {}
    for task in tasks:
        apart = left_out(spread(run.labelled_windows(task, "train"), MOST_WINDOWS))
        samples = StoredSamples(run.store, apart.windows)
        found = fit_evidence(task, samples, classes_of(task, apart.windows), apart.groups, kind=apart.kind)
        if found is not None:
            fitted[task.name] = found
    return Evidence(tasks=fitted) if fitted else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """What was said of a task's validation windows."""

    task: Task
    windows: Sequence[Window]
    said: np.ndarray
    """By the language model, float64 (windows, options)."""
    shown: np.ndarray
    """By the evidence, the same."""
    known: np.ndarray
    """Where there is evidence, bool (windows,)."""
    weight: float
    """Of the language model beside it."""


def hear(module: NeuroLM, text: TextTokenizer, run: Run, task: Task, evidence: Evidence | None) -> Heard | None:
    """Ask a task's validation windows; None where there are none."""
    windows = spread(run.labelled_windows(task, "validation"), MOST_WINDOWS)
    if not windows:
        return None
    prompt = Prompt.of(task, text, run.config.model.vocabulary.separator, evidence)
    samples = (read_sample(run.store, window) for window in windows)
    said, shown, known = voices(module, prompt, samples, device=run.device)
    labels, people = classes_of(task, windows), [window.subject for window in windows]
    weight = fit_weight(said, shown, labels, people) if prompt.beside is not None else 1.0
    return Heard(task=task, windows=windows, said=said, shown=shown, known=known, weight=weight)


def calibrate_task(heard: Heard) -> TaskCalibration:
    """Fit the calibration of a task on what was said of its validation windows."""
    task, windows = heard.task, heard.windows
    return calibration.fit(
        task.name,
        weighed(heard.said, heard.known, heard.weight) + heard.shown,
        classes_of(task, windows),
        stretches=[stretch(window) for window in windows],
        subjects=[window.subject for window in windows],
        overlap=max(1.0, task.seconds / task.stride),
    )


def classes_of(task: Task, windows: Sequence[Window]) -> np.ndarray:
    """Classes of labelled windows, int (windows,)."""
    return np.array([task.index(str(window.label)) for window in windows], int)


def training_range(run: Run, task: Task) -> TrainingRange | None:
    """Measure the range of a task's training windows; None where there are none."""
    windows = spread(run.labelled_windows(task, "train"), MOST_WINDOWS)
    if not windows:
        return None
    parts = [windows[first : first + AT_ONCE] for first in range(0, len(windows), AT_ONCE)]
    features = np.concatenate([novelty.describe([read_sample(run.store, w) for w in part]) for part in parts])
    return novelty.measure_range(task.name, features, [window.subject for window in windows])


def stretch(window: Window) -> str:
    """Name of the labelled stretch that a window is from."""
    return f"{window.recording}:{window.span[0]}"
