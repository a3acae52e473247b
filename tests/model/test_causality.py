"""Nothing of what a causal model makes of a moment follows from later samples; the faithful one fails the same test."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from neurolm.ask.engine import Heard, read_on, read_prefix, score_after, score_options
from neurolm.batches.loader import Document, Sample, build_batch, build_patches, build_tokens
from neurolm.core.batch import Batch
from neurolm.core.physics import PATCH
from neurolm.core.recipes import recipe
from neurolm.model.neurolm import NeuroLM
from neurolm.model.scaling import FeatureScaling
from neurolm.model.transformer import Cache

CHANNELS, SECONDS = 3, 6
QUESTION, OPTIONS = (60, 5, 6, 7), [(8, 9), (10,)]


@pytest.fixture(params=["causal-tiny", "tiny"])
def model(request: pytest.FixtureRequest) -> NeuroLM:
    """A recipe's model, all of it but its size, with a codebook and the statistics of some features."""
    config = recipe(request.param).model
    tokenizer = replace(
        config.tokenizer, encoder=replace(config.tokenizer.encoder, width=32),
        decoder=replace(config.tokenizer.decoder, width=32), codes=64, code_width=8,
    )  # fmt: skip
    stack = replace(config.language.transformer, width=32)
    language = replace(config.language, transformer=stack, positions=32, text_tokens=60)
    torch.manual_seed(0)
    model = NeuroLM(replace(config, tokenizer=tokenizer, language=language))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=0.2)
    model.tokenizer.quantizer.initialise(torch.randn(200, 8), torch.Generator().manual_seed(0))
    assert isinstance(model.scaling, FeatureScaling)
    model.scaling.fit(model.features(build_patches([sample()])[0])[0])
    return model.eval()


def sample() -> Sample:
    """EEG like noise of some 20 µV."""
    count = CHANNELS * SECONDS
    return Sample(
        patches=np.random.default_rng(0).standard_normal((count, PATCH), dtype=np.float32) * 0.2,
        channel=np.tile(np.arange(CHANNELS), SECONDS),
        second=np.repeat(np.arange(SECONDS), CHANNELS),
    )


def results(model: NeuroLM, given: Sample, seconds: int) -> dict[str, Tensor]:
    """What the model makes of the first seconds of a sample that it reads whole."""
    early, end = given.second < seconds, CHANNELS * seconds
    patches, starts = build_patches([given])
    begun = Sample(patches=given.patches[early], channel=given.channel[early], second=given.second[early])
    asked = Batch(patches=patches, tokens=build_tokens([Document(sample=0, text=QUESTION)], [begun], starts))
    with torch.no_grad():
        found = model.tokenizer.tokenize(patches)
        logits = model.head(model(build_batch([given], [Document(sample=0)])))
    return {
        "features": found.features[0, :end],
        "codes": found.codes[0, :end],
        "logits": logits[0, :end],
        "answer": score_options(model, asked, OPTIONS),
    }


def other_futures(given: Sample, seconds: int) -> list[Sample]:
    """Later seconds louder, silent, or as they are but for a single sample at their beginning."""
    late, place = given.second >= seconds, CHANNELS * seconds
    spike = given.patches.copy()
    spike[place, 0] += 5
    louder, silent = (np.where(late[:, None], given.patches * gain, given.patches) for gain in (20, 0))
    return [replace(given, patches=patches) for patches in (louder, silent, spike)]


@pytest.mark.parametrize("seconds", [1, 2, 5])
def test_later_samples_change_no_earlier_feature_code_logit_or_answer(model: NeuroLM, seconds: int) -> None:
    """For a causal recipe; each is changed in the faithful one, so that the test can fail."""
    causal = model.config.tokenizer.attention == "stair-step"
    expected = results(model, sample(), seconds)
    changed = dict.fromkeys(expected, False)
    for other in other_futures(sample(), seconds):
        for name, value in results(model, other, seconds).items():
            changed[name] |= not torch.allclose(value.double(), expected[name].double(), rtol=0, atol=1e-5)
    assert changed == dict.fromkeys(expected, not causal)


@pytest.mark.parametrize("seconds", [1, 3, 5])
def test_earlier_logits_have_no_slope_in_later_samples(model: NeuroLM, seconds: int) -> None:
    """Of every later sample, by the gradient; and one in every earlier patch."""
    batch = build_batch([sample()], [Document(sample=0)])
    assert batch.patches is not None
    signal = batch.patches.samples.clone().requires_grad_()
    features = model.tokenizer.encode(replace(batch.patches, samples=signal))
    logits = model.head(model(batch, features=features))[0, : CHANNELS * seconds]
    (logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert signal.grad is not None
    touched = signal.grad[0].abs().sum(1) > 0
    late = torch.from_numpy(sample().second >= seconds)
    assert touched[~late].all()
    assert touched[late].any() == (model.config.tokenizer.attention == "full")


def test_a_second_at_a_time_by_the_caches_is_all_of_them_at_once(model: NeuroLM) -> None:
    """Features and option scores; the faithful encoder refuses to keep what later seconds change."""
    given, heard, prefix, features = sample(), Heard(), None, []
    seconds = [
        replace(given, patches=given.patches[at], channel=given.channel[at], second=given.second[at])
        for at in (given.second == second for second in range(SECONDS))
    ]
    if model.config.tokenizer.attention == "full":
        with pytest.raises(AssertionError, match="nothing can be kept"):
            read_prefix(model, build_batch(seconds[:1], [Document(sample=0)], packed=False), heard=heard)
        return
    cache = Cache()
    with torch.no_grad():
        for second in seconds:
            batch = build_batch([second], [Document(sample=0)], packed=False)
            features.append(model.features(batch.patches, cache))
            prefix = read_prefix(model, batch, heard=heard)
        whole = build_batch([given], [Document(sample=0, text=QUESTION)], packed=False)
        torch.testing.assert_close(torch.cat(features, 1), model.features(whole.patches), rtol=0, atol=1e-5)
        by_second = score_after(model, read_on(model, prefix, QUESTION), OPTIONS)
    torch.testing.assert_close(by_second, score_options(model, whole, OPTIONS), rtol=0, atol=1e-4)


def test_an_answer_about_what_came_so_far_is_that_of_a_recording_that_ends_there(model: NeuroLM) -> None:
    """Whatever comes later, a causal model answers as it would have, live."""
    causal = model.config.tokenizer.attention == "stair-step"
    given, seconds = sample(), 3
    early = given.second < seconds
    begun = Sample(patches=given.patches[early], channel=given.channel[early], second=given.second[early])
    alone = score_options(model, build_batch([begun], [Document(sample=0, text=QUESTION)]), OPTIONS)
    same = torch.allclose(results(model, given, seconds)["answer"], alone, rtol=0, atol=1e-4)
    assert same == causal
