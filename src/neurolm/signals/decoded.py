"""What the tokenizer's decoders make of codes: µV and spectra, beside the EEG itself"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neurolm.batches.loader import Sample, build_patches
from neurolm.core.physics import PATCH, SCALE
from neurolm.model.encoder import FLOOR, SPECTRUM
from neurolm.model.tokenizer import NeuralTokenizer

TO_MICROVOLTS = 2 * SCALE / PATCH
"""µV of a sine's peak for a patch's FFT amplitude of 1."""


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """Patches of a window, and what the decoders make of their codes."""

    codes: np.ndarray
    """int64 (seconds, channels)."""
    raw: np.ndarray
    """float64 (seconds, channels, 200), µV."""
    waveform: np.ndarray
    """The same from the codes."""
    amplitude: np.ndarray
    """FFT amplitude at 0, 1, 2 … Hz, float64 (seconds, channels, 100), in units of the model's input."""
    decoded_amplitude: np.ndarray
    """The same from the codes; where the decoder predicts logarithms, the geometric mean of what a code stands for."""


def round_trips(tokenizer: NeuralTokenizer, samples: Sequence[Sample]) -> list[RoundTrip]:
    """Send windows through the codebook and back.

    The waveform's decoder predicts standardised EEG, and so does the spectrum's where it does not predict logarithms:
    the window's own mean and deviation, which no code holds, bring them back to µV.

    Parameters
    ----------
    tokenizer
        With decoders.
    samples
        Windows, each as long as the tokenizer can see.
    """
    device = next(tokenizer.parameters()).device
    patches, starts = build_patches(samples)
    patches = patches.to(device)
    with torch.no_grad():
        tokens = tokenizer.tokenize(patches)
        out = tokenizer.decode(tokens.quantized, patches)
    codes = tokens.codes.flatten().cpu().numpy()
    waveforms, spectra = (x.flatten(0, 1).float().cpu().numpy().astype(float) for x in (out.waveform, out.spectrum))
    found = []
    for sample, start in zip(samples, starts, strict=True):
        here = slice(start, start + len(sample.patches))
        raw = sample.patches.astype(float)
        every = np.abs(np.fft.fft(raw, axis=1))
        if tokenizer.config.spectrum == "log":
            decoded = np.exp(spectra[here]) - FLOOR
        else:
            decoded = spectra[here] * every.std(ddof=1) + every.mean()
        parts = (raw * SCALE, (waveforms[here] * raw.std(ddof=1) + raw.mean()) * SCALE, every[:, :SPECTRUM], decoded)
        shape = (sample.seconds, sample.channels, -1)
        one, waveform, amplitude, decoded = (part.reshape(shape) for part in parts)
        own = codes[here].reshape(shape[:2])
        found.append(RoundTrip(codes=own, raw=one, waveform=waveform, amplitude=amplitude, decoded_amplitude=decoded))
    return found


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A window and what the tokenizer's decoders make of its codes, in µV."""

    raw: np.ndarray
    """(samples, channels)."""
    waveform: np.ndarray
    """(samples, channels)."""
    spectrum: np.ndarray
    """Mean amplitude over patches at 0, 1, 2 … Hz, (100,); the geometric mean where the decoder predicts logarithms."""
    decoded_spectrum: np.ndarray
    """(100,)."""


def decode(tokenizer: NeuralTokenizer, sample: Sample) -> Decoded:
    """Send a window through the codebook and back, for a picture of it."""
    (found,) = round_trips(tokenizer, [sample])
    return pictured(found, log=tokenizer.config.spectrum == "log")


def pictured(found: RoundTrip, *, log: bool) -> Decoded:
    """Return a round trip as one trace for each channel and one spectrum.

    Parameters
    ----------
    log
        Whether the spectrum is the geometric mean.
    """
    parts = (part.reshape(-1, SPECTRUM) for part in (found.amplitude, found.decoded_amplitude))
    if log:
        mean, decoded = (np.exp(np.log(part + FLOOR).mean(axis=0)) - FLOOR for part in parts)
    else:
        mean, decoded = (part.mean(axis=0) for part in parts)
    raw, waveform = (x.transpose(0, 2, 1).reshape(-1, x.shape[1]) for x in (found.raw, found.waveform))
    return Decoded(raw=raw, waveform=waveform, spectrum=mean * TO_MICROVOLTS, decoded_spectrum=decoded * TO_MICROVOLTS)
