"""Checkpoints: a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``; no pickle in it.

``config.json`` is written last, so that a folder that has it is complete.
"""

from __future__ import annotations

import hmac
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode

from neurolm.batches.text import TextTokenizer
from neurolm.core.config import RunConfig, to_json
from neurolm.core.decode import load_json
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.files import atomic_folder, write_text
from neurolm.core.physics import Filters
from neurolm.core.small_files import parse_json, read_small, require_regular
from neurolm.model.neurolm import NeuroLM
from neurolm.model.stored import checked
from neurolm.model.tokenizer import DECODING, NeuralTokenizer
from neurolm.tasks.task import Task

FORMAT = 1
"""Version of the folder's layout."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a checkpoint says of itself."""

    format: int = FORMAT
    version: str
    """Version of neurolm that wrote it."""
    stage: str
    """The one of ``config.STAGES`` that made it."""
    steps: int
    run: RunConfig
    tasks: tuple[Task, ...] = ()
    """Tasks the model was instruction-tuned on."""
    electrodes: tuple[str, ...] = ()
    """Electrodes seen in training."""
    band: tuple[float, float] = (0.0, 0.0)
    """Pass band of the training data in Hz."""
    filters: Filters = "zero-phase"
    """How the training data were filtered, and what is asked about has to be; older checkpoints do not say it."""
    subjects: tuple[str, ...] = ()
    """Who it was trained on, not to be tested on, whatever the store: keyed hashes of their ids (`hashed`)."""
    people: str = ""
    """Tells which key the hashes were made with (`key_mark`); empty in older checkpoints: ``subjects`` are ids."""
    recordings: tuple[str, ...] = ()
    """First 16 digits of the content hash of every recording of theirs: not to be tested on, whatever the name."""
    corpora: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ConfigError(f"steps must not be negative, but is {self.steps:,}")


def require_same_filters(card: Card, filters: Filters, store: Path | str) -> None:
    """Refuse a store that was filtered otherwise than what a checkpoint was trained on.

    Raises
    ------
    CheckpointError
        Saying what to do.
    """
    if filters != card.filters:
        raise CheckpointError(
            f"{store}: prepared with {filters} filters, and the model was trained on EEG of {card.filters} ones: give "
            f"a store that was prepared like that (neurolm prepare RECORDINGS --out NEW --filters {card.filters})"
        )


@dataclass(frozen=True, kw_only=True)
class SideFile:
    """A JSON file beside a checkpoint's weights, which not every checkpoint has."""

    FILE: ClassVar[str]
    """Its name."""
    MOST: ClassVar[int] = 4 << 20
    """Most bytes of it: a few kilobytes for a task are usual."""

    format: int = FORMAT

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint's folder."""
        write_text(folder / self.FILE, to_json(self))

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read the file of a checkpoint; None where it has none.

        Raises
        ------
        CheckpointError
            If it is of a later format.
        ConfigError
            If it is damaged.
        """
        path = folder / cls.FILE
        if not path.exists():
            return None
        found = load_json(cls, path, most=cls.MOST)
        if found.format != FORMAT:
            raise CheckpointError(f"{path}: format {found.format}, this version reads {FORMAT}: use a later neurolm")
        return found


def hashed(ids: Iterable[str], key: str) -> tuple[str, ...]:
    """Hash ids of people so that whoever has the key can look somebody up, and nobody else can find out who they are.

    Parameters
    ----------
    key
        The fingerprint of the store: 256 bits that those have who have the store, or the run's folder (``run.json``).
    """
    return tuple(sorted({_keyed(key, f"subject {one}") for one in ids}))


def key_mark(key: str) -> str:
    """What a checkpoint says of the key of its hashes."""
    return _keyed(key, "key")


def _keyed(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()[:24]


def keys_of(folder: Path | None) -> list[str]:
    """Return the key that the run of a checkpoint's folder has, if the folder is that of a run."""
    try:
        found = parse_json(read_small(Path(folder).parent / "run.json")) if folder is not None else {}
    except (OSError, ValueError):
        return []
    return [found["store"]] if isinstance(found, dict) and isinstance(found.get("store"), str) else []


def trained_on(card: Card, ids: Iterable[str], keys: Iterable[str]) -> frozenset[str] | None:
    """Return those of some people whom a checkpoint was trained on; None: no key is that of its hashes."""
    if not card.people:
        return frozenset(ids) & frozenset(card.subjects)
    key = next((key for key in keys if key_mark(key) == card.people), None)
    if key is None:
        return None
    known = frozenset(card.subjects)
    return frozenset(one for one in ids if hashed([one], key)[0] in known)


def hashed_as(card: Card, ids: Iterable[str], keys: Iterable[str]) -> tuple[str, ...]:
    """Hash ids as those of a checkpoint are; none where no key is that of its hashes."""
    key = next((key for key in keys if key_mark(key) == card.people), None)
    return () if key is None else hashed(ids, key)


def without_ids(card: Card, keys: Sequence[str]) -> Card:
    """Return the card of an older checkpoint with hashes in place of ids; without a key, by one that nobody keeps."""
    if card.people or not card.subjects:
        return card
    key = next(iter(keys), None) or secrets.token_hex(32)
    return replace(card, subjects=hashed(card.subjects, key), people=key_mark(key))


def save_checkpoint(
    folder: Path,
    card: Card,
    weights: dict[str, torch.Tensor],
    text: TextTokenizer | None,
    *,
    extra: Callable[[Path], object] | None = None,
    without: Sequence[str] = (),
) -> None:
    """Write a checkpoint folder, whole or not at all.

    Parameters
    ----------
    text
        Text tokenizer; None where it is not known, and the folder cannot read text.
    extra
        Writes further files into the folder that it is given.
    without
        Names of files of an older checkpoint in the folder that do not belong to this one.
    """
    with atomic_folder(folder, last=CONFIG, without=without) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary / WEIGHTS)
        if text is not None:
            text.save(temporary)
        if extra is not None:
            extra(temporary)
        write_text(temporary / CONFIG, to_json(card))
        shutil.copymode(temporary / CONFIG, temporary / WEIGHTS)  # safetensors writes for its owner alone


def load_card(folder: Path, *, stage: str | None = None) -> Card:
    """Read what a checkpoint says of itself.

    Raises
    ------
    CheckpointError
        If the folder holds no complete checkpoint, or one of another stage or format.
    """
    path = Path(folder) / CONFIG
    if not path.exists():
        raise CheckpointError(
            f"{folder}: no complete checkpoint here ({CONFIG} is missing); train one, or give its folder"
        )
    try:
        card = load_json(Card, path)
    except ConfigError as error:
        raise CheckpointError(
            f"{error}; not a checkpoint that this version reads: give the folder of a stage"
        ) from error
    if card.format != FORMAT:
        raise CheckpointError(f"{path}: format {card.format}, this version reads {FORMAT}: use neurolm {card.version}")
    if stage is not None and card.stage != stage:
        raise CheckpointError(f"{folder}: made by stage {card.stage!r}, but {stage!r} is needed here: give that folder")
    return card


def load_weights(folder: Path, module: torch.nn.Module, *, passing_over: Sequence[str] = ()) -> None:
    """Load a checkpoint's weights into a module, strictly: every tensor used, every shape equal.

    Parameters
    ----------
    passing_over
        Parts whose tensors the module need not have; they are not read.

    Raises
    ------
    CheckpointError
        Naming the first tensors that are missing, left over, of another shape or type, or that hold NaN.
    """
    path = Path(folder) / WEIGHTS
    wanted = module.state_dict()
    with _opened(path) as file:
        _require_same(_shapes(file), wanted, passing_over, path)
        for name, tensor in wanted.items():  # one by one: the weights are in memory once
            tensor.copy_(checked(file.get_tensor(name), tensor.dtype, name, path))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file of weights; whatever fails in it is an error of the checkpoint."""
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, MemoryError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy or train the checkpoint again") from error


def _shapes(file: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _require_same(
    found: dict[str, tuple[int, ...]], wanted: dict[str, torch.Tensor], passing_over: Sequence[str], path: Path
) -> None:
    passed = tuple(f"{part}." for part in passing_over)
    problems = [f"missing {name}" for name in wanted if name not in found]
    problems += [f"left over {name}" for name in found if name not in wanted and not name.startswith(passed)]
    problems += [
        f"{name} is {found[name]}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name] != tuple(tensor.shape)
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(
            f"{path}: does not fit this recipe: {'; '.join(problems[:3])}{more}. Use the recipe it was trained with"
        )


class _NoRandomNumbers(TorchFunctionMode):
    """Initial weights cost next to nothing: for a module whose weights are about to be read."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):  # within functions that look at what they drew
            return args[0].zero_()
        if func in (torch.Tensor.div_, torch.nn.functional.normalize):  # of what was drawn
            return args[0]
        if func is torch.randn:
            func = torch.zeros
        return func(*args, **kwargs)


Module = TypeVar("Module", bound=torch.nn.Module)


def _built(folder: Path, build: Callable[[], Module], *, passing_over: Sequence[str] = ()) -> Module:
    """Build the module of a checkpoint, after looking whether its weights have the sizes that ``config.json`` says.

    Raises
    ------
    CheckpointError
        As ``load_weights``; before memory of those sizes is taken.
    """
    path = Path(folder) / WEIGHTS
    with _opened(path) as file, torch.device("meta"), _NoRandomNumbers():  # whose functions would load the compiler
        _require_same(_shapes(file), build().state_dict(), passing_over, path)
    with _NoRandomNumbers():
        return build()


def load_tokenizer(folder: Path) -> tuple[NeuralTokenizer, Card]:
    """Load the neural tokenizer of a ``tokenizer`` checkpoint."""
    card = load_card(folder, stage="tokenizer")
    tokenizer = _built(folder, lambda: NeuralTokenizer(card.run.model.tokenizer))
    load_weights(folder, tokenizer)
    return tokenizer.eval(), card


def load_neurolm(
    folder: Path, *, stage: str | None = None, decoders: bool = True
) -> tuple[NeuroLM, Card, TextTokenizer]:
    """Load the model of a ``pretrain`` or ``instruct`` checkpoint, with its text tokenizer.

    Parameters
    ----------
    stage
        Stage that must have made it; None: any that leaves a language model that reads EEG.
    decoders
        Whether to load what answers and embeddings do not need: the neural tokenizer's decoders and classifier.
    """
    card = load_card(folder, stage=stage)
    if card.stage not in ("pretrain", "instruct"):
        raise CheckpointError(f"{folder}: made by stage {card.stage!r}, which has no language model that reads EEG")
    passing_over = () if decoders else [f"tokenizer.{part}" for part in DECODING]
    model = _built(folder, lambda: NeuroLM(card.run.model, decoders=decoders), passing_over=passing_over)
    load_weights(folder, model, passing_over=passing_over)
    return model.eval(), card, TextTokenizer.load(folder)
