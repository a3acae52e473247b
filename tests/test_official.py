"""Equality with the authors' implementation on the golden data of the shared folder (see its README)."""

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neurolm.batch import NO_PATCH, NO_TARGET, NO_TEXT, PADDING, Batch, Patches, Tokens
from neurolm.engine import generate, score_options
from neurolm.errors import CheckpointError
from neurolm.model.attention import visibility
from neurolm.model.encoder import RealPatches
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer, targets
from neurolm.official import (
    UNUSED,
    neurolm_from_official,
    neurolm_to_official,
    official_names,
    tokenizer_from_official,
    tokenizer_to_official,
)

Golden = Callable[[str], dict[str, Tensor]]
TEXT_START = 4
"""Position of the first text token of every sample of the EEG + text case: the official code takes the longest."""


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "official" / "golden"


@pytest.fixture(scope="module")
def golden(folder: Path) -> Golden:
    def load(name: str) -> dict[str, Tensor]:
        with np.load(folder / f"{name}.npz") as file:
            values = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
        return {k: v if v.is_floating_point() or v.dtype == torch.bool else v.long() for k, v in values.items()}

    return load


def weight(name: str, shape: list[int]) -> Tensor:
    """The recipe of the golden data's README."""
    r = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) == 1 and name.endswith("weight") and ("ln_" in name or "norm" in name):
        r = 1 + 0.1 * r
    elif name.endswith("initted"):
        r = np.ones_like(r)
    elif "quantize" in name and name.endswith("embedding.weight"):
        r = r / np.linalg.norm(r, axis=1, keepdims=True)
    elif "cluster_size" in name or "embed_avg" in name:
        r = np.abs(r)
    elif len(shape) >= 2 and not any(part in name for part in ("wte", "wpe", "embed", "lm_head")):
        r = r * (2 / np.sqrt(np.prod(shape[1:])))
    else:
        r = 0.1 * r
    return torch.from_numpy(r.astype(np.float32))


@pytest.fixture(scope="module")
def tokenizer_state(folder: Path) -> dict[str, Tensor]:
    return {k: weight(k, s) for k, s in json.loads((folder / "vq_keys.json").read_text()).items()}


@pytest.fixture(scope="module")
def language_state(folder: Path) -> dict[str, Tensor]:
    return {k: weight(k, s) for k, s in json.loads((folder / "neurolm_keys.json").read_text()).items()}


@pytest.fixture(scope="module")
def tokenizer(tokenizer_state: dict[str, Tensor]) -> NeuralTokenizer:
    return tokenizer_from_official(tokenizer_state).eval()


@pytest.fixture(scope="module")
def padded_tokenizer(tokenizer_state: dict[str, Tensor]) -> NeuralTokenizer:
    return tokenizer_from_official(tokenizer_state, padded_to=24).eval()


@pytest.fixture(scope="module")
def model(language_state: dict[str, Tensor]) -> NeuroLM:
    return neurolm_from_official(language_state, padded_to=24).eval()


def patches_of(case: dict[str, Tensor]) -> Patches:
    """Two samples, one in each row."""
    mask = case.get("input_mask", torch.ones(case["X"].shape[:2], dtype=torch.bool))
    document = torch.where(mask, 0, PADDING)
    return Patches(samples=case["X"], channel=case["input_chans"], second=case["input_time"], document=document)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.detach() - expected).norm() / expected.norm())


def test_tokenizer_with_padding(golden: Golden, padded_tokenizer: NeuralTokenizer) -> None:
    case = golden("vq")
    patches, mask = patches_of(case), case["input_mask"]
    with torch.no_grad():
        found = padded_tokenizer.tokenize(patches)
        decoded = padded_tokenizer.decode(found.quantized, patches)
    assert torch.equal(found.codes[mask], case["codes"][mask])
    for ours, theirs in (
        (found.features, "features"),
        (found.quantized, "quantized"),
        (decoded.spectrum, "rec_freq"),
        (decoded.waveform, "rec_raw"),
    ):
        assert relative(ours[mask], case[theirs][mask]) < 1e-4, theirs
    # Their losses are means over padding too, where prediction and target are zero.
    real = RealPatches.of(patches)
    for ours, wanted, theirs in zip(
        (decoded.spectrum, decoded.waveform),
        targets(real.take(patches.samples), real),
        ("freq_loss", "raw_loss"),
        strict=True,
    ):
        loss = F.mse_loss(real.take(ours), wanted) * mask.float().mean()
        assert float(loss) == pytest.approx(float(case[theirs]), rel=1e-4)


def test_targets(golden: Golden) -> None:
    for name in ("vq", "vq_unpadded"):
        case = golden(name)
        patches = patches_of(case)
        real = RealPatches.of(patches)
        spectrum, waveform = targets(real.take(patches.samples), real)
        torch.testing.assert_close(spectrum, real.take(case["Y_freq"]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(waveform, real.take(case["Y_raw"]), rtol=1e-4, atol=1e-5)


def test_tokenizer_losses_and_gradients(
    golden: Golden, folder: Path, tokenizer: NeuralTokenizer, tokenizer_state: dict[str, Tensor]
) -> None:
    case = golden("vq_unpadded")
    patches, words = patches_of(case), tokenizer_state["wte.weight"]
    losses = tokenizer.loss(patches, words[case["text"]].flatten(0, 1), reversal=0.3)
    assert torch.equal(losses.codes, case["codes"].flatten())
    assert relative(tokenizer.encode(patches), case["features"]) < 1e-4
    for ours, theirs in {
        "commitment": "quant_loss",
        "frequency": "freq_loss",
        "raw": "raw_loss",
        "domain_eeg": "domain_loss",
        "domain_text": "domain_loss_text",
    }.items():
        assert float(getattr(losses, ours).detach()) == pytest.approx(float(case[theirs]), rel=1e-4), theirs
    total = float(case["loss"] + case["domain_loss"] + case["domain_loss_text"])
    assert float(losses.total.detach()) == pytest.approx(total, rel=1e-4)

    losses.total.backward()
    expected = json.loads((folder / "vq_gradient_norms.json").read_text())
    ours = official_names(tokenizer)
    parameters = dict(tokenizer.named_parameters())
    assert {ours[name] for name in expected} == parameters.keys()
    found = {name: float(parameters[ours[name]].grad.norm()) for name in expected}  # type: ignore[union-attr]
    assert found == pytest.approx(expected, rel=1e-3)


def test_codebook_step(golden: Golden, tokenizer_state: dict[str, Tensor]) -> None:
    case = golden("quantizer_ema")
    quantizer = tokenizer_from_official(tokenizer_state).quantizer
    before = quantizer.codebook.clone()
    found = quantizer(case["z"].flatten(0, 1))
    assert torch.equal(quantizer.codebook, before)
    assert torch.equal(found.codes, case["codes"])
    assert relative(found.quantized, case["z_q"].flatten(0, 1)) < 1e-4
    assert float(found.commitment.detach()) == pytest.approx(float(case["loss"]), rel=1e-4)
    use = quantizer.update(found.vectors, found.codes)
    moved = (quantizer.codebook != before).any(1).nonzero().squeeze(1)
    assert torch.equal(moved, case["changed_rows"])
    assert int(use.used) == int(case["n_rows_changed"])
    assert relative(quantizer.codebook[moved], case["changed_weight"]) < 1e-6


def tokens_of(
    case: dict[str, Tensor], *, eeg: bool, text: Tensor | None = None, text_targets: Tensor | None = None
) -> Tokens:
    """The layout of the official pass: padded EEG, then text, in a row for each sample."""
    parts: dict[str, list[Tensor]] = {name: [] for name in Tokens.__dataclass_fields__}

    def add(like: Tensor, **values: Tensor | int) -> None:
        for name, value in values.items():
            parts[name].append(value if isinstance(value, Tensor) else torch.full_like(like, value))

    if eeg:
        second, mask = case["input_time"], case["input_mask"]
        place = torch.arange(second.numel()).view_as(second)
        target = case["eeg_targets"] >= 0 if text is None else torch.zeros_like(mask)
        channels = torch.tensor([int((row == 0)[m].sum()) for row, m in zip(second, mask, strict=True)])[:, None]
        add(
            second,
            document=torch.where(mask, 0, PADDING),
            step=second,
            position=second,
            text=NO_TEXT,
            patch=torch.where(mask, place, NO_PATCH),
            target=NO_TARGET,
            target_patch=torch.where(target, place + channels, NO_PATCH),
        )
    if text is not None and text_targets is not None:
        along = torch.arange(text.shape[1]).expand_as(text) + (TEXT_START if eeg else 0)
        target = torch.where(text_targets >= 0, text_targets, NO_TARGET)
        add(
            text,
            document=0,
            step=along,
            position=along,
            text=text,
            patch=NO_PATCH,
            target=target,
            target_patch=NO_PATCH,
        )
    return Tokens(**{name: torch.cat(values, 1) for name, values in parts.items()})


def test_autoregressive_pass(golden: Golden, padded_tokenizer: NeuralTokenizer, model: NeuroLM) -> None:
    case = golden("neurolm")
    patches, tokens = patches_of(case), tokens_of(case, eeg=True)
    seen = visibility(tokens.document, tokens.step).mask[:, 0]
    real = case["input_mask"][:, :, None]
    assert torch.equal(seen & real, case["gpt_mask"][:, 0] & real)

    # The golden targets come from the tokenizer's own encoder, whose weights are not those in the language model.
    with torch.no_grad():
        codes = padded_tokenizer.tokenize(patches).codes.flatten()[tokens.target_patch[tokens.target_patch != NO_PATCH]]
        hidden = model(Batch(patches=patches, tokens=tokens))
        losses = model.loss_of(hidden, tokens, codes, softmax="joint")
        logits = model.head(hidden)
    mask, wanted = case["input_mask"], case["eeg_targets"] >= 0
    assert torch.equal(codes, case["eeg_targets"][wanted])
    assert relative(logits[..., case["cols"]][mask], case["eeg_logits"][mask]) < 1e-4
    assert relative(logits.logsumexp(-1)[mask], case["eeg_lse"][mask]) < 1e-4
    assert int(losses.eeg_count) == int(wanted.sum())
    assert float(losses.eeg / losses.eeg_count) == pytest.approx(float(case["eeg_loss"]), rel=1e-4)
    assert float(losses.eeg_correct / losses.eeg_count) == pytest.approx(float(case["eeg_accuracy"]))


def test_text_pass(golden: Golden, model: NeuroLM) -> None:
    case = golden("neurolm")
    tokens = tokens_of(case, eeg=False, text=case["text"], text_targets=case["text_targets"])
    batch = Batch(patches=None, tokens=tokens)
    with torch.no_grad():
        losses = model.loss(batch, softmax="joint")
        logits = model.head(model(batch))
    assert relative(logits[..., case["cols"]], case["text_logits"]) < 1e-4
    assert float(losses.text / losses.text_count) == pytest.approx(float(case["text_loss"]), rel=1e-4)
    assert int(losses.eeg_count) == 0


def test_instruction_pass_and_first_token(golden: Golden, model: NeuroLM) -> None:
    case = golden("neurolm")
    text = case["inst_text"]
    patches = patches_of(case)
    tokens = tokens_of(case, eeg=True, text=text, text_targets=case["inst_targets"])
    batch = Batch(patches=patches, tokens=tokens)
    with torch.no_grad():
        losses = model.loss(batch, softmax="joint")
        logits = model.head(model(batch))[:, -text.shape[1] :]
    assert relative(logits[..., case["cols"]], case["inst_logits"]) < 1e-4
    assert float(losses.text / losses.text_count) == pytest.approx(float(case["inst_loss"]), rel=1e-4)

    # The engine takes documents from the left, without the official padding between EEG and text.
    closed = left_aligned(tokens)
    written = generate(model, Batch(patches=patches, tokens=closed), max_tokens=1)
    assert written == case["first_generated"][:, None].tolist()
    first = [[int(token)] for token in case["first_generated"]]
    likelihood = score_options(model, Batch(patches=patches, tokens=closed), first)
    expected = logits[:, -1, :50_257].log_softmax(-1)[:, case["first_generated"]]
    torch.testing.assert_close(likelihood, expected, rtol=1e-4, atol=1e-4)


def left_aligned(tokens: Tokens) -> Tokens:
    """The same documents with their padding at the right."""
    order = (tokens.document == PADDING).long().argsort(dim=1, stable=True)
    return replace(tokens, **{name: getattr(tokens, name).gather(1, order) for name in Tokens.__dataclass_fields__})


def test_states_round_trip(
    tokenizer: NeuralTokenizer,
    model: NeuroLM,
    tokenizer_state: dict[str, Tensor],
    language_state: dict[str, Tensor],
) -> None:
    written = tokenizer_to_official(tokenizer, tokenizer_state["wte.weight"])
    assert written.keys() == tokenizer_state.keys()
    for key, value in tokenizer_state.items():
        assert written[key].shape == value.shape, key
        assert key in UNUSED or torch.equal(written[key], value), key
    written = neurolm_to_official(model)
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
        state["VQ.encoder.patch_embed.l.0.weight"] = torch.zeros(768, 1000)  # patches of another length
        message = r"VQ\.encoder\.patch_embed\.l\.0\.weight has shape \(768, 1000\), expected \(768, 400\)"
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


def test_without_codebook_no_codes(golden: Golden, model: NeuroLM) -> None:
    case = golden("neurolm")
    with pytest.raises(CheckpointError, match="no codebook"):
        model.loss(Batch(patches=patches_of(case), tokens=tokens_of(case, eeg=True)))
