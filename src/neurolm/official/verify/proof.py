"""The folder of proof data: cases, official weights, and the recipe that fills them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurolm.batches.loader import Sample
from neurolm.core.config import TokenizerConfig
from neurolm.core.errors import CheckpointError
from neurolm.core.physics import PATCH
from neurolm.core.small_files import parse_json, read_small
from neurolm.official.weights import Heads

REMEDY = (
    "give a folder of proof data, which holds what the authors' code makes of weights that a recipe fills: it does not "
    "come with neurolm, and docs/deviations.md says what is in it and how to make it"
)


class Case:
    """Inputs and outputs of one file."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        try:
            # opened here, since numpy leaves a damaged file open
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                self.values = {key: np.asarray(file[key]) for key in file.files}
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); {REMEDY}") from error

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def raw(self, key: str) -> np.ndarray:
        """Return an array as it is in the file."""
        if key not in self.values:
            raise CheckpointError(f"{self.path}: has no {key}; {REMEDY}")
        return self.values[key]

    def __getitem__(self, key: str) -> Tensor:
        value = torch.from_numpy(self.raw(key))
        return value if value.is_floating_point() or value.dtype == torch.bool else value.long()

    def ids(self, key: str, limit: int) -> Tensor:
        """Return ids that rows of an embedding are looked up with.

        Raises
        ------
        CheckpointError
            If one is not in [0, limit).
        """
        value = self[key]
        wrong = value[(value < 0) | (value >= limit)]
        if len(wrong):
            raise CheckpointError(f"{self.path}: {key} holds {int(wrong[0])}, expected 0 to {limit - 1}")
        return value

    @property
    def mask(self) -> Tensor:
        """Which places hold a patch: bool (samples, width); those of padding come last."""
        if "input_mask" not in self:
            return torch.ones(self.raw("X").shape[:2], dtype=torch.bool)
        mask = self["input_mask"]
        if (mask.long().diff(dim=1) > 0).any():
            raise CheckpointError(f"{self.path}: input_mask has padding before a patch")
        return mask

    def samples(self, config: TokenizerConfig) -> list[Sample]:
        """Real patches of each sample, as the loader would make them."""
        channel, second = self.ids("input_chans", config.channels), self.ids("input_time", config.seconds)
        x = self["X"].float()
        if x.shape[2:] != (PATCH,):
            raise CheckpointError(f"{self.path}: X has shape {tuple(x.shape)}, expected patches of {PATCH}")
        return [
            Sample(patches=x[i, row].numpy(), channel=channel[i, row].numpy(), second=second[i, row].numpy())
            for i, row in enumerate(self.mask)
        ]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A folder of proof data."""

    folder: Path

    def case(self, name: str) -> Case:
        """Read one of its files."""
        return Case(self.folder / f"{name}.npz")

    def json(self, name: str, *, above: bool = False) -> Any:
        """Read a JSON file of the folder, or of the one above."""
        path = (self.folder.resolve().parent if above else self.folder) / f"{name}.json"
        try:
            return parse_json(read_small(path))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); {REMEDY}") from error

    @cached_property
    def heads(self) -> Heads:
        """Attention heads, which the shapes of the weights do not tell."""
        config = self.json("config")
        try:
            return Heads(
                encoder=config["encoder"]["n_head"],
                decoder=config["decoder"]["n_head"],
                language=config["gpt"]["n_head"],
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{self.folder / 'config.json'}: has no {error}; {REMEDY}") from error

    @cached_property
    def tokenizer_state(self) -> dict[str, Tensor]:
        """The tokenizer's weights by their official names."""
        return recipe_weights(self.json("vq_keys"))

    @cached_property
    def language_state(self) -> dict[str, Tensor]:
        """The language model's weights by their official names."""
        return recipe_weights(self.json("neurolm_keys"))


def recipe_weights(shapes: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """Weights of a list of names and shapes, which anyone can make again from the names alone."""
    return {name: recipe_weight(name, shape) for name, shape in shapes.items()}


def recipe_weight(name: str, shape: list[int]) -> Tensor:
    """Weights of one official tensor: normal draws seeded by its name, scaled by what kind of tensor it is."""
    draws = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) == 1 and name.endswith("weight") and ("ln_" in name or "norm" in name):
        draws = 1 + np.float32(0.1) * draws
    elif name.endswith("initted"):
        draws = np.ones_like(draws)
    elif "quantize" in name and name.endswith("embedding.weight"):
        draws = draws / np.linalg.norm(draws, axis=1, keepdims=True)
    elif "cluster_size" in name or "embed_avg" in name:
        draws = np.abs(draws)
    elif len(shape) >= 2 and not any(part in name for part in ("wte", "wpe", "embed", "lm_head")):
        draws = draws * (2 / np.sqrt(np.prod(shape[1:])))
    else:
        draws = np.float32(0.1) * draws
    return torch.from_numpy(draws.astype(np.float32))
