"""The authors' weights and ours, both ways, on the weights of the proof data; their numbers are in test_verify."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from neurolm.ask.engine import score_options
from neurolm.batches.loader import Document, build_batch, build_tokens
from neurolm.core.batch import Batch
from neurolm.core.errors import CheckpointError
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.official.verify.language import Setting
from neurolm.official.verify.proof import Proof
from neurolm.official.weights import (
    TEXT_TOKENS,
    UNUSED,
    neurolm_from_official,
    tokenizer_from_official,
    weights_to_official,
)


@pytest.fixture(scope="module")
def proof(shared: Path) -> Proof:
    return Proof(folder=shared / "official" / "golden")


@pytest.fixture(scope="module")
def tokenizer_state(proof: Proof) -> dict[str, Tensor]:
    return proof.tokenizer_state


@pytest.fixture(scope="module")
def language_state(proof: Proof) -> dict[str, Tensor]:
    return proof.language_state


@pytest.fixture(scope="module")
def tokenizer(tokenizer_state: dict[str, Tensor]) -> NeuralTokenizer:
    return tokenizer_from_official(tokenizer_state).eval()


@pytest.fixture(scope="module")
def setting(proof: Proof) -> Setting:
    return Setting.of(proof)


@pytest.fixture(scope="module")
def model(setting: Setting) -> NeuroLM:
    return setting.model


def test_likelihood_of_an_answer_is_that_of_the_official_logits(setting: Setting) -> None:
    """By the key-value cache, of the token that the official code generates first."""
    case, packed, model = setting.case, setting.packed, setting.model
    samples = packed.samples
    text = case["inst_text"][0]  # of the longest sample, whose positions are the official ones
    assert samples[0].seconds == max(sample.seconds for sample in samples)
    batch = build_batch(samples[:1], [Document(sample=0, text=text.numpy())])
    token = int(case["first_generated"][0])
    columns = setting.columns.tolist()
    known = [column for column in columns if column < TEXT_TOKENS]
    found = score_options(model, batch, [[token], [known[0]], [known[1]]])[0]
    logits = case["inst_logits"][0, -1]
    expected = logits[columns.index(known[0])] - logits[columns.index(known[1])]
    torch.testing.assert_close(found[1] - found[2], expected, rtol=1e-4, atol=1e-4)
    assert found[0] == found.max()


def test_states_round_trip(
    tokenizer: NeuralTokenizer,
    model: NeuroLM,
    tokenizer_state: dict[str, Tensor],
    language_state: dict[str, Tensor],
) -> None:
    written = weights_to_official(tokenizer, tokenizer.state_dict())
    assert written.keys() == tokenizer_state.keys() - UNUSED.keys()
    for key, value in written.items():
        assert value.shape == tokenizer_state[key].shape and torch.equal(value, tokenizer_state[key]), key
    written = weights_to_official(model, model.state_dict())
    assert written.keys() == language_state.keys()
    assert all(torch.equal(written[key], value) for key, value in language_state.items())


def test_names_of_compiled_models(tokenizer: NeuralTokenizer, tokenizer_state: dict[str, Tensor]) -> None:
    compiled = {f"_orig_mod.{key}": value for key, value in tokenizer_state.items()}
    ours = tokenizer.state_dict()
    assert all(torch.equal(ours[k], v) for k, v in tokenizer_from_official(compiled).state_dict().items())


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "language"])
def test_wrong_states_are_refused(
    tokenizer_state: dict[str, Tensor], language_state: dict[str, Tensor], change: str
) -> None:
    state = dict(tokenizer_state)
    if change == "missing":
        del state["VQ.encoder.blocks.1.mlp.c_fc.weight"]
        message = "VQ.encoder.blocks.1.mlp.c_fc.weight"
    elif change == "unknown":
        state["VQ.encoder.rotary"] = torch.zeros(1)
        message = "VQ.encoder.rotary"
    elif change == "shape":
        state["VQ.encoder.patch_embed.l.0.weight"] = torch.zeros(768, 512)  # patches of another length
        message = r"l\.0\.weight has shape \(768, 512\), expected \(768, 400\): .* patches of about 256 samples"
    else:
        state, message = language_state, "not an official NeuroLM state"
    with pytest.raises(CheckpointError, match=message):
        tokenizer_from_official(state)


def test_encoders_must_belong_together(tokenizer_state: dict[str, Tensor], language_state: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="do not belong together"):
        neurolm_from_official(language_state, tokenizer_state)
    fitting = dict(tokenizer_state)
    for key, value in language_state.items():
        if key.startswith("tokenizer."):
            fitting[key.replace("tokenizer.", "VQ.encoder.", 1)] = value
    model = neurolm_from_official(language_state, fitting)
    assert torch.equal(model.tokenizer.quantizer.codebook, tokenizer_state["VQ.quantize.embedding.weight"])


def test_without_codebook_no_codes(setting: Setting) -> None:
    packed = setting.packed
    documents = [Document(sample=0, predict_eeg=True)]
    tokens = build_tokens(documents, packed.samples, packed.starts)
    with pytest.raises(CheckpointError, match="no codebook"):
        setting.model.loss(Batch(patches=packed.patches, tokens=tokens))
