"""This implementation, doing the same work as the official one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from neurolm.ask.engine import generate, score_options
from neurolm.ask.prompt import Prompt
from neurolm.batches.loader import Document, Sample, build_batch, build_patches, sample_from
from neurolm.batches.text import TextTokenizer
from neurolm.core.batch import Batch
from neurolm.core.config import ModelConfig, StageConfig
from neurolm.core.montage import channel_id, resolve
from neurolm.core.recipes import recipe
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.tasks.card import load_task
from neurolm.train.loop import train_step
from neurolm.train.machine.replicas import Replicas
from neurolm.train.optim import make_optimizer
from neurolm.train.shared import in_batches, language_losses, text_batches
from neurolm.train.stage import Losses, Stage
from official_comparison import inputs
from official_comparison.inputs import Downstream, Window
from official_comparison.settings import Settings
from official_comparison.worker import Variant

OFFICIAL_PADDING = {"pretrain": 1024, "instruct": 276}
Passes = Callable[[], Iterable[Losses]]
STEPS = 1000
"""Of which the measured ones are the first."""


def build(variant: str, settings: Settings) -> Variant:
    """Our side of a measurement."""
    return {
        "tokenizer": TokenizerStep,
        "pretrain": PretrainStep,
        "instruct": InstructStep,
        "tokenise": Tokenise,
        "answer": Answer,
    }[settings.stage](settings, variant)


class _Own:
    """What the measurements share."""

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer | None = None

    def __init__(self, settings: Settings, variant: str) -> None:
        self.settings, self.variant = settings, variant
        self.device = torch.device(settings.device)
        self.run = recipe(settings.size)
        self.model = _cut(self.run.model, settings.layers)
        if variant == "faithful":
            padded = replace(self.model.tokenizer, padded_to=OFFICIAL_PADDING[settings.stage])
            self.model = replace(self.model, tokenizer=padded)

    def stage(self, name: str) -> StageConfig:
        softmax = "joint" if self.variant == "faithful" else "range"
        return replace(self.run.stage(name), softmax=softmax, samples_at_once=int(self.variant == "in passes"))

    def state(self) -> Iterable[torch.Tensor]:
        yield from self.module.state_dict().values()
        if self.optimizer is not None:
            yield from (v for s in self.optimizer.state.values() for v in s.values() if torch.is_tensor(v))

    def rest(self) -> None:
        self.module.zero_grad(set_to_none=True)

    def rounded(self, module: torch.nn.Module) -> torch.nn.Module:
        """A model that answers, in the wanted precision."""
        if self.settings.precision == "bfloat16":
            keep_in_bfloat16(module)
        return module

    def trained(self, module: torch.nn.Module, config: StageConfig) -> Any:
        self.module = module.to(self.device).train()
        self.optimizer = make_optimizer(module, config, self.device)
        return module

    def step(self, config: StageConfig, count: int, losses: Passes, after: Callable[[], None]) -> Callable[[], object]:
        """One step of the training loop, in so many passes."""
        config = replace(config, precision=self.settings.precision)
        stage = _Measured(self.module, config, self.settings, losses, after)
        replicas = Replicas(self.module, stage.loss, self.device)
        return lambda: train_step(stage, self.optimizer, 0, batch=count, replicas=replicas)  # type: ignore[arg-type]


class _Measured(Stage[int]):
    """A step whose batches were made before it is timed: what goes round is the number of its passes."""

    name = "benchmark"
    steps = STEPS

    def __init__(
        self,
        module: torch.nn.Module,
        config: StageConfig,
        settings: Settings,
        losses: Passes,
        after: Callable[[], None],
    ) -> None:
        self.module, self.config, self.settings, self._losses, self._after = module, config, settings, losses, after

    @property
    def loss(self) -> Callable[..., Any]:
        return self.module.loss  # type: ignore[return-value]

    def batch(self, step: int) -> int:
        raise NotImplementedError

    def passes(self, batch: int) -> int:
        return batch

    def after_step(self) -> dict[str, float]:
        self._after()
        return {}

    def losses(self, step: int, batch: int, loss: Callable[..., Any]) -> Iterator[Losses]:
        yield from self._losses()

    def validate(self) -> dict[str, float]:
        return {}


class TokenizerStep(_Own):
    """A step of stage 1."""

    def __init__(self, settings: Settings, variant: str) -> None:
        super().__init__(settings, variant)
        self.config = self.stage("tokenizer")
        self.tokenizer = self.trained(_with_codebook(NeuralTokenizer(self.model.tokenizer)), self.config)
        self.words = torch.randn(inputs_tokens(self.model), 768, device=self.device) * 0.02

    def prepare(self, round_: int) -> Callable[[], object]:
        eeg = in_batches(samples(inputs.pretraining(round_, self.settings.eeg_batch)), self.config.samples_at_once)
        batches = [build_patches(part)[0].to(self.device) for part in eeg]
        ids = inputs.text(round_, self.settings.text_batch, self.settings.text_length, inputs_tokens(self.model))
        ids = torch.from_numpy(ids).to(self.device).flatten()
        moved: list[tuple[torch.Tensor, torch.Tensor]] = []

        def losses() -> Iterator[Losses]:
            for patches in batches:
                out = self.tokenizer.loss(patches, self.words[ids], 0.5)
                moved.append((out.vectors, out.codes))
                yield Losses(total=out.total / len(batches), parts={}, tokens=len(out.codes))

        def move() -> None:
            vectors, codes = (torch.cat(parts) for parts in zip(*moved, strict=True))
            self.tokenizer.quantizer.update(vectors, codes)
            moved.clear()

        return self.step(self.config, len(batches), losses, move)


class PretrainStep(_Own):
    """A step of stage 2."""

    def __init__(self, settings: Settings, variant: str) -> None:
        super().__init__(settings, variant)
        self.config = self.stage("pretrain")
        self.neurolm = self.trained(_neurolm(self.model), self.config)

    def prepare(self, round_: int) -> Callable[[], object]:
        windows = in_batches(samples(inputs.pretraining(round_, self.settings.eeg_batch)), self.config.samples_at_once)
        eeg = [build_batch(part, [Document(sample=i, predict_eeg=True) for i in range(len(part))]) for part in windows]
        groups = {"eeg": eeg, "text": text(round_, self.settings, self.model, self.config)}
        count = sum(map(len, groups.values()))
        return self.step(self.config, count, lambda: _language_losses(self, groups), lambda: None)


class InstructStep(_Own):
    """A step of stage 3."""

    def __init__(self, settings: Settings, variant: str) -> None:
        super().__init__(settings, variant)
        self.config = self.stage("instruct")
        self.neurolm = self.trained(_neurolm(self.model), self.config)
        self.prompts = prompts(settings, self.model)

    def prepare(self, round_: int) -> Callable[[], object]:
        chosen = inputs.instruction(round_, self.settings.eeg_batch)
        answers = []
        for part in in_batches(chosen, self.config.samples_at_once):
            documents = [self.prompts[t.name].document(i, w.label) for i, (t, w) in enumerate(part)]
            answers.append(build_batch(samples([window for _, window in part]), documents))
        groups = {"answer": answers, "text": text(round_, self.settings, self.model, self.config)}
        count = sum(map(len, groups.values()))
        return self.step(self.config, count, lambda: _language_losses(self, groups), lambda: None)


def _language_losses(step: PretrainStep | InstructStep, groups: dict[str, list[Batch]]) -> Iterator[Losses]:
    return language_losses(step.neurolm, groups, step.config, step.device, loss=step.neurolm.loss)


class Tokenise(_Own):
    """EEG to codes."""

    def __init__(self, settings: Settings, variant: str) -> None:
        super().__init__(settings, variant)
        self.tokenizer = _with_codebook(NeuralTokenizer(self.model.tokenizer, decoders=False)).to(self.device).eval()
        self.module = self.rounded(self.tokenizer)
        self.batches = inputs.hour(settings.hours, settings.eeg_batch)

    def prepare(self, round_: int) -> Callable[[], object]:
        batches = [build_patches(samples(windows))[0].to(self.device) for windows in self.batches]

        def step() -> None:
            with torch.no_grad():
                for patches in batches:
                    self.tokenizer.tokenize(patches)

        return step


class Answer(_Own):
    """Probabilities of the permitted answers; or, for like with like, five written tokens."""

    def __init__(self, settings: Settings, variant: str) -> None:
        super().__init__(settings, variant)
        self.neurolm = _neurolm(self.model, decoders=False).to(self.device).eval()
        self.module, self.prompts = self.rounded(self.neurolm), prompts(settings, self.model)

    def prepare(self, round_: int) -> Callable[[], object]:
        batches = []
        for chosen in inputs.questions(round_, self.settings.eeg_batch):
            prompt = self.prompts[chosen[0][0].name]
            documents = [prompt.document(i) for i in range(len(chosen))]
            batch = build_batch(samples([window for _, window in chosen]), documents, packed=False)
            batches.append((batch.to(self.device), [list(answer) for answer in prompt.answers]))

        def step() -> None:
            with torch.no_grad():
                for batch, options in batches:
                    if self.variant == "five tokens":
                        generate(self.neurolm, batch, max_tokens=5)
                    else:
                        score_options(self.neurolm, batch, options).softmax(-1)

        return step


def samples(windows: Sequence[Window]) -> list[Sample]:
    """Windows as the encoder reads them."""
    return [sample_from(w.signal.T, [channel_id(resolve(name) or name) for name in w.channels]) for w in windows]


def text(round_: int, settings: Settings, model: ModelConfig, config: StageConfig) -> list[Batch]:
    """The text of a round, as many tokens as the official loader gives."""
    rows = inputs.text(round_, settings.text_batch, settings.text_length, inputs_tokens(model))
    return text_batches(rows, config)


def prompts(settings: Settings, model: ModelConfig) -> dict[str, Prompt]:
    """Question and answers of the tasks."""
    text, separator = TextTokenizer.load(settings.gpt2), model.vocabulary.separator
    return {t.name: Prompt.of(load_task(t.name), text, separator) for t in _tasks()}


def inputs_tokens(model: ModelConfig) -> int:
    """Text tokens of the language model."""
    return model.language.text_tokens


def _tasks() -> tuple[Downstream, ...]:
    return inputs.TASKS


def _cut(model: ModelConfig, layers: int) -> ModelConfig:
    if not layers:
        return model
    tokenizer, language = model.tokenizer, model.language

    def cut(transformer: Any) -> Any:
        return replace(transformer, layers=min(layers, transformer.layers))

    return replace(
        model,
        tokenizer=replace(tokenizer, encoder=cut(tokenizer.encoder), decoder=cut(tokenizer.decoder)),
        language=replace(language, transformer=cut(language.transformer)),
    )


def _neurolm(model: ModelConfig, *, decoders: bool = True) -> NeuroLM:
    module = NeuroLM(model, decoders=decoders)
    _with_codebook(module.tokenizer)
    return module


def _with_codebook(tokenizer: NeuralTokenizer) -> NeuralTokenizer:
    tokenizer.quantizer.initialised.fill_(True)
    return tokenizer
