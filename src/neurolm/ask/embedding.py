"""What a model makes of a recording, for models of one's own: features, codes, evidence"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurolm.ask.evidence import Evidence
from neurolm.batches.loader import Sample
from neurolm.core.errors import CheckpointError
from neurolm.core.files import atomic_file
from neurolm.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Features of a recording, for models of one's own: a vector for each second of each electrode of each window."""

    features: np.ndarray
    """float32 (windows, seconds, electrodes, width), of the frozen encoder."""
    codes: np.ndarray
    """int64 (windows, seconds, electrodes), of the neural tokenizer."""
    starts: np.ndarray
    """float64 (windows,), seconds from the start of the recording."""
    electrodes: tuple[str, ...]
    notes: tuple[str, ...]
    evidence: np.ndarray | None = None
    """float32 (windows, columns), nats, where it was asked for: what the evidence says for each option of each task."""
    evidence_columns: tuple[str, ...] = ()
    """What its columns are: ``TASK: OPTION``."""

    def save(self, path: str | Path) -> Path:
        """Write the arrays into a file that ``numpy.load`` reads; returns its path.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        arrays = {"features": self.features, "codes": self.codes, "starts": self.starts,
                  "electrodes": np.array(self.electrodes, str)}  # fmt: skip
        if self.evidence is not None:
            arrays |= {"evidence": self.evidence, "evidence_columns": np.array(self.evidence_columns, str)}
        with atomic_file(Path(path)) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        return Path(path)


@dataclass(frozen=True, kw_only=True)
class EvidenceColumns:
    """What the evidence says of some windows."""

    values: np.ndarray
    """float32 (windows, columns), nats, before temperature."""
    names: tuple[str, ...]
    """``TASK: OPTION`` of each column."""
    notes: tuple[str, ...]


def evidence_columns(
    evidence: Evidence | None, tasks: Sequence[Task], samples: Sequence[Sample], *, seconds: int
) -> EvidenceColumns:
    """Return what the evidence of all tasks says of windows of the same electrodes.

    Parameters
    ----------
    evidence
        The model's; tasks whose evidence knows none of the electrodes have no columns, and the notes say so.
    seconds
        Length of the windows.

    Raises
    ------
    CheckpointError
        If the model has no evidence.
    """
    known = [] if evidence is None else [(task, evidence.of(task.name, task.labels)) for task in tasks]
    if not any(beside for _, beside in known):
        raise CheckpointError(
            "the model has no evidence beside its language model: add it with `neurolm calibrate RUN --store STORE "
            "--evidence fit`"
        )
    values, names, notes = [np.zeros((len(samples), 0))], [], []
    for task, beside in known:
        if beside is None or not beside.knows(samples[0].channel.tolist()):
            why = "was not fitted" if beside is None else "knows none of these electrodes"
            notes.append(f"no columns of {task.name}: its evidence {why}")
            continue
        values.append(beside.scores(samples)[0])
        names += [f"{task.name}: {label}" for label in task.labels]
        if task.seconds != seconds:
            notes.append(
                f"the evidence of {task.name} was fitted on windows of {task.seconds} s, and these have {seconds}"
            )
    return EvidenceColumns(
        values=np.concatenate(values, axis=1).astype(np.float32), names=tuple(names), notes=tuple(notes)
    )
