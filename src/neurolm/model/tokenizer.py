"""The text-aligned neural tokenizer (paper section 2.2): EEG to codes and back:

>>> tokens = tokenizer.tokenize(patches)
>>> eeg = tokenizer.decode(tokens.quantized, patches)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurolm.core.batch import Patches
from neurolm.core.config import TokenizerConfig
from neurolm.core.errors import CheckpointError
from neurolm.core.physics import PATCH
from neurolm.model.attention import Visibility
from neurolm.model.encoder import SPECTRUM, Decoder, Encoder, RealPatches, log_spectrum
from neurolm.model.quantizer import Quantizer, exact
from neurolm.model.transformer import Cache, initialise

NO_CODE = -1
"""Code of a place that holds no patch."""
SMALLEST = 1e-8
"""Least standard deviation that targets are divided by, so that a silent sample does not become NaN."""
EEG, TEXT = 0, 1
"""Classes of the domain classifier."""
DECODING = ("spectrum_decoder", "waveform_decoder", "spectrum_head", "waveform_head", "domain_classifier")
"""Parts that training and reconstruction need, and features and codes do not."""


@dataclass(frozen=True, kw_only=True)
class TokenizedPatches:
    """Patches as the language model's foreign language."""

    features: Tensor
    """(rows, width, encoder width); those of padding mean nothing."""
    codes: Tensor
    """int64 (rows, width); ``NO_CODE`` at padding."""
    quantized: Tensor
    """float32 (rows, width, code width), the codes' unit vectors; zero at padding."""


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What the decoders make of quantised vectors, in the terms of the targets."""

    spectrum: Tensor
    """(rows, width, 100): FFT amplitude, 0 to 99 Hz, standardised; its logarithm where the model predicts that."""
    waveform: Tensor
    """(rows, width, 200), standardised."""


@dataclass(frozen=True, kw_only=True)
class TokenizerLosses:
    """Losses of the tokenizer, each a mean over real patches (or text tokens)."""

    total: Tensor
    """Sum of the five below."""
    commitment: Tensor
    frequency: Tensor
    raw: Tensor
    domain_eeg: Tensor
    domain_text: Tensor
    codes: Tensor
    """int64 (real patches,)."""
    vectors: Tensor
    """float32 (real patches, code width), unit, without gradient: for the codebook's update."""


class NeuralTokenizer(nn.Module):
    """Encoder, codebook, two decoders and the domain classifier.

    Parameters
    ----------
    config
        Sizes of all parts.
    decoders
        Without them, and the classifier, it encodes only: what a model needs that is not trained further.
    """

    def __init__(self, config: TokenizerConfig, *, decoders: bool = True) -> None:
        super().__init__()
        self.config, self.decodes = config, decoders
        width, decoded = config.encoder.width, config.decoder.width
        self.encoder = Encoder(config)
        self.to_code = _head(width, config.code_width, config.encoder.initial_std)
        self.quantizer = Quantizer(config.codes, config.code_width, decay=config.decay)
        if not decoders:
            return
        self.spectrum_decoder = Decoder(config)
        self.waveform_decoder = Decoder(config)
        self.spectrum_head = _head(decoded, SPECTRUM, config.decoder.initial_std)
        self.waveform_head = _head(decoded, PATCH, config.decoder.initial_std)
        self.domain_classifier = nn.Sequential(
            nn.Linear(width, config.classifier_width), nn.GELU(), nn.Linear(config.classifier_width, 2)
        )
        initialise(self.domain_classifier, truncated=True, std=config.encoder.initial_std)

    def encode(self, patches: Patches, cache: Cache | None = None) -> Tensor:
        """Features of patches, (rows, width, encoder width): what the language model reads."""
        return self.encoder(patches, cache=cache)

    def code_vectors(self, features: Tensor) -> Tensor:
        """Features (…, encoder width) to the vectors that are quantised, float32 (…, code width)."""
        with torch.autocast(features.device.type, enabled=False):
            return self.to_code(exact(features))

    def codes(self, features: Tensor) -> Tensor:
        """Features (patches, encoder width) to codes, int64 (patches,)."""
        return self.quantizer(self.code_vectors(features)).codes

    def tokenize(self, patches: Patches) -> TokenizedPatches:
        """Encode and quantise."""
        real = RealPatches.of(patches)
        features = self.encoder(patches, real)
        found = self.quantizer(self.code_vectors(real.take(features)))
        return TokenizedPatches(
            features=features,
            codes=real.put(found.codes, patches.document, NO_CODE),
            quantized=real.put(found.quantized, patches.document),
        )

    def decode(self, quantized: Tensor, patches: Patches, seen: Visibility | None = None) -> Reconstruction:
        """Reconstruct patches from quantised vectors (rows, width, code width) and where they belong.

        Only channel, second and document of ``patches`` are used.

        Raises
        ------
        CheckpointError
            If it has no decoders.
        """
        if not self.decodes:
            raise CheckpointError("this model was loaded without its decoders: load it with decoders=True")
        seen = self.encoder.seen(patches) if seen is None else seen
        return Reconstruction(
            spectrum=self.spectrum_head(self.spectrum_decoder(quantized, patches, seen)),
            waveform=self.waveform_head(self.waveform_decoder(quantized, patches, seen)),
        )

    def loss(
        self, patches: Patches, text_embeddings: Tensor, reversal: float, *, quantise: bool = True
    ) -> TokenizerLosses:
        """All losses of a batch.

        Parameters
        ----------
        patches
            Packed patches.
        text_embeddings
            Word embeddings of real text, (tokens, encoder width), frozen.
        reversal
            Strength of the gradient reversal between encoder and domain classifier.
        quantise
            False decodes the vectors themselves, with no commitment: for the steps before the codebook starts.

        Raises
        ------
        CheckpointError
            If the codebook is not initialised yet: see ``Quantizer.initialise``.
        """
        real, seen = RealPatches.of(patches), self.encoder.seen(patches)
        features = self.encoder(patches, real, seen)
        real_features = real.take(features)
        vectors = self.code_vectors(real_features)
        found = self.quantizer(vectors) if quantise else self.quantizer.bypass(vectors)
        decoded = self.decode(real.put(found.quantized, patches.document), patches, seen)
        spectrum, waveform = targets(real.take(patches.samples), real, log=self.config.spectrum == "log")
        commitment = self.config.commitment * found.commitment
        frequency = F.mse_loss(exact(real.take(decoded.spectrum)), spectrum)
        raw = F.mse_loss(exact(real.take(decoded.waveform)), waveform)
        domain_eeg = self._domain_loss(ReverseGradient.apply(real_features, reversal), EEG)
        domain_text = self._domain_loss(text_embeddings.detach(), TEXT)
        return TokenizerLosses(
            total=commitment + frequency + raw + domain_eeg + domain_text,
            commitment=commitment,
            frequency=frequency,
            raw=raw,
            domain_eeg=domain_eeg,
            domain_text=domain_text,
            codes=found.codes,
            vectors=found.vectors,
        )

    def _domain_loss(self, vectors: Tensor, domain: int) -> Tensor:
        logits = self.domain_classifier(vectors)
        return F.cross_entropy(exact(logits), torch.full((len(logits),), domain, device=logits.device))


def targets(samples: Tensor, real: RealPatches, *, log: bool = False) -> tuple[Tensor, Tensor]:
    """What the decoders are to predict, standardised with the mean and unbiased deviation over the whole sample.

    Parameters
    ----------
    samples
        (real patches, 200).
    real
        Which sample each patch belongs to.
    log
        Whether the spectrum is the logarithm of the amplitude as it is.

    Returns
    -------
    tuple of Tensor
        FFT amplitude (real patches, 100), standardised over all 200 bins, and the waveform (real patches, 200).
    """
    if log:
        return log_spectrum(samples), _standardise(exact(samples), real)
    amplitude = torch.fft.rfft(exact(samples), dim=-1).abs()
    # Bins 1 to 99 stand in the full FFT twice; 0 and 100 once.
    mirrored = torch.cat((amplitude, amplitude[:, 1:SPECTRUM]), 1)
    return _standardise(mirrored, real)[:, :SPECTRUM], _standardise(exact(samples), real)


def _standardise(values: Tensor, real: RealPatches) -> Tensor:
    size = real.count * values.shape[1]

    def total(x: Tensor) -> Tensor:
        return x.new_zeros(len(size)).index_add_(0, real.sample, x.sum(1))

    centred = values - (total(values) / size)[real.sample, None]
    deviation = (total(centred.square()) / (size - 1)).sqrt().clamp(min=SMALLEST)
    return centred / deviation[real.sample, None]


class ReverseGradient(torch.autograd.Function):
    """The identity, whose gradient is reversed and scaled (Ganin & Lempitsky 2015)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        """Return the input."""
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """Return the gradient's negative."""
        return gradient * -ctx.strength, None


def _head(width: int, out: int, std: float) -> nn.Sequential:
    head = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, out))
    initialise(head, truncated=True, std=std)
    return head
