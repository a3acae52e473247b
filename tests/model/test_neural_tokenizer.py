"""Encoder and tokenizer: nothing outside a sample changes its result, and the causal encoder knows no future."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neurolm.batches.loader import Sample, build_patches
from neurolm.core.batch import PADDING, Patches
from neurolm.model.encoder import FLOOR, Encoder, RealPatches
from neurolm.model.tokenizer import NO_CODE, NeuralTokenizer, ReverseGradient, TokenizedPatches, targets


def by_sample(values: Tensor, starts: list[int], samples: list[Sample]) -> list[Tensor]:
    """The real places of each sample."""
    flat = values.flatten(0, 1)
    return [flat[start : start + len(sample.second)] for start, sample in zip(starts, samples, strict=True)]


def results(tokenizer: NeuralTokenizer, samples: list[Sample], *, packed: bool) -> list[tuple[Tensor, ...]]:
    """Features, codes and reconstructions of each sample."""
    patches, starts = build_patches(samples, packed=packed)
    with torch.no_grad():
        found: TokenizedPatches = tokenizer.tokenize(patches)
        decoded = tokenizer.decode(found.quantized, patches)
    assert (found.codes[patches.document == PADDING] == NO_CODE).all()
    assert (found.codes[patches.document != PADDING] >= 0).all()
    parts = (found.features, found.codes, decoded.spectrum, decoded.waveform)
    return list(zip(*(by_sample(part, starts, samples) for part in parts), strict=True))


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_packing_padding_and_batch_mates_change_nothing(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    alone = [results(tokenizer, [sample], packed=False)[0] for sample in samples]
    for found, expected in zip(results(tokenizer, samples, packed=False), alone, strict=True):
        assert_same(found, expected)
    for found, expected in zip(results(tokenizer, samples, packed=True), alone, strict=True):
        assert_same(found, expected)
    permuted = results(tokenizer, samples[::-1], packed=True)[::-1]
    for found, expected in zip(permuted, alone, strict=True):
        assert_same(found, expected)


def test_content_of_padding_changes_nothing(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    patches, starts = build_patches(samples, packed=False)
    padding = patches.document == PADDING
    loud = replace(patches, samples=torch.where(padding[..., None], 100.0, patches.samples))
    with torch.no_grad():
        quiet, found = tokenizer.encode(patches), tokenizer.encode(loud)
    for ours, theirs in zip(by_sample(found, starts, samples), by_sample(quiet, starts, samples), strict=True):
        assert torch.equal(ours, theirs)


def test_only_stair_step_hides_the_future(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    """Other later seconds: earlier features stay as they are with stair-step attention, and change with full."""
    sample = samples[0]
    late = sample.second >= 2
    other = replace(sample, patches=np.where(late[:, None], sample.patches[::-1], sample.patches))
    (first,), (second,) = results(tokenizer, [sample], packed=False), results(tokenizer, [other], packed=False)
    early = torch.from_numpy(~late)
    causal = tokenizer.config.attention == "stair-step"
    for ours, theirs in zip(first, second, strict=True):
        assert torch.allclose(ours[early].float(), theirs[early].float(), atol=1e-6) == causal
        assert not torch.equal(ours[~early], theirs[~early])


@pytest.mark.parametrize("tokenizer", ["stair-step"], indirect=True)
def test_streaming_second_by_second(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    """A causal encoder gives the first seconds the same features whether or not the rest has come yet."""
    sample = samples[0]
    whole = results(tokenizer, [sample], packed=False)[0]
    for seconds in (1, 2, 3):
        count = int((sample.second < seconds).sum())
        part = Sample(
            patches=sample.patches[:count], channel=sample.channel[:count], second=sample.second[:count], source=""
        )
        found = results(tokenizer, [part], packed=False)[0]
        assert_same(found, tuple(value[:count] for value in whole))


def test_convolution_is_normalised_over_the_sample(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    """As the official one: two-dimensional convolutions of (samples, 1, patches, times); or each patch by itself."""
    convolution = tokenizer.encoder.convolution
    x = torch.from_numpy(samples[0].patches)
    shape = (1, 1, len(x), 200) if tokenizer.config.attention == "full" else (len(x), 1, 1, 200)
    y = x.view(shape)
    for layer, norm in (
        (convolution.conv1, convolution.norm1),
        (convolution.conv2, convolution.norm2),
        (convolution.conv3, convolution.norm3),
    ):
        y = F.conv2d(y, layer.weight, layer.bias, layer.stride, layer.padding)
        groups = y.view(len(y), 4, -1)
        mean, variance = groups.mean(-1, keepdim=True), groups.var(-1, keepdim=True, correction=0)
        y = ((groups - mean) / (variance + 1e-5).sqrt()).view_as(y)
        y = F.gelu(y * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1))
    flat = y.permute(0, 2, 3, 1).reshape(len(x), -1)
    expected = F.gelu(convolution.linear(flat))
    patches, _ = build_patches(samples[:1])
    found = tokenizer.encoder._convolve(x, RealPatches.of(patches))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokenizer", ["full"], indirect=True)
def test_official_padding_can_be_counted(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    """``padded_to`` equals silent patches that are really there, in the convolution."""
    encoder = Encoder(replace(tokenizer.config, padded_to=20))
    encoder.load_state_dict(tokenizer.encoder.state_dict())
    patches, starts = build_patches(samples, packed=True)
    real = RealPatches.of(patches)
    found = real.put(encoder._embed(real.take(patches.samples), real), patches.samples)
    for vectors, sample in zip(by_sample(found, starts, samples), samples, strict=True):
        x = torch.from_numpy(np.concatenate([sample.patches, np.zeros((20 - len(sample.second), 200), np.float32)]))
        torch.testing.assert_close(vectors, encoder.convolution(x[None])[0, : len(vectors)], rtol=1e-4, atol=1e-5)


def test_targets_by_their_definition(samples: list[Sample]) -> None:
    patches, starts = build_patches(samples, packed=True)
    real = RealPatches.of(patches)
    spectrum, waveform = (real.put(x, patches.samples) for x in targets(real.take(patches.samples), real))
    for a, b, sample in zip(
        by_sample(spectrum, starts, samples), by_sample(waveform, starts, samples), samples, strict=True
    ):
        x = sample.patches.astype(np.float64)
        amplitude = np.abs(np.fft.fft(x))
        expected = (amplitude - amplitude.mean()) / amplitude.std(ddof=1)
        np.testing.assert_allclose(a, expected[:, :100], atol=1e-4)
        np.testing.assert_allclose(b, (x - x.mean()) / x.std(ddof=1), atol=1e-4)


def test_a_log_spectrum_is_that_of_each_patch(samples: list[Sample]) -> None:
    patches, _ = build_patches(samples, packed=True)
    real = RealPatches.of(patches)
    own = real.take(patches.samples)
    spectrum, waveform = targets(own, real, log=True)
    np.testing.assert_allclose(spectrum, np.log(np.abs(np.fft.fft(own.double()))[:, :100] + FLOOR), atol=1e-4)
    assert torch.equal(waveform, targets(own, real)[1])


@pytest.mark.parametrize("tokenizer", ["spectral"], indirect=True)
def test_the_spectral_encoder_adds_the_absolute_power(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    encoder, x = tokenizer.encoder, torch.from_numpy(samples[0].patches)
    real = RealPatches.of(build_patches(samples[:1])[0])
    added = encoder._embed(x, real) - encoder._convolve(x, real)
    assert encoder.spectral is not None
    amplitude = np.abs(np.fft.rfft(samples[0].patches.astype(np.float64)))[:, :100]
    expected = torch.from_numpy(np.log(amplitude + FLOOR)).float() @ encoder.spectral.weight.T + encoder.spectral.bias
    torch.testing.assert_close(added, expected, atol=1e-4, rtol=1e-4)


def test_a_silent_sample_gives_finite_losses(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    silent = replace(samples[0], patches=np.zeros_like(samples[0].patches))
    patches, _ = build_patches([silent, *samples[1:]])
    assert tokenizer.loss(patches, torch.randn(5, 32), 0.5).total.isfinite()


def test_losses_are_means_over_real_patches(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    """A batch's losses are the means of its samples' losses, weighted by their patches, however it is packed."""
    words = torch.randn(6, 32)
    names = ("commitment", "frequency", "raw", "domain_eeg")

    def losses(some: list[Sample], packed: bool) -> Tensor:
        found = tokenizer.loss(build_patches(some, packed=packed)[0], words, 0.5)
        return torch.stack([getattr(found, name) for name in names]).detach()

    counts = torch.tensor([float(len(sample.second)) for sample in samples])
    alone = torch.stack([losses([sample], False) for sample in samples])
    expected = (alone * counts[:, None]).sum(0) / counts.sum()
    for packed in (True, False):
        torch.testing.assert_close(losses(samples, packed), expected, rtol=1e-4, atol=1e-5)


def test_total_is_the_sum(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    found = tokenizer.loss(build_patches(samples)[0], torch.randn(6, 32), 0.5)
    parts = found.commitment + found.frequency + found.raw + found.domain_eeg + found.domain_text
    torch.testing.assert_close(found.total, parts)
    assert len(found.codes) == len(found.vectors) == sum(len(sample.second) for sample in samples)


def test_gradient_reversal() -> None:
    x = torch.randn(3, requires_grad=True)
    y = ReverseGradient.apply(x, 0.25)
    assert torch.equal(y, x)
    (gradient,) = torch.autograd.grad((y * torch.tensor([1.0, 2.0, 3.0])).sum(), x)
    assert gradient.tolist() == [-0.25, -0.5, -0.75]


def test_words_train_the_classifier_only(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    words = torch.randn(6, 32, requires_grad=True)
    tokenizer.loss(build_patches(samples)[0], words, 0.5).domain_text.backward()
    assert words.grad is None
    trained = {name.split(".")[0] for name, p in tokenizer.named_parameters() if p.grad is not None}
    assert trained == {"domain_classifier"}


def test_every_parameter_learns(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    tokenizer.loss(build_patches(samples)[0], torch.randn(6, 32), 0.5).total.backward()
    silent = [name for name, p in tokenizer.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_forward_changes_no_state(tokenizer: NeuralTokenizer, samples: list[Sample]) -> None:
    before = {key: value.clone() for key, value in tokenizer.state_dict().items()}
    patches: Patches = build_patches(samples)[0]
    tokenizer.train()
    tokenizer.loss(patches, torch.randn(6, 32), 0.5)
    tokenizer.tokenize(patches)
    assert all(torch.equal(before[key], value) for key, value in tokenizer.state_dict().items())
