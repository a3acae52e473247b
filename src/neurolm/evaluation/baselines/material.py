"""What a baseline may learn from: training windows to fit, validation windows to choose.

Nothing else reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurolm.batches.windows import Window
from neurolm.core.errors import StoreError
from neurolm.core.physics import RATE
from neurolm.store.store import Store
from neurolm.tasks.task import Task

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the regularisation (scikit-learn's ``C``) to choose from."""
MOST_WINDOWS = 20_000
"""Most training windows of a linear baseline; of more, so many are drawn."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Labelled windows of the training and validation subjects of a task, on the channels that all recordings share."""

    store: Store
    task: Task
    train: tuple[Window, ...]
    validation: tuple[Window, ...]
    channels: tuple[str, ...]
    left_out: int = 0
    """Channels of some recordings that others lack."""
    seed: int = 0

    @classmethod
    def of(
        cls, store: Store, task: Task, train: Sequence[Window], validation: Sequence[Window], others: Sequence[Window]
    ) -> Material:
        """Gather it; of ``others``, the windows to be answered, only the names of the channels are looked at.

        Raises
        ------
        StoreError
            If a part has no windows, training has one class only, or the recordings share no channel.
        """
        for part, windows in (("train", train), ("validation", validation)):
            if not windows:
                raise StoreError(
                    f"{store.path}: no labelled windows of task {task.name} in the {part} subjects: check the labels, "
                    "the window length or the split"
                )
        names = [store.rows[n].channels for n in sorted({w.recording for w in (*train, *validation, *others)})]
        shared = [name for name in names[0] if all(name in other for other in names)]
        if not shared:
            raise StoreError(
                f"{store.path}: the recordings of task {task.name} share no channel: a classical baseline needs "
                "the same electrodes everywhere"
            )
        left_out = len({name for other in names for name in other} - set(shared))
        material = cls(
            store=store, task=task, train=tuple(train), validation=tuple(validation), channels=tuple(shared),
            left_out=left_out,
        )  # fmt: skip
        found = np.unique(material.labels(train))
        if len(found) < 2:
            raise StoreError(
                f"{store.path}: all training windows of task {task.name} are {task.labels[found[0]]!r}: a baseline "
                "needs at least two classes; check the labels or the split"
            )
        return material

    def labels(self, windows: Sequence[Window]) -> np.ndarray:
        """Class of every window, shape (windows,)."""
        return np.array([self.task.index(str(window.label)) for window in windows])

    def signals(self, windows: Sequence[Window]) -> Iterator[np.ndarray]:
        """µV of every window, each float32 (samples at 200 Hz, channels)."""
        order: dict[int, list[int]] = {}
        for window in windows:
            if window.recording not in order:
                names = self.store.rows[window.recording].channels
                order[window.recording] = [names.index(name) for name in self.channels]
            signal = self.store.microvolts(window.recording, window.start, window.seconds * RATE)
            yield signal[:, order[window.recording]]

    def drawn(self, most: int) -> tuple[Window, ...]:
        """At most so many training windows, drawn by the seed."""
        if len(self.train) <= most:
            return self.train
        places = np.random.default_rng(self.seed).choice(len(self.train), most, replace=False)
        return tuple(self.train[place] for place in sorted(places))

    def fitted_on(self, most: int = MOST_WINDOWS) -> str:
        """What a baseline was fitted on, in words."""
        count, people = min(most, len(self.train)), len({w.subject for w in self.train})
        of = f" of {len(self.train):,}" if count < len(self.train) else ""
        shared = f", on {len(self.channels)} channels that all recordings share" if self.left_out else ""
        return f"{count:,}{of} windows of {people} training subjects{shared}"


PerWindow = Callable[[Sequence[Window]], np.ndarray]
"""From windows to the probability of every option, shape (windows, options)."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted baseline."""

    answer: PerWindow
    chosen: str
    fitted_on: str


def logistic(material: Material, features: PerWindow) -> Fitted:
    """Fit logistic regression on standardised features; validation subjects choose its regularisation.

    The fit is the same with features turned onto the span of the training windows, which is what makes it quick where
    there are more features than windows.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train = material.drawn(MOST_WINDOWS)
    scaler = StandardScaler()
    x, y = scaler.fit_transform(features(train)), material.labels(train)
    turn = np.linalg.svd(x, full_matrices=False)[2].T if x.shape[1] > x.shape[0] else None
    x = x if turn is None else x @ turn
    options = len(material.task.options)

    def given(model: LogisticRegression, windows: Sequence[Window]) -> np.ndarray:
        values = scaler.transform(features(windows))
        probabilities = np.zeros((len(windows), options))  # a class without training windows keeps probability 0
        probabilities[:, model.classes_] = model.predict_proba(values if turn is None else values @ turn)
        return probabilities

    truth, found = material.labels(material.validation), {}
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, random_state=material.seed)
        model.fit(x, y)
        found[strength] = (balanced_accuracy(truth, given(model, material.validation)), model)
    # max keeps the first of equals: the strongest regularisation
    best = max(STRENGTHS, key=lambda strength: found[strength][0])
    return Fitted(
        answer=lambda windows: given(found[best][1], windows),
        chosen=f"C = {best:g} of {', '.join(f'{s:g}' for s in STRENGTHS)}, by validation balanced accuracy",
        fitted_on=material.fitted_on(),
    )


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Balanced accuracy over the classes that occur."""
    from sklearn.metrics import recall_score

    present = np.unique(labels)
    return float(recall_score(labels, probabilities.argmax(axis=1), labels=present, average="macro", zero_division=0))
