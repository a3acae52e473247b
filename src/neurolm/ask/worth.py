"""What a personal calibration is worth, told by labelled blocks that were left out"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWEST, MOST = 2, 20
"""Blocks of each option from which something can be told; parts that blocks are gathered into, where there are more."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """How good answers are about blocks that were left out in turn; options weigh the same, whatever their windows."""

    blocks: int
    accuracy: tuple[float, float]
    """Balanced accuracy of windows, for anybody and for the person."""
    likelihood: tuple[float, float]
    """Mean logarithm of the probability of what is right, in nats, likewise."""

    @property
    def helps(self) -> bool:
        """Whether answers became more likely right, and no rarer right."""
        return self.likelihood[1] > self.likelihood[0] and self.accuracy[1] >= self.accuracy[0]

    @property
    def in_words(self) -> str:
        """Before and after, for a line."""
        (before, after), (less, more) = self.accuracy, self.likelihood
        return (
            f"left out in turn, its {self.blocks} blocks are answered with balanced accuracy {before:.2f} before and "
            f"{after:.2f} after, log-likelihood {less:.2f} and {more:.2f} nats"
        )


def blocks_of(starts: np.ndarray, labels: np.ndarray, *, length: int) -> np.ndarray:
    """Number the blocks that windows of a recording lie in: runs of one label without a pause.

    Parameters
    ----------
    starts, labels
        Of the windows, in the order of time; samples, and classes.
    length
        Samples from one start to the next from which there is a pause between them.

    Returns
    -------
    int array (windows,)
        From 0 on.
    """
    new = (np.diff(labels) != 0) | (np.diff(starts) > length)
    return np.concatenate([np.zeros(min(1, len(labels)), int), np.cumsum(new)])


def parts_of(blocks: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Gather blocks into the parts that are left out in turn; None where an option has too few to tell anything."""
    if any(len(np.unique(blocks[labels == label])) < FEWEST for label in np.unique(labels)):
        return None
    _, numbers = np.unique(blocks, return_inverse=True)
    count = int(numbers.max(initial=0)) + 1
    return numbers if count <= MOST else numbers * MOST // count


def weigh(before: np.ndarray, after: np.ndarray, labels: np.ndarray, *, blocks: int) -> Worth:
    """Compare log-probabilities of options, shape (windows, options), by what is right."""
    present = np.unique(labels)

    def of(logs: np.ndarray) -> tuple[float, float]:
        right, said = logs.argmax(axis=1) == labels, logs[np.arange(len(labels)), labels]
        each = [(right[labels == label].mean(), said[labels == label].mean()) for label in present]
        accuracy, likelihood = np.mean(each, axis=0).tolist()
        return accuracy, likelihood

    (accuracy, likelihood), (better, likelier) = of(before), of(after)
    return Worth(blocks=blocks, accuracy=(accuracy, better), likelihood=(likelihood, likelier))
