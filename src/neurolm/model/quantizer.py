"""The codebook: unit vectors that move by exponential moving average (paper section 2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurolm.core.errors import CheckpointError

MAX_SCORES = 2**26
"""Most similarities (vectors × codes) held at once."""
KMEANS_ITERATIONS = 10


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """What the codebook makes of vectors."""

    codes: Tensor
    """int64 (vectors,), the nearest code of each."""
    quantized: Tensor
    """float32 (vectors, code width), the codes' vectors; their gradient goes to the input unchanged."""
    commitment: Tensor
    """Mean squared distance between unit input and code; its gradient moves the input only."""
    vectors: Tensor
    """float32 (vectors, code width), the unit input without gradient, for ``update`` and ``initialise``."""


@dataclass(frozen=True, kw_only=True)
class CodebookUse:
    """How a batch uses the codebook."""

    used: Tensor
    """Number of different codes."""
    perplexity: Tensor
    """exp(entropy) of the codes: the number of codes, were they used equally."""


class Quantizer(nn.Module):
    """A codebook of unit vectors.

    The forward pass changes nothing: ``initialise`` and ``update`` move the codes, and the training loop calls them.

    Attributes
    ----------
    codebook
        Buffer, float32 (codes, code width): unit vectors.
    usage
        Buffer, float32 (codes,): moving average of how many vectors of a step each code takes.
    initialised
        Buffer, bool (): whether the codes come from data.
    """

    codebook: Tensor
    usage: Tensor
    initialised: Tensor

    def __init__(self, codes: int, width: int, *, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("codebook", F.normalize(torch.randn(codes, width), dim=-1))
        self.register_buffer("usage", torch.zeros(codes))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, vectors: Tensor) -> Quantized:
        """Replace vectors by their nearest codes, in float32 whatever the precision around.

        Parameters
        ----------
        vectors
            (vectors, code width), of any length.

        Raises
        ------
        CheckpointError
            If the codes were neither loaded nor initialised from data.
        """
        if not self.initialised:
            raise CheckpointError(
                "this model has no codebook: it was made without the neural tokenizer's weights. "
                "Load the tokenizer's checkpoint too, or train it."
            )
        with torch.autocast(vectors.device.type, enabled=False):
            unit = F.normalize(exact(vectors), dim=-1)
            codes = nearest(unit.detach(), self.codebook)
            chosen = F.embedding(codes, self.codebook)
            commitment = F.mse_loss(unit, chosen)
            quantized = unit + (chosen - unit).detach()
        return Quantized(codes=codes, quantized=quantized, commitment=commitment, vectors=unit.detach())

    def bypass(self, vectors: Tensor) -> Quantized:
        """Return the unit vectors as if each were a code of its own (0), at no commitment."""
        unit = F.normalize(exact(vectors), dim=-1)
        codes = torch.zeros(len(unit), dtype=torch.int64, device=unit.device)
        return Quantized(codes=codes, quantized=unit, commitment=unit.new_zeros(()), vectors=unit.detach())

    @torch.no_grad()
    def initialise(self, vectors: Tensor, generator: torch.Generator | None = None) -> None:
        """Put the codes at the cluster centres of vectors: spherical k-means, 10 iterations.

        Parameters
        ----------
        vectors
            (vectors, code width); with fewer than codes, some codes start at the same place.
        generator
            On CPU; decides which vectors the centres start from.
        """
        vectors = F.normalize(exact(vectors), dim=-1)
        count, codes = len(vectors), len(self.codebook)
        if count >= codes:
            start = torch.randperm(count, generator=generator)[:codes]
        else:
            start = torch.randint(count, (codes,), generator=generator)
        centres = vectors[start.to(vectors.device)]
        counts = vectors.new_zeros(codes)
        for _ in range(KMEANS_ITERATIONS):
            sums, counts = _sum_by_code(vectors, nearest(vectors, centres), codes)
            centres = torch.where(counts[:, None] > 0, F.normalize(sums, dim=-1), centres)
        self.codebook.copy_(centres)
        self.usage.copy_(counts)
        self.initialised.fill_(True)

    @torch.no_grad()
    def update(
        self, vectors: Tensor, codes: Tensor, *, reduce: Callable[[Tensor], Tensor] | None = None
    ) -> CodebookUse:
        """Move each used code towards the mean of its vectors; codes that nobody used stay.

        Parameters
        ----------
        vectors
            Unit vectors, (vectors, code width): ``Quantized.vectors``.
        codes
            Their codes, (vectors,).
        reduce
            Sums a tensor over all processes, where there are several, so that all keep the same codebook.
        """
        sums, counts = _sum_by_code(vectors, codes, len(self.codebook))
        if reduce is not None:
            sums, counts = reduce(sums), reduce(counts)
        # The direction of the mean is that of the sum.
        moved = F.normalize(self.decay * self.codebook + (1 - self.decay) * F.normalize(sums, dim=-1), dim=-1)
        self.codebook.copy_(torch.where(counts[:, None] > 0, moved, self.codebook))
        self.usage.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        share = counts / counts.sum()
        return CodebookUse(used=(counts > 0).sum(), perplexity=torch.special.entr(share).sum().exp())

    @torch.no_grad()
    def revive(self, vectors: Tensor, *, threshold: float, chosen: Tensor | None = None) -> Tensor:
        """Move codes that hardly anybody uses onto vectors of the batch, so that the codebook does not collapse.

        Not in the paper, whose corpus keeps 8192 codes busy; Moshi's codec (Défossez et al. 2024) does the same.

        Parameters
        ----------
        vectors
            Unit vectors, (vectors, code width): ``Quantized.vectors``.
        threshold
            Codes used less than this share of the mean are moved, and count as used as much as the mean.
        chosen
            int64 (codes,), the vector that each code would move onto; drawn where not given.

        Returns
        -------
        Tensor
            How many were moved, int64 ().
        """
        mean = self.usage.mean()
        idle = self.usage < threshold * mean
        if chosen is None:
            chosen = torch.randint(len(vectors), (len(self.codebook),), device=vectors.device)
        self.codebook.copy_(torch.where(idle[:, None], vectors[chosen], self.codebook))
        self.usage.copy_(torch.where(idle, mean, self.usage))
        return idle.sum()


def exact(x: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 where that is what the model computes in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def nearest(vectors: Tensor, codes: Tensor) -> Tensor:
    """Return the index of the code of largest cosine for each unit vector, int64 (vectors,)."""
    at_once = max(1, MAX_SCORES // len(codes))
    return torch.cat([(part @ codes.T).argmax(-1) for part in vectors.split(at_once)])


def _sum_by_code(vectors: Tensor, codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Sum of the vectors of each code, (codes, width), and how many there are, float32 (codes,)."""
    sums = vectors.new_zeros(count, vectors.shape[1]).index_add_(0, codes, vectors)
    return sums, torch.bincount(codes, minlength=count).to(vectors)
