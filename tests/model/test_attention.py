"""The attention rule against a naive reference."""

import math
import warnings

import pytest
import torch
from torch import Tensor

from neurolm.core.batch import PADDING
from neurolm.core.config import TransformerConfig
from neurolm.model.attention import Visibility, attend, visibility
from neurolm.model.transformer import Transformer, set_checkpointing

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


MIXED = torch.tensor([[0, 0, 0, 0, 1, 1, 1, P], [3, P, 3, P, 2, 2, 2, 2], [0, 1, 2, 2, 2, 2, 2, 2]])
"""Documents of one length with different steps and with the same, one in pieces, one of text alone."""


@pytest.mark.parametrize(
    "step", [STEP, torch.zeros_like(STEP), torch.arange(8).expand(3, 8)], ids=["mixed", "all", "text"]
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_documents_apart_equal_documents_in_rows(step: Tensor, checkpointing: bool, monkeypatch) -> None:
    """The same outputs and gradients of whole blocks, to the rounding; and padding gets no gradient."""
    torch.manual_seed(0)
    stack = Transformer(TransformerConfig(layers=2, heads=2, width=16, initial_std=0.3)).double()
    set_checkpointing(stack, checkpointing)
    x = torch.randn(3, 8, 16, dtype=torch.double)
    real = MIXED != PADDING
    found = []
    for apart in (False, True):
        monkeypatch.setattr(Visibility, "apart", lambda seen, _, apart=apart: seen._apart if apart else None)
        stack.zero_grad()
        own = x.clone().requires_grad_()
        out = stack(own, visibility(MIXED, step))[real]
        out.pow(3).sum().backward()
        assert own.grad is not None and not own.grad[~real].any()
        found.append((out, own.grad, *(p.grad for p in stack.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_documents_apart_equal_naive_reference(qkv: tuple[Tensor, ...]) -> None:
    apart = visibility(MIXED, STEP)._apart
    assert [(g.documents, g.length) for g in apart.masking.groups] == [(2, 1), (1, 2), (1, 3), (2, 4), (1, 6)]
    row = [apart.take(x.transpose(1, 2)).transpose(1, 2) for x in qkv]
    out = attend(*row, apart.masking).transpose(1, 2)
    found = apart.put(out, qkv[0].transpose(1, 2)).transpose(1, 2)
    real = (MIXED != PADDING)[:, None, :, None].expand_as(found)
    torch.testing.assert_close(found[real], naive(*qkv, MIXED, STEP)[real])
    assert not found[~real].any()


def test_documents_are_taken_apart_where_that_pays() -> None:
    """Eight questions of 128 places in rows of 1,024; not full rows, nor many groups of a few places each."""
    document = torch.arange(8).repeat_interleave(128).expand(4, -1)
    step = torch.arange(128).repeat(8).expand(4, -1)
    assert visibility(document, step).apart(128) is not None
    assert visibility(torch.zeros_like(document), step).apart(128) is None
    assert visibility(document[:, :8], step[:, :8]).apart(128) is None
    half = torch.where(torch.arange(1024) < torch.tensor([[1024], [512], [512], [512]]), 0, P)
    assert visibility(half, torch.zeros_like(half)).apart(128) is not None  # half of it is padding
    alone = torch.full((2, 1024), P)
    assert visibility(alone, torch.zeros_like(alone)).apart(128) is None
    cached = visibility(document[:, :4], step[:, :4], document, step)
    assert cached.apart(128) is None
