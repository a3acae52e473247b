"""Cross-entropy in parts equals the whole."""

import pytest
import torch
import torch.nn.functional as F

from neurolm.model.loss import cross_entropy


@pytest.mark.parametrize("max_logits", [1, 7 * 3, 10**6])
def test_parts_equal_pytorch(max_logits: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(11, 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(7, 5, dtype=torch.double, requires_grad=True)
    target = torch.randint(7, (11,))
    expected = F.cross_entropy(hidden @ weight.T, target, reduction="sum")
    found = cross_entropy(hidden, weight, target, max_logits=max_logits)
    torch.testing.assert_close(found.sum.double(), expected, rtol=1e-5, atol=1e-5)
    assert int(found.correct) == int(((hidden @ weight.T).argmax(-1) == target).sum())
    for ours, theirs in zip(
        torch.autograd.grad(found.sum, (hidden, weight)), torch.autograd.grad(expected, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_no_targets() -> None:
    weight = torch.randn(7, 5, requires_grad=True)
    found = cross_entropy(torch.zeros(0, 5), weight, torch.zeros(0, dtype=torch.long))
    assert float(found.sum.detach()) == 0 and int(found.correct) == 0
    found.sum.backward()
    assert weight.grad is not None and not weight.grad.any()
