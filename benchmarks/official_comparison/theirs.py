"""The official implementation: modules from a checkout, steps as in its scripts."""

from __future__ import annotations

import pickle
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from official_comparison import inputs
from official_comparison.inputs import Downstream, Window
from official_comparison.settings import Settings
from official_comparison.worker import Variant, precision

BLOCK = 1024
PROMPT_LENGTHS = {"eeg_max_len": 276, "text_max_len": 80}
GPT2_TOKENS = 50_257
GPT_SIZES = {
    "base": {"n_layer": 12, "n_head": 12, "n_embd": 768},
    "large": {"n_layer": 24, "n_head": 16, "n_embd": 1024},
    "xl": {"n_layer": 48, "n_head": 25, "n_embd": 1600},
}
ENCODER = {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": BLOCK, "bias": False, "out_chans": 16}
DECODER = {"n_layer": 4, "n_head": 12, "n_embd": 768, "block_size": BLOCK, "bias": False, "in_chans": 128}


def build(variant: str, settings: Settings) -> Variant:
    """The official side of a measurement."""
    sys.path.insert(0, settings.official)
    sys.modules["tiktoken"] = _tiktoken(settings.gpt2)
    return {
        "tokenizer": TokenizerStep,
        "pretrain": PretrainStep,
        "instruct": InstructStep,
        "tokenise": Tokenise,
        "answer": Answer,
    }[settings.stage](settings)


class _Official:
    """What the measurements share: models of the wanted size, and batches made by the authors' loaders."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.folder = settings, Path(tempfile.mkdtemp())
        self.models: list[torch.nn.Module] = []
        self.optimizer: torch.optim.Optimizer | None = None
        self.clip = 1.0

    def state(self) -> Iterable[torch.Tensor]:
        for model in self.models:
            yield from model.state_dict().values()
        if self.optimizer is not None:
            yield from (v for s in self.optimizer.state.values() for v in s.values() if torch.is_tensor(v))

    def rest(self) -> None:
        """Nothing: their step ends with it."""

    def place(self, model: Any) -> Any:
        """Cut a model to the wanted number of blocks and put it where it runs, compiled where asked for."""
        if self.settings.layers:
            for part in model.modules():
                for name, stack in part.named_children():
                    if isinstance(stack, torch.nn.ModuleList):
                        setattr(part, name, stack[: self.settings.layers])
        model.to(self.settings.device)
        self.models.append(model)
        return torch.compile(model) if self.settings.compile else model

    def neural_tokenizer(self) -> Any:
        from model.model_neural_transformer import NTConfig
        from model.model_vq import VQ

        return _with_codebook(VQ(NTConfig(**ENCODER), NTConfig(**DECODER)))

    def neurolm(self) -> Any:
        from model.model import GPTConfig
        from model.model_neurolm import NeuroLM

        config = GPTConfig(block_size=BLOCK, vocab_size=GPT2_TOKENS, bias=True, **GPT_SIZES[self.settings.size])
        return NeuroLM(config, init_from="scratch")

    def pretraining(self, windows: Sequence[Window], *, autoregressive: bool) -> list[torch.Tensor]:
        """A collated batch of the pretraining loader."""
        from dataset import PickleLoader

        files = [self._pickle({"X": w.signal, "ch_names": list(w.channels)}) for w in windows]
        return self._collate(PickleLoader(files, block_size=BLOCK, GPT_training=autoregressive))

    def downstream(self, windows: Sequence[tuple[Downstream, Window]], *, evaluate: bool) -> list[torch.Tensor]:
        """A collated batch of the tasks' loaders."""
        import downstream_dataset

        parts = []
        for task, window in windows:
            label = np.array([window.label + 1]) if task.loader == "TUEVLoader" else window.label
            content = {"signal": window.signal, "X": window.signal, "label": label, "y": window.label}
            file = self._pickle(content | {"ch_names": list(window.channels)})
            loader = getattr(downstream_dataset, task.loader)
            parts.append(loader(str(file.parent), [file.name], is_instruct=True, is_val=evaluate, **PROMPT_LENGTHS))
        return self._collate(torch.utils.data.ConcatDataset(parts))

    def text(self, round_: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = inputs.text(round_, self.settings.text_batch, self.settings.text_length + 1, GPT2_TOKENS)
        rows = torch.from_numpy(ids).to(self.settings.device)
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    def no_codes(self, x: torch.Tensor) -> torch.Tensor:
        """EEG targets of which all are left out."""
        left_out = -1 - self.models[0].GPT2.config.vocab_size
        return torch.full((x.size(0), x.size(1)), fill_value=left_out, device=x.device)

    def learn(self, loss: torch.Tensor) -> None:
        """The rest of a training step."""
        assert self.optimizer is not None
        loss.backward()
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.models[0].parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _pickle(self, content: dict[str, Any]) -> Path:
        file = self.folder / f"{len(list(self.folder.iterdir()))}.pkl"
        file.write_bytes(pickle.dumps(content))
        return file

    def _collate(self, dataset: Any) -> list[Any]:
        batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=len(dataset))))
        for file in self.folder.iterdir():
            file.unlink()
        return [x.to(self.settings.device) if torch.is_tensor(x) else x for x in batch]


class TokenizerStep(_Official):
    """As ``train_vq.py`` does a step."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        from model.model_neural_transformer import NTConfig

        from model import model_vq

        model_vq.GPT2LMHeadModel = _RandomWords  # there is no GPT-2 to download
        model = model_vq.VQ_Align(NTConfig(**ENCODER), NTConfig(**DECODER))
        _with_codebook(model.VQ)
        self.model, self.clip = self.place(model), 0.0
        self.optimizer = model.configure_optimizers(1e-4, 5e-5, (0.9, 0.999), settings.device)

    def prepare(self, round_: int) -> Callable[[], object]:
        windows = inputs.pretraining(round_, self.settings.eeg_batch)
        x, y_freq, y_raw, channels, seconds, mask = self.pretraining(windows, autoregressive=False)
        text, _ = self.text(round_)

        def step() -> None:
            with precision(self.settings):
                loss, domain, _ = self.model(x, y_freq, y_raw, channels, seconds, mask, 0.5)
                loss = loss + domain + self.model(text)
            self.learn(loss)

        return step


class PretrainStep(_Official):
    """As ``train_pretrain.py`` does a step: a tokenizer of its own gives the codes to predict."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        model = self.neurolm()
        self.model = self.place(model)
        self.codes = self.place(self.neural_tokenizer()).eval()
        self.optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), settings.device)

    def prepare(self, round_: int) -> Callable[[], object]:
        windows = inputs.pretraining(round_, self.settings.eeg_batch)
        x, channels, seconds, mask, seen, counts, tokens = self.pretraining(windows, autoregressive=True)
        words, following = self.text(round_)

        def step() -> None:
            y = self.no_codes(x)
            with torch.no_grad(), precision(self.settings):
                codes = self.codes.get_codebook_indices(x, channels, seconds, mask)
                for i, (count, token) in enumerate(zip(counts, tokens, strict=True)):
                    y[i, : token - count] = codes[i, count:token]
            with precision(self.settings):
                loss, _, _ = self.model(x, y, None, None, channels, seconds, mask, eeg_mask=seen)
                text_loss, _, _ = self.model(None, None, words, following)
            self.learn(loss + text_loss)

        return step


class InstructStep(_Official):
    """As ``train_instruction.py`` does a step."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        model = self.neurolm()
        self.model = self.place(model)
        self.optimizer = model.configure_optimizers(0.1, 5e-4, (0.9, 0.95), settings.device)

    def prepare(self, round_: int) -> Callable[[], object]:
        windows = inputs.instruction(round_, self.settings.eeg_batch)
        x, text, y_text, channels, seconds, mask, seen = self.downstream(windows, evaluate=False)
        words, following = self.text(round_) if self.settings.text_batch else (None, None)

        def step() -> None:
            with precision(self.settings):
                loss, _, _ = self.model(x, self.no_codes(x), text, y_text, channels, seconds, mask, eeg_text_mask=seen)
                if words is not None:
                    loss = loss + self.model(None, None, words, following)[0]
            self.learn(loss)

        return step


class Tokenise(_Official):
    """EEG to codes, as ``train_pretrain.py`` gets them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        model = self.neural_tokenizer()
        self.place(model)
        self.codes = model.eval()
        self.batches = inputs.hour(settings.hours, settings.eeg_batch)

    def prepare(self, round_: int) -> Callable[[], object]:
        batches = [self.pretraining(windows, autoregressive=True) for windows in self.batches]

        def step() -> None:
            with torch.no_grad(), precision(self.settings):
                for x, channels, seconds, mask, *_ in batches:
                    self.codes.get_codebook_indices(x, channels, seconds, mask)

        return step


class Answer(_Official):
    """As ``train_instruction.py`` evaluates: five tokens are written after each prompt."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        model = self.neurolm()
        self.place(model)
        self.model = model.eval()

    def prepare(self, round_: int) -> Callable[[], object]:
        batches = [self.downstream(b, evaluate=True) for b in inputs.questions(round_, self.settings.eeg_batch)]

        def step() -> None:
            with precision(self.settings):
                for x, text, _, channels, seconds, mask, seen in batches:
                    self.model.generate(x, text, channels, seconds, mask, eeg_text_mask=seen, max_new_tokens=5)

        return step


def _with_codebook(model: Any) -> Any:
    """Fill the codebook, which the first step would do by k-means over its batch."""
    embedding = model.quantize.embedding
    torch.nn.init.normal_(embedding.weight)
    embedding.weight.data = torch.nn.functional.normalize(embedding.weight.data, dim=-1)
    embedding.initted.fill_(1)
    return model


class _RandomWords:
    """Stands for GPT-2's word embeddings."""

    @classmethod
    def from_pretrained(cls, name: str) -> _RandomWords:
        return cls()

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"transformer.wte.weight": torch.randn(GPT2_TOKENS, 768) * 0.02}


def _tiktoken(gpt2: str) -> types.ModuleType:
    """GPT-2's byte pairs under the name of the library that the official loaders use, which would download them."""
    from neurolm.batches.text import TextTokenizer

    class Encoding:
        def __init__(self) -> None:
            self.tokenizer = TextTokenizer.load(gpt2)

        def encode(self, text: str, allowed_special: object = None) -> list[int]:
            return self.tokenizer.encode(text)

    module = types.ModuleType("tiktoken")
    encoding = Encoding()
    module.get_encoding = lambda name: encoding  # type: ignore[attr-defined]
    return module
