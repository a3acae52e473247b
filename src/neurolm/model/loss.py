"""Cross-entropy of hidden states against the rows of an output layer, with bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MAX_LOGITS = 2**28
"""Most logits (targets × outputs) held at once: 1 GiB in float32."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Loss over targets."""

    sum: Tensor
    """Sum of the negative log-likelihoods, float32 ()."""
    correct: Tensor
    """How many targets have the largest logit, int64 ()."""


def cross_entropy(hidden: Tensor, weight: Tensor, target: Tensor, *, max_logits: int = MAX_LOGITS) -> CrossEntropy:
    """Sum of −log softmax(weight · hidden)[target].

    Where the logits would be too many, they are computed in parts, and again in the backward pass.

    Parameters
    ----------
    hidden
        (targets, width).
    weight
        (outputs, width), no bias.
    target
        int64 (targets,).
    """
    at_once = max(1, max_logits // len(weight))
    if len(hidden) <= at_once:
        loss, correct = _part(hidden, weight, target)
        return CrossEntropy(sum=loss, correct=correct)
    parts = [
        checkpoint(_part, states, weight, wanted, use_reentrant=False)
        for states, wanted in zip(hidden.split(at_once), target.split(at_once), strict=True)
    ]
    return CrossEntropy(
        sum=torch.stack([part[0] for part in parts]).sum(), correct=torch.stack([part[1] for part in parts]).sum()
    )


def _part(hidden: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = F.linear(hidden, weight).float()
    return F.cross_entropy(logits, target, reduction="sum"), (logits.detach().argmax(-1) == target).sum()
