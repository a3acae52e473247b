"""After instruction tuning: evidence, range of the training windows, calibration on validation windows

    neurolm calibrate RUN --store STORE

The files lie beside the checkpoint and travel with it; ``neurolm train instruct`` writes them at its end. Evidence
comes before the calibration, which is of the answers that rest on it. The test split is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neurolm.ask import calibration, novelty
from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.evidence import Evidence, EvidenceFile, remove_evidence
from neurolm.ask.novelty import Ranges, TrainingRange
from neurolm.ask.prompt import Prompt, contributions, likelihoods
from neurolm.batches.loader import read_sample
from neurolm.batches.text import TextTokenizer
from neurolm.batches.windows import Window, spread
from neurolm.checkpoint import keys_of, load_card, load_neurolm, trained_on
from neurolm.core.errors import CheckpointError
from neurolm.core.files import require_writable
from neurolm.model.neurolm import NeuroLM
from neurolm.store.store import Store
from neurolm.tasks.task import Task
from neurolm.train.evidence import fit_evidence, fit_weight
from neurolm.train.run import Run

MOST_WINDOWS = 4000
"""Most windows of a task that are looked at, spread evenly over all."""
AT_ONCE = 256
"""Windows that are described at a time."""


def calibrate(
    folder: Path, store: Path | str, *, evidence: bool | None = None, device: torch.device | None = None
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

    Raises
    ------
    CheckpointError
        If it is not instruction-tuned, or was trained on a validation subject of this store.
    """
    card = load_card(folder, stage="instruct")
    require_writable(folder / Calibration.FILE)
    opened = Store(store)
    splits = {task.name: task.split(opened) for task in card.tasks}
    for task in card.tasks:
        split = splits[task.name]
        known = trained_on(card, split.validation, [opened.fingerprint, *keys_of(folder)]) or ()
        seen = [] if split.by_trial else sorted(known)
        if seen:
            raise CheckpointError(
                f"{store}: the model was trained on {', '.join(seen[:3])}{' …' if seen[3:] else ''}, who validate task "
                f"{task.name} in this store: give the store that the run was trained on"
            )
    run = Run(folder=folder.parent, config=card.run, store=opened, tasks=card.tasks, splits=splits,
              device=device or torch.device("cpu"))  # fmt: skip
    return calibrate_run(folder, run, evidence=evidence)


def is_calibrated(folder: Path) -> bool:
    """Whether both files are there."""
    return (folder / Calibration.FILE).is_file() and (folder / Ranges.FILE).is_file()


def calibrate_run(folder: Path, run: Run, *, evidence: bool | None = None) -> Calibration:
    """Calibrate the checkpoint of a run's last stage.

    Parameters
    ----------
    evidence
        Whether to fit evidence beside the language model first; by default where the run's settings say so or the
        checkpoint has some.
    """
    has = (folder / EvidenceFile.FILE).is_file()
    wanted = run.config.instruct.evidence or has if evidence is None else evidence
    module, card, text = load_neurolm(folder, stage="instruct", decoders=False)
    module.to(run.device)
    beside = run_evidence(module, text, run, card.tasks) if wanted else None
    ranges = tuple(found for task in card.tasks if (found := training_range(run, task)) is not None)
    fitted = tuple(fit for task in card.tasks if (fit := calibrate_task(module, text, run, task, beside)) is not None)
    if beside is None:
        remove_evidence(folder)
    else:
        beside.save(folder)
    Ranges(tasks=ranges).save(folder)
    done = Calibration(tasks=fitted)
    done.save(folder)
    return done


def run_evidence(module: NeuroLM, text: TextTokenizer, run: Run, tasks: Sequence[Task]) -> Evidence | None:
    """Fit the evidence of all tasks on their training windows, and on validation windows how it is weighed."""
    fitted = []
    for task in tasks:
        windows = spread(run.labelled_windows(task, "train"), MOST_WINDOWS)
        samples = [read_sample(run.store, window) for window in windows]
        labels = np.array([task.index(str(window.label)) for window in windows], int)
        found = fit_evidence(task, samples, labels, [window.subject for window in windows])
        if found is not None:
            fitted.append(found)
    if not fitted:
        return None
    weighed = {}
    for known, readout in fitted:
        task = next(task for task in tasks if task.name == known.task)
        windows = spread(run.labelled_windows(task, "validation"), MOST_WINDOWS)
        alone = Evidence(tasks={known.task: (replace(known, weight=1.0), readout)})
        prompt = Prompt.of(task, text, run.config.model.vocabulary.separator, alone)
        if windows:
            asked = (read_sample(run.store, window) for window in windows)
            said, shown = contributions(module, prompt, asked, device=run.device)
            labels = np.array([task.index(str(window.label)) for window in windows])
            known = replace(known, weight=fit_weight(said, shown, labels, [window.subject for window in windows]))
        weighed[known.task] = (known, readout)
    return Evidence(tasks=weighed)


def calibrate_task(
    module: NeuroLM, text: TextTokenizer, run: Run, task: Task, evidence: Evidence | None = None
) -> TaskCalibration | None:
    """Fit the calibration of a task on its validation windows; None where there are none."""
    windows = spread(run.labelled_windows(task, "validation"), MOST_WINDOWS)
    if not windows:
        return None
    prompt = Prompt.of(task, text, run.config.model.vocabulary.separator, evidence)
    found = likelihoods(module, prompt, (read_sample(run.store, w) for w in windows), device=run.device)
    return calibration.fit(
        task.name,
        found,
        np.array([task.index(str(window.label)) for window in windows]),
        stretches=[stretch(window) for window in windows],
        subjects=[window.subject for window in windows],
        overlap=max(1.0, task.seconds / task.stride),
    )


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
