"""Features on the scale of what they are added to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 1e-6
"""Least standard deviation that a feature is divided by."""


class FeatureScaling(nn.Module):
    """Standardises each feature over the training data, then brings all to one standard deviation.

    The encoder's features share a large mean and have a standard deviation around 0.5, while the embeddings of channels
    and positions that are added to them start at 0.02 to 0.05: as they are, features drown whose electrode they come
    from. Not in the paper.

    Parameters
    ----------
    width
        How many features there are.
    scale
        Standard deviation of what comes out.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take mean and standard deviation from features (patches, width)."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0).clamp(min=SMALLEST))

    def forward(self, features: Tensor) -> Tensor:
        """(…, width) to the same shape."""
        return (features - self.mean) / self.deviation * self.scale
