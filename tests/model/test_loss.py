"""Cross-entropy in parts equals the whole."""

import pytest
import torch
import torch.nn.functional as F

from neurolm.model.loss import _fused, _in_place, cross_entropy


@pytest.mark.parametrize("max_logits", [1, 7 * 3, 10**6])
def test_parts_equal_pytorch(max_logits: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(11, 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(7, 5, dtype=torch.double, requires_grad=True)
    target = torch.randint(7, (11,))
    expected = F.cross_entropy(hidden @ weight.T, target, reduction="sum")
    found = cross_entropy(hidden, weight, target, max_logits=max_logits)
    torch.testing.assert_close(found.sum, expected, rtol=1e-12, atol=1e-12)
    assert int(found.correct) == int(((hidden @ weight.T).argmax(-1) == target).sum())
    for ours, theirs in zip(
        torch.autograd.grad(3 * found.sum, (hidden, weight)),
        torch.autograd.grad(3 * expected, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_half_precision_keeps_loss_and_weight_gradient_in_float32() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(50, 16, requires_grad=True)
    weight = torch.randn(40, 16, requires_grad=True)
    target = torch.randint(40, (50,))
    with torch.autocast("cpu", torch.bfloat16):
        found = cross_entropy(hidden, weight, target, max_logits=400)
    ours = torch.autograd.grad(found.sum, (hidden, weight))
    expected = F.cross_entropy(hidden @ weight.T, target, reduction="sum")
    theirs = torch.autograd.grad(expected, (hidden, weight))
    assert found.sum.dtype == torch.float32 and ours[1].dtype == torch.float32
    torch.testing.assert_close(found.sum, expected, rtol=2e-2, atol=0)
    for one, other in zip(ours, theirs, strict=True):
        assert float((one - other).norm() / other.norm()) < 2e-2


@pytest.mark.parametrize("sloping", [True, False])
def test_what_is_compiled_is_the_same(sloping: bool) -> None:
    torch.manual_seed(0)
    logits, wanted = torch.randn(9, 7), torch.randint(7, (9,))
    plain = _in_place(logits.clone(), wanted, torch.float32, sloping)
    fused = _fused(logits, wanted, torch.float32, sloping)
    for one, other in zip(plain, fused, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_only_the_gradients_that_are_wanted_are_made() -> None:
    hidden, target = torch.randn(4, 5, requires_grad=True), torch.tensor([0, 1, 2, 3])
    found = cross_entropy(hidden, torch.randn(7, 5), target)
    assert torch.autograd.grad(found.sum, hidden)[0].any()
    with torch.no_grad():
        assert not cross_entropy(hidden, torch.randn(7, 5, requires_grad=True), target).sum.requires_grad


def test_no_targets() -> None:
    weight = torch.randn(7, 5, requires_grad=True)
    found = cross_entropy(torch.zeros(0, 5), weight, torch.zeros(0, dtype=torch.long))
    assert float(found.sum.detach()) == 0 and int(found.correct) == 0
    found.sum.backward()
    assert weight.grad is None or not weight.grad.any()
