"""The authors' files and our checkpoint folders, both ways:

    neurolm convert official VQ.pt NeuroLM-B.pt --out DIR
    neurolm convert to-official DIR --out FOLDER

The weights are mapped from disk and given other names; no model is built, so that the largest one converts in little
more memory than its weights take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from neurolm import __version__
from neurolm.batches.text import GPT2_SIZE, TextTokenizer
from neurolm.checkpoint import WEIGHTS, AdapterFile, Card, load_card, load_neurolm, save_checkpoint
from neurolm.core.config import ModelConfig, RunConfig, TransformerConfig
from neurolm.core.errors import CheckpointError, ConfigError, argument
from neurolm.core.files import atomic_file
from neurolm.core.physics import BAND
from neurolm.core.recipes import RECIPES
from neurolm.core.small_files import parse_json, require_regular
from neurolm.hub.model_card import FILE, model_card
from neurolm.hub.publish import BESIDE
from neurolm.model.neurolm import NeuroLM
from neurolm.official import PADDED_TO
from neurolm.official.file import TENSORS, OfficialFile, read_official
from neurolm.official.weights import (
    TEXT_TOKENS,
    UNUSED,
    Heads,
    neurolm_config,
    neurolm_weights,
    weights_to_official,
)

TOKENIZER_FILE = "VQ.pt"
LANGUAGE_FILES = {"base": "NeuroLM-B.pt", "large": "NeuroLM-L.pt", "xl": "NeuroLM-XL.pt"}
"""Names of the authors' files, by the recipe that has their sizes."""
KEPT = "official.safetensors"
"""What the method does not use of the authors' files, so that they can be written again as they were."""
FIXED = {"code_width": 128, "codes": 8192, "channels": 256, "seconds": 64, "classifier_width": 256}
"""Sizes of the tokenizer that the authors' code has no setting for."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What became of one file's tensors."""

    file: str
    used: int
    parameters: int
    """Numbers in the used tensors."""
    unused: tuple[tuple[str, str], ...] = ()
    """Tensors that the method does not need, and what they are."""
    left: tuple[str, ...] = ()
    """Entries that were not converted."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was read and written."""

    folder: Path
    recipe: str
    files: tuple[Matched, ...]
    notes: tuple[str, ...] = ()


def from_official(
    tokenizer: str | Path,
    language: str | Path,
    out: Path,
    *,
    gpt2: str | Path | None = None,
    padded_to: int = PADDED_TO,
) -> Conversion:
    """Write the authors' two files as a checkpoint folder of the ``pretrain`` stage.

    Parameters
    ----------
    tokenizer, language
        ``VQ.pt`` and, say, ``NeuroLM-B.pt``: paths, or ``hf://Weibang/NeuroLM/VQ.pt`` on the Hugging Face hub.
    out
        Folder to write.
    gpt2
        Folder or hub id of GPT-2's text tokenizer, which the folder needs to read text; left out without.
    padded_to
        As in :class:`~neurolm.core.config.TokenizerConfig`: 1024 gives the numbers of the authors' pretraining.

    Raises
    ------
    CheckpointError
        If a file is missing, truncated, not safe to load, not of this kind, or has tensors that do not fit.
    """
    if padded_to < 0:
        raise CheckpointError(f"padded_to must be a number of patches, or 0 for no padding, not {padded_to}")
    text = None if gpt2 is None else _gpt2_text(gpt2)
    neural, words = read_official(tokenizer, prefix="VQ."), read_official(language, prefix="GPT2.")
    heads = Heads(
        encoder=_setting(neural, "encoder_args", "n_head"),
        decoder=_setting(neural, "decoder_args", "n_head"),
        language=_setting(words, "model_args", "n_head"),
    )
    try:
        config = neurolm_config(words.tensors, neural.tensors, padded_to=padded_to, heads=heads)
        with torch.device("meta"):
            model = NeuroLM(config)
        weights = neurolm_weights(model, words.tensors, neural.tensors)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{neural.source}, {words.source}: {error}") from error
    _require_settings(neural, "encoder_args", config.tokenizer.encoder)
    _require_settings(neural, "decoder_args", config.tokenizer.decoder)
    _require_settings(words, "model_args", config.language.transformer)
    card = _card(config, steps=int(words.settings.get("iter_num") or 0))
    kept = {name: neural.tensors[name].contiguous() for name in UNUSED if name in neural.tensors}
    settings = {"tokenizer": json.dumps(neural.settings), "language": json.dumps(words.settings)}

    def extra(folder: Path) -> None:
        save_file(kept, folder / KEPT, metadata=settings)
        sources = [s if s.startswith("hf:") else Path(s).name for s in (neural.source, words.source)]
        (folder / FILE).write_text(model_card(card, converted_from=sources), encoding="utf-8")

    save_checkpoint(out, card, weights, text, extra=extra)
    notes = ["what the weights were trained on is not recorded in the files; see the README.md beside them"]
    if text is None:
        notes.append(f"without GPT-2's text tokenizer the folder cannot read text: give {argument(gpt2='FOLDER')}")
    return Conversion(folder=out, recipe=card.run.recipe, files=(_matched(neural), _matched(words)), notes=tuple(notes))


def to_official(folder: Path, out: Path) -> Conversion:
    """Write a checkpoint folder of the ``pretrain`` or ``instruct`` stage as two files that the authors' code loads.

    Raises
    ------
    CheckpointError
        If the folder holds no such checkpoint, or a model that the authors' code cannot hold.
    """
    folder, out = Path(folder), Path(out)
    card = load_card(folder)
    if card.stage not in ("pretrain", "instruct"):
        raise CheckpointError(f"{folder}: made by stage {card.stage!r}; give the folder of pretrain or instruct")
    config = card.run.model
    _require_official_sizes(folder, config)
    with torch.device("meta"):
        model = NeuroLM(config)
    if AdapterFile.load(folder) is None:
        weights = _read_weights(folder / WEIGHTS, model)
    else:
        weights = load_neurolm(folder)[0].state_dict()
    neural_weights = {
        name.removeprefix("tokenizer."): t for name, t in weights.items() if name.startswith("tokenizer.")
    }
    neural, words = weights_to_official(model.tokenizer, neural_weights), weights_to_official(model, weights)
    kept, settings = _read_kept(folder / KEPT)
    notes = []
    if not kept:
        kept = {
            "VQ.quantize.embedding.cluster_size": neural["VQ.quantize.cluster_size"].clone(),
            "VQ.quantize.embedding.embed_avg": neural["VQ.quantize.embedding.weight"].clone(),
        }
        notes.append(
            f"{TOKENIZER_FILE} has no wte.weight (GPT-2's word embeddings): their later stages do not "
            "read it, their tokenizer training would"
        )
    if beside := [name for name in BESIDE if (folder / name).is_file()]:
        notes.append(
            f"{', '.join(beside)}: not carried over, since the authors' format has no place for evidence and "
            "calibration; from these files the language model answers alone"
        )
    for name, group in {"encoder": config.tokenizer.encoder, "decoder": config.tokenizer.decoder}.items():
        settings["tokenizer"].setdefault(f"{name}_args", _arguments(group, name, config))
    settings["language"].setdefault("model_args", _arguments(config.language.transformer, "language", config))
    settings["language"].setdefault("iter_num", card.steps)
    files = {
        TOKENIZER_FILE: {TENSORS: neural | kept, **settings["tokenizer"]},
        LANGUAGE_FILES.get(_recipe_of(config), "NeuroLM.pt"): {TENSORS: words, **settings["language"]},
    }
    matched = []
    for name, content in files.items():
        with atomic_file(out / name) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
        tensors = content[TENSORS]
        matched.append(Matched(file=str(out / name), used=len(tensors), parameters=_count(tensors.values())))
    return Conversion(folder=out, recipe=card.run.recipe, files=tuple(matched), notes=tuple(notes))


def _setting(file: OfficialFile, group: str, name: str) -> int:
    """Return a size that the file states, 0 where it states none."""
    values = file.settings.get(group)
    value = values.get(name, 0) if isinstance(values, dict) else 0
    if not isinstance(value, int) or value < 0:
        raise CheckpointError(f"{file.source}: {group}.{name} is {value!r}, expected a number")
    return value


def _require_settings(file: OfficialFile, group: str, config: TransformerConfig) -> None:
    """Check that the file's tensors are of the sizes that it states."""
    stated = file.settings.get(group) or {}
    for theirs, ours in {"n_layer": config.layers, "n_embd": config.width, "bias": config.bias}.items():
        if stated.get(theirs, ours) != ours:
            raise CheckpointError(
                f"{file.source}: {group}.{theirs} is {stated[theirs]}, but its tensors have {ours}: not a whole file"
            )


def _recipe_of(config: ModelConfig) -> str:
    """Return the recipe whose model has these sizes; ``official`` where there is none."""
    tokenizer = replace(config.tokenizer, padded_to=0)
    for name in LANGUAGE_FILES:
        model = RECIPES[name]().model
        if (model.tokenizer, model.language) == (tokenizer, config.language):
            return name
    return "official"


def _card(config: ModelConfig, *, steps: int) -> Card:
    """What is known of weights that were not trained here: their sizes, and that the input is in the paper's band."""
    name = _recipe_of(config)
    run: RunConfig = RECIPES[name if name in RECIPES else "base"]()
    return Card(
        version=__version__,
        stage="pretrain",
        steps=steps,
        run=replace(run, recipe=name, model=config),
        band=BAND,
        corpora=("not recorded: converted from the official format",),
        licences=("that of the converted files, which do not state it",),
    )


def _gpt2_text(gpt2: str | Path) -> TextTokenizer:
    text = TextTokenizer.load(gpt2)
    if text.size != GPT2_SIZE:
        raise CheckpointError(f"{gpt2}: a text tokenizer of {text.size:,} tokens, and these weights need GPT-2's")
    return text


def _matched(file: OfficialFile) -> Matched:
    used = {name: tensor for name, tensor in file.tensors.items() if name not in UNUSED}
    return Matched(
        file=file.source,
        used=len(used),
        parameters=_count(used.values()),
        unused=tuple((name, why) for name, why in UNUSED.items() if name in file.tensors),
        left=file.left,
    )


def _count(tensors) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _require_official_sizes(folder: Path, config: ModelConfig) -> None:
    found: dict[str, object] = {name: getattr(config.tokenizer, name) for name in FIXED}
    wanted: dict[str, object] = dict(FIXED)
    tokenizer = config.tokenizer
    found |= {"attention": tokenizer.attention, "spectral": tokenizer.spectral, "spectrum": tokenizer.spectrum}
    wanted |= {"attention": "full", "spectral": False, "spectrum": "amplitude"}
    found |= {"feature_scale": config.feature_scale, "text_tokens": config.language.text_tokens}
    wanted |= {"feature_scale": 0, "text_tokens": TEXT_TOKENS}
    wrong = [f"{name} is {found[name]}, there {wanted[name]}" for name in wanted if found[name] != wanted[name]]
    if wrong:
        raise CheckpointError(f"{folder}: the authors' code cannot hold this model: {'; '.join(wrong)}")


def _read_weights(path: Path, model: NeuroLM) -> dict[str, Tensor]:
    try:
        require_regular(path)
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy or convert the checkpoint again") from error
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise CheckpointError(f"{path}: does not fit its config.json; first of {len(wrong)} differences: {wrong[0]}")
    return weights


def _read_kept(path: Path) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """Return what a conversion kept of the authors' files, if there was one."""
    if not path.is_file():
        return {}, {"tokenizer": {}, "language": {}}
    try:
        with safe_open(path, "pt") as file:
            stated = file.metadata() or {}
        settings = {group: parse_json(stated.get(group, "{}")) for group in ("tokenizer", "language")}
        return load_file(path), settings
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); convert the official files again") from error


def _arguments(transformer: TransformerConfig, part: str, config: ModelConfig) -> Mapping[str, Any]:
    """Settings with which the authors' code builds a part."""
    common = {
        "n_layer": transformer.layers,
        "n_head": transformer.heads,
        "n_embd": transformer.width,
        "bias": transformer.bias,
        "dropout": 0.0,
    }
    if part == "language":
        return common | {"block_size": config.language.positions, "vocab_size": config.vocabulary.eeg_start}
    common |= {"block_size": PADDED_TO, "num_classes": 0}
    if part == "encoder":
        return common | {"in_chans": 1, "out_chans": config.tokenizer.convolution_channels}
    return common | {"in_chans": config.tokenizer.code_width}


def report(conversion: Conversion) -> Sequence[str]:
    """Lines that say what matched."""
    lines = []
    for file in conversion.files:
        lines.append(f"{file.file}: {file.used} tensors, {file.parameters:,} numbers, every name and shape as expected")
        lines += [f"  not needed: {name}, {why}" for name, why in file.unused]
        lines += [f"  not converted: {name}" for name in file.left]
    lines += [f"note: {note}" for note in conversion.notes]
    return lines
