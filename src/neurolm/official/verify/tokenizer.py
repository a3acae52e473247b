"""Loader and neural tokenizer against the proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neurolm.batches.loader import Sample, build_patches, sample_from
from neurolm.core.batch import Patches
from neurolm.core.errors import CheckpointError
from neurolm.core.montage import NAMES, PAD, channel_id
from neurolm.model.attention import visibility
from neurolm.model.encoder import RealPatches
from neurolm.model.quantizer import Quantizer
from neurolm.model.tokenizer import targets
from neurolm.official.verify.comparison import Comparison, close, equal
from neurolm.official.verify.proof import Case, Proof
from neurolm.official.weights import official_names, tokenizer_from_official

WORDS = "wte.weight"
"""GPT-2's word embeddings in the tokenizer's file."""
REVERSAL = 0.3
"""Strength of the gradient reversal in the proof's gradients."""
LOSSES = {
    "commitment": "quant_loss",
    "frequency": "freq_loss",
    "raw": "raw_loss",
    "domain_eeg": "domain_loss",
    "domain_text": "domain_loss_text",
}
"""Ours to theirs."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A case's real patches, a sample in each row, as the model reads them."""

    samples: list[Sample]
    patches: Patches
    real: RealPatches
    starts: list[int]

    @classmethod
    def of(cls, samples: list[Sample]) -> Packed:
        """Pack samples."""
        patches, starts = build_patches(samples, packed=False)
        return cls(samples=samples, patches=patches, real=RealPatches.of(patches), starts=starts)

    def targets(self) -> tuple[Tensor, Tensor]:
        """What the decoders are to predict, (real patches, …)."""
        return targets(self.real.take(self.patches.samples), self.real)


def check_channels(proof: Proof) -> Iterator[Comparison]:
    """The order of the electrodes, which their ids are."""
    names = proof.json("channels", above=True)["names"]
    yield equal("channels: ids", np.array(NAMES, object), np.array(names, object), detail=f"{len(names)} electrodes")


def check_loader(proof: Proof) -> Iterator[Comparison]:
    """Compare what the loader makes of microvolts: the tensors of training."""
    case = proof.case("loader")
    raw, names, width = case.raw("raw_uV"), [str(name) for name in case.raw("ch_names")], int(case.raw("block_size"))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise CheckpointError(f"{case.path}: ch_names has {unknown[0]!r}, which is no official electrode")
    sample = sample_from(raw.T, [channel_id(name) for name in names])
    packed = Packed.of([sample])
    spectrum, waveform = packed.targets()
    count = len(sample.second)

    def padded(values: Tensor | np.ndarray, fill: float = 0) -> Tensor:
        values = torch.as_tensor(values)
        return F.pad(values, (*[0, 0] * (values.ndim - 1), 0, width - count), value=fill)

    yield close("loader: patches", padded(sample.patches), case["X"])
    yield close("loader: frequency targets", padded(spectrum), case["Y_freq"])
    yield close("loader: raw targets", padded(waveform), case["Y_raw"])
    yield equal("loader: channel ids", padded(sample.channel, PAD), case["input_chans"])
    yield equal("loader: seconds", padded(sample.second), case["input_time"])
    mask = torch.arange(width) < count
    yield equal("loader: padding mask", mask, case["input_mask"])
    sizes = np.array([len(names), count]), np.array([case.raw("num_chans"), case.raw("num_tokens")])
    yield equal("loader: channels and patches", *sizes)
    seen = visibility(packed.patches.document, packed.patches.second).mask[0, 0]
    yield equal("loader: stair-step mask", official_mask(seen, mask), case["gpt_mask"][0])


def official_mask(seen: Tensor, real: Tensor) -> Tensor:
    """Who sees whom among all places of the official layout.

    Parameters
    ----------
    seen
        Who sees whom among the real places, bool (places, places).
    real
        Which places of the official layout are real, bool (width,). Padding is never seen; what it sees itself, every
        earlier place, means nothing.
    """
    width = len(real)
    mask = torch.ones(width, width, dtype=torch.bool).tril(-1) & real & ~real[:, None]
    mask[real[:, None] & real] = seen[: int(real.sum()), : int(real.sum())].flatten()
    return mask


def check_inputs(case: Case, packed: Packed) -> Iterator[Comparison]:
    """The standardised targets of a case and its padding."""
    mask = case.mask
    spectrum, waveform = (real_to_case(values, mask) for values in packed.targets())
    yield close(f"{case.name}: frequency targets", spectrum, case["Y_freq"])
    yield close(f"{case.name}: raw targets", waveform, case["Y_raw"])
    if not mask.all():
        yield from check_padding(case)


def check_padding(case: Case) -> Iterator[Comparison]:
    """Padding of a case is silent and has the id that marks it."""
    padding = ~case.mask
    found = torch.cat((case["input_chans"][padding], case["input_time"][padding], case["X"][padding].flatten()))
    expected = torch.zeros_like(found)
    expected[: int(padding.sum())] = PAD
    yield equal(f"{case.name}: padding", expected, found)


def real_to_case(values: Tensor, mask: Tensor) -> Tensor:
    """Values of the real patches, (patches, …), in the official layout (samples, width, …) with zeros at padding."""
    out = values.new_zeros(*mask.shape, *values.shape[1:])
    out[mask] = values
    return out


def check_padded(proof: Proof) -> Iterator[Comparison]:
    """Two samples of different montages, padded: features, codes, reconstructions.

    Commitment and EEG domain losses of this file are means over padding too, whose features mean nothing; every loss
    is compared without padding in :func:`check_losses`.
    """
    case = proof.case("vq")
    mask = case.mask
    tokenizer = tokenizer_from_official(proof.tokenizer_state, padded_to=mask.shape[1], heads=proof.heads).eval()
    packed = Packed.of(case.samples(tokenizer.config))
    yield from check_inputs(case, packed)
    with torch.no_grad():
        found = tokenizer.tokenize(packed.patches)
        decoded = tokenizer.decode(found.quantized, packed.patches)
    take = packed.real.take
    yield close("vq: features", take(found.features), case["features"][mask])
    yield equal("vq: codes", take(found.codes), case["codes"][mask])
    yield close("vq: quantised vectors", take(found.quantized), case["quantized"][mask])
    yield close("vq: frequency reconstruction", take(decoded.spectrum), case["rec_freq"][mask])
    yield close("vq: raw reconstruction", take(decoded.waveform), case["rec_raw"][mask])
    spectrum, waveform = packed.targets()
    share = mask.float().mean()  # their mean counts padding, where prediction and target are zero
    yield close("vq: frequency loss", F.mse_loss(take(decoded.spectrum), spectrum) * share, case["freq_loss"])
    yield close("vq: raw loss", F.mse_loss(take(decoded.waveform), waveform) * share, case["raw_loss"])
    yield close(
        "vq: tokenizer loss",
        case["quant_loss"].double() + case["freq_loss"] + case["raw_loss"],
        case["loss"],
        detail="their own sum",
    )
    words = proof.tokenizer_state[WORDS]
    with torch.no_grad():
        text = tokenizer.loss(packed.patches, words[case.ids("text", len(words))].flatten(0, 1), REVERSAL).domain_text
    yield close("vq: text domain loss", text, case["domain_loss_text"])


def check_losses(proof: Proof) -> Iterator[Comparison]:
    """Two samples without padding: every loss, and the gradient of every parameter."""
    case = proof.case("vq_unpadded")
    tokenizer = tokenizer_from_official(proof.tokenizer_state, heads=proof.heads).eval()
    packed = Packed.of(case.samples(tokenizer.config))
    yield from check_inputs(case, packed)
    words = proof.tokenizer_state[WORDS]
    losses = tokenizer.loss(packed.patches, words[case.ids("text", len(words))].flatten(0, 1), REVERSAL)
    with torch.no_grad():
        features = packed.real.take(tokenizer.encode(packed.patches))
    yield close("vq_unpadded: features", features, case["features"].flatten(0, 1))
    yield equal("vq_unpadded: codes", losses.codes, case["codes"].flatten())
    for ours, theirs in LOSSES.items():
        yield close(f"vq_unpadded: {ours} loss", getattr(losses, ours), case[theirs])
    yield close(
        "vq_unpadded: tokenizer loss",
        losses.commitment + losses.frequency + losses.raw,
        case["loss"],
    )

    losses.total.backward()
    names = official_names(tokenizer)
    parameters = dict(tokenizer.named_parameters())
    gradients = {
        official: gradient.norm().item()
        for official, ours in names.items()
        if ours in parameters and (gradient := parameters[ours].grad) is not None
    }
    yield from check_gradients(gradients, proof.json("vq_gradient_norms"))


def check_gradients(found: dict[str, float], expected: dict[str, float]) -> Iterator[Comparison]:
    """Norm of each parameter's gradient, relative to itself."""
    name = "vq_gradient_norms: every parameter"
    if found.keys() != expected.keys():
        other = sorted(found.keys() ^ expected.keys())
        yield Comparison(
            name=name, exact=False, error=float("inf"), detail=f"{other[0]} has a gradient in one of them only"
        )
        return
    comparisons = {key: close(name, found[key], expected[key]) for key in expected}
    worst = max(comparisons, key=lambda key: comparisons[key].error)
    yield Comparison(
        name=name,
        exact=False,
        error=comparisons[worst].error,
        detail=f"{len(comparisons)} parameters, largest at {worst}",
    )


def check_codebook(proof: Proof) -> Iterator[Comparison]:
    """One step of the codebook's moving average."""
    case = proof.case("quantizer_ema")
    state = proof.tokenizer_state
    codebook = state["VQ.quantize.embedding.weight"]
    quantizer = Quantizer(*codebook.shape, decay=float(case.raw("decay")))
    quantizer.codebook.copy_(codebook)
    quantizer.usage.copy_(state["VQ.quantize.cluster_size"])
    quantizer.initialised.fill_(True)
    vectors = case["z"].flatten(0, 1)
    found = quantizer(vectors)
    yield equal("quantizer_ema: codes", found.codes, case["codes"])
    yield close("quantizer_ema: quantised vectors", found.quantized, case["z_q"].flatten(0, 1))
    yield close("quantizer_ema: commitment loss", found.commitment, case["loss"])
    quantizer.update(found.vectors, found.codes)
    moved = (quantizer.codebook != codebook).any(1).nonzero().squeeze(1)
    yield equal("quantizer_ema: rows that moved", moved, case["changed_rows"])
    yield equal("quantizer_ema: how many moved", len(moved), case["n_rows_changed"])
    rows = case.ids("changed_rows", len(codebook))
    yield close("quantizer_ema: where they moved", quantizer.codebook[rows], case["changed_weight"])
