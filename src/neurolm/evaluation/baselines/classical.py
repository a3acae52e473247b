"""Classical features of windows, with logistic regression and with a random forest

The features are those of `handcrafted.py`; the two share them, as they take longer than the fits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurolm.batches.windows import Window
from neurolm.evaluation.baselines.handcrafted import handcrafted
from neurolm.evaluation.baselines.material import Fitted, Material, PerWindow, logistic

TREES = 300
LEAF = 5
"""Fewest windows in a leaf: neighbouring windows are alike, so that leaves of one would be too sure."""
MOST_WINDOWS = 5000
"""Most training windows; of more, so many are drawn."""


class Classical:
    """Both baselines of one task."""

    def __init__(self) -> None:
        self._kept: dict[Window, np.ndarray] = {}

    def features(self, material: Material) -> PerWindow:
        """From windows to their features, shape (windows, features); those asked for before are kept."""

        def found(windows: Sequence[Window]) -> np.ndarray:
            new = [window for window in windows if window not in self._kept]
            for window, signal in zip(new, material.signals(new), strict=True):
                self._kept[window] = np.array(list(handcrafted(signal, material.channels).values()))
            return np.stack([self._kept[window] for window in windows])

        return found

    def logistic(self, material: Material) -> Fitted:
        """Logistic regression, its strength chosen by leaving out training people."""
        return logistic(material, self.features(material), most=MOST_WINDOWS, nested=True)

    def forest(self, material: Material) -> Fitted:
        """Random forest (Breiman 2001, Machine Learning 45:5-32); nothing in it is chosen."""
        from sklearn.ensemble import RandomForestClassifier

        features, options = self.features(material), len(material.task.options)
        train = material.drawn(MOST_WINDOWS)
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=material.seed
        )
        forest.fit(features(train), material.labels(train))

        def answer(windows: Sequence[Window]) -> np.ndarray:
            probabilities = np.zeros((len(windows), options))  # a class without training windows keeps probability 0
            probabilities[:, forest.classes_] = forest.predict_proba(features(windows))
            return probabilities

        return Fitted(
            answer=answer,
            chosen=f"nothing: {TREES} trees, {LEAF} windows or more in a leaf",
            fitted_on=material.fitted_on(MOST_WINDOWS),
        )
