"""The language model on EEG, on text and on both, against the proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurolm.ask.engine import generate
from neurolm.batches.loader import Document, build_tokens
from neurolm.core.batch import NO_PATCH, NO_TARGET, NO_TEXT, Batch, Tokens
from neurolm.core.errors import CheckpointError
from neurolm.model.attention import visibility
from neurolm.model.neurolm import NeuroLM
from neurolm.official.verify.comparison import Comparison, close, equal
from neurolm.official.verify.proof import Case, Proof
from neurolm.official.verify.tokenizer import Packed, check_padding, official_mask
from neurolm.official.weights import neurolm_from_official, tokenizer_from_official

IGNORED = -1
"""Their target of a place that predicts nothing."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the three passes share."""

    case: Case
    model: NeuroLM
    packed: Packed
    columns: Tensor
    """Outputs of which the proof holds the logits."""

    @classmethod
    def of(cls, proof: Proof) -> Setting:
        """Read the case and build the model."""
        case = proof.case("neurolm")
        width = case.mask.shape[1]
        model = neurolm_from_official(proof.language_state, padded_to=width, heads=proof.heads).eval()
        packed = Packed.of(case.samples(model.config.tokenizer))
        return cls(case=case, model=model, packed=packed, columns=case.ids("cols", model.vocabulary.size))


def check_language(proof: Proof) -> Iterator[Comparison]:
    """All three passes."""
    setting = Setting.of(proof)
    yield from check_eeg(proof, setting)
    yield from check_text(setting)
    yield from check_instruction(setting)


def check_eeg(proof: Proof, setting: Setting) -> Iterator[Comparison]:
    """The autoregressive pass: each patch predicts the code of its channel's next second."""
    case, model, packed = setting.case, setting.model, setting.packed
    mask = case.mask
    yield from check_padding(case)
    documents = [Document(sample=i, predict_eeg=True) for i in range(len(packed.samples))]
    tokens = build_tokens(documents, packed.samples, packed.starts, packed=False)
    yield equal("neurolm: stair-step mask", masks(tokens, mask), case["gpt_mask"][:, 0])

    # Their targets come from the tokenizer's own encoder, whose weights differ from those in the language model here.
    tokenizer = tokenizer_from_official(proof.tokenizer_state, padded_to=mask.shape[1], heads=proof.heads).eval()
    wanted = tokens.target_patch != NO_PATCH
    with torch.no_grad():
        codes = tokenizer.tokenize(packed.patches).codes.flatten()[tokens.target_patch[wanted]]
        hidden = model(Batch(patches=packed.patches, tokens=tokens))
        losses = model.loss_of(hidden, tokens, codes, softmax="joint")
        logits = model.head(hidden[tokens.patch != NO_PATCH])
    targets = torch.full(mask.shape, IGNORED - model.vocabulary.eeg_start)
    here = torch.full(wanted.shape, IGNORED - model.vocabulary.eeg_start)
    here[wanted] = codes
    targets[mask] = here[tokens.patch != NO_PATCH]
    yield equal("neurolm: EEG targets", targets, case["eeg_targets"])
    yield close("neurolm: EEG logits", logits[:, setting.columns], case["eeg_logits"][mask])
    yield close("neurolm: EEG log-sum-exp", logits.logsumexp(-1), case["eeg_lse"][mask])
    yield close("neurolm: EEG loss", losses.eeg / losses.eeg_count, case["eeg_loss"])
    yield equal("neurolm: EEG accuracy", float(losses.eeg_correct) / int(losses.eeg_count), case["eeg_accuracy"])


def check_text(setting: Setting) -> Iterator[Comparison]:
    """The pass of text alone."""
    case, model = setting.case, setting.model
    text = case.ids("text", model.vocabulary.eeg_start)
    tokens = with_targets(build_tokens([Document(text=row.numpy()) for row in text]), case, "text_targets", model)
    logits, loss = _text(setting, Batch(patches=None, tokens=tokens), text.shape)
    yield close("neurolm: text logits", logits[..., setting.columns], case["text_logits"])
    yield close("neurolm: text loss", loss, case["text_loss"])


def check_instruction(setting: Setting) -> Iterator[Comparison]:
    """EEG, then text, with the loss on the answer; and the first token that is generated."""
    case, model, packed = setting.case, setting.model, setting.packed
    text = case.ids("inst_text", model.vocabulary.eeg_start)
    documents = [Document(sample=i, text=row.numpy()) for i, row in enumerate(text)]
    tokens = build_tokens(documents, packed.samples, packed.starts, packed=False)
    real = torch.cat((case.mask, torch.ones_like(text, dtype=torch.bool)), 1)
    yield equal("neurolm: EEG + text mask", masks(tokens, real), case["inst_mask"][:, 0])
    tokens = with_targets(_official_positions(tokens, packed), case, "inst_targets", model)
    batch = Batch(patches=packed.patches, tokens=tokens)
    logits, loss = _text(setting, batch, text.shape)
    yield close("neurolm: EEG + text logits", logits[..., setting.columns], case["inst_logits"])
    yield close("neurolm: EEG + text loss", loss, case["inst_loss"])
    written = [row or [model.vocabulary.end_of_text] for row in generate(model, batch, max_tokens=1)]
    yield equal("neurolm: first generated token", torch.tensor(written)[:, 0], case["first_generated"])


def masks(tokens: Tokens, real: Tensor) -> Tensor:
    """Who sees whom in the official layout, bool (samples, width, width); see ``official_mask``."""
    seen = visibility(tokens.document, tokens.step).mask[:, 0]
    return torch.stack([official_mask(ours, row) for ours, row in zip(seen, real, strict=True)])


def with_targets(tokens: Tokens, case: Case, key: str, model: NeuroLM) -> Tokens:
    """The same tokens with the proof's targets at the places of text."""
    given = case[key]
    wrong = given[(given < IGNORED) | (given >= model.vocabulary.size)]
    if len(wrong):
        raise CheckpointError(f"{case.path}: {key} holds {int(wrong[0])}, which is no token")
    target = tokens.target.clone()
    target[tokens.text != NO_TEXT] = torch.where(given == IGNORED, NO_TARGET, given).flatten()
    return replace(tokens, target=target)


def _official_positions(tokens: Tokens, packed: Packed) -> Tokens:
    """Text after the longest sample of the batch, where the official code has the text of every sample start."""
    seconds = torch.tensor([sample.seconds for sample in packed.samples])
    later = (seconds.max() - seconds)[:, None]
    return replace(tokens, position=torch.where(tokens.text != NO_TEXT, tokens.position + later, tokens.position))


def _text(setting: Setting, batch: Batch, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Logits at the places of text, (samples, tokens, outputs), and the mean loss over its targets."""
    tokens = batch.tokens
    assert tokens is not None
    with torch.no_grad():
        hidden = setting.model(batch)
        losses = setting.model.loss_of(hidden, tokens, tokens.text.new_zeros(0), softmax="joint")
        logits = setting.model.head(hidden[tokens.text != NO_TEXT])
    return logits.unflatten(0, shape), losses.text / losses.text_count
