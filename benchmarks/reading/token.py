"""A language model that reads evidence as a token: how it is made, tuned and asked

The token stands between the EEG and the separator before the question. Its id says whose evidence it holds: ids from
the end of the vocabulary on are rows of a table, one for each window. So prompts, batches and the training loop stay as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from safetensors.torch import load_model, save_model
from scipy.special import softmax
from torch import Tensor, nn

from neurolm.ask import spectra
from neurolm.ask.engine import score_options
from neurolm.ask.evidence import HALF, Beside
from neurolm.ask.prompt import Prompt
from neurolm.batches.loader import Sample, build_batch, read_sample
from neurolm.batches.text import TextTokenizer, token_stream
from neurolm.batches.windows import Window, spread
from neurolm.checkpoint import load_neurolm
from neurolm.core.batch import Patches, Tokens
from neurolm.core.config import ModelConfig
from neurolm.core.files import atomic_file
from neurolm.model.neurolm import NeuroLM
from neurolm.tasks.task import Task
from neurolm.train.evidence import fit_features
from neurolm.train.instruct import VALIDATION_WINDOWS, InstructStage, class_means
from neurolm.train.loop import clean, run_stage
from neurolm.train.run import Run
from neurolm.train.shared import language_of, with_dropout

PARTS = ("train", "validation", "test")
WEIGHTS = "model.safetensors"
AT_ONCE = 32
"""Windows that are answered at a time."""


class EvidenceReader(NeuroLM):
    """NeuroLM that reads tokens of evidence, too.

    Parameters
    ----------
    held
        float32 (windows, columns): what each token holds, log-odds in nats.
    """

    def __init__(self, config: ModelConfig, held: Tensor) -> None:
        super().__init__(config)
        self.held: Tensor
        self.register_buffer("held", held, persistent=False)
        self.evidence = nn.Linear(held.shape[1], config.language.transformer.width)
        nn.init.normal_(self.evidence.weight, std=config.language.transformer.initial_std)
        nn.init.zeros_(self.evidence.bias)

    def embed(self, tokens: Tokens, patches: Patches | None, features: Tensor | None) -> Tensor:
        """As in NeuroLM; a token of evidence is the separator moved by what it holds."""
        row = tokens.text - self.vocabulary.size
        holds = row >= 0
        plain = replace(tokens, text=tokens.text.masked_fill(holds, self.vocabulary.separator))
        moved = self.evidence(self.held[row.clamp(min=0)])
        return super().embed(plain, patches, features) + holds[..., None] * moved


@dataclass(frozen=True)
class Told:
    """Windows of one part of a task's split, and what the readouts say of them."""

    windows: list[Window]
    samples: list[Sample]
    labels: np.ndarray
    held: np.ndarray
    """float32 (windows, options of all tasks): log-odds by each task's readout, those of a task centred. On training
    windows the task's own are by what is learned from other people."""
    own: np.ndarray
    """bool (options of all tasks,): which of them are of the windows' own task."""
    first: int
    """Row of the first window in the table of all parts."""


Material = dict[tuple[str, str], Told]
"""By task and part, in the order of the rows."""


def material(run: Run) -> Material:
    """Read all windows of a run's tasks, fit the readouts on the training windows, and let them speak of all."""
    read_in = {(task.name, part): _windows(run, task, part) for task in run.tasks for part in PARTS}
    fitted = {task.name: fit_readout(task, *read_in[task.name, "train"]) for task in run.tasks}
    columns = np.repeat([task.name for task in run.tasks], [len(task.options) for task in run.tasks])
    found: Material = {}
    first = 0
    for task in run.tasks:
        for part in PARTS:
            windows, samples = read_in[task.name, part]
            blocks = []
            for name, (beside, left_out) in fitted.items():
                scores = left_out if (name, part) == (task.name, "train") else beside.scores(samples)[0]
                blocks.append(scores - scores.mean(axis=1, keepdims=True))
            labels = np.array([task.index(str(window.label)) for window in windows])
            held = np.concatenate(blocks, axis=1).astype(np.float32)
            found[task.name, part] = Told(windows, samples, labels, held, columns == task.name, first)
            first += len(windows)
    return found


def fit_readout(task: Task, windows: Sequence[Window], samples: Sequence[Sample]) -> tuple[Beside, np.ndarray]:
    """Fit a task's readout, and return with it what it says of each training window by what others taught it."""
    people = np.unique([window.subject for window in windows], return_inverse=True)[1]
    labels = np.array([task.index(str(window.label)) for window in windows])
    electrodes = sorted({int(channel) for sample in samples for channel in np.unique(sample.channel)})
    found, readout = fit_features(spectra.features(samples, electrodes), labels, people, electrodes=len(electrodes),
                                  classes=len(task.options))  # fmt: skip
    left_out = found.left_out[: len(windows)]  # the first copies are whole
    return Beside(weight=HALF, electrodes=tuple(electrodes), readout=readout), left_out


def _windows(run: Run, task: Task, part: str) -> tuple[list[Window], list[Sample]]:
    windows = task.windows(run.store, run.splits[task.name], part)
    if part == "train":
        windows = run.labelled_windows(task, part)  # none of a person whom another task holds out
    return windows, [read_sample(run.store, window) for window in windows]


def table(told: Material, *, all_tasks: bool) -> Tensor:
    """What the token of each window holds: the scores of its own task's readout, or those of all."""
    rows = [part.held if all_tasks else part.held * part.own for part in told.values()]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


class TokenStage(InstructStage):
    """Instruction tuning whose prompts begin with the window's token of evidence."""

    name = "token"

    def __init__(self, run: Run, module: EvidenceReader, text: TextTokenizer, stream: np.ndarray, told: Material):
        self.told = told
        super().__init__(run, module, text, stream)
        rows = [told[task.name, "train"].first + np.arange(len(told[task.name, "train"].windows)) for task in run.tasks]
        self.rows = np.concatenate(rows)
        assert len(self.rows) == len(self.examples)

    def _answered(self, step: int) -> list[tuple[Sample, Prompt, int]]:
        rows = self.rows[self.sampler.step(step)]  # one process reads all of a step, in its order
        size = self.module.vocabulary.size
        answered = zip(rows.tolist(), super()._answered(step), strict=True)
        return [(sample, holding(prompt, size + row), answer) for row, (sample, prompt, answer) in answered]

    def validate(self) -> dict[str, float]:
        """As the stage does, on the same windows."""
        figures, scores = {}, []
        for task, prompt in zip(self.run.tasks, self.prompts, strict=True):
            part = self.told[task.name, "validation"]
            chosen = spread(range(len(part.windows)), VALIDATION_WINDOWS)
            nll, hit = class_means(softmax(read(self.module, prompt, part, chosen), axis=1), part.labels[chosen])
            figures |= {f"{task.name}/nll": nll, f"{task.name}/balanced_accuracy": hit}
            scores.append(nll)
        return figures | {"text": self.text_validation(), "score": float(np.mean(scores))}


def holding(prompt: Prompt, token: int) -> Prompt:
    """Put a token before a prompt's separator."""
    return replace(prompt, question=(token, *prompt.question))


def read(model: NeuroLM, prompt: Prompt, part: Told, chosen: Sequence[int] | None = None) -> np.ndarray:
    """Log-likelihoods of a prompt's answers after EEG, token and question, float64 (windows, options)."""
    places = list(range(len(part.windows)) if chosen is None else chosen)
    options, size, found = [list(ids) for ids in prompt.answers], model.vocabulary.size, []
    for begin in range(0, len(places), AT_ONCE):
        these = places[begin : begin + AT_ONCE]
        documents = [holding(prompt, size + part.first + place).document(i) for i, place in enumerate(these)]
        batch = build_batch([part.samples[place] for place in these], documents, packed=False)
        found.append(score_options(model, batch, options).double().numpy())
    return np.concatenate(found)


def tune(run: Run, told: Material, texts: list[str], *, all_tasks: bool) -> EvidenceReader:
    """Tune the run's pretrained model with tokens of evidence; begun again, it goes on."""
    folder = run.folder / ("token-all" if all_tasks else "token")
    text, _ = language_of(run)
    pretrained = load_neurolm(run.folder / "pretrain", stage="pretrain")[0]
    torch.manual_seed(run.config.instruct.seed)
    model = with_dropout(run.config.model, run.config.instruct.dropout)
    module = EvidenceReader(model, table(told, all_tasks=all_tasks))
    missing, unexpected = module.load_state_dict(pretrained.state_dict(), strict=False)
    assert not unexpected and all(name.startswith("evidence.") for name in missing), (missing, unexpected)
    if (folder / WEIGHTS).exists():
        load_model(module, folder / WEIGHTS)
        return module.eval()
    run_stage(TokenStage(run, module, text, token_stream(text, texts), told), folder, device=run.device)
    with atomic_file(folder / WEIGHTS) as temporary:
        save_model(module, str(temporary))
    clean(folder)
    return module.eval()


def asked(task: Task, run: Run, text: TextTokenizer) -> Prompt:
    """Return the prompt of a task for the language model alone."""
    return Prompt.of(task, text, run.config.model.vocabulary.separator)
