"""Blocks: cache, dropout, initial weights."""

import math
from dataclasses import replace

import pytest
import torch

from neurolm.core.batch import PADDING
from neurolm.core.config import TransformerConfig
from neurolm.model.attention import visibility
from neurolm.model.transformer import Cache, Transformer, initialise, set_checkpointing

CONFIG = TransformerConfig(layers=3, heads=2, width=16, bias=True)


@pytest.fixture
def transformer() -> Transformer:
    torch.manual_seed(0)
    return Transformer(CONFIG).eval()


def test_block_equals_its_definition(transformer: Transformer) -> None:
    """Against PyTorch's own pre-norm encoder layer with exact GELU."""
    block = transformer.blocks[0]
    layer = torch.nn.TransformerEncoderLayer(16, 2, 64, 0.0, "gelu", batch_first=True, norm_first=True)
    pairs = {
        "self_attn.in_proj_": "attn.c_attn.",
        "self_attn.out_proj.": "attn.c_proj.",
        "linear1.": "mlp.c_fc.",
        "linear2.": "mlp.c_proj.",
        "norm1.": "ln_1.",
        "norm2.": "ln_2.",
    }
    ours = block.state_dict()
    layer.load_state_dict(
        {theirs + kind: ours[name + kind] for theirs, name in pairs.items() for kind in ("weight", "bias")}
    )
    x = torch.randn(2, 5, 16)
    step = torch.arange(5).expand(2, -1)
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
    torch.testing.assert_close(block(x, visibility(torch.zeros_like(step), step))[0], layer(x, src_mask=mask))


def test_cached_equals_uncached(transformer: Transformer) -> None:
    """Also with padding in the prefix, several places at once, and two continuations of one cache."""
    x = torch.randn(2, 9, 16)
    document = torch.tensor([[0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, PADDING, PADDING, 0, 0, 0, 0]])
    step = torch.tensor([[0, 0, 1, 1, 2, 3, 4, 5, 6], [0, 1, 1, 0, 0, 2, 3, 4, 5]])
    whole = transformer(x, visibility(document, step))
    cache = Cache()
    prefix = transformer(x[:, :5], cache.extend(document[:, :5], step[:, :5]), cache)
    torch.testing.assert_close(prefix[document[:, :5] == 0], whole[:, :5][document[:, :5] == 0])
    for parts in ([4], [1, 1, 1, 1], [2, 2]):
        branch, at = cache.fork(), 5
        for size in parts:
            span = slice(at, at + size)
            found = transformer(x[:, span], branch.extend(document[:, span], step[:, span]), branch)
            torch.testing.assert_close(found, whole[:, span])
            at += size
    assert cache.document is not None and cache.document.shape == (2, 5)
    assert cache.layers[0].keys.shape[2] == 5


def test_dropout_in_training_only(transformer: Transformer) -> None:
    x, place = torch.randn(1, 4, 16), torch.zeros(1, 4, dtype=torch.long)
    seen = visibility(place, place)
    quiet = transformer(x, seen)
    assert torch.equal(transformer.train()(x, seen), quiet)
    dropping = Transformer(replace(CONFIG, dropout=0.5))
    dropping.load_state_dict(transformer.state_dict())
    assert torch.equal(dropping.eval()(x, seen), quiet)
    assert not torch.allclose(dropping.train()(x, seen), quiet)


def step_of(transformer: Transformer, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """Loss, gradients, and the most bytes of tensors that lived at a time."""
    from torch.distributed._tools.mem_tracker import MemTracker

    torch.manual_seed(1)  # of dropout
    place = torch.zeros(x.shape[:2], dtype=torch.long)
    tracker = MemTracker()
    tracker.track_external(transformer, x)
    transformer.zero_grad(set_to_none=True)
    with tracker:
        loss = transformer(x, visibility(place, place + torch.arange(x.shape[1]) // 3)).square().mean()
        loss.backward()
    gradients = [p.grad.clone() for p in transformer.parameters() if p.grad is not None]
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    return loss.detach(), gradients, peak["Total"]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointing_gives_the_same_loss_and_gradients_in_less_memory(dropout: float) -> None:
    torch.manual_seed(0)
    transformer = Transformer(TransformerConfig(layers=6, heads=2, width=32, bias=True, dropout=dropout)).train()
    x = torch.randn(2, 120, 32)
    loss, gradients, peak = step_of(transformer, x)
    set_checkpointing(transformer, True)
    loss_again, gradients_again, peak_again = step_of(transformer, x)
    assert torch.equal(loss, loss_again)
    assert len(gradients) == len(gradients_again) == len(list(transformer.parameters()))
    assert all(map(torch.equal, gradients, gradients_again))
    assert peak_again < 0.5 * peak
    transformer.eval()
    assert torch.equal(step_of(transformer, x)[0], step_of(transformer, x)[0])


@pytest.mark.parametrize("by_depth", [True, False])
def test_initial_weights(by_depth: bool) -> None:
    torch.manual_seed(0)
    transformer = Transformer(TransformerConfig(layers=3, heads=2, width=128, bias=True))
    initialise(transformer, truncated=by_depth, std=0.02)
    transformer.scale_residuals(by_depth=by_depth)
    for number, block in enumerate(transformer.blocks, start=1):
        expected = 0.02 / math.sqrt(2 * (number if by_depth else 3))
        assert float(block.attn.c_proj.weight.detach().std()) == pytest.approx(expected, rel=0.05)
        assert float(block.mlp.c_proj.weight.detach().std()) == pytest.approx(expected, rel=0.05)
        assert float(block.mlp.c_fc.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
        assert not block.mlp.c_fc.bias.detach().any()
