"""The neural encoder: each patch through a temporal convolution, then all patches of a sample through a transformer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurolm.batch import PADDING, Patches
from neurolm.config import TokenizerConfig, TransformerConfig
from neurolm.model.attention import Visibility
from neurolm.model.transformer import LayerNorm, Transformer, initialise
from neurolm.montage import PATCH

GROUPS = 4
"""Groups of the group normalisation."""
KERNEL, STRIDE = 15, 8
"""Of the first convolution."""
FRAMES = -(-PATCH // STRIDE)
"""Times that the convolution makes of a patch: 25."""
FINAL_EPS = 1e-6
"""Of the normalisation after the blocks."""


@dataclass(frozen=True, kw_only=True)
class RealPatches:
    """Where the real patches of a packed layout are, and which sample each belongs to."""

    places: Tensor
    """int64 (patches,), indices into the flattened (rows · width) places."""
    sample: Tensor
    """int64 (patches,), the sample of each, from 0 on."""
    count: Tensor
    """int64 (samples,), patches of each sample."""

    @classmethod
    def of(cls, patches: Patches) -> RealPatches:
        """Find them."""
        rows = torch.arange(len(patches.document), device=patches.document.device)[:, None]
        key = (rows * (patches.document.amax() + 1).clamp(min=1) + patches.document).flatten()
        places = (patches.document.flatten() != PADDING).nonzero().squeeze(1)
        _, sample, count = key[places].unique(return_inverse=True, return_counts=True)
        return cls(places=places, sample=sample, count=count)

    def take(self, packed: Tensor) -> Tensor:
        """(rows, width, …) to the real patches: (patches, …)."""
        return packed.flatten(0, 1).index_select(0, self.places)

    def put(self, values: Tensor, like: Tensor, fill: float = 0) -> Tensor:
        """(patches, …) back to (rows, width, …), where ``like`` is (rows, width, …); padding is ``fill``."""
        rows, width = like.shape[:2]
        packed = values.new_full((rows * width, *values.shape[1:]), fill)
        return packed.index_copy(0, self.places, values).unflatten(0, (rows, width))


class GroupNorm(nn.Module):
    """Group normalisation, per patch or with the statistics of the whole sample.

    The official implementation convolves with (samples, channels, patches, times), so its ``GroupNorm`` takes mean
    and variance over all patches of a sample, padding included. Here they are taken over its real patches, so that a
    sample's result does not depend on how it is padded or packed; ``weight`` can bring the padding back.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor, sample: Tensor | None, weight: Tensor | None, total: Tensor | None) -> Tensor:
        """Normalise.

        Parameters
        ----------
        x
            (patches, times, channels).
        sample, weight, total
            Sample of each patch, how often it counts, both (patches,), and the sum of the weights of each sample;
            None normalises every patch by itself.
        """
        grouped = x.unflatten(2, (GROUPS, -1))
        size = grouped.shape[1] * grouped.shape[3]
        if sample is None or weight is None or total is None:
            mean = grouped.mean((1, 3), keepdim=True)
            centred = grouped - mean
            variance = centred.square().mean((1, 3), keepdim=True)
        else:

            def average(values: Tensor) -> Tensor:
                sums = values.new_zeros(len(total), GROUPS).index_add_(0, sample, values.sum((1, 3)) * weight[:, None])
                return (sums / (size * total[:, None]))[sample][:, None, :, None]

            centred = grouped - average(grouped)
            variance = average(centred.square())
        return (centred * (variance + self.eps).rsqrt()).flatten(2) * self.weight + self.bias


class TemporalConvolution(nn.Module):
    """One patch of 200 samples to one vector: three convolutions, each normalised and activated, then a linear layer.

    Works on (patches, times, channels), so that flattening is time-major as in the official model. Convolution
    weights are (out, in, kernel).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, channels, KERNEL, stride=STRIDE, padding=KERNEL // 2)
        self.norm1 = GroupNorm(channels)
        self.conv2 = nn.Conv1d(channels, channels, 3, padding=1)
        self.norm2 = GroupNorm(channels)
        self.conv3 = nn.Conv1d(channels, channels, 3, padding=1)
        self.norm3 = GroupNorm(channels)
        self.linear = nn.Linear(FRAMES * channels, width)

    def forward(self, samples: Tensor, sample: Tensor | None, weight: Tensor | None, total: Tensor | None) -> Tensor:
        """(patches, 200) to (patches, width); the rest as in :class:`GroupNorm`."""
        x = F.pad(samples, (KERNEL // 2, KERNEL // 2)).unfold(1, KERNEL, STRIDE)
        x = F.linear(x, self.conv1.weight.squeeze(1), self.conv1.bias)
        x = F.gelu(self.norm1(x, sample, weight, total))
        x = F.gelu(self.norm2(_convolve3(x, self.conv2), sample, weight, total))
        x = F.gelu(self.norm3(_convolve3(x, self.conv3), sample, weight, total))
        return F.gelu(self.linear(x.flatten(1)))


def _convolve3(x: Tensor, layer: nn.Conv1d) -> Tensor:
    """Convolution of kernel 3 over (patches, times, channels) as one matrix product of neighbouring times."""
    x = F.pad(x, (0, 0, 1, 1))
    neighbours = torch.cat((x[:, :-2], x[:, 1:-1], x[:, 2:]), 2)
    return F.linear(neighbours, layer.weight.permute(0, 2, 1).flatten(1), layer.bias)


class PatchTransformer(nn.Module):
    """Patch vectors plus channel and second embeddings through blocks: what encoder and decoders share."""

    def __init__(self, config: TokenizerConfig, transformer: TransformerConfig) -> None:
        super().__init__()
        self.causal = config.attention == "stair-step"
        self.channel_embedding = nn.Embedding(config.channels, transformer.width)
        self.second_embedding = nn.Embedding(config.seconds, transformer.width)
        self.transformer = Transformer(transformer)
        self.norm = LayerNorm(transformer.width, bias=True, eps=FINAL_EPS)

    def seen(self, patches: Patches) -> Visibility:
        """Who sees whom: all patches of the sample, or those of its own and earlier seconds."""
        step = patches.second if self.causal else torch.zeros_like(patches.second)
        return Visibility(patches.document, step)

    def contextualise(self, x: Tensor, patches: Patches, seen: Visibility) -> Tensor:
        """(rows, width, model width) to the same shape."""
        x = x + self.channel_embedding(patches.channel) + self.second_embedding(patches.second)
        return self.norm(self.transformer(x, seen))


class Encoder(PatchTransformer):
    """Patches to features (paper section 2.2).

    In ``full`` attention the convolution is normalised over the sample, as in the official model; in ``stair-step``
    over each patch, or else a patch would know its future from the statistics.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config, config.encoder)
        self.padded_to = config.padded_to
        self.convolution = TemporalConvolution(config.convolution_channels, config.encoder.width)
        initialise(self, truncated=True)
        self.transformer.scale_residuals(by_depth=True)

    def forward(self, patches: Patches, real: RealPatches | None = None, seen: Visibility | None = None) -> Tensor:
        """Encode.

        Parameters
        ----------
        patches
            Packed patches.
        real, seen
            ``RealPatches.of(patches)`` and ``self.seen(patches)`` where the caller has them already.

        Returns
        -------
        Tensor
            Features, (rows, width, encoder width); those of padding mean nothing.
        """
        real = RealPatches.of(patches) if real is None else real
        embedded = real.put(self._embed(real.take(patches.samples), real), patches.samples)
        return self.contextualise(embedded, patches, self.seen(patches) if seen is None else seen)

    def _embed(self, samples: Tensor, real: RealPatches) -> Tensor:
        if self.causal:
            return self.convolution(samples, None, None, None)
        if not self.padded_to:
            return self.convolution(samples, real.sample, samples.new_ones(len(samples)), real.count.to(samples))
        # The official padding is patches of zeros that take part in the statistics: one zero patch for each sample
        # that counts as often as there is padding.
        samples_count = len(real.count)
        missing = (self.padded_to - real.count).clamp(min=0).to(samples)
        silent = samples.new_zeros(samples_count, PATCH)
        sample = torch.cat((real.sample, torch.arange(samples_count, device=samples.device)))
        weight = torch.cat((samples.new_ones(len(samples)), missing))
        total = real.count.to(samples) + missing
        return self.convolution(torch.cat((samples, silent)), sample, weight, total)[: len(samples)]


class Decoder(PatchTransformer):
    """Quantised vectors to features from which a linear head reconstructs the patch."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config, config.decoder)
        self.input = nn.Linear(config.code_width, config.decoder.width)
        initialise(self, truncated=True)
        self.transformer.scale_residuals(by_depth=True)

    def forward(self, quantized: Tensor, patches: Patches, seen: Visibility) -> Tensor:
        """(rows, width, code width) to (rows, width, decoder width)."""
        return self.contextualise(self.input(quantized), patches, seen)
