"""Seconds that follow, drawn from the language model: codes, and EEG that they may stand for

>>> paths = draw_paths(model, past, channel, seconds=5, count=20, longest=6)
>>> paths.codes.shape, paths.patches.shape      # (20, 5, channels), (20, 5, channels, 200)

The language model says for each electrode how likely each code is in the next second, and a code is drawn for each. It
reads features of EEG, not codes: so EEG that the codes stand for is made, and read by the encoder like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neurolm.batches.loader import Document, Sample, build_batch, build_patches
from neurolm.core.physics import PATCH
from neurolm.model.encoder import FLOOR, SPECTRUM
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer

Making = Literal["recoloured", "noise", "decoded"]
"""How a second of EEG is made of codes. ``recoloured``: a second of the past, the same for all electrodes, whose
amplitudes are multiplied by the ratio of what the decoder makes of the new codes and of the past second's own;
``noise``: Gaussian noise of the decoded spectrum; ``decoded``: the decoded amplitudes, with the phases of the decoded
waveform."""
MAKINGS = get_args(Making)
MAKING: Making = "recoloured"
"""The one that was best on validation people, see docs/forecast.md."""
PLACES = 1 << 13
"""Most patches that go through the model at once."""
EULER = 0.5772156649
"""Log power of Gaussian noise is on average so much below the logarithm of its mean."""


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Seconds that may follow."""

    codes: np.ndarray
    """int64 (paths, seconds, channels)."""
    patches: np.ndarray
    """float32 (paths, seconds, channels, 200), in units of the model's input."""
    log_p: np.ndarray | None
    """Of the codes that did follow, given each path up to the second before: float64 (paths, seconds, channels), nats;
    None where they are not known."""


def sample_of(patches: np.ndarray, channel: np.ndarray) -> Sample:
    """Patches (seconds, channels, 200) as a window."""
    seconds, channels, _ = patches.shape
    return Sample(
        patches=patches.reshape(-1, PATCH).astype(np.float32),
        channel=np.tile(channel, seconds),
        second=np.repeat(np.arange(seconds), channels),
    )


@torch.no_grad()
def draw_paths(
    model: NeuroLM,
    past: np.ndarray,
    channel: np.ndarray,
    *,
    seconds: int,
    count: int,
    longest: int,
    making: Making = MAKING,
    known: np.ndarray | None = None,
    seed: int = 0,
) -> Paths:
    """Draw how EEG may go on.

    Parameters
    ----------
    model
        Causal, with decoders, in evaluation mode.
    past
        float (seconds, channels, 200), in units of the model's input. The language model reads its end; ``recoloured``
        draws from all of it.
    channel
        Electrode ids (channels,).
    seconds, count
        How far, and how many paths.
    longest
        Seconds of the model's training windows, at least 2: it reads so many without the one that it predicts.
    known
        Codes that did follow, int64 (seconds, channels), to be told how likely they were.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    maker = _Maker(model, past, channel, longest, making, rng)
    windows = np.repeat(past[None, -(longest - 1) :].astype(np.float32), count, axis=0)
    shape = (count, seconds, len(channel))
    codes, log_p = np.zeros(shape, np.int64), np.zeros(shape)
    patches = np.zeros((*shape, PATCH), np.float32)
    for second in range(seconds):
        at_once = max(1, PLACES // (windows.shape[1] * len(channel)))
        for first in range(0, count, at_once):
            here = slice(first, first + at_once)
            chances, vectors = _next_second(model, windows[here], channel)
            if known is not None:
                wanted = torch.from_numpy(known[second]).to(chances.device).expand(len(chances), -1)
                log_p[here, second] = chances.gather(2, wanted[..., None])[..., 0].double().cpu().numpy()
            drawn = torch.multinomial(chances.exp().flatten(0, 1).cpu(), 1, generator=generator).view(-1, len(channel))
            codes[here, second] = drawn.numpy()
            patches[here, second] = maker.make(vectors, drawn, windows[here])
        windows = np.concatenate([windows, patches[:, second : second + 1]], axis=1)[:, -(longest - 1) :]
    return Paths(codes=codes, patches=patches, log_p=log_p if known is not None else None)


def codes_that_followed(
    model: NeuroLM, past: np.ndarray, future: np.ndarray, channel: np.ndarray, longest: int
) -> np.ndarray:
    """Codes of known seconds, each as the end of a window of the training's length: int64 (seconds, channels).

    Parameters
    ----------
    past, future
        float (seconds, channels, 200), one after the other.
    """
    together = np.concatenate([past[-(longest - 1) :], future]) if longest > 1 else future
    before = len(together) - len(future)
    ends = range(before + 1, before + len(future) + 1)
    patches, starts = build_patches(
        [sample_of(together[max(0, end - longest) : end], channel) for end in ends], packed=False
    )
    with torch.no_grad():
        codes = model.tokenizer.tokenize(patches.to(_device(model))).codes.flatten().cpu().numpy()
    lengths = [min(end, longest) * len(channel) for end in ends]
    return np.stack(
        [codes[start + size - len(channel) : start + size] for start, size in zip(starts, lengths, strict=True)]
    )


def _device(model: NeuroLM) -> torch.device:
    return next(model.parameters()).device


def _next_second(model: NeuroLM, windows: np.ndarray, channel: np.ndarray) -> tuple[Tensor, Tensor]:
    """log p of each electrode's next code, (windows, channels, codes), and the windows' quantised vectors."""
    documents = [Document(sample=i) for i in range(len(windows))]
    batch = build_batch([sample_of(one, channel) for one in windows], documents, packed=False).to(_device(model))
    assert batch.patches is not None, "there is EEG"
    features = model.features(batch.patches)
    last = model(batch, features=features)[:, -len(channel) :]
    vectors = model.tokenizer.quantizer(model.tokenizer.code_vectors(features.flatten(0, 1))).quantized
    return F.linear(last, model.eeg_rows).float().log_softmax(-1), vectors.view(*features.shape[:2], -1)


class _Maker:
    """Makes EEG of codes."""

    def __init__(
        self,
        model: NeuroLM,
        past: np.ndarray,
        channel: np.ndarray,
        longest: int,
        making: Making,
        rng: np.random.Generator,
    ) -> None:
        self.tokenizer, self.channel, self.making, self.rng = model.tokenizer, channel, making, rng
        if making != "recoloured":
            return
        # The past in windows that end where it ends, and what its codes make of it.
        ends = range(len(past), 0, -longest)
        patches, starts = build_patches(
            [sample_of(past[max(0, end - longest) : end], channel) for end in ends], packed=False
        )
        vectors = self.tokenizer.tokenize(patches.to(_device(model))).quantized
        own = self.tokenizer.decode(vectors, patches.to(_device(model))).spectrum.flatten(0, 1).float().cpu().numpy()
        raw = patches.samples.flatten(0, 1).numpy()
        coefficients, decoded = list[np.ndarray](), list[np.ndarray]()
        for end, start in zip(ends, starts, strict=True):
            here = slice(start, start + min(end, longest) * len(channel))
            shape = (-1, len(channel), SPECTRUM)
            coefficients.append(np.fft.rfft(raw[here])[:, :SPECTRUM].reshape(shape))
            decoded.append(_amplitude(self.tokenizer, own[here], raw[here]).reshape(shape))
        self.coefficients, self.decoded = np.concatenate(coefficients), np.concatenate(decoded)

    def make(self, vectors: Tensor, codes: Tensor, windows: np.ndarray) -> np.ndarray:
        """A second of EEG, (paths, channels, 200), of codes (paths, channels) that follow windows."""
        before = windows.shape[1]
        grown = np.concatenate([windows, np.zeros_like(windows[:, :1])], axis=1)
        patches, _ = build_patches([sample_of(one, self.channel) for one in grown], packed=False)
        chosen = F.embedding(codes.to(vectors.device), self.tokenizer.quantizer.codebook)
        out = self.tokenizer.decode(torch.cat([vectors, chosen], dim=1), patches.to(vectors.device))
        last = slice(before * len(self.channel), None)
        spectrum, waveform = (part[:, last].float().cpu().numpy() for part in (out.spectrum, out.waveform))
        amplitude = _amplitude(self.tokenizer, spectrum, windows)
        if self.making == "recoloured":
            drawn = self.rng.integers(len(self.coefficients), size=len(windows))
            made: np.ndarray = self.coefficients[drawn] * (amplitude + FLOOR) / (self.decoded[drawn] + FLOOR)
        elif self.making == "noise":
            normal = self.rng.standard_normal((2, *amplitude.shape))
            made = amplitude * np.exp(EULER / 2) * (normal[0] + 1j * normal[1]) / np.sqrt(2)
        else:
            phases = np.fft.rfft(waveform)[..., :SPECTRUM]
            made = amplitude * phases / np.maximum(np.abs(phases), 1e-12)
        return np.fft.irfft(made, PATCH).astype(np.float32)


def _amplitude(tokenizer: NeuralTokenizer, spectrum: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """FFT amplitudes (…, 100), not below 0, of what the decoder predicts."""
    if tokenizer.config.spectrum == "log":
        return np.maximum(np.exp(spectrum) - FLOOR, 0)
    every = np.abs(np.fft.fft(windows))
    return np.maximum(spectrum * every.std(ddof=1) + every.mean(), 0)
