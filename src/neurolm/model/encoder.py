"""The neural encoder: a temporal convolution over each patch, then a transformer over all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurolm.core.batch import PADDING, Patches
from neurolm.core.config import TokenizerConfig, TransformerConfig
from neurolm.core.physics import PATCH
from neurolm.model.attention import Visibility
from neurolm.model.quantizer import exact
from neurolm.model.transformer import Cache, LayerNorm, Transformer, initialise

GROUPS = 4
"""Groups of the group normalisation."""
KERNEL, STRIDE = 15, 8
"""Kernel and stride of the first convolution, in samples."""
FRAMES = -(-PATCH // STRIDE)
"""Times that the convolution makes of a patch: 25."""
SPECTRUM = PATCH // 2
"""Bins of a patch's amplitude spectrum that are read and predicted: 0 to 99 Hz."""
FLOOR = 0.1
"""Added to FFT amplitudes before their logarithm: that of white noise of 0.7 µV."""
FINAL_EPS = 1e-6
"""Epsilon of the normalisation after the blocks."""


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

    def by_size(self) -> Iterator[Tensor]:
        """Indices into the real patches, (samples, patches), for each number of patches that a sample can have."""
        order, start = self.sample.argsort(stable=True), self.count.cumsum(0) - self.count
        for size in self.count.unique().tolist():
            along = torch.arange(size, device=order.device)
            yield order[start[self.count == size][:, None] + along]

    def take(self, packed: Tensor) -> Tensor:
        """(rows, width, …) to the real patches: (patches, …)."""
        return packed.flatten(0, 1).index_select(0, self.places)

    def put(self, values: Tensor, like: Tensor, fill: float = 0) -> Tensor:
        """(patches, …) back to (rows, width, …), where ``like`` is (rows, width, …); padding is ``fill``."""
        rows, width = like.shape[:2]
        packed = values.new_full((rows * width, *values.shape[1:]), fill)
        return packed.index_copy(0, self.places, values).unflatten(0, (rows, width))


class TemporalConvolution(nn.Module):
    """Patches of 200 samples to vectors: three convolutions, each normalised and activated, then a linear layer.

    Every patch is convolved by itself, but the official group normalisation takes mean and variance over all patches
    of a sample. So it is here; convolution weights are those of the authors, (out, in, 1, kernel).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, (1, KERNEL), stride=(1, STRIDE), padding=(0, KERNEL // 2))
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv3 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.norm3 = nn.GroupNorm(GROUPS, channels)
        self.linear = nn.Linear(FRAMES * channels, width)

    def forward(self, samples: Tensor) -> Tensor:
        """(samples, patches, 200) to (samples, patches, width)."""
        x = F.gelu(self.norm1(self.conv1(samples[:, None])))
        x = F.gelu(self.norm2(self.conv2(x)))
        x = F.gelu(self.norm3(self.conv3(x)))
        return F.gelu(self.linear(x.permute(0, 2, 3, 1).flatten(2)))  # time-major


def log_spectrum(samples: Tensor) -> Tensor:
    """Patches (…, 200) to the logarithm of their FFT amplitude, float32 or float64 (…, 100), 0 to 99 Hz.

    Without a window, like the amplitude that the paper's decoder predicts.
    """
    with torch.autocast(samples.device.type, enabled=False):
        return (torch.fft.rfft(exact(samples), dim=-1).abs()[..., :SPECTRUM] + FLOOR).log()


class PatchTransformer(nn.Module):
    """Patch vectors plus channel and second embeddings through blocks: what encoder and decoders share."""

    def __init__(self, config: TokenizerConfig, transformer: TransformerConfig) -> None:
        super().__init__()
        self.causal = config.attention == "stair-step"
        self.channel_embedding = nn.Embedding(config.channels, transformer.width)
        self.second_embedding = nn.Embedding(config.seconds, transformer.width)
        self.transformer = Transformer(transformer)
        self.norm = LayerNorm(transformer.width, bias=True, eps=FINAL_EPS)

    def seen(self, patches: Patches, cache: Cache | None = None) -> Visibility:
        """Who sees whom: all patches of the sample, or those of its own and earlier seconds, cached ones among them."""
        assert cache is None or self.causal, "full attention changes earlier seconds by later ones: nothing can be kept"
        step = patches.second if self.causal else torch.zeros_like(patches.second)
        return Visibility(patches.document, step) if cache is None else cache.extend(patches.document, step)

    def contextualise(self, x: Tensor, patches: Patches, seen: Visibility, cache: Cache | None = None) -> Tensor:
        """(rows, width, model width) to the same shape."""
        x = x + self.channel_embedding(patches.channel) + self.second_embedding(patches.second)
        return self.norm(self.transformer(x, seen, cache))


class Encoder(PatchTransformer):
    """Patches to features (paper section 2.2).

    In ``full`` attention the convolution is normalised over the sample, as in the official model, but over its real
    patches alone unless ``padded_to`` says otherwise: so neither padding nor batch-mates change a sample's result.
    In ``stair-step`` it is normalised over each patch, or else a patch would know its future from the statistics.
    With ``spectral`` a linear layer of each patch's log amplitude spectrum is added to its convolution, as in CBraMod
    (Wang et al. 2025, arXiv 2412.07236), there of the amplitude: the normalised convolution alone loses the absolute
    power of fast rhythms.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config, config.encoder)
        self.padded_to = config.padded_to
        self.convolution = TemporalConvolution(config.convolution_channels, config.encoder.width)
        self.spectral = nn.Linear(SPECTRUM, config.encoder.width) if config.spectral else None
        initialise(self, truncated=True, std=config.encoder.initial_std)
        self.transformer.scale_residuals(by_depth=True)

    def forward(
        self,
        patches: Patches,
        real: RealPatches | None = None,
        seen: Visibility | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Encode.

        Parameters
        ----------
        patches
            Packed patches.
        real, seen
            ``RealPatches.of(patches)`` and ``self.seen(patches)`` where the caller has them already.
        cache
            Keys and values of the seconds before these, in ``stair-step`` attention; grows by these.

        Returns
        -------
        Tensor
            Features, (rows, width, encoder width); those of padding mean nothing.
        """
        real = RealPatches.of(patches) if real is None else real
        embedded = real.put(self._embed(real.take(patches.samples), real), patches.samples)
        return self.contextualise(embedded, patches, self.seen(patches, cache) if seen is None else seen, cache)

    def _embed(self, samples: Tensor, real: RealPatches) -> Tensor:
        """(real patches, 200) to (real patches, encoder width)."""
        convolved = self._convolve(samples, real)
        return convolved if self.spectral is None else convolved + self.spectral(log_spectrum(samples))

    def _convolve(self, samples: Tensor, real: RealPatches) -> Tensor:
        """(real patches, 200) to (real patches, encoder width)."""
        if self.causal:
            return self.convolution(samples[:, None])[:, 0]
        indices, vectors = [], []
        for index in real.by_size():
            together = samples[index]
            padding = max(0, self.padded_to - index.shape[1])
            vectors.append(self.convolution(F.pad(together, (0, 0, 0, padding)))[:, : index.shape[1]].flatten(0, 1))
            indices.append(index.flatten())
        return torch.cat(vectors)[torch.cat(indices).argsort()]


class Decoder(PatchTransformer):
    """Quantised vectors to features from which a linear head reconstructs the patch."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config, config.decoder)
        self.input = nn.Linear(config.code_width, config.decoder.width)
        initialise(self, truncated=True, std=config.decoder.initial_std)
        self.transformer.scale_residuals(by_depth=True)

    def forward(self, quantized: Tensor, patches: Patches, seen: Visibility) -> Tensor:
        """(rows, width, code width) to (rows, width, decoder width)."""
        return self.contextualise(self.input(quantized), patches, seen)
