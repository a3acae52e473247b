"""The readout in several forms, and band power, fitted on windows that are described already"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from neurolm.ask import spectra
from neurolm.batches.windows import Window
from neurolm.evaluation.baselines.material import STRENGTHS, Material, logistic
from neurolm.train.evidence import LEFT_OUT, fit_features
from readout_studies.windows import Described

Answer = Callable[[Described], np.ndarray]
"""From windows to the probability of every option, float64 (windows, options)."""


@dataclass(frozen=True)
class Form:
    """A form of the readout."""

    name: str
    pairs: bool
    left_out: Sequence[float]

    @property
    def drawn(self) -> bool:
        """Whether another seed gives another fit."""
        return any(self.left_out)


OWN = Form("own power", False, (0.0,))
PAIRS = Form("own and pair power, nothing left out", True, (0.0,))
GAPS = Form("electrodes left out, as shipped", True, LEFT_OUT)
FORMS = (OWN, PAIRS, GAPS)
SHIPPED = "readout"
BAND_POWER = "band power"


@dataclass(frozen=True)
class Fitted:
    """A readout that was fitted."""

    answer: Answer
    likelihood: float
    """Mean log-likelihood of training people that were left out."""
    left_out: np.ndarray
    """Probabilities of the training windows by what was learned from other people."""


def readout(train: Described, form: Form = GAPS, *, seed: int = 0) -> Fitted:
    """Fit the readout on windows; its temperature is its own, nobody validates."""
    size = None if form.pairs else spectra.own(train.electrodes)
    people = np.unique(train.subjects, return_inverse=True)[1]
    found, fitted = fit_features(
        train.features[:, :size], train.labels, people, electrodes=train.electrodes, classes=len(train.task.labels),
        left_out=form.left_out, seed=seed,
    )  # fmt: skip

    def answer(windows: Described) -> np.ndarray:
        scores = fitted.standardise(windows.features[:, :size]) @ fitted.weights.astype(float) + fitted.offset
        return softmax(scores, axis=1)

    return Fitted(answer, found.likelihood, softmax(found.left_out[: len(train.windows)], axis=1))


def band_power(train: Described, validation: Described) -> Answer:
    """The baseline of `neurolm evaluate`; an electrode that is missing is taken to be as it is on average."""
    known: dict[Window, np.ndarray] = {}
    mean = train.own.mean(axis=0)

    def learn(part: Described) -> None:
        known.update(zip(part.windows, np.where(np.isfinite(part.own), part.own, mean), strict=True))

    learn(train)
    learn(validation)
    material = Material.of(train.store, train.task, train.windows, validation.windows, ())
    fitted = logistic(material, lambda windows: np.stack([known[window] for window in windows]))

    def answer(part: Described) -> np.ndarray:
        learn(part)
        return fitted.answer(part.windows)

    return answer


def band_power_alone(train: Described) -> Answer:
    """The same model where nobody else validates: its regularisation is chosen by people left out of the training."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    people = len(np.unique(train.subjects))
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5000))
    search = GridSearchCV(
        model, {"logisticregression__C": STRENGTHS}, scoring="balanced_accuracy", cv=GroupKFold(min(5, people))
    )
    search.fit(train.own, train.labels, groups=train.subjects)
    return lambda part: search.predict_proba(part.own)
