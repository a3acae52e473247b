"""Weights of language models in the layout of the Hugging Face hub: safetensors alone"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from neurolm.core.backbones import read_settings
from neurolm.core.config import LanguageConfig
from neurolm.core.errors import CheckpointError
from neurolm.core.files import dump_json
from neurolm.model.backbone import new_language, words_name
from neurolm.model.gpt2 import load_gpt2
from neurolm.model.language import OUTPUT
from neurolm.model.stored import checked, opened

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_PREFIXES = ("model.", "transformer.")
"""Before the names of all weights but the output layer's, in files that `transformers` writes."""


def load_language(folder: Path, config: LanguageConfig) -> dict[str, Tensor]:
    """Load the weights that the language stage left, as the state of the run's language model."""
    return load_gpt2(folder)[1] if config.own else read_weights(folder, config)


def save_language(folder: Path, config: LanguageConfig, state: Mapping[str, Tensor]) -> None:
    """Write a model of the hub as `transformers` reads it, with the rows of the text tokens alone."""
    from safetensors.torch import save_file

    rows = {words_name(config), OUTPUT}
    kept = {name: (value[: config.text_tokens] if name in rows else value) for name, value in state.items()}
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in kept.items()},
        folder / WEIGHTS, metadata={"format": "pt"},
    )  # fmt: skip
    special = {"bos_token_id": None, "pad_token_id": None, "eos_token_id": config.end_of_text}
    settings = dict(read_settings(config.backbone)) | {"vocab_size": config.text_tokens} | special
    (folder / CONFIG).write_text(dump_json(settings, indent=2) + "\n", encoding="utf-8")


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold weights, of one or of several parts."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    return sorted(folder.glob("model-*.safetensors"))


def read_weights(folder: Path, language: LanguageConfig) -> dict[str, Tensor]:
    """Read the weights of a folder by our names, in the precision of its files.

    Raises
    ------
    CheckpointError
        If they are damaged, or not those of the configuration.
    """
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in new_language(language, output=True).state_dict().items()}
    state: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with opened(path) as file:
            for name in file.keys():  # noqa: SIM118
                ours = _ours(name)
                if ours in wanted:
                    tensor = file.get_tensor(name)
                    state[ours] = checked(tensor, tensor.dtype, name, path)
    words = words_name(language)
    for name, shape in wanted.items():
        found = tuple(state[name].shape) if name in state else None
        least = (max(found[0], shape[0]), *shape[1:]) if found and name in (words, OUTPUT) else shape
        if found != least:
            raise CheckpointError(
                f"{folder}: not the weights of the model in {CONFIG}: {name} has shape {found}, expected {shape}; "
                "download it again"
            )
    return state


def _ours(name: str) -> str:
    """Our name of a tensor of a file."""
    if name == OUTPUT:
        return name
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return f"model.{name}"
