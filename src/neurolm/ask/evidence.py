"""Evidence: what log power of electrodes and pairs says for each option, beside the language model

A small readout, fitted in closed form on the training people (`neurolm.train.evidence`), gives every option a score;
an answer rests on ``weight`` × the language model's log-likelihood + the evidence. It lies beside the checkpoint as
``evidence.json`` and ``evidence.safetensors``; a checkpoint without it answers by the language model alone, and so does
one that is asked freely, or about electrodes that the readout does not know.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from neurolm.ask import spectra
from neurolm.ask.calibration import Calibration
from neurolm.batches.loader import Sample
from neurolm.checkpoint import Card, SideFile
from neurolm.core.amounts import many
from neurolm.core.config import require_within
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.files import atomic_file, dump_json
from neurolm.core.montage import channel_id, resolve
from neurolm.core.small_files import LARGE, read_small

ARRAYS = "evidence.safetensors"
HALF = 0.5
"""Weight of the language model's log-likelihood where nothing was fitted: chosen by validation over four tasks."""
REMEDY = "make both files anew with `neurolm calibrate RUN --store STORE --evidence fit`, or `none` to do without"
"""What is to be done about files that cannot be used."""
NAMED = 4
"""Electrodes that a line names; more are counted."""
_NAMES = ("mean", "scale", "weights", "offset")
_LARGEST = 1e6  # of any number in the arrays: beyond what a fit gives


@dataclass(frozen=True, eq=False)
class Readout:
    """The numbers of a task's readout."""

    mean: np.ndarray
    """float32 (features,): over the training windows."""
    scale: np.ndarray
    """float32 (features,): what a feature is divided by."""
    weights: np.ndarray
    """float32 (features, options)."""
    offset: np.ndarray
    """float32 (options,)."""

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """Scale features as `spectra.features` returns them; missing ones are 0, what the typical window has."""
        return np.nan_to_num((features - self.mean) / self.scale, nan=0.0)


@dataclass(frozen=True, kw_only=True)
class TaskEvidence:
    """What is known of a task's readout."""

    task: str
    labels: tuple[str, ...]
    """Options, in the order of its scores."""
    electrodes: tuple[str, ...]
    """Those of the training windows."""
    strength: float
    """λ of the ridge regression, in units of the mean eigenvalue."""
    slope: float
    """By which predictions were multiplied; it is in the weights."""
    freedom: float
    """How far a matrix in place of the slope was allowed to be from it; 0 where it is the slope."""
    likelihood: float
    """Mean log-likelihood of training people, or other groups, that were left out, without the language model."""
    windows: int
    subjects: int
    weight: float = HALF
    """Of the language model's log-likelihood beside the evidence."""
    left_out: Literal["people", "recordings", "stretches"] = "people"
    """What strength and slope were chosen by; recordings or stretches of time where there was one person."""
    groups: int = 0
    """How many of these there were; 0 in files that do not say it: as many as subjects."""
    seconds: float = 0.0
    """Length of its windows; 0 in files that do not say it. Shorter ones, whose power is less sure, are heard less."""

    def __post_init__(self) -> None:
        require_within(self, strength=(0, 1e6), slope=(0, 1e6), freedom=(0, 1e6), likelihood=(-1e6, 0),
                       windows=(0, 1e12), subjects=(0, 1e12), weight=(1e-3, 10), groups=(0, 1e12),
                       seconds=(0, 1e6))  # fmt: skip
        unknown = [name for name in self.electrodes if resolve(name) != name]
        if unknown or len(set(self.electrodes)) < len(self.electrodes):
            raise ConfigError(f"electrodes must be known ones, each once; not {', '.join(unknown or self.electrodes)}")
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise ConfigError(f"labels must be two or more different ones, not {', '.join(self.labels)}")

    @property
    def who(self) -> str:
        """Whom it was fitted on, in words."""
        if self.left_out == "people":
            return many(self.subjects, "person")
        what = "whose recordings" if self.left_out == "recordings" else "parts of whose time"
        return f"one person, {what} ({self.groups}) were left out in turn"

    @property
    def shape(self) -> tuple[int, int]:
        """Features and options."""
        return spectra.count(len(self.electrodes)), len(self.labels)


@dataclass(frozen=True, kw_only=True)
class EvidenceFile(SideFile):
    """What ``evidence.json`` says."""

    FILE = "evidence.json"

    tasks: tuple[TaskEvidence, ...]
    digest: str
    """SHA-256 of the arrays and of what is said of them here (`digest_of`): neither is taken for another fit's."""
    people: tuple[str, ...] = ()
    """Hashes of those it was learned from, as the checkpoint's; none where their key is not known."""

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(task.task for task in self.tasks).items() if count > 1]
        if twice:
            raise ConfigError(f"tasks must be different ones, but {', '.join(twice[:NAMED])} is there several times")

    @property
    def described(self) -> tuple[str, ...]:
        """A line for each task: what speaks, and who it was learned from."""
        return tuple(
            f"{task.task}: evidence of {_named(task.electrodes)}, beside {task.weight:.2f} × the language model; from "
            f"{many(task.windows, 'window')}, {task.who}"
            for task in self.tasks
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Readouts of all tasks of a model."""

    tasks: Mapping[str, tuple[TaskEvidence, Readout]]
    """By their names."""
    people: tuple[str, ...] = ()
    """Hashes of those it was learned from (`checkpoint.hashed`), where their key is known."""

    def of(self, task: str, labels: Sequence[str]) -> Beside | None:
        """Return what is said beside the language model for a task's options, in their order; None where nothing is."""
        known, readout = self.tasks.get(task, (None, None))
        if known is None or readout is None or sorted(known.labels) != sorted(labels):
            return None
        order = [known.labels.index(label) for label in labels]
        turned = replace(readout, weights=readout.weights[:, order], offset=readout.offset[order])
        return Beside(weight=known.weight, electrodes=tuple(map(channel_id, known.electrodes)), readout=turned,
                      seconds=known.seconds)  # fmt: skip

    def save(self, folder: Path) -> str:
        """Write both files into a checkpoint's folder: the arrays first, which the JSON file then vouches for.

        Returns
        -------
        str
            The digest, which the calibration of the same answers keeps.
        """
        content = save(
            {
                f"{task}.{name}": np.ascontiguousarray(getattr(readout, name), np.float32)
                for task, (_, readout) in self.tasks.items()
                for name in _NAMES
            }
        )
        with atomic_file(folder / ARRAYS) as temporary:
            temporary.write_bytes(content)
        known = tuple(known for known, _ in self.tasks.values())
        digest = digest_of(content, known)
        EvidenceFile(tasks=known, digest=digest, people=self.people).save(folder)
        return digest

    @classmethod
    def load(cls, folder: Path, card: Card | None = None) -> Evidence | None:
        """Read the files of a checkpoint; None where it has none.

        Parameters
        ----------
        card
            The checkpoint's: evidence of other tasks, or learned from other people, is another model's.

        Raises
        ------
        CheckpointError
            If the arrays are missing, damaged or of another fit, the evidence is of another model, or the calibration
            beside it is of answers that rest on other evidence, or on none.
        ConfigError
            If the JSON file is damaged.
        """
        try:
            stated = EvidenceFile.load(folder)
        except ConfigError as error:
            raise ConfigError(f"{error}; {REMEDY}") from error
        if stated is None:
            _require_calibrated(folder, None)
            return None
        if card is not None:
            _require_own(folder / stated.FILE, stated, card)
        path = folder / ARRAYS
        try:
            content = read_small(path, most=LARGE)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}, which {stated.FILE} needs; {REMEDY}") from error
        if (found := digest_of(content, stated.tasks)) != stated.digest:
            raise CheckpointError(
                f"{path}: not that of the {stated.FILE} beside it (its SHA-256 begins with {found[:8]}, stated is "
                f"{stated.digest[:8]}); {REMEDY}"
            )
        try:
            arrays = load(content)
        except (SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); {REMEDY}") from error
        readouts = {task.task: (task, _readout(path, task, arrays)) for task in stated.tasks}
        if arrays:  # those that are known were taken out
            raise CheckpointError(
                f"{path}: has {', '.join(sorted(arrays)[:3])}, which {stated.FILE} does not; {REMEDY}"
            )
        _require_calibrated(folder, stated)
        return cls(tasks=readouts, people=stated.people)


def digest_of(content: bytes, tasks: Sequence[TaskEvidence]) -> str:
    """SHA-256 of the file of arrays, and of what is said of each task."""
    return hashlib.sha256(content + dump_json(list(tasks), sort_keys=True).encode()).hexdigest()


def _require_calibrated(folder: Path, stated: EvidenceFile | None) -> None:
    """Refuse a calibration of other answers than those that rest on this evidence, or on none."""
    known = Calibration.load(folder)
    if known is not None and known.evidence != ("" if stated is None else stated.digest):
        beside = "there is none" if stated is None else "another is there"
        raise CheckpointError(
            f"{folder / known.FILE}: of answers that rest on {'other' if known.evidence else 'no'} evidence, and "
            f"{beside}; {REMEDY}"
        )


def _named(electrodes: Sequence[str]) -> str:
    return ", ".join(electrodes) if len(electrodes) <= NAMED else f"{len(electrodes)} electrodes"


def remove_evidence(folder: Path) -> None:
    """Take the files out of a checkpoint's folder, if there are any."""
    (folder / EvidenceFile.FILE).unlink(missing_ok=True)
    (folder / ARRAYS).unlink(missing_ok=True)


def _require_own(path: Path, stated: EvidenceFile, card: Card) -> None:
    """Refuse evidence that cannot be this model's."""
    labels = {task.name: task.labels for task in card.tasks}
    if strangers := set(stated.people) - set(card.subjects):
        raise CheckpointError(
            f"{path}: learned from {many(len(strangers), 'person')} whom the model was not trained on: another "
            f"model's; {REMEDY}"
        )
    for found in stated.tasks:
        if found.task not in labels:
            raise CheckpointError(
                f"{path}: of a task {found.task!r}, which the model was not tuned on (it was on "
                f"{', '.join(labels) or 'none'}): another model's; {REMEDY}"
            )
        if sorted(found.labels) != sorted(labels[found.task]):
            raise CheckpointError(
                f"{path}: {found.task} has the options {', '.join(found.labels)}, and the model's has "
                f"{', '.join(labels[found.task])}: another model's; {REMEDY}"
            )


def _readout(path: Path, task: TaskEvidence, arrays: dict[str, np.ndarray]) -> Readout:
    features, options = task.shape
    shapes = {"mean": (features,), "scale": (features,), "weights": (features, options), "offset": (options,)}
    found = {}
    for name, shape in shapes.items():
        array = arrays.pop(f"{task.task}.{name}", None)
        if array is None or array.shape != shape or array.dtype != np.float32:
            held = "none" if array is None else f"{array.dtype} {array.shape}"
            raise CheckpointError(f"{path}: {task.task}.{name} must be float32 {shape}, found {held}; {REMEDY}")
        wrong = ~(np.abs(array) <= _LARGEST) | ((array <= 0) if name == "scale" else False)
        if wrong.any():
            raise CheckpointError(
                f"{path}: {task.task}.{name} has numbers that no fit gives, such as {array[wrong][0]}; {REMEDY}"
            )
        found[name] = array
    return Readout(**found)


@dataclass(frozen=True, eq=False)
class Beside:
    """What is said for a task's options beside the language model."""

    weight: float
    """Of the language model's log-likelihood."""
    electrodes: tuple[int, ...]
    readout: Readout
    seconds: float = 0.0
    """Length of the windows it was learned from; 0 where it is not known."""

    def knows(self, electrodes: Iterable[int]) -> bool:
        """Whether it says anything of windows that show these electrodes."""
        return not frozenset(self.electrodes).isdisjoint(electrodes)

    def scores(self, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """Evidence of windows, float64 (windows, options), and whether each shows an electrode that is known.

        The spread of a power density falls with the root of the time it is of: windows of recordings that are shorter
        than those of the training are heard that much less.
        """
        # one that is left out on purpose makes a window no shorter, but the last
        lengths = [int(sample.second.max()) + 1 for sample in samples]
        return self.weigh(spectra.features(samples, self.electrodes), lengths)

    def weigh(self, features: np.ndarray, lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The same of windows of so many seconds whose features are known, NaN where they show no such electrode."""
        known = np.isfinite(features).any(axis=1)
        scores = self.readout.standardise(features) @ self.readout.weights.astype(float) + self.readout.offset
        heard = np.array([min(1.0, length / self.seconds) ** 0.5 if self.seconds else 1.0 for length in lengths])
        return np.where(known[:, None], heard[:, None] * scores, 0.0), known
