"""People who are new to a model: what is said of their labelled windows before anything is adapted"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from neurolm.api.model import Model
from neurolm.ask import spectra
from neurolm.ask.answering import Asked
from neurolm.ask.prompt import contributions
from neurolm.batches.loader import Sample, read_sample
from neurolm.batches.windows import Window, labelled_windows
from neurolm.core.physics import RATE
from neurolm.store.store import Store
from neurolm.tasks.task import Task
from neurolm.train.evidence import fit_features
from readout_studies.windows import Described


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Windows of one person, or of several, in the order of time."""

    before: np.ndarray
    """Log-probabilities for anybody, float64 (windows, options)."""
    scaled: np.ndarray
    """Features as the evidence scales them, float64 (windows, features)."""
    own: np.ndarray
    """Log band power of each electrode, float64 (windows, features)."""
    labels: np.ndarray
    at: np.ndarray
    """Seconds of its class in its recordings before each window began."""
    subjects: np.ndarray

    def only(self, kept: np.ndarray) -> Windows:
        """Some of the windows."""
        return Windows(**{name: array[kept] for name, array in vars(self).items()})

    def swapped(self) -> Windows:
        """With the classes turned round."""
        return replace(self, labels=self.before.shape[1] - 1 - self.labels)

    @property
    def people(self) -> list[Windows]:
        """Each person's."""
        return [self.only(self.subjects == subject) for subject in np.unique(self.subjects)]


def together(parts: Sequence[Windows]) -> Windows:
    """All windows, one person after the other."""
    return Windows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def divided(person: Windows, seconds: float, apart: float, window: int) -> tuple[Windows, Windows]:
    """The windows that lie in the first seconds of each class, and those that begin after ``apart`` seconds of it.

    Parameters
    ----------
    seconds
        Labelled seconds of all classes together.
    apart
        Where those that are asked begin; at least as late as the first end.
    window
        Length of a window.
    """
    each = seconds / person.before.shape[1]
    assert each <= apart
    return person.only(person.at + window <= each + 1e-9), person.only(person.at >= apart - 1e-9)


def heard(
    model: Model, asked: Asked, samples: Sequence[Sample], *, language: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a model says of windows, their features as the evidence scales them, and their band power."""
    beside = asked.prompt.beside
    assert beside is not None, "fit evidence first: neurolm calibrate RUN --store STORE --evidence fit"
    features = spectra.features(samples, beside.electrodes)
    own = features[:, : spectra.own(len(beside.electrodes))]
    before = np.full((len(samples), len(asked.question.task.labels)), np.nan)
    if language:
        said, shown = contributions(model.module, asked.prompt, samples, device=model.device)
        before = asked.question.calibration.log_probabilities(said + shown)
    return before, beside.readout.standardise(features), own


def of_split(model: Model, store: Store, task: str, part: str, *, asked: bool = True) -> Windows:
    """The people of a part of a model's split: ``train``, ``validation`` or ``test``.

    Parameters
    ----------
    asked
        Whether the model is asked about their windows.
    """
    card = task_of(model, task)
    people = getattr(card.split(store), part)
    windows = labelled_windows(store, task=task, seconds=card.seconds, stride=card.stride, subjects=people)
    return of_windows(model, store, windows, task, asked=asked)


def task_of(model: Model, task: str) -> Task:
    """A task as the model has it, with its fold."""
    return next(one for one in model.card.tasks if one.name == task)


def of_windows(model: Model, store: Store, windows: Sequence[Window], task: str, *, asked: bool = True) -> Windows:
    """Windows of a store; parameters as for `of_split`."""
    card = task_of(model, task)
    samples = [read_sample(store, window) for window in windows]
    before, scaled, own = heard(model, model.asked(card.question), samples, language=asked)
    return Windows(
        before=before, scaled=scaled, own=own, labels=np.array([card.index(str(w.label)) for w in windows]),
        at=np.array(list(class_time(windows))), subjects=np.array([w.subject for w in windows]),
    )  # fmt: skip


def class_time(windows: Sequence[Window]) -> Iterator[float]:
    """Seconds of its class in its person's recordings before each window began."""
    before: dict[tuple[str, str | None], dict[tuple[int, tuple[int, int]], float]] = {}
    for window in windows:
        spans = before.setdefault((window.subject, window.label), {})
        span = (window.recording, window.span)
        if span not in spans:
            spans[span] = sum((last - first) / RATE for _, (first, last) in spans)
        yield spans[span] + (window.start - window.span[0]) / RATE


def learned(train: Described) -> Windows:
    """Training people, each asked as a new person: what is said of them was learned from the others.

    No language model is asked: it knows them.
    """
    people = np.unique(train.subjects, return_inverse=True)[1]
    found, readout = fit_features(
        train.features, train.labels, people, electrodes=train.electrodes, classes=len(train.task.labels)
    )
    return Windows(
        before=log_softmax(found.left_out[: len(train.windows)], axis=1), scaled=readout.standardise(train.features),
        own=train.own, labels=train.labels, at=np.array(list(class_time(train.windows))), subjects=train.subjects,
    )  # fmt: skip
