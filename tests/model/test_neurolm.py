"""The whole model: what is frozen, what each loss counts, and sizes of the paper's models."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neurolm.batches.loader import Document, Sample, build_batch
from neurolm.core.batch import NO_PATCH, NO_TARGET, Batch
from neurolm.core.config import ModelConfig
from neurolm.core.errors import CheckpointError
from neurolm.core.recipes import RECIPES, recipe
from neurolm.model.gpt2 import GPT2
from neurolm.model.neurolm import NeuroLM

DOCUMENTS = [
    Document(sample=0, predict_eeg=True),
    Document(sample=1, text=(70, 5, 6, 7, 8), predict_from=3),
    Document(text=(9, 10, 11, 12)),
    Document(sample=2, text=(70, 20, 69), predict_from=1),
    Document(sample=3, predict_eeg=True),
]
"""EEG alone, EEG and text with an answer, text alone."""


def hidden_of(model: NeuroLM, batch: Batch) -> list[Tensor]:
    """Hidden states of each document, in the order of their first text token or number of patches."""
    assert batch.tokens is not None
    with torch.no_grad():
        hidden = model(batch)
    tokens, out = batch.tokens, []
    for row in range(len(tokens.document)):
        for document in range(int(tokens.document[row].max()) + 1):
            here = tokens.document[row] == document
            out.append((int(here.sum()), hidden[row, here]))
    return [states for _, states in sorted(out, key=lambda pair: pair[0])]


def test_packing_padding_and_batch_mates_change_nothing(model: NeuroLM, samples: list[Sample]) -> None:
    sizes = [12, 17, 4, 6, 8]
    alone = []
    for document in DOCUMENTS:
        own = [] if document.sample is None else [samples[document.sample]]
        alone.append(hidden_of(model, build_batch(own, [replace(document, sample=0 if own else None)]))[0])
    assert [len(states) for states in alone] == sizes
    expected = sorted(alone, key=len)
    for documents in (DOCUMENTS, DOCUMENTS[::-1]):
        for packed in (True, False):
            found = hidden_of(model, build_batch(samples, documents, packed=packed))
            for ours, theirs in zip(found, expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_losses_by_their_definition(model: NeuroLM, samples: list[Sample]) -> None:
    """Against a loop over places and the full softmax over all outputs or those of one modality."""
    batch = build_batch(samples, DOCUMENTS)
    tokens, patches = batch.tokens, batch.patches
    assert tokens is not None and patches is not None
    start, text_tokens = model.vocabulary.eeg_start, model.vocabulary.text_tokens
    with torch.no_grad():
        codes = model.tokenizer.tokenize(patches).codes.flatten()
        logits = model.head(model(batch))
        for softmax in ("range", "joint"):
            eeg = text = correct = eeg_count = text_count = 0.0
            for row, column in torch.cartesian_prod(*map(torch.arange, tokens.document.shape)).tolist():
                place, word = tokens.target_patch[row, column], tokens.target[row, column]
                scores = logits[row, column]
                if place != NO_PATCH:
                    kept = scores if softmax == "joint" else scores[start:]
                    code = int(codes[place]) + (start if softmax == "joint" else 0)
                    eeg -= float(kept.log_softmax(-1)[code])
                    correct += float(kept.argmax() == code)
                    eeg_count += 1
                if word != NO_TARGET:
                    kept = scores if softmax == "joint" else scores[:text_tokens]
                    text -= float(kept.log_softmax(-1)[word])
                    text_count += 1
            found = model.loss(batch, softmax=softmax)
            assert (int(found.eeg_count), int(found.text_count)) == (eeg_count, text_count) == (9 + 4, 2 + 3 + 2)
            assert float(found.eeg) == pytest.approx(eeg, rel=1e-4)
            assert float(found.text) == pytest.approx(text, rel=1e-4)
            assert float(found.eeg_correct) == correct


def test_next_second_same_channel(model: NeuroLM, samples: list[Sample]) -> None:
    """The code that a patch is to predict is that of its own channel, one second later."""
    batch = build_batch(samples[:1], DOCUMENTS[:1])
    tokens, patches = batch.tokens, batch.patches
    assert tokens is not None and patches is not None
    wanted = tokens.target_patch != NO_PATCH
    source, target = tokens.patch[wanted], tokens.target_patch[wanted]
    assert torch.equal(patches.channel.flatten()[target], patches.channel.flatten()[source])
    assert torch.equal(patches.second.flatten()[target], patches.second.flatten()[source] + 1)


def test_only_the_language_side_learns(model: NeuroLM, samples: list[Sample]) -> None:
    before = {key: value.clone() for key, value in model.tokenizer.state_dict().items()}
    model.train()
    assert model.training and not any(part.training for part in model.tokenizer.modules())
    batch = build_batch(samples, DOCUMENTS)
    found = model.loss(batch, softmax="joint")
    (found.eeg + found.text).backward()
    learning = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"bridge", "channel_embedding", "language", "head"}
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert all(torch.equal(before[key], value) for key, value in model.tokenizer.state_dict().items())


def test_encoder_runs_once(model: NeuroLM, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = model.tokenizer.encoder.forward
    monkeypatch.setattr(model.tokenizer.encoder, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    model.loss(build_batch(samples, DOCUMENTS))
    assert len(calls) == 1


def test_bridge_only_where_widths_differ(config: ModelConfig) -> None:
    assert isinstance(NeuroLM(config).bridge, torch.nn.Sequential)
    language = replace(config.language, transformer=replace(config.language.transformer, width=32, heads=2))
    assert isinstance(NeuroLM(replace(config, language=language)).bridge, torch.nn.Identity)


def test_starting_from_a_gpt2(model: NeuroLM, config: ModelConfig) -> None:
    """Text is understood as before: logits of text tokens are the GPT-2's, whatever the new rows hold."""
    torch.manual_seed(3)
    gpt2 = GPT2(config.language).eval()
    for parameter in gpt2.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    separator = model.language.wte.weight[70].clone()
    eeg_rows = model.eeg_rows.clone()
    model.initialise_language(gpt2.state_dict())
    batch = build_batch([], [Document(text=(3, 1, 4, 1, 5, 9))])
    with torch.no_grad():
        hidden = model(batch)
        logits = F.linear(hidden, model.text_rows)
        loss, _ = gpt2.text_loss(batch.tokens)
        assert float(model.loss(batch).text) == pytest.approx(float(loss), rel=1e-5)
    assert logits.shape == (1, 6, 70)
    assert torch.equal(model.language.wte.weight[70], separator)
    assert torch.equal(model.eeg_rows, eeg_rows)


def test_a_gpt2_of_another_size_is_refused(model: NeuroLM, config: ModelConfig) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for change in ({"positions": 31}, {"text_tokens": 69}):
        with pytest.raises(CheckpointError, match="do not fit this recipe"):
            model.initialise_language(GPT2(replace(config.language, **change)).state_dict())
    with pytest.raises(CheckpointError, match=r"ln_f\.bias has shape None"):
        state = GPT2(config.language).state_dict()
        del state["ln_f.bias"]
        model.initialise_language(state)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


OFFICIAL_COUNTS = {"base": 254_321_280, "large": 500_282_496, "xl": 1_736_791_872}
"""Parameters as the official ``get_num_params`` counts them: encoder, bridge, channel embedding, GPT-2 and head, all
but the position embedding. The paper's table says 254M, 500M and 1,696M: the first two are these in units of a
million, the third is this in units of 1,024,000."""


@pytest.mark.parametrize("name", sorted(OFFICIAL_COUNTS))
def test_sizes_of_the_paper(name: str) -> None:
    with torch.device("meta"):
        model = NeuroLM(recipe(name).model)
    parts = (model.tokenizer.encoder, model.bridge, model.channel_embedding, model.language, model.head)
    total = sum(p.numel() for part in parts for p in part.parameters()) - model.language.wpe.weight.numel()
    assert total == OFFICIAL_COUNTS[name]
    paper = {"base": 254e6, "large": 500e6, "xl": 1_696 * 1_024_000}[name]
    assert total == pytest.approx(paper, rel=2e-3)
    assert model.vocabulary.size == model.head.out_features == 58_496


def test_recipes_take_no_memory_on_meta() -> None:
    for name in RECIPES:
        with torch.device("meta"):
            model = NeuroLM(recipe(name).model)
        assert all(value.is_meta for value in model.state_dict().values()), name


def test_the_last_second_of_eeg_changes_no_loss_and_no_gradient(model: NeuroLM, samples: list[Sample]) -> None:
    """Nobody sees it and it predicts nothing, so pretraining leaves it out of the language model's work."""
    found = []
    for last_second in (True, False):
        model.zero_grad()
        documents = [Document(sample=i, predict_eeg=True, last_second=last_second) for i in range(len(samples))]
        losses = model.loss(build_batch(samples, documents), softmax="joint")
        losses.eeg.backward()
        found.append([losses.eeg.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
        assert int(losses.eeg_count) == sum(len(s.second) - s.channels for s in samples)
    for whole, less in zip(*found, strict=True):
        torch.testing.assert_close(less, whole, rtol=1e-4, atol=1e-4)
