"""What a model makes of a recording, for models of one's own: features, codes, evidence"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import torch

from neurolm.ask.evidence import Beside, Evidence
from neurolm.ask.prompt import PLACES, require_finite
from neurolm.ask.recording import Windows, read_windows
from neurolm.batches.loader import Sample, build_patches, in_batches
from neurolm.core.errors import CheckpointError
from neurolm.core.files import atomic_file
from neurolm.core.physics import RATE
from neurolm.model.tokenizer import NeuralTokenizer
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

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What has a row for each window."""
        every = {"features": self.features, "codes": self.codes, "starts": self.starts, "evidence": self.evidence}
        return {name: array for name, array in every.items() if array is not None}

    def save(self, path: str | Path) -> Path:
        """Write the arrays into a file that ``numpy.load`` reads; returns its path.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        return save_parts(Path(path), [self], len(self.starts))


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Features of a recording part by part: they are made when a part is asked for, anew each time."""

    tokenizer: NeuralTokenizer
    windows: Windows
    columns: EvidenceColumns | None
    """What the evidence says beside them, where it was asked for."""
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all features: windows, seconds, electrodes, width."""
        width = self.tokenizer.config.encoder.width
        return len(self.windows.starts), self.windows.seconds, len(self.electrodes), width

    @property
    def electrodes(self) -> tuple[str, ...]:
        """Names of the electrodes in their order."""
        return self.windows.recording.electrodes

    @property
    def evidence_columns(self) -> tuple[str, ...]:
        """What the columns of the evidence are: ``TASK: OPTION``."""
        return () if self.columns is None else self.columns.names

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the recording, and what the evidence lacks."""
        return self.windows.notes + (() if self.columns is None else self.columns.notes)

    def __iter__(self) -> Iterator[Embedding]:
        """The next windows, in the order of time.

        Raises
        ------
        CheckpointError
            If the model gives what is NaN or infinite.
        RecordingError
            If the recording can no longer be read.
        """
        at = 0
        for _, samples in read_windows([self.windows]):
            features, codes = _encode(self.tokenizer, samples, self.device)
            starts = np.array(self.windows.starts[at : at + len(samples)]) / RATE
            at += len(samples)
            yield Embedding(
                features=features, codes=codes, starts=starts, electrodes=self.electrodes, notes=self.notes,
                evidence=None if self.columns is None else self.columns.of(samples),
                evidence_columns=self.evidence_columns,
            )  # fmt: skip

    def whole(self) -> Embedding:
        """All of them together."""
        arrays: dict[str, np.ndarray] = {}
        at = 0
        for part in self:
            for name, array in part.arrays.items():
                if name not in arrays:
                    arrays[name] = np.empty((self.shape[0], *array.shape[1:]), array.dtype)
                arrays[name][at : at + len(array)] = array
            at += len(part.starts)
        return Embedding(
            electrodes=self.electrodes, notes=self.notes, evidence_columns=self.evidence_columns, **arrays
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write all of them into a file, as ``Embedding.save`` does, holding no more than a part at a time.

        Raises
        ------
        WriteError
            If it cannot be written.
        CheckpointError, RecordingError
            As while they are taken one after the other.
        """
        return save_parts(Path(path), self, self.shape[0])


def _encode(
    tokenizer: NeuralTokenizer, samples: Sequence[Sample], device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Features and codes of windows of the same electrodes and length."""
    seconds, electrodes = samples[0].seconds, samples[0].channels
    shape = (len(samples), seconds, electrodes)
    features = np.empty((*shape, tokenizer.config.encoder.width), np.float32)
    codes = np.empty(shape, np.int64)
    at = 0
    for batch in in_batches(samples, places=PLACES[device.type]):
        part, at = slice(at, at + len(batch)), at + len(batch)
        patches, _ = build_patches(batch, packed=False)  # of one size: none is padding
        with torch.no_grad():
            found = tokenizer.tokenize(patches.to(device))
        features[part] = found.features.cpu().numpy().reshape(features[part].shape)
        codes[part] = found.codes.cpu().numpy().reshape(codes[part].shape)
        require_finite(features[part], "features")
    return features, codes


def save_parts(path: Path, parts: Iterable[Embedding], windows: int) -> Path:
    """Write arrays of so many windows in all as NumPy does in ``savez_compressed``, but part by part.

    An archive takes one array after the other: features go into it as they come, and what else comes with them, which
    is small beside them, waits in files without a name.
    """

    def begun(stream: IO[bytes], array: np.ndarray, shape: tuple[int, ...]) -> None:
        header = np.lib.format.header_data_from_array_1_0(array) | {"fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)

    with (
        atomic_file(path) as temporary,
        ExitStack() as files,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        waiting: dict[str, IO[bytes]] = {}
        names: dict[str, np.ndarray] = {}
        with archive.open("features.npy", "w", force_zip64=True) as features:
            for part in parts:
                for name, array in part.arrays.items():
                    if not names:  # of the first part
                        waiting[name] = (
                            features if name == "features" else files.enter_context(TemporaryFile(dir=temporary.parent))
                        )
                        begun(waiting[name], array, (windows, *array.shape[1:]))
                    waiting[name].write(np.ascontiguousarray(array).data)
                names = {"electrodes": np.array(part.electrodes, str)}
                if part.evidence is not None:
                    names["evidence_columns"] = np.array(part.evidence_columns, str)
        for name, stream in waiting.items():
            if name != "features":
                stream.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    shutil.copyfileobj(stream, entry)
        for name, array in names.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    return path


@dataclass(frozen=True, kw_only=True)
class EvidenceColumns:
    """What the evidence of all tasks says of windows."""

    names: tuple[str, ...]
    """``TASK: OPTION`` of each column."""
    notes: tuple[str, ...]
    beside: tuple[Beside, ...]
    """What speaks, for the options of a task each."""

    def of(self, samples: Sequence[Sample]) -> np.ndarray:
        """float32 (windows, columns), nats, before temperature."""
        values = [beside.scores(samples)[0] for beside in self.beside]
        return np.concatenate([np.zeros((len(samples), 0)), *values], axis=1).astype(np.float32)


def evidence_columns(
    evidence: Evidence | None, tasks: Sequence[Task], electrodes: np.ndarray, *, seconds: int
) -> EvidenceColumns:
    """Return what the evidence of all tasks can say of windows.

    Parameters
    ----------
    evidence
        The model's; tasks whose evidence knows none of the electrodes have no columns, and the notes say so.
    electrodes
        Ids of the windows' electrodes.
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
    heard: list[Beside] = []
    names: list[str] = []
    notes = []
    for task, beside in known:
        if beside is None or not beside.knows(electrodes.tolist()):
            why = "was not fitted" if beside is None else "knows none of these electrodes"
            notes.append(f"no columns of {task.name}: its evidence {why}")
            continue
        heard.append(beside)
        names += [f"{task.name}: {label}" for label in task.labels]
        if task.seconds != seconds:
            notes.append(
                f"the evidence of {task.name} was fitted on windows of {task.seconds} s, and these have {seconds}"
            )
    return EvidenceColumns(names=tuple(names), notes=tuple(notes), beside=tuple(heard))
