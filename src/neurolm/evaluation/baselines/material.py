"""What a baseline may learn from: training windows to fit, validation windows to choose.

Nothing else reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from neurolm.batches.windows import Window
from neurolm.core.errors import StoreError
from neurolm.core.physics import RATE
from neurolm.store.store import Store
from neurolm.tasks.task import Task

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the regularisation (scikit-learn's ``C``) to choose from."""
MOST_WINDOWS = 20_000
"""Most training windows of a linear baseline; of more, so many are drawn."""
GROUPS = 6
"""Groups of training people that are left out in turn; with fewer people each is one."""
_PART = 1024
"""Windows whose features are in memory at a time, where they are many."""


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

    @property
    def width(self) -> int:
        """Number of channels."""
        return len(self.channels)

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


def remembered(features: PerWindow) -> PerWindow:
    """Keep the features of the last windows, where they are asked for more than once."""
    kept: dict[str, object] = {}

    def wrapped(windows: Sequence[Window]) -> np.ndarray:
        key = tuple(windows)
        if kept.get("key") != key:
            kept["key"], kept["value"] = key, features(windows)
        value = kept["value"]
        assert isinstance(value, np.ndarray)
        return value

    return wrapped


def logistic(
    material: Material,
    features: PerWindow,
    *,
    strengths: Sequence[float] = STRENGTHS,
    most: int = MOST_WINDOWS,
    blocks: Sequence[int] = (),
    nested: bool = False,
) -> Fitted:
    """Fit logistic regression on standardised features.

    The fit is the same with features turned onto the span of the training windows, which is what makes it quick where
    there are more features than windows.

    Parameters
    ----------
    material
        What to learn from.
    features
        From windows to numbers, shape (windows, features).
    strengths
        Inverse strengths of the regularisation, growing.
    most
        Most training windows; of more, so many are drawn.
    blocks
        Sizes of blocks of features that shall weigh the same, however many they are; by default all features do.
    nested
        Whether the strength is chosen by the likelihood of training people who are left out in turn, and not by the
        balanced accuracy on the validation subjects, which are few. A single training subject cannot be left out.
    """
    from sklearn.preprocessing import StandardScaler

    train = material.drawn(most)
    scaler = StandardScaler()
    x, y = scaler.fit_transform(features(train)), material.labels(train)
    weight = np.repeat([np.sqrt(x.shape[1] / len(blocks) / size) for size in blocks], blocks) if blocks else 1.0
    x = x * weight
    turn = np.linalg.svd(x, full_matrices=False)[2].T if x.shape[1] > x.shape[0] else None
    x = x if turn is None else x @ turn

    def turned(windows: Sequence[Window]) -> np.ndarray:
        parts = (scaler.transform(features(windows[n : n + _PART])) * weight for n in range(0, len(windows), _PART))
        return np.concatenate([part if turn is None else part @ turn for part in parts])

    path = _Path(strengths, len(material.task.options), material.seed)
    people = np.unique([window.subject for window in train], return_inverse=True)[1]
    if nested and people.max() > 0:
        judged, by = path.by_people(x, y, people), "by the likelihood of training subjects left out"
    else:
        models = dict(zip(strengths, path.fits(x, y), strict=True))
        validation, truth = turned(material.validation), material.labels(material.validation)
        judged = {s: balanced_accuracy(truth, path.given(model, validation)) for s, model in models.items()}
        by = "by validation balanced accuracy"
    # max keeps the first of equals: the strongest regularisation
    best = max(strengths, key=judged.__getitem__)
    model = next(replace(path, strengths=(best,)).fits(x, y))
    return Fitted(
        answer=lambda windows: path.given(model, turned(windows)),
        chosen=f"C = {best:g} of {', '.join(f'{s:g}' for s in strengths)}, {by}",
        fitted_on=material.fitted_on(most),
    )


@dataclass(frozen=True)
class _Path:
    """Logistic regressions of growing inverse strength."""

    strengths: Sequence[float]
    options: int
    seed: int

    def fits(self, x: np.ndarray, y: np.ndarray) -> Iterator[LogisticRegression]:
        """Fit one after the other."""
        from sklearn.linear_model import LogisticRegression

        for strength in self.strengths:
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, random_state=self.seed)
            yield model.fit(x, y)

    def given(self, model: LogisticRegression, values: np.ndarray) -> np.ndarray:
        """Probability of every option; a class without training windows keeps probability 0."""
        probabilities = np.zeros((len(values), self.options))
        probabilities[:, model.classes_] = model.predict_proba(values)
        return probabilities

    def by_people(self, x: np.ndarray, y: np.ndarray, people: np.ndarray) -> dict[float, float]:
        """Mean log-likelihood of people left out, classes weighted equally, by strength."""
        from sklearn.model_selection import GroupKFold

        weight = (1 / np.bincount(y, minlength=self.options).clip(min=1))[y]
        found = dict.fromkeys(self.strengths, 0.0)
        for rest, out in GroupKFold(min(GROUPS, int(people.max()) + 1)).split(x, y, people):
            if len(np.unique(y[rest])) < 2:
                continue
            for strength, model in zip(self.strengths, self.fits(x[rest], y[rest]), strict=True):
                right = self.given(model, x[out])[np.arange(len(out)), y[out]]
                found[strength] += float(weight[out] @ np.log(right.clip(min=1e-6)))
        return found


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Balanced accuracy over the classes that occur."""
    from sklearn.metrics import recall_score

    present = np.unique(labels)
    return float(recall_score(labels, probabilities.argmax(axis=1), labels=present, average="macro", zero_division=0))
