"""The attention rule against a naive reference."""

import math
import warnings

import pytest
import torch
from torch import Tensor

from neurolm.core.batch import PADDING
from neurolm.model.attention import attend, visibility

P = PADDING
DOCUMENT = torch.tensor([[0, 0, 0, 0, 1, 1, 1, P], [3, 3, P, P, P, P, P, P], [0, 1, 2, 2, 2, 2, 2, 2]])
STEP = torch.tensor([[0, 0, 1, 1, 0, 1, 2, 0], [0, 1, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 1, 1, 2, 3]])


def naive(query: Tensor, key: Tensor, value: Tensor, document: Tensor, step: Tensor) -> Tensor:
    """One place after the other."""
    out = torch.zeros_like(query)
    for row in range(len(document)):
        for i in range(document.shape[1]):
            seen = [
                j
                for j in range(document.shape[1])
                if document[row, j] == document[row, i] and step[row, j] <= step[row, i]
            ]
            for head in range(query.shape[1]):
                scores = key[row, head, seen] @ query[row, head, i] / math.sqrt(query.shape[-1])
                out[row, head, i] = scores.softmax(0) @ value[row, head, seen]
    return out


@pytest.fixture
def qkv() -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(3, 3, 2, 8, 16).unbind(0))


def test_equals_naive_reference(qkv: tuple[Tensor, ...]) -> None:
    found = attend(*qkv, visibility(DOCUMENT, STEP))
    torch.testing.assert_close(found, naive(*qkv, DOCUMENT, STEP))


def test_flex_attention_follows_the_same_rule(qkv: tuple[Tensor, ...]) -> None:
    from torch.nn.attention.flex_attention import flex_attention

    seen = visibility(DOCUMENT, STEP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # uncompiled, it says that it is slow
        found = flex_attention(*qkv, block_mask=seen.block_mask)
    torch.testing.assert_close(found, attend(*qkv, seen))


def test_stair_step_and_text_masks() -> None:
    """Two channels for two seconds, then two text tokens."""
    mask = visibility(torch.zeros(1, 6, dtype=torch.long), torch.tensor([[0, 0, 1, 1, 2, 3]])).mask[0, 0].int()
    assert mask.tolist() == [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1],
    ]


def test_keys_of_their_own() -> None:
    """New places see cached ones by the same rule; padding in the cache is never seen."""
    seen = visibility(
        torch.tensor([[0], [0]]),
        torch.tensor([[2], [2]]),
        torch.tensor([[0, 0, P, 0], [0, 1, 0, 0]]),
        torch.tensor([[0, 3, 0, 2], [2, 2, 1, 2]]),
    )
    assert seen.mask[:, 0, 0].tolist() == [[True, False, False, True], [True, False, True, True]]


def test_padding_has_finite_attention_and_gradient(qkv: tuple[Tensor, ...]) -> None:
    query, key, value = (x.clone().requires_grad_() for x in qkv)
    out = attend(query, key, value, visibility(DOCUMENT, STEP))
    out[DOCUMENT[:, None].expand(-1, 2, -1) != PADDING].square().sum().backward()
    assert out.isfinite().all()
    for x in (query, key, value):
        assert x.grad is not None and x.grad.isfinite().all()
        assert (x.grad.transpose(1, 2)[DOCUMENT == PADDING] == 0).all()
