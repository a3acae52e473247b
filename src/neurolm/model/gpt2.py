"""GPT-2 (Radford et al. 2019) on our own blocks, and its weights in the layout of the Hugging Face hub:

>>> config, state = load_gpt2("gpt2")
>>> language = GPT2(config)
>>> language.load_state_dict(state)
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neurolm.core.config import LanguageConfig, TransformerConfig
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.hub_files import hub_folder
from neurolm.core.small_files import parse_json, read_small, require_plain
from neurolm.model.attention import Visibility
from neurolm.model.language import LanguageModel
from neurolm.model.stored import checked, require_stored
from neurolm.model.transformer import Cache, LayerNorm, Transformer, initialise

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of a GPT-2 folder that may hold the weights, in order of preference."""
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
"""Hugging Face stores these as (in, out), we as (out, in)."""
MASKS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
"""Buffers of old GPT-2 files that hold no weights."""


class GPT2(LanguageModel):
    """GPT-2 without output layer: the word embedding may serve as one (the language stage), or another on top.

    Parameters
    ----------
    config
        Sizes.
    rows
        Rows of the word embedding; ``config.text_tokens`` by default.
    """

    WORDS = "wte.weight"

    def __init__(self, config: LanguageConfig, rows: int | None = None) -> None:
        super().__init__()
        self.config = config
        width, bias = config.transformer.width, config.transformer.bias
        self.wte = nn.Embedding(config.text_tokens if rows is None else rows, width)
        self.wpe = nn.Embedding(config.positions, width)
        self.transformer = Transformer(config.transformer)
        self.ln_f = LayerNorm(width, bias=bias)
        initialise(self, truncated=False, std=config.transformer.initial_std)
        self.transformer.scale_residuals(by_depth=False)

    @property
    def blocks(self) -> Iterable[nn.Module]:
        """Its transformer blocks."""
        return self.transformer.blocks

    def words(self, text: Tensor) -> Tensor:
        """Word embeddings of text, ids (rows, places)."""
        return self.wte(text)

    def forward(self, vectors: Tensor, position: Tensor, seen: Visibility, cache: Cache | None = None) -> Tensor:
        """Vectors without position to hidden states, both (rows, places, width); see ``LanguageModel``."""
        return self.ln_f(self.transformer(vectors + self.wpe(position), seen, cache))


def load_gpt2(source: str | Path) -> tuple[LanguageConfig, dict[str, Tensor]]:
    """Read GPT-2 weights in the Hugging Face layout.

    Parameters
    ----------
    source
        A folder with ``config.json`` and ``model.safetensors`` (or ``pytorch_model.bin``), or an id on the hub such
        as ``gpt2``, ``gpt2-medium``, ``gpt2-xl``.

    Returns
    -------
    tuple
        The configuration, and the state of a :class:`GPT2` with as many rows as the file has.

    Raises
    ------
    CheckpointError
        If there is no such folder or hub id, the hub cannot be reached, or the files are no GPT-2.
    """
    give = "give a folder with config.json and model.safetensors, or a hub id such as 'gpt2'"
    folder = hub_folder(source, ["config.json", WEIGHTS[0]], give=give)
    settings = _settings(folder / "config.json")
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise CheckpointError(f"{folder}: found no weights; a GPT-2 folder has one of {', '.join(WEIGHTS)}")
    state = {_ours(key): value for key, value in _read(path).items() if not MASKS.fullmatch(_bare(key))}
    state.pop("lm_head.weight", None)  # tied to the word embedding
    state = {key: value.T if key.endswith(TRANSPOSED) else value for key, value in state.items()}
    try:
        config = LanguageConfig(
            transformer=TransformerConfig(
                layers=settings["n_layer"], heads=settings["n_head"], width=settings["n_embd"], bias=True
            ),
            positions=len(state["wpe.weight"]),
            text_tokens=len(state["wte.weight"]),
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{folder}: not a GPT-2: {error} is missing or wrong") from error
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in GPT2(config).state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        raise CheckpointError(
            f"{path}: not the weights of the GPT-2 in config.json; first of {len(wrong)} differences: "
            f"{wrong[0]} has shape {found.get(wrong[0])}, expected {expected.get(wrong[0])}"
        )
    return config, {key: checked(value, torch.float32, key, path).contiguous() for key, value in state.items()}


def save_gpt2(folder: str | Path, model: GPT2) -> None:
    """Write ``config.json`` and ``model.safetensors`` so that ``load_gpt2`` and ``transformers`` can read them.

    Only the rows of text tokens are written, as in GPT-2's own files.
    """
    from safetensors.torch import save_file

    config, folder = model.config, Path(folder)
    if not config.transformer.bias:
        raise CheckpointError("a GPT-2 without biases has no Hugging Face layout: use transformer.bias = true")
    settings = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": "gelu",  # the exact one; OpenAI's own models say gelu_new
        "n_layer": config.transformer.layers,
        "n_head": config.transformer.heads,
        "n_embd": config.transformer.width,
        "n_positions": config.positions,
        "vocab_size": config.text_tokens,
        "layer_norm_epsilon": 1e-5,
        "bos_token_id": config.text_tokens - 1,
        "eos_token_id": config.text_tokens - 1,
        "tie_word_embeddings": True,
    }
    state = {}
    for key, value in model.state_dict().items():
        value = value[: config.text_tokens] if key == "wte.weight" else value
        value = value.T if key.endswith(TRANSPOSED) else value
        state["transformer." + key.replace("transformer.blocks.", "h.")] = value.detach().cpu().contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = parse_json(read_small(path))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); a GPT-2 folder has one") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(settings, dict) or settings.get("model_type") != "gpt2":
        kind = settings.get("model_type") if isinstance(settings, dict) else settings
        raise CheckpointError(
            f"{path}: model_type is {kind!r}; only 'gpt2' can be loaded as GPT-2; "
            "`neurolm train language --backbone` takes other models"
        )
    expected = {"n_inner": (None, 4 * settings.get("n_embd", 0)), "layer_norm_epsilon": (1e-5,)}
    for key, values in expected.items():
        if settings.get(key, values[0]) not in values:
            raise CheckpointError(f"{path}: {key} is {settings[key]}, and only {values[-1]} is supported")
    return settings


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if zipfile.is_zipfile(path):  # else of PyTorch before 1.6, which compressed nothing
            with zipfile.ZipFile(path) as parts:
                require_plain(parts, path.stat().st_size, pickled=True)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        require_stored(state, path)
        return state
    except Exception as error:  # safetensors and pickle have errors of their own for damaged files
        raise CheckpointError(f"{path}: cannot be read as weights ({error}); download it again") from error


def _bare(key: str) -> str:
    return key.removeprefix("transformer.")


def _ours(key: str) -> str:
    return re.sub(r"^h\.", "transformer.blocks.", _bare(key))
