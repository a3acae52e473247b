"""Personal calibration: readout and temperature adapted to one person by labels, kept apart

>>> person = model.calibrate("anna/labels.csv")
>>> person.save(Path("anna"))                       # person.json and person.safetensors
>>> model.ask("anna/today.edf", question, person="anna")

Of a person's labelled windows, logistic regression around the answer for anybody: log-odds are ``coldness`` × what the
model says, plus an offset for each option, plus a readout of the same log power as the evidence's. All three are held
by normal priors where they are without labels (maximum a posteriori), so that no window changes nothing and few change
little. Classes weigh the same; windows that overlap count as often as they are new.
The spreads of the priors were chosen by training people, each taken for a new one (docs/benchmarks/personal.md).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.special import log_softmax

from neurolm.ask.calibration import LARGEST_LOG_TEMPERATURE, Calibration, TaskCalibration
from neurolm.ask.evidence import Beside
from neurolm.ask.risk import NO_POINTS
from neurolm.ask.worth import FEWEST, Worth, parts_of, weigh
from neurolm.checkpoint import SideFile
from neurolm.core.amounts import in_words, many
from neurolm.core.config import require_within, to_json
from neurolm.core.errors import CheckpointError, ConfigError, QuestionError
from neurolm.core.files import atomic_file, dump_json, require_writable
from neurolm.core.names import readable
from neurolm.core.small_files import LARGE, read_small

ARRAYS = "person.safetensors"
COLDNESS_SPREAD = 0.5
"""Standard deviation of the prior on the logarithm of the coldness."""
OFFSET_SPREAD = 2.0
"""The same of the offset of an option, in nats."""
WEIGHT_SPREAD = 8.0
"""The same of the weight of a feature, whose scale is that of the evidence: all electrodes together have about 1."""
REMEDY = "make it anew with `neurolm calibrate RUN --labels labels.csv --person FOLDER`"
UNHELPFUL = "answers without it are better, unless it is calibrated anew with more or other blocks"
_LARGEST = 1e6  # of any number in the arrays: beyond what a fit gives
_LONGEST = 200  # characters of a name


@dataclass(frozen=True, eq=False)
class Adapted:
    """What labelled windows change about a task's log-odds: ``coldness * before + features @ weights + offset``."""

    coldness: float
    offset: np.ndarray = field(repr=False)
    """float (options,), nats."""
    weights: np.ndarray = field(repr=False)
    """float (features, options), for features that are scaled as the evidence's."""

    def log_probabilities(self, before: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Return those of the person's options, as `fit` takes them for anybody."""
        return log_softmax(self.coldness * before + features @ self.weights + self.offset, axis=1)


def fit(
    before: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    *,
    worth: float = 1.0,
    coldness_spread: float = COLDNESS_SPREAD,
    offset_spread: float = OFFSET_SPREAD,
    weight_spread: float = WEIGHT_SPREAD,
) -> Adapted:
    """Adapt log-odds to labelled windows of a person.

    Parameters
    ----------
    before
        Log-probabilities for anybody, calibrated, shape (windows, options); up to a constant in each row.
    features
        Of the same windows, as `Readout.standardise` scales them, (windows, features).
    labels
        Their classes, integers. Options that none has keep their place beside the mean of the others.
    worth
        New windows that a window is worth: stride over length, where they overlap.
    coldness_spread, offset_spread, weight_spread
        Standard deviations of the priors; 0 holds what it is of where it is.

    Returns
    -------
    Adapted
        With fewer than two classes, what changes nothing: one says nothing of another.
    """
    options, present = before.shape[1], np.unique(labels)
    if len(present) < 2:
        return Adapted(1.0, np.zeros(options), np.zeros((features.shape[1], options)))
    share = 1 / (len(present) * np.bincount(labels, minlength=options)[labels])
    left, lengths, axes = np.linalg.svd(features, full_matrices=False)
    kept = lengths > 1e-9 * max(1.0, lengths[0])
    along = weight_spread * left[:, kept] * lengths[kept]  # the fit lies in the space of the windows
    truth = np.eye(options)[labels][:, present]
    shape = (along.shape[1] + 1, len(present))
    rows = np.hstack([along, np.full((len(along), 1), offset_spread)])

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        factor, added = np.exp(coldness_spread * values[0]), values[1:].reshape(shape)
        logs = log_softmax(factor * before[:, present] + rows @ added, axis=1)
        wrong = (worth * len(labels) * share)[:, None] * (np.exp(logs) - truth)
        lost = -worth * len(labels) * float(share @ (truth * logs).sum(axis=1)) + values @ values / 2
        slope = np.append((wrong * before[:, present]).sum() * factor * coldness_spread, (rows.T @ wrong).ravel())
        return lost, slope + values

    from scipy.optimize import minimize  # slow to import, and answers fit nothing

    found = minimize(loss, np.zeros(1 + shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    added = found[1:].reshape(shape)
    weights, offset = np.zeros((features.shape[1], options)), np.zeros(options)
    weights[:, present] = weight_spread * axes[kept].T @ added[:-1]
    offset[present] = offset_spread * added[-1]
    return Adapted(float(np.exp(coldness_spread * found[0])), offset, weights)


def left_out(
    before: np.ndarray, features: np.ndarray, labels: np.ndarray, blocks: np.ndarray, *, worth: float = 1.0
) -> Worth | None:
    """Tell what a fit is worth: each block in turn is asked about with what the others teach.

    Parameters
    ----------
    before, features, labels, worth
        As for `fit`.
    blocks
        Which block each window lies in, integers (windows,).

    Returns
    -------
    Worth or None
        None where an option has fewer than two blocks.
    """
    parts = parts_of(blocks, labels)
    if parts is None:
        return None
    after = np.zeros_like(before)
    for part in np.unique(parts):
        out = parts == part
        adapted = fit(before[~out], features[~out], labels[~out], worth=worth)
        after[out] = adapted.log_probabilities(before[out], features[out])
    return weigh(log_softmax(before, axis=1), after, labels, blocks=len(np.unique(blocks)))


@dataclass(frozen=True, kw_only=True)
class PersonTask:
    """What is known of a person's calibration for a task."""

    task: str
    labels: tuple[str, ...]
    """Options, in the order of the arrays."""
    windows: tuple[int, ...]
    """How many labelled windows it was fitted on, of each option."""
    seconds: float
    """How much EEG they show, each moment counted once."""
    coldness: float
    """By which the temperature is divided."""

    def __post_init__(self) -> None:
        require_within(self, windows=(0, 1e9), seconds=(0, 1e9), coldness=(1e-3, 1e3))
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise ConfigError(f"labels must be two or more different ones, not {', '.join(self.labels)}")
        if len(self.windows) != len(self.labels):
            raise ConfigError(f"windows must be a number for each of {', '.join(self.labels)}")

    def note(self, name: str) -> str:
        """What is said of an answer for the person."""
        return f"personal: calibrated for {readable(name)} on {self.in_words}; it may not hold for anybody else"

    @property
    def in_words(self) -> str:
        """What it was fitted on."""
        each = ", ".join(f"{label} {count}" for label, count in zip(self.labels, self.windows, strict=True))
        return f"{many(sum(self.windows), 'window')} ({each}) of {in_words(self.seconds)} of labelled EEG"


@dataclass(frozen=True, kw_only=True)
class PersonFile(SideFile):
    """What ``person.json`` says."""

    FILE = "person.json"

    person: str
    """Whose calibration it is."""
    model: str
    """Tells which model's answers were adapted (`mark_of`)."""
    tasks: tuple[PersonTask, ...]
    digest: str
    """SHA-256 of the arrays, and of all the rest that is said here."""

    def __post_init__(self) -> None:
        if not 0 < len(self.person) <= _LONGEST:
            raise ConfigError(f"person must be a name of 1 to {_LONGEST} characters")
        twice = [name for name, count in Counter(task.task for task in self.tasks).items() if count > 1]
        if twice or not self.tasks:
            raise ConfigError(f"tasks must be different ones, and one at least; {', '.join(twice) or 'there is none'}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """A person's calibration, for one model."""

    name: str
    model: str
    """As in `PersonFile`."""
    tasks: Mapping[str, tuple[PersonTask, Adapted]]
    """By their names."""
    worth: Mapping[str, Worth | None] = field(default_factory=dict)
    """Task → what it is worth on blocks that were left out; None where they are too few. Not kept in files."""

    @property
    def described(self) -> tuple[str, ...]:
        """Lines for each task: what was fitted, on what, and what it is worth."""
        lines = []
        for name, (task, _) in self.tasks.items():
            lines.append(f"{name}: calibrated for {readable(self.name)} on {task.in_words}")
            worth = self.worth.get(name)
            if worth is not None:
                lines.append(f"{name}: {worth.in_words}")
                lines += [f"warning: {name}: it does not help; {UNHELPFUL}"] * (not worth.helps)
            elif name in self.worth:
                lines.append(f"note: {name}: label {FEWEST} blocks or more of each option to be told what it is worth")
        return tuple(lines)

    def of(self, task: str, labels: Sequence[str]) -> tuple[PersonTask, Adapted]:
        """Return what was fitted for a task, with its options in a given order.

        Raises
        ------
        QuestionError
            If nothing was.
        """
        known, adapted = self.tasks.get(task, (None, None))
        if known is None or adapted is None or sorted(known.labels) != sorted(labels):
            raise QuestionError(
                f"{readable(self.name)} was calibrated for {', '.join(self.tasks)}, not for {task}: ask without a "
                f"person, or calibrate with labels of {task}"
            )
        order = [known.labels.index(label) for label in labels]
        return known, Adapted(adapted.coldness, adapted.offset[order], adapted.weights[:, order])

    def require_own(self, calibration: Calibration | None) -> None:
        """Refuse to adapt the answers of another model.

        Raises
        ------
        CheckpointError
            If the calibration of the model at hand is not that of the one that was adapted.
        """
        if self.model != mark_of(calibration):
            raise CheckpointError(
                f"the calibration for {readable(self.name)} is of another model, or of this one before it was "
                f"calibrated anew; {REMEDY}"
            )

    def save(self, folder: Path) -> None:
        """Write both files into a folder: the arrays first, which the JSON file then vouches for.

        Raises
        ------
        WriteError
            If nothing can be written there.
        """
        require_writable(folder / PersonFile.FILE)
        folder.mkdir(parents=True, exist_ok=True)
        content = save(
            {
                f"{task}.{name}": np.ascontiguousarray(getattr(adapted, name), np.float32)
                for task, (_, adapted) in self.tasks.items()
                for name in ("offset", "weights")
            }
        )
        with atomic_file(folder / ARRAYS) as temporary:
            temporary.write_bytes(content)
        stated = PersonFile(person=self.name, model=self.model, tasks=tuple(t for t, _ in self.tasks.values()),
                            digest="")  # fmt: skip
        replace(stated, digest=_digest(content, stated)).save(folder)

    @classmethod
    def load(cls, folder: Path) -> Person:
        """Read the files of a folder.

        Raises
        ------
        CheckpointError
            If there are none, or the arrays are missing, damaged, or of another fit.
        ConfigError
            If the JSON file is damaged.
        """
        try:
            stated = PersonFile.load(folder)
        except ConfigError as error:
            raise ConfigError(f"{error}; {REMEDY}") from error
        path = folder / ARRAYS
        if stated is None:
            raise CheckpointError(f"{folder / PersonFile.FILE}: no such file; give a person's folder, or {REMEDY}")
        try:
            content = read_small(path, most=LARGE)
            arrays = load(content)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}, which {stated.FILE} needs; {REMEDY}") from error
        except (SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); {REMEDY}") from error
        if (found := _digest(content, stated)) != stated.digest:
            raise CheckpointError(
                f"{path}: not that of the {stated.FILE} beside it (the SHA-256 of both begins with {found[:8]}, stated "
                f"is {stated.digest[:8]}); {REMEDY}"
            )
        tasks = {task.task: (task, _adapted(path, task, arrays)) for task in stated.tasks}
        if len(arrays) != 2 * len(tasks):
            raise CheckpointError(f"{path}: has {len(arrays)} arrays for {many(len(tasks), 'task')}; {REMEDY}")
        return cls(name=stated.person, model=stated.model, tasks=tasks)


def mark_of(calibration: Calibration | None) -> str:
    """Tell which model's answers a calibration is of: all that is fitted beside the weights is in it, or hashed in it.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    if calibration is None or not calibration.evidence:
        raise CheckpointError(
            "a person's calibration changes the evidence beside the language model, and this model has none: "
            "`neurolm calibrate RUN --store STORE --evidence fit` adds it"
        )
    return hashlib.sha256(to_json(calibration).encode()).hexdigest()


def personal(beside: Beside, calibration: TaskCalibration, adapted: Adapted) -> tuple[Beside, TaskCalibration]:
    """Return evidence and calibration of a task as they are for a person.

    What was fitted on anybody's windows to keep to a risk does not hold for the person, and is left out.
    """
    most = np.exp(LARGEST_LOG_TEMPERATURE)
    temperature = float(np.clip(calibration.temperature / adapted.coldness, 1 / most, most))
    if adapted.weights.shape != beside.readout.weights.shape:
        raise CheckpointError(
            f"the calibration of a person has {adapted.weights.shape} weights, and the model's evidence "
            f"{beside.readout.weights.shape}; {REMEDY}"
        )
    readout = replace(
        beside.readout,
        weights=beside.readout.weights + temperature * adapted.weights,
        offset=beside.readout.offset + temperature * adapted.offset,
    )
    own = replace(calibration, temperature=temperature, per_window=NO_POINTS, pooled=NO_POINTS)
    return replace(beside, readout=readout), own


def _digest(content: bytes, stated: PersonFile) -> str:
    said = dump_json({"person": stated.person, "model": stated.model, "tasks": stated.tasks}, sort_keys=True)
    return hashlib.sha256(content + said.encode()).hexdigest()


def _adapted(path: Path, task: PersonTask, arrays: Mapping[str, np.ndarray]) -> Adapted:
    offset, weights = (arrays.get(f"{task.task}.{name}") for name in ("offset", "weights"))
    for array, dimensions in ((offset, 1), (weights, 2)):
        fits = array is not None and array.dtype == np.float32 and array.ndim == dimensions
        if array is None or not fits or array.shape[-1] != len(task.labels):
            raise CheckpointError(
                f"{path}: {task.task} must have float32 offset and weights of {len(task.labels)} options; {REMEDY}"
            )
        if not (np.abs(array) <= _LARGEST).all():
            raise CheckpointError(f"{path}: {task.task} has numbers that no fit gives; {REMEDY}")
    assert offset is not None and weights is not None
    return Adapted(task.coldness, offset, weights)
