"""A language model of the hub as a run takes it: its configuration, its text tokenizer, its weights

>>> config = with_backbone(recipe("base"), "Qwen/Qwen3-0.6B")

Weights are read from safetensors alone, tensor by tensor, and stay in the precision of their file until a stage that
trains takes them. Nothing that comes with a model is run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from neurolm.batches.hub_text import SETTINGS_FILE, TEMPLATE_FILE
from neurolm.batches.text import MERGES_FILE, TOKENIZER_FILE, VOCABULARY_FILE, TextTokenizer
from neurolm.core.backbones import OWN, read_settings, sizes
from neurolm.core.config import LanguageConfig, RunConfig, TransformerConfig
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.hub_files import hub_folder
from neurolm.core.small_files import parse_json, read_small
from neurolm.model.backbone import words_name
from neurolm.model.gpt2 import WEIGHTS as GPT2_WEIGHTS
from neurolm.model.hub_weights import CONFIG, WEIGHTS, read_weights, weight_files

INDEX = "model.safetensors.index.json"
_FILES = [CONFIG, WEIGHTS, "model-*.safetensors", INDEX, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, SETTINGS_FILE,
          TEMPLATE_FILE]  # fmt: skip
_GIVE = "give a folder with config.json and model.safetensors, or a hub id such as 'Qwen/Qwen3-0.6B'"


@dataclass(frozen=True)
class Given:
    """A language model that a run is to be built on."""

    source: str
    folder: Path
    found: Mapping[str, Any]
    """Its config.json."""

    @property
    def has_weights(self) -> bool:
        """Whether there are weights beside its configuration."""
        return bool(self._files()) or (self._is_gpt2 and (self.folder / GPT2_WEIGHTS[1]).is_file())

    @functools.cached_property
    def text(self) -> TextTokenizer | None:
        """Its text tokenizer; None where it has none, and one is trained."""
        if not any((self.folder / name).is_file() for name in (TOKENIZER_FILE, MERGES_FILE)):
            if self.has_weights:
                raise CheckpointError(f"{self.source}: no {TOKENIZER_FILE} beside the weights: copy it there")
            return None
        tokens = self.found.get("vocab_size")
        text = TextTokenizer.load(
            self.folder, of_hub=not self._is_gpt2, end=self._end, tokens=tokens if isinstance(tokens, int) else None
        )
        if isinstance(tokens, int) and text.size > tokens:
            raise CheckpointError(f"{self.source}: {text.size:,} text tokens, and the model has vectors for {tokens:,}")
        return text

    @property
    def language(self) -> LanguageConfig:
        """Its sizes, as a run's configuration has them.

        Raises
        ------
        ConfigError
            If it is of no family that is admitted, or says what no model has.
        """
        text_tokens = self.text.size if self.text is not None else self.found.get("vocab_size")
        if not isinstance(text_tokens, int) or isinstance(text_tokens, bool):
            raise ConfigError(f"{self.folder / CONFIG}: vocab_size is {text_tokens!r}, not a number of tokens")
        if self._is_gpt2:
            backbone, end = OWN, None
            try:
                known = sizes(self.found)
            except ConfigError as error:
                raise ConfigError(f"{self.folder / CONFIG}: {error}") from error
        else:
            backbone = _normalised(self.found, str(self.folder / CONFIG))
            end = None if self.text is None else self.text.end_of_text
            known = sizes(read_settings(backbone))
        shape = TransformerConfig(
            layers=known.layers, heads=known.heads, width=known.width, bias=self._is_gpt2, initial_std=known.initial_std
        )
        return LanguageConfig(
            transformer=shape, positions=known.positions, text_tokens=text_tokens, backbone=backbone, end_of_text=end
        )

    def require(self, language: LanguageConfig) -> None:
        """Refuse to take it for another model than that of a run's configuration."""
        own = self.language
        if replace(own, transformer=language.transformer) != language:
            raise ConfigError(f"{self.source}: another language model than this run was begun with; give that one")

    def weights(self, language: LanguageConfig) -> dict[str, Tensor] | None:
        """Return its weights by our names, in the precision of its file; None where it has none.

        Raises
        ------
        CheckpointError
            If they are damaged, or not those of the configuration.
        """
        return read_weights(self.folder, language) if self._files() else None

    @property
    def _is_gpt2(self) -> bool:
        return self.found.get("model_type") == OWN

    @property
    def _end(self) -> int | None:
        """Id of the token that ends a text, by its configuration."""
        ids = self.found.get("eos_token_id")
        first = ids[0] if isinstance(ids, list) and ids else ids
        return first if isinstance(first, int) and 0 <= first < 2**31 else None

    def _files(self) -> list[Path]:
        return weight_files(self.folder)


def open_backbone(source: str) -> Given:
    """Open a folder, or a repository of the hub, with a language model.

    Raises
    ------
    CheckpointError
        If there is none, or the hub cannot be reached.
    """
    folder = hub_folder(source, _FILES, give=_GIVE)
    path = folder / CONFIG
    try:
        found = parse_json(read_small(path))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {_GIVE}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: no configuration of a model; {_GIVE}")
    return Given(str(source), folder, found)


def with_backbone(config: RunConfig, source: str) -> RunConfig:
    """Return a run's configuration with the sizes of a language model in place of the recipe's.

    Where the recipe leaves the encoder's features as they are, they are standardised to the size of the model's word
    vectors: these are tenths of GPT-2's, and EEG would drown them.

    Parameters
    ----------
    source
        Folder or hub id.

    Raises
    ------
    CheckpointError, ConfigError
        As `open_backbone` and `Given.language`.
    """
    given = open_backbone(source)
    language, scale = given.language, config.model.feature_scale
    if not language.own and not scale:
        rows = None if (taken := given.weights(language)) is None else taken[words_name(language)].float()
        scale = language.transformer.initial_std if rows is None else float(f"{rows.square().mean().sqrt():.2g}")
    dropout = config.model.language.transformer.dropout
    language = replace(language, transformer=replace(language.transformer, dropout=dropout))
    return replace(config, model=replace(config.model, language=language, feature_scale=scale))


def _normalised(found: Mapping[str, Any], source: str) -> str:
    try:
        from neurolm.model.hub_model import normalised
    except ImportError as error:
        raise ConfigError(f"{source}: needs transformers: pip install 'neurolm[backbones]'") from error
    return normalised(found, source)
