"""Cross-entropy of hidden states against the rows of an output layer, with bounded memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_LOGITS = {"cpu": 2**25, "cuda": 2**28}
"""Most logits (targets × outputs) held at once, in float32: 128 MiB, and 1 GiB where each part costs a pass over the
weight's gradient that a GPU would notice."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Loss over targets."""

    sum: Tensor
    """Sum of the negative log-likelihoods, float32 ()."""
    correct: Tensor
    """How many targets have the largest logit, int64 ()."""


def cross_entropy(
    hidden: Tensor, weight: Tensor, target: Tensor, *, max_logits: int | None = None, compiled: bool = False
) -> CrossEntropy:
    """Sum of −log softmax(weight · hidden)[target].

    Where there are many logits they are computed in parts, and the gradients with them: nothing is kept for the
    backward pass but the gradients of ``hidden`` and ``weight`` themselves, and nothing is computed twice. (PyTorch's
    ``linear_cross_entropy`` does the same from version 2.13 on, but does not say which targets have the largest logit.)

    Parameters
    ----------
    hidden
        (targets, width).
    weight
        (outputs, width), no bias.
    target
        int64 (targets,).
    max_logits
        Most logits at once; by default ``MAX_LOGITS`` of the device.
    compiled
        Whether what happens to the logits is compiled into few passes over them.
    """
    at_once = max(1, (max_logits or MAX_LOGITS.get(hidden.device.type, 2**25)) // len(weight))
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    loss, correct = _InParts.apply(hidden, weight, target, at_once, torch.is_grad_enabled(), compiled)
    return CrossEntropy(sum=loss, correct=correct)


class _InParts(torch.autograd.Function):
    """Loss and number of largest logits; the gradients are made on the way, for a loss whose gradient is 1."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, at_once: int, differentiable: bool, compiled: bool
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(hidden.device.type, enabled=False):
            rows = weight.to(hidden.dtype) if len(hidden) else weight  # as large as the output layer
            wants_hidden, wants_weight = (differentiable and needed for needed in ctx.needs_input_grad[:2])
            of_hidden = torch.empty_like(hidden) if wants_hidden else None
            of_weight: Tensor | None = None  # and stays so without targets: no zeros as large as the weight
            exact = torch.float64 if hidden.dtype == torch.float64 else torch.float32
            loss = torch.zeros((), dtype=exact, device=hidden.device)
            correct = torch.zeros((), dtype=torch.int64, device=hidden.device)
            for first in range(0, len(hidden), at_once):
                part, wanted = hidden[first : first + at_once], target[first : first + at_once]
                logits, sloping = F.linear(part, rows), wants_hidden or wants_weight
                work = _compiled() if compiled else _in_place
                of_part, hits, slope = work(logits, wanted, exact, sloping)
                loss, correct = loss + of_part, correct + hits
                if slope is None:
                    continue
                if of_hidden is not None:
                    of_hidden[first : first + at_once] = slope @ rows
                if wants_weight:
                    of_weight = _accumulated(of_weight, slope, part, weight.dtype)
        ctx.save_for_backward(of_hidden, of_weight)
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        of_hidden, of_weight = ctx.saved_tensors
        return (
            None if of_hidden is None else of_hidden.mul_(slope.to(of_hidden.dtype)),  # in place: the weight's is large
            None if of_weight is None else of_weight.mul_(slope.to(of_weight.dtype)),
            None,
            None,
            None,
            None,
        )


Part = tuple[Tensor, Tensor, Tensor | None]
"""Loss, number of largest logits that are targets, and the gradient of the logits where it is wanted."""


def _in_place(logits: Tensor, wanted: Tensor, exact: torch.dtype, sloping: bool) -> Part:
    """All in the memory of the logits: each new matrix of their size would cost more than what is computed."""
    kept, logits = logits.dtype, logits.to(exact)
    chosen = logits.gather(1, wanted[:, None])
    largest, index = logits.max(-1, keepdim=True)
    powers = logits.sub_(largest).exp_()
    total = powers.sum(-1, keepdim=True)
    loss, correct = (largest + total.log() - chosen).sum(), (index[:, 0] == wanted).sum()
    if not sloping:
        return loss, correct, None
    slope = powers.div_(total)  # softmax, minus one at the target
    slope.scatter_add_(1, wanted[:, None], -torch.ones_like(chosen))
    return loss, correct, slope.to(kept)


def _fused(logits: Tensor, wanted: Tensor, exact: torch.dtype, sloping: bool) -> Part:
    """The same, written so that a compiler need not keep the logits in ``exact`` precision."""
    values, wanted = logits.to(exact), wanted[:, None]
    correct = (values.argmax(-1, keepdim=True) == wanted).sum()
    log_sum = values.logsumexp(-1, keepdim=True)
    loss = (log_sum - values.gather(1, wanted)).sum()
    if not sloping:
        return loss, correct, None
    softmax, outputs = (values - log_sum).exp(), torch.arange(logits.shape[1], device=logits.device)
    return loss, correct, torch.where(outputs == wanted, softmax - 1, softmax).to(logits.dtype)


@functools.cache
def _compiled() -> Callable[[Tensor, Tensor, torch.dtype, bool], Part]:
    return torch.compile(_fused, dynamic=True)


def _accumulated(total: Tensor | None, slope: Tensor, hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """A total, perhaps of higher precision, and slopeᵀ · hidden."""
    if total is None:
        return (slope.T @ hidden).to(dtype)
    return total.addmm_(slope.T, hidden) if total.dtype == slope.dtype else total.add_(slope.T @ hidden)
