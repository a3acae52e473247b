"""Checkpoints: a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``; no pickle in it.

``config.json`` is written last, so that a folder that has it is complete. A stage that was trained with adapters has
``adapter.safetensors`` instead, what differs from its base, and ``adapter.json`` says which base that is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, Self, TypeVar

import torch
from safetensors.torch import save_file

from neurolm.batches.hub_text import SETTINGS_FILE
from neurolm.batches.text import TOKENIZER_FILE, TextTokenizer
from neurolm.core.config import STAGES, RunConfig, to_json
from neurolm.core.decode import load_json
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.files import atomic_folder, write_text
from neurolm.core.hub_files import hub_folder
from neurolm.core.physics import Filters
from neurolm.core.small_files import parse_json, read_small
from neurolm.model.adapters import adapt, merge, own
from neurolm.model.gpt2 import load_gpt2
from neurolm.model.hub_weights import load_language
from neurolm.model.neurolm import NeuroLM
from neurolm.model.stored import NoRandomNumbers, digest_of, load_into, opened, require_same, shapes
from neurolm.model.tokenizer import DECODING, NeuralTokenizer
from neurolm.tasks.task import Task

FORMAT = 1
"""Version of the folder's layout."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"
ADAPTER = "adapter.safetensors"
"""What a checkpoint with adapters has instead of ``WEIGHTS``."""


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


@dataclass(frozen=True, kw_only=True)
class Base:
    """A checkpoint whose weights one with adapters takes."""

    stage: str
    """The one of ``config.STAGES`` that made it."""
    folder: str = ""
    """Where it is, relative to the folder of the checkpoint with adapters."""
    hub: str = ""
    """Its id on the Hugging Face hub, where it came from there."""
    weights: str
    """Digest of its weights (``weights_digest``): no other base will do."""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ConfigError(f"stage must be one of {', '.join(STAGES)}, not {self.stage!r}")
        if len(self.folder) > 1000 or "\0" in self.folder or PurePosixPath(self.folder).is_absolute():
            raise ConfigError(f"folder must be a path relative to that of the checkpoint, not {self.folder[:100]!r}")


@dataclass(frozen=True, kw_only=True)
class AdapterFile(SideFile):
    """What a checkpoint with adapters is based on: one checkpoint, or a language model and a tokenizer."""

    FILE: ClassVar[str] = "adapter.json"

    bases: tuple[Base, ...]

    def __post_init__(self) -> None:
        stages = sorted(base.stage for base in self.bases)
        if stages not in (["pretrain"], ["instruct"], ["language", "tokenizer"]):
            raise ConfigError(f"bases must be pretrain, instruct, or language and tokenizer, not {', '.join(stages)}")

    @property
    def new_rows(self) -> bool:
        """Whether the bases know no EEG, so that output rows of its codes are new (``adapters.adapt``)."""
        return len(self.bases) > 1


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
    adapter: AdapterFile | None = None,
    extra: Callable[[Path], object] | None = None,
    without: Sequence[str] = (),
) -> None:
    """Write a checkpoint folder, whole or not at all.

    Parameters
    ----------
    text
        Text tokenizer; None where it is not known, and the folder cannot read text.
    adapter
        What the checkpoint is based on, where the weights are only what differs from it (``adapters.own``).
    extra
        Writes further files into the folder that it is given.
    without
        Names of files of an older checkpoint in the folder that do not belong to this one.
    """
    other = (ADAPTER, AdapterFile.FILE) if adapter is None else (WEIGHTS,)
    with atomic_folder(folder, last=CONFIG, without=(*without, *other)) as temporary:
        path = temporary / (WEIGHTS if adapter is None else ADAPTER)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, path)
        if adapter is not None:
            adapter.save(temporary)
        if text is not None:
            text.save(temporary)
        if extra is not None:
            extra(temporary)
        write_text(temporary / CONFIG, to_json(card))
        shutil.copymode(temporary / CONFIG, path)  # safetensors writes for its owner alone


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
    """Load a checkpoint's weights into a module, as ``load_into`` does."""
    load_into(module.state_dict(), Path(folder) / WEIGHTS, passing_over=passing_over)


Module = TypeVar("Module", bound=torch.nn.Module)


def _built(folder: Path, build: Callable[[], Module], *, passing_over: Sequence[str] = ()) -> Module:
    """Build the module of a checkpoint, after looking whether its weights have the sizes that ``config.json`` says.

    Raises
    ------
    CheckpointError
        As ``load_weights``; before memory of those sizes is taken.
    """
    path = Path(folder) / WEIGHTS
    with opened(path) as file, torch.device("meta"), NoRandomNumbers():  # whose functions would load the compiler
        require_same(shapes(file), build().state_dict(), passing_over, path)
    with NoRandomNumbers():
        return build()


def load_tokenizer(folder: Path) -> tuple[NeuralTokenizer, Card]:
    """Load the neural tokenizer of a ``tokenizer`` checkpoint."""
    card = load_card(folder, stage="tokenizer")
    tokenizer = _built(folder, lambda: NeuralTokenizer(card.run.model.tokenizer))
    load_weights(folder, tokenizer)
    return tokenizer.eval(), card


def load_neurolm(
    folder: Path, *, stage: str | None = None, decoders: bool = True, base: Path | None = None
) -> tuple[NeuroLM, Card, TextTokenizer]:
    """Load the model of a ``pretrain`` or ``instruct`` checkpoint, with its text tokenizer.

    Adapters are merged into the weights of their base: the model has none.

    Parameters
    ----------
    stage
        Stage that must have made it; None: any that leaves a language model that reads EEG.
    decoders
        Whether to load what answers and embeddings do not need: the neural tokenizer's decoders and classifier.
    base
        Where the base of a checkpoint with adapters is; by default where it was when it was trained.
    """
    folder, card = Path(folder), load_card(folder, stage=stage)
    if card.stage not in ("pretrain", "instruct"):
        raise CheckpointError(f"{folder}: made by stage {card.stage!r}, which has no language model that reads EEG")
    if (adapter := AdapterFile.load(folder)) is not None:
        model = load_base(folder, card, adapter, decoders=decoders, base=base)
        add_adapters(folder, card, adapter, model)
        merge(model)
        return model.eval(), card, load_text(folder, card)
    passing_over = () if decoders else [f"tokenizer.{part}" for part in DECODING]
    model = _built(folder, lambda: NeuroLM(card.run.model, decoders=decoders), passing_over=passing_over)
    load_weights(folder, model, passing_over=passing_over)
    return model.eval(), card, load_text(folder, card)


def load_text(folder: Path, card: Card) -> TextTokenizer:
    """Load the text tokenizer of a checkpoint, which is that of its model.

    Raises
    ------
    CheckpointError
        If it is another's.
    """
    text, wanted = TextTokenizer.load(folder, of_hub=not card.run.model.language.own), card.run.model.vocabulary
    if (text.size, text.end_of_text) != (wanted.text_tokens, wanted.end_of_text):
        raise CheckpointError(
            f"{folder}: its tokenizer has {text.size:,} tokens, of which {text.end_of_text} ends a text; the model has "
            f"{wanted.text_tokens:,} and {wanted.end_of_text}: copy the checkpoint again"
        )
    return text


def weights_digest(folder: Path) -> str:
    """Digest of the weights of a checkpoint, those of its bases included, by which a base is known."""
    if (adapter := AdapterFile.load(folder)) is None:
        return digest_of(Path(folder) / WEIGHTS)
    parts = [digest_of(Path(folder) / ADAPTER), *sorted(base.weights for base in adapter.bases)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def load_base(
    folder: Path, card: Card, adapter: AdapterFile, *, decoders: bool = True, base: Path | None = None
) -> NeuroLM:
    """Load the model that a checkpoint with adapters is based on, without these.

    Raises
    ------
    CheckpointError
        If it is not there, or has other weights or sizes than the one that the adapters were trained on.
    """
    found = {one.stage: _find_base(folder, one, base) for one in adapter.bases}
    if not adapter.new_rows:
        (place,) = found.values()
        model, of_base, _ = load_neurolm(place, decoders=decoders)
        if of_base.run.model != card.run.model:
            raise CheckpointError(f"{place}: of other sizes than {folder} says: one of both is damaged")
        return model
    tokenizer, of_base = load_tokenizer(found["tokenizer"])
    language = card.run.model.language
    same = True
    if language.own:
        config, words = load_gpt2(found["language"])
        blocks = replace(language.transformer, dropout=0.0, initial_std=config.transformer.initial_std)
        same = config == replace(language, transformer=blocks)
    else:
        words = load_language(found["language"], language)
    if of_base.run.model.tokenizer != card.run.model.tokenizer or not same:
        raise CheckpointError(f"{folder}: of other sizes than its bases in {found['language'].parent}: it is damaged")
    with NoRandomNumbers():
        model = NeuroLM(card.run.model, decoders=decoders)
    model.tokenizer.load_state_dict(tokenizer.state_dict(), strict=decoders)
    model.initialise_language(words)
    return model


def _find_base(folder: Path, one: Base, given: Path | None) -> Path:
    places = [folder / one.folder] if given is None else [Path(given) / one.stage, Path(given)]
    path = next((place for place in places if (place / CONFIG).is_file()), None)
    if path is None and given is None and one.hub:
        files = [CONFIG, WEIGHTS, ADAPTER, AdapterFile.FILE, TOKENIZER_FILE, SETTINGS_FILE]
        path = hub_folder(one.hub, files, give=f"put the base of {folder} beside it")
    if path is None:
        raise CheckpointError(
            f"{folder}: trained as adapters of the {one.stage} checkpoint {places[-1]}, which is not there: put it "
            f"there, or merge both (neurolm convert merged {folder} --base FOLDER --out NEW)"
        )
    if weights_digest(path) != one.weights:
        raise CheckpointError(
            f"{path}: not the {one.stage} checkpoint that {folder} was trained on: its weights are others; put "
            "that one there, or train the adapters again"
        )
    return path


def add_adapters(folder: Path, card: Card, adapter: AdapterFile, model: NeuroLM) -> None:
    """Put a checkpoint's adapters and other weights of its own into the model that it is based on.

    Raises
    ------
    CheckpointError
        If the files do not fit each other, or hold what no weights can be; before memory of their sizes is taken.
    """
    lora, path = card.run.stage(card.stage).lora, folder / ADAPTER
    if not lora.rank:
        raise CheckpointError(f"{folder}: {CONFIG} says that it has no adapters, {AdapterFile.FILE} is there: damaged")
    with opened(path) as file, torch.device("meta"), NoRandomNumbers():
        skeleton = NeuroLM(card.run.model, decoders=False)
        adapt(skeleton, lora, new_rows=adapter.new_rows)
        require_same(shapes(file), own(skeleton, new_rows=adapter.new_rows), (), path)
    adapt(model, lora, new_rows=adapter.new_rows)
    load_into(own(model, new_rows=adapter.new_rows), path)
