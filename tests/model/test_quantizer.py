"""The codebook against a naive one-hot implementation."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neurolm.core.errors import CheckpointError
from neurolm.model import quantizer as module
from neurolm.model.quantizer import Quantizer, nearest


@pytest.fixture
def vectors() -> Tensor:
    """Forty vectors around five directions."""
    torch.manual_seed(0)
    centres = F.normalize(torch.randn(5, 8), dim=-1)
    return (centres.repeat(8, 1) + 0.05 * torch.randn(40, 8)) * torch.rand(40, 1) * 3


@pytest.fixture
def quantizer(vectors: Tensor) -> Quantizer:
    quantizer = Quantizer(12, 8, decay=0.9)
    quantizer.initialise(vectors, torch.Generator().manual_seed(0))
    return quantizer


def one_hot_step(codebook: Tensor, vectors: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Codes and moved codebook, by the book."""
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    distance = (unit[:, None] - codebook[None]).square().sum(-1)
    codes = distance.argmin(1)
    assigned = F.one_hot(codes, len(codebook)).float()
    moved = codebook.clone()
    for code in range(len(codebook)):
        if assigned[:, code].any():
            mean = F.normalize(assigned[:, code] @ unit / assigned[:, code].sum(), dim=0)
            moved[code] = F.normalize(decay * codebook[code] + (1 - decay) * mean, dim=0)
    return codes, moved


def test_step_equals_one_hot(quantizer: Quantizer, vectors: Tensor) -> None:
    fresh = vectors + 0.3 * torch.randn_like(vectors)
    codes, moved = one_hot_step(quantizer.codebook, fresh, 0.9)
    found = quantizer(fresh)
    assert torch.equal(found.codes, codes)
    usage = quantizer.usage.clone()
    use = quantizer.update(found.vectors, found.codes)
    torch.testing.assert_close(quantizer.codebook, moved)
    counts = torch.bincount(codes, minlength=12).float()
    torch.testing.assert_close(quantizer.usage, 0.9 * usage + 0.1 * counts)
    assert int(use.used) == len(codes.unique())
    share = counts[counts > 0] / counts.sum()
    assert float(use.perplexity) == pytest.approx(float((-(share * share.log()).sum()).exp()))


def test_unused_codes_stay_and_used_ones_move(quantizer: Quantizer, vectors: Tensor) -> None:
    before = quantizer.codebook.clone()
    found = quantizer(vectors[:1])
    quantizer.update(found.vectors + 0.1, found.codes)
    moved = (quantizer.codebook != before).any(1)
    assert moved.nonzero().flatten().tolist() == found.codes.tolist()


def test_forward_changes_no_state_in_either_mode(quantizer: Quantizer, vectors: Tensor) -> None:
    before = {k: v.clone() for k, v in quantizer.state_dict().items()}
    results = [quantizer.train(mode)(vectors) for mode in (True, False)]
    assert torch.equal(results[0].codes, results[1].codes)
    assert all(torch.equal(before[k], v) for k, v in quantizer.state_dict().items())


def test_gradients_pass_straight_through(quantizer: Quantizer) -> None:
    x = torch.randn(4, 8, requires_grad=True)
    weights = torch.randn(4, 8)
    unit = F.normalize(x, dim=-1)
    (expected,) = torch.autograd.grad((unit * weights).sum(), x)
    (found,) = torch.autograd.grad((quantizer(x).quantized * weights).sum(), x)
    torch.testing.assert_close(found, expected)
    (pull,) = torch.autograd.grad(quantizer(x).commitment, x)
    nearer = quantizer(x.detach() - 0.1 * pull).commitment
    assert nearer < quantizer(x.detach()).commitment


def test_kmeans_finds_the_clusters(vectors: Tensor) -> None:
    """Centres start from vectors, so with many codes each cluster has one; the same generator gives the same codes."""
    found = []
    for _ in range(2):
        quantizer = Quantizer(20, 8, decay=0.9)
        assert not quantizer.initialised
        quantizer.initialise(vectors, torch.Generator().manual_seed(3))
        found.append(quantizer)
    assert torch.equal(found[0].codebook, found[1].codebook)
    assert found[0].initialised
    assert float(found[0].usage.sum()) == 40
    torch.testing.assert_close(found[0].codebook.norm(dim=1), torch.ones(20))
    cosine = (F.normalize(vectors, dim=-1) * found[0](vectors).quantized).sum(-1)
    assert cosine.min() > 0.9


def test_fewer_vectors_than_codes(vectors: Tensor) -> None:
    quantizer = Quantizer(64, 8, decay=0.9)
    quantizer.initialise(vectors, torch.Generator().manual_seed(0))
    assert quantizer.codebook.isfinite().all()
    assert quantizer(vectors).commitment < 0.01


def test_several_processes_keep_one_codebook(quantizer: Quantizer, vectors: Tensor) -> None:
    """Each process sums its part; with the sums of all, both move as one process with all vectors."""
    import copy

    alone, half = copy.deepcopy(quantizer), copy.deepcopy(quantizer)
    found = quantizer(vectors)
    alone.update(found.vectors, found.codes)
    other = [
        torch.zeros(12, 8).index_add_(0, found.codes[20:], found.vectors[20:]),
        torch.bincount(found.codes[20:], minlength=12).float(),
    ]
    half.update(found.vectors[:20], found.codes[:20], reduce=lambda mine: mine + other.pop(0))
    torch.testing.assert_close(half.codebook, alone.codebook)
    torch.testing.assert_close(half.usage, alone.usage)


def test_parts_equal_the_whole(monkeypatch: pytest.MonkeyPatch, quantizer: Quantizer, vectors: Tensor) -> None:
    unit = F.normalize(vectors, dim=-1)
    whole = nearest(unit, quantizer.codebook)
    monkeypatch.setattr(module, "MAX_SCORES", 12 * 7)
    assert torch.equal(nearest(unit, quantizer.codebook), whole)


def test_float32_under_autocast(quantizer: Quantizer, vectors: Tensor) -> None:
    expected = quantizer(vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = quantizer(vectors)
    assert found.quantized.dtype == torch.float32
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.commitment, expected.commitment)


def test_no_codes_without_a_codebook() -> None:
    with pytest.raises(CheckpointError, match="no codebook"):
        Quantizer(4, 8, decay=0.9)(torch.randn(2, 8))
