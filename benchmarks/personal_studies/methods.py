"""What can be made of a new person's labelled windows: answers adapted, and band power"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from neurolm.ask.personal import COLDNESS_SPREAD, OFFSET_SPREAD, WEIGHT_SPREAD, fit
from personal_studies.people import Windows

Method = Callable[[Windows, Windows], np.ndarray]
"""From a person's labelled windows and those that are asked to the log-probability of every option."""
REGULARISATION = (0.001, 0.01, 0.1, 1.0, 10.0)
"""C of logistic regression, out of which is chosen."""
REPEATED = (1, 10, 100)
"""How often a person's window counts beside one of the population, out of which is chosen."""


@dataclass(frozen=True)
class Form:
    """Spreads of the priors of `ask.personal.fit`; 0 leaves out what it is of."""

    name: str
    coldness: float = COLDNESS_SPREAD
    offset: float = OFFSET_SPREAD
    weight: float = WEIGHT_SPREAD

    def method(self, worth: float) -> Method:
        """The method, with windows that are worth so many new ones."""

        def answer(known: Windows, asked: Windows) -> np.ndarray:
            found = fit(known.before, known.scaled, known.labels, worth=worth, coldness_spread=self.coldness,
                        offset_spread=self.offset, weight_spread=self.weight)  # fmt: skip
            return log_softmax(found.coldness * asked.before + asked.scaled @ found.weights + found.offset, axis=1)

        return answer


SHIPPED = Form("readout, offset and temperature, as shipped")
FORMS = (
    Form("temperature", offset=0, weight=0),
    Form("offset and temperature", weight=0),
    *(Form(f"readout, spread {spread:g}", weight=spread) for spread in (1, 2, 4, 8, 16, 32)),
    Form("readout alone, spread 16", coldness=0, offset=0, weight=16),
)
"""What was tried."""


def anybody(known: Windows, asked: Windows) -> np.ndarray:
    """The answer before: nothing is adapted."""
    return asked.before


def _logistic(regularisation: float):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(C=regularisation, class_weight="balanced", max_iter=5000, tol=1e-3)
    )


def _classes(model, own: np.ndarray, options: int) -> np.ndarray:
    """Log-probabilities; an option that no window had gets next to none."""
    found = np.full((len(own), options), np.log(1e-12))
    found[:, model.classes_] = np.maximum(model.predict_log_proba(own), np.log(1e-12))
    return found


def band_power_alone(regularisation: float) -> Method:
    """Logistic regression on band power, learned from the person's windows and nothing else."""

    def answer(known: Windows, asked: Windows) -> np.ndarray:
        model = _logistic(regularisation).fit(known.own, known.labels)
        return _classes(model, asked.own, asked.before.shape[1])

    return answer


def band_power_with(population: Windows, regularisation: float, repeated: int) -> Method:
    """The same, learned from the training people's windows and the person's, which count so many times."""

    def answer(known: Windows, asked: Windows) -> np.ndarray:
        own, labels = np.concatenate([population.own, known.own]), np.concatenate([population.labels, known.labels])
        weights = np.concatenate([np.ones(len(population.own)), np.full(len(known.own), float(repeated))])
        model = _logistic(regularisation).fit(own, labels, logisticregression__sample_weight=weights)
        return _classes(model, asked.own, asked.before.shape[1])

    return answer


def likelihood(logs: Sequence[np.ndarray], asked: Sequence[Windows]) -> float:
    """Mean log-likelihood of people's labels, each person counting the same."""
    each = [log[np.arange(len(one.labels)), one.labels].mean() for log, one in zip(logs, asked, strict=True)]
    return float(np.mean(each))
