"""Options are scored and text is written as a full recomputation would."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from neurolm.ask.engine import generate, score_each, score_options
from neurolm.batches.loader import Document, Sample, build_batch
from neurolm.core.batch import Batch
from neurolm.core.config import LanguageConfig, ModelConfig, TokenizerConfig, TransformerConfig
from neurolm.core.errors import QuestionError
from neurolm.model.neurolm import NeuroLM

TRANSFORMER = TransformerConfig(layers=2, heads=2, width=32, bias=True)
OPTIONS = [[5], [6, 7, 69], [8, 9, 10, 69], [6, 7, 11]]
QUESTIONS = [(70, 1, 2, 3), (70, 4), (70, 1, 2, 3, 4, 5), (70, 1)]


CONFIG = ModelConfig(
    tokenizer=TokenizerConfig(
        encoder=TRANSFORMER, decoder=replace(TRANSFORMER, layers=1), codes=16, code_width=8, classifier_width=8
    ),
    language=LanguageConfig(transformer=TRANSFORMER, positions=24, text_tokens=70),
)


@pytest.fixture(scope="module")
def model() -> NeuroLM:
    torch.manual_seed(0)
    model = NeuroLM(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        Sample(
            patches=rng.standard_normal((channels * seconds, 200), dtype=np.float32),
            channel=np.tile(np.arange(channels), seconds),
            second=np.repeat(np.arange(seconds), channels),
        )
        for channels, seconds in ((3, 4), (2, 2), (1, 3), (5, 1))
    ]


@pytest.fixture(scope="module")
def batch(samples: list[Sample]) -> Batch:
    documents = [Document(sample=i, text=text, predict_from=99) for i, text in enumerate(QUESTIONS)]
    return build_batch(samples, documents, packed=False)


def recomputed(model: NeuroLM, sample: Sample, text: tuple[int, ...]) -> Tensor:
    """Log-probabilities of text tokens after each token of one document, without cache and batch-mates."""
    with torch.no_grad():
        hidden = model(build_batch([sample], [Document(sample=0, text=text)]))[0, -len(text) :]
        return model.head(hidden)[:, :70].log_softmax(-1)


def test_scores_equal_full_recomputation(model: NeuroLM, samples: list[Sample], batch: Batch) -> None:
    found = score_options(model, batch, OPTIONS)
    expected = torch.zeros(len(samples), len(OPTIONS))
    for i, (sample, question) in enumerate(zip(samples, QUESTIONS, strict=True)):
        for j, option in enumerate(OPTIONS):
            after = recomputed(model, sample, (*question, *option))[len(question) - 1 : -1]
            expected[i, j] = after.gather(1, torch.tensor(option)[:, None]).sum()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_each_document_can_have_options_of_its_own(model: NeuroLM, samples: list[Sample], batch: Batch) -> None:
    """As many and as long as they may be: each is scored as alone, also beside one that continues nothing."""
    own = [OPTIONS, [[5], [6]], [[6, 7, 69, 1, 2], [8, 9]], OPTIONS[::-1]]
    found = score_each(model, batch, own)
    for number, (score, options) in enumerate(zip(found, own, strict=True)):
        document = Document(sample=0, text=QUESTIONS[number], predict_from=99)
        alone = score_options(model, build_batch([samples[number]], [document], packed=False), options)[0]
        torch.testing.assert_close(score, alone, atol=1e-5, rtol=1e-5)
    single = score_each(model, batch, [[[5], [6]]] * len(samples))
    torch.testing.assert_close(torch.stack(single), score_options(model, batch, [[5], [6]]), atol=1e-5, rtol=1e-5)
    with pytest.raises(QuestionError, match="this model reads 24"):
        score_each(model, batch, [*own[:3], [[1] * 20, [2]]])


def test_order_and_company_change_nothing(model: NeuroLM, samples: list[Sample], batch: Batch) -> None:
    together = score_options(model, batch, OPTIONS)
    for i, (sample, question) in enumerate(zip(samples, QUESTIONS, strict=True)):
        alone = build_batch([sample], [Document(sample=0, text=question)], packed=False)
        torch.testing.assert_close(score_options(model, alone, OPTIONS)[0], together[i], rtol=1e-4, atol=1e-4)
        assert generate(model, alone, max_tokens=4, temperature=1.0, seed=1) == [
            generate(model, batch, max_tokens=4, temperature=1.0, seed=1)[i]
        ]
    shuffled = score_options(model, batch, OPTIONS[::-1])
    torch.testing.assert_close(shuffled.flip(1), together, rtol=1e-5, atol=1e-5)


def test_greedy_text_equals_full_recomputation(model: NeuroLM, samples: list[Sample], batch: Batch) -> None:
    found = generate(model, batch, max_tokens=6)
    for sample, question, written in zip(samples, QUESTIONS, found, strict=True):
        text = list(question)
        for _ in range(6):
            token = int(recomputed(model, sample, tuple(text))[-1].argmax())
            if token == 69:
                break
            text.append(token)
        assert written == text[len(question) :]


def test_text_ends_at_end_of_text(model: NeuroLM, batch: Batch) -> None:
    """Exchange the head's rows of ``<|endoftext|>`` and of a token that is written: the text ends before it."""
    unstopped = generate(model, batch, max_tokens=6)
    assert all(len(tokens) == 6 for tokens in unstopped), "choose another seed"
    last = unstopped[0][2]
    before = model.head.weight.detach().clone()
    try:
        with torch.no_grad():
            model.head.weight[[69, last]] = before[[last, 69]]
        stopped = generate(model, batch, max_tokens=6)
    finally:
        with torch.no_grad():
            model.head.weight.copy_(before)
    assert len(stopped[0]) <= 2
    assert stopped == [tokens[: tokens.index(last)] if last in tokens else tokens for tokens in unstopped]


def test_draws_are_seeded(model: NeuroLM, batch: Batch) -> None:
    drawn = [generate(model, batch, max_tokens=6, temperature=5.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    cold = generate(model, batch, max_tokens=6, temperature=1e-4, seed=3)
    assert cold == generate(model, batch, max_tokens=6)


def test_the_model_is_left_as_it_was(model: NeuroLM, batch: Batch) -> None:
    expected = score_options(model, batch, OPTIONS)
    language = replace(CONFIG.language, transformer=replace(TRANSFORMER, dropout=0.5))
    dropping = NeuroLM(replace(CONFIG, language=language))
    dropping.load_state_dict(model.state_dict())
    dropping.train()
    assert torch.equal(score_options(dropping, batch, OPTIONS), expected)
    assert dropping.training and dropping.language.training and not dropping.tokenizer.training
    assert all(torch.equal(model.state_dict()[key], value) for key, value in dropping.state_dict().items())


def test_text_alone(model: NeuroLM) -> None:
    batch = build_batch([], [Document(text=(1, 2, 3)), Document(text=(4,))], packed=False)
    found = score_options(model, batch, [[5, 6]])
    with torch.no_grad():
        logits = model.head(model(build_batch([], [Document(text=(4, 5))])))[0, :, :70].log_softmax(-1)
    assert float(found[1, 0]) == pytest.approx(float(logits[0, 5] + logits[1, 6]), rel=1e-4)


@pytest.mark.parametrize("options", [[], [[1], []]])
def test_options_must_hold_something(model: NeuroLM, batch: Batch, options: list[list[int]]) -> None:
    with pytest.raises(QuestionError, match="non-empty"):
        score_options(model, batch, options)


def test_too_long_for_the_model(model: NeuroLM, batch: Batch) -> None:
    """The longest document ends at position 8 (3 seconds, 6 tokens), so 15 more fit into 24 positions."""
    score_options(model, batch, [[1] * 16])  # the last token is not read
    with pytest.raises(QuestionError, match="take 25 positions, and this model reads 24"):
        score_options(model, batch, [[1] * 17])
    with pytest.raises(QuestionError, match="shorter"):
        generate(model, batch, max_tokens=17)
