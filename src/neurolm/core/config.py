"""Configuration: frozen, validated dataclasses with a JSON round trip.

No torch here, so that it loads at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from neurolm.core.backbones import OWN, read_settings, sizes
from neurolm.core.errors import ConfigError
from neurolm.core.files import dump_json
from neurolm.core.names import choose
from neurolm.core.physics import Filters
from neurolm.core.vocabulary import Vocabulary

Softmax = Literal["range", "joint"]
Precision = Literal["auto", "float32", "bfloat16"]
Compilation = Literal["auto", "always", "never"]
Adapter = Literal["lora", "rslora", "dora", "loha", "lokr"]
PRECISIONS, COMPILE = get_args(Precision), get_args(Compilation)
DEEPEST = 200
"""Most blocks of a stack, far more than any model has: building them takes time before anything is read."""
LARGEST = 65_536
"""Most of any other size of a model: weights of that width fill a machine."""
MOST_TOKENS = 2**24
"""Most words, codes or places of a model, of which each has a vector."""
STAGES = ("language", "tokenizer", "pretrain", "instruct")
"""The stages of a run, in order."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _require_sizes(config: Any, *names: str, least: int = 1, most: int = LARGEST) -> None:
    """Make sure that sizes are such that a model can have: a stranger's configuration may say anything."""
    for name in names:
        value = getattr(config, name)
        _require(value >= least, f"{name} must be {'positive' if least == 1 else f'at least {least}'}, not {value:,}")
        _require(value <= most, f"{name} must be at most {most:,}, not {value:,}")


def _require_choices(config: Any) -> None:
    """Make sure that settings with a few permitted values have one of them, also where Python code sets them."""
    for name, kind in get_type_hints(type(config)).items():
        if get_origin(kind) is Literal:
            value, choices = getattr(config, name), get_args(kind)
            _require(value in choices, f"{name} must be one of {', '.join(choices)}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A stack of pre-norm transformer blocks."""

    layers: int
    heads: int
    width: int
    bias: bool = False
    dropout: float = 0.0
    initial_std: float = 0.02
    """Standard deviation of the initial weights: .02 in the paper, at width 768; narrower stacks want it wider."""

    def __post_init__(self) -> None:
        _require_sizes(self, "layers", most=DEEPEST)
        _require_sizes(self, "heads", "width")
        _require(self.width % self.heads == 0, f"width {self.width} is not a multiple of heads {self.heads}")
        _require(0 <= self.dropout < 1, f"dropout must be in [0, 1), not {self.dropout}")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """The neural tokenizer (paper section 2.2)."""

    encoder: TransformerConfig
    decoder: TransformerConfig
    codes: int = 8192
    code_width: int = 128
    decay: float = 0.99
    commitment: float = 1.0
    revive: float = 0.0
    """Codes used less than this share of the mean are moved onto the data while training; 0: never, as in the paper."""
    quantise_from: float = 0.0
    """Share of the steps after which the codebook starts; until then vectors pass as they are. 0 in the paper."""
    convolution_channels: int = 16
    channels: int = 256
    """Rows of the channel embedding."""
    seconds: int = 64
    """Rows of the second embedding, so the longest sample in seconds."""
    classifier_width: int = 256
    attention: Literal["full", "stair-step"] = "full"
    """``full`` as in the paper, or ``stair-step``: the encoder sees no later second (causal recipes)."""
    spectral: bool = False
    """Whether the encoder also reads each patch's log amplitude spectrum, through a linear layer; not in the paper."""
    spectrum: Literal["amplitude", "log"] = "amplitude"
    """What the spectrum decoder predicts: the FFT amplitude, standardised over the sample, as in the paper; or its
    logarithm, in which fast rhythms count as much as slow ones."""
    padded_to: int = 0
    """Patches to which the official code padded every sample with zeros, which its group normalisation then counts:
    1024 in its tokenizer and pretraining stages, 276 in instruction tuning. 0 counts real patches only."""

    @property
    def filters(self) -> Filters:
        """The filters that fit: where the encoder sees no later second, a sample should follow from no later one."""
        return "causal" if self.attention == "stair-step" else "zero-phase"

    def __post_init__(self) -> None:
        _require_choices(self)
        _require(0 < self.decay < 1, f"decay must be in (0, 1), not {self.decay}")
        _require_sizes(self, "codes", least=2, most=MOST_TOKENS)
        _require_sizes(self, "code_width", "convolution_channels", "channels", "seconds", "classifier_width")
        _require_sizes(self, "padded_to", least=0)
        _require(0 <= self.quantise_from < 1, f"quantise_from must be in [0, 1), not {self.quantise_from}")
        _require(0 <= self.revive < 1, f"revive must be in [0, 1), not {self.revive}")


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """The language model: our own GPT-2, or another."""

    transformer: TransformerConfig
    """Its sizes; of another model than GPT-2, those that it shares with GPT-2."""
    positions: int = 1024
    """The longest document: rows of the position embedding, or what a model with rotary positions was made for."""
    text_tokens: int = 50_257
    backbone: str = OWN
    """``gpt2``: our own; otherwise the configuration of a model of `transformers` as one line of JSON
    (`core.backbones`)."""
    end_of_text: int | None = None
    """Id of the token that ends a document; None: the last text token."""

    def __post_init__(self) -> None:
        _require_sizes(self, "positions", "text_tokens", most=MOST_TOKENS)
        if self.end_of_text is not None:
            _require(0 <= self.end_of_text < self.text_tokens, f"end_of_text {self.end_of_text} is no text token")
        if not self.own:
            found, own = sizes(read_settings(self.backbone)), self.transformer
            for name, value in (("layers", own.layers), ("heads", own.heads), ("width", own.width)):
                wanted = getattr(found, name)
                _require(value == wanted, f"transformer.{name} is {value}, and the backbone has {wanted}")

    @property
    def own(self) -> bool:
        """Whether it is our own GPT-2."""
        return self.backbone == OWN

    @property
    def family(self) -> str:
        """What kind of model it is: a name of `core.backbones.FAMILIES`."""
        return OWN if self.own else str(read_settings(self.backbone)["model_type"])


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The whole model: everything that decides the shapes of its weights."""

    tokenizer: TokenizerConfig
    language: LanguageConfig
    feature_scale: float = 0.0
    """Standard deviation to which the encoder's features are standardised before the language model reads them, by the
    statistics of training data; 0 leaves them as they are, as in the paper."""

    def __post_init__(self) -> None:
        _require(self.feature_scale >= 0, f"feature_scale must be 0 or more, not {self.feature_scale}")

    @property
    def vocabulary(self) -> Vocabulary:
        """The joint vocabulary of text and EEG."""
        language = self.language
        return Vocabulary(text_tokens=language.text_tokens, codes=self.tokenizer.codes, end=language.end_of_text)


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Adapters (LoRA, Hu et al. 2021): few trained weights beside those of the language model, which stay as they are.

    See ``model.adapters`` for what is trained besides.
    """

    rank: int = 0
    """Rank of the change that each linear layer of the language model learns; 0: no adapters, all is trained."""
    alpha: float = 0.0
    """The change is multiplied by alpha / rank (``rslora``: by alpha / √rank); 0: twice the rank."""
    dropout: float = 0.0
    """Share of an adapter's inputs that is dropped in training (``lora``, ``rslora``, ``dora``)."""
    kind: Adapter = "lora"
    """``lora``; ``rslora``, which suits high ranks; ``dora``, which learns the lengths of the weights' rows apart from
    their directions; ``loha`` and ``lokr``, products of two changes, elementwise and Kronecker's."""

    def __post_init__(self) -> None:
        _require_choices(self)
        _require_sizes(self, "rank", least=0)
        _require(self.alpha >= 0, f"alpha must not be negative, but is {self.alpha}")
        _require(0 <= self.dropout < 1, f"dropout must be in [0, 1), not {self.dropout}")
        plain = self.kind in ("lora", "rslora", "dora")
        _require(plain or not self.dropout, f"dropout: {self.kind} has none; use 0, or the kind lora, rslora or dora")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """How one stage is trained."""

    epochs: float = 0.0
    """Passes over the EEG windows (for the language stage: over the text). Not used where ``steps`` is given."""
    steps: int = 0
    """Optimizer steps; 0 derives them from ``epochs``."""
    eeg_batch: int
    """EEG samples per step (0 in the language stage)."""
    text_batch: int
    """Text samples per step."""
    text_length: int = 1024
    """Tokens of a text sample."""
    samples_at_once: int = 0
    """Samples that go through the model together; the gradients of a step's passes add up to those of all its samples
    at once, in less memory. 0: all."""
    max_patches: int = 1024
    """Most patches of an EEG sample; with the number of channels it gives the seconds of a training window."""
    learning_rate: float
    final_learning_rate: float
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises."""
    weight_decay: float
    betas: tuple[float, float]
    clip: float = 0.0
    """Largest gradient norm; 0 does not clip."""
    dropout: float = 0.0
    augment: float = 0.0
    """Strength of the training augmentations of EEG, 0 (none, as in the paper) to 1."""
    alignment: float = 1.0
    """Strength of the alignment of EEG with text (tokenizer stage), by which the gradient reversal is multiplied: 1 as
    in the paper; 0 leaves the encoder unaligned, for comparison."""
    softmax: Softmax = "range"
    """``range``: over the outputs of the target's own modality; ``joint``: over text and EEG, as in the paper."""
    balance: bool = False
    """Draw tasks and labels equally often (instruct stage); otherwise every window once an epoch, as in the paper."""
    wordings: bool = False
    """Ask each sample in any of its card's wordings (instruct stage); otherwise in the card's own words, as in the
    paper."""
    shuffle_options: bool = False
    """List lettered options in any order, lettered anew for each sample (instruct stage); otherwise as on the card,
    as in the paper."""
    evidence: bool = False
    """Let log power of electrodes and pairs, read out in closed form, speak beside the language model (instruct stage,
    see ``ask.evidence``); otherwise the language model answers alone, as in the paper. It is fitted when the stage
    ends, before the calibration."""
    average: float = 0.0
    """Decay of the moving average of the weights that is validated and kept; 0 keeps the last weights themselves."""
    precision: Precision = "auto"
    """Precision of matrix products; ``auto``: bfloat16 on GPUs that have it, and on CPUs with AMX where all blocks are
    at least 256 wide and a pass may hold 256 places (see ``model.precision``); else float32. Weights, losses,
    normalisations and codebook are float32 in any case."""
    compile: Compilation = "auto"
    """Whether the model is compiled for its device; ``auto``: on GPUs."""
    checkpointing: bool = False
    """Keep only the inputs of a transformer's blocks for the backward pass and run them again there: a third more
    arithmetic in a fraction of the memory."""
    shard: bool = False
    """Spread weights, gradients and optimizer over the processes, where there are several (pretrain and instruct
    stages), for models that do not fit into one GPU's memory; otherwise each process has all of them."""
    lora: LoraConfig = LoraConfig()
    """Adapters beside a language model that stays as it is (pretrain and instruct stages)."""
    evaluate_every: int = 100
    save_every: int = 100
    keep_states: int = 2
    """Resume states that are kept while training: the newest, and others in case the disk damages it. Beside them,
    where the stage selects its weights by validation, the best weights are kept."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "eeg_batch", "text_batch", "samples_at_once", "final_learning_rate",
                     "weight_decay", "clip", "seed"):  # fmt: skip
            _require(getattr(self, name) >= 0, f"{name} must not be negative, but is {getattr(self, name)}")
        _require(self.seed < 2**63, f"seed must be below 2**63, but is {self.seed}")
        _require(self.epochs > 0 or self.steps > 0, "one of epochs and steps must be positive")
        _require(self.eeg_batch + self.text_batch > 0, "eeg_batch and text_batch are both 0")
        for name in ("learning_rate", "text_length", "max_patches", "evaluate_every", "save_every", "keep_states"):
            _require(getattr(self, name) > 0, f"{name} must be positive, not {getattr(self, name)}")
        _require(all(0 <= beta < 1 for beta in self.betas), f"betas must be in [0, 1), not {self.betas}")
        _require(0 <= self.warmup < 1, f"warmup must be in [0, 1), not {self.warmup}")
        _require_choices(self)
        for name in ("dropout", "augment", "average", "alignment"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must be in [0, 1], not {getattr(self, name)}")

    def total_steps(self, windows: int) -> int:
        """Optimizer steps for a number of training windows (or text samples)."""
        return self.steps or max(1, round(self.epochs * windows / max(1, self.eeg_batch or self.text_batch)))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run: the model and how each stage is trained."""

    recipe: str
    model: ModelConfig
    language: StageConfig
    tokenizer: StageConfig
    pretrain: StageConfig
    instruct: StageConfig

    def __post_init__(self) -> None:
        for name in ("language", "tokenizer"):
            _require(not getattr(self, name).shard, f"{name}.shard: only pretrain and instruct can be sharded")
            _require(not getattr(self, name).lora.rank, f"{name}.lora.rank: only pretrain and instruct have adapters")

    def stage(self, name: str) -> StageConfig:
        """The configuration of one of ``STAGES``."""
        _require(name in STAGES, f"unknown stage {name!r}{choose(name, STAGES)}")
        return getattr(self, name)

    def width(self, stage: str) -> int:
        """Width of the narrowest transformer blocks of the model that a stage trains."""
        tokenizer = self.model.tokenizer.encoder.width, self.model.tokenizer.decoder.width
        language = (self.model.language.transformer.width,)
        return min({"language": language, "tokenizer": tokenizer}.get(stage, tokenizer + language))


def require_within(config: Any, **bounds: tuple[float, float]) -> None:
    """Refuse numbers of a configuration, single ones or in tuples, that are NaN or outside bounds, which are allowed.

    Raises
    ------
    ConfigError
        Naming the field, its value and the bounds.
    """
    for name, (low, high) in bounds.items():
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            _require(low <= number <= high, f"{name} must be between {low:g} and {high:g}, not {number}")


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return nested settings with their dotted names: ``tokenizer.steps`` and its value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def to_json(config: Any) -> str:
    """Write a configuration as JSON."""
    return dump_json(dataclasses.asdict(config), indent=2) + "\n"
