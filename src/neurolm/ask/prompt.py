"""A task's question and options as token ids, and the options' likelihoods for windows.

>>> prompt = Prompt.of(task, text, card.run.model.vocabulary.separator)
>>> probabilities = option_probabilities(model, prompt, samples, device=torch.device("cpu"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller

import numpy as np
import torch
from scipy.special import softmax

from neurolm.ask.calibration import TaskCalibration
from neurolm.ask.engine import score_each, score_options, score_questions
from neurolm.ask.evidence import Beside, Evidence
from neurolm.batches.loader import Document, Sample, build_batch, in_batches
from neurolm.batches.text import END_OF_TEXT, TextTokenizer
from neurolm.core.errors import CheckpointError
from neurolm.model.neurolm import NeuroLM
from neurolm.tasks.task import Task

PLACES = {"cpu": 3000, "cuda": 16_000}
"""Places of a batch of questions on a kind of device: patches, text and padding. More is no faster on a CPU, and takes
more memory: the keys and values of a place are 72 KiB at base and 600 KiB at XL (`benchmarks/answering.py`)."""

_ANSWER = " Answer:"
"""Ends the question of a task's prompt; what follows it is the model's, also the bracket of a letter."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A task's question and answers as token ids."""

    question: tuple[int, ...]
    """Separator and question."""
    answers: tuple[tuple[int, ...], ...]
    """What follows it, for each option."""
    beside: Beside | None = None
    """What else is asked about a window, where anything is."""

    @classmethod
    def of(cls, task: Task, text: TextTokenizer, separator: int, evidence: Evidence | None = None) -> Prompt:
        """Encode a task; the model's evidence, where it has some for the task, goes by its options."""
        return cls(
            question=(separator, *question_tokens(text, task.prompt)),
            answers=tuple(tuple(_answer_tokens(text, a)) for a in task.answers),
            beside=None if evidence is None else evidence.of(task.name, task.labels),
        )

    @property
    def alone(self) -> Prompt:
        """The same for the language model alone."""
        return replace(self, beside=None)

    @property
    def places(self) -> int:
        """Places that question and all answers take."""
        return len(self.question) + sum(map(len, self.answers))

    def document(self, sample: int, answer: int | None = None) -> Document:
        """EEG sample, question and, for training, an answer to predict."""
        ids = self.question if answer is None else self.question + self.answers[answer]
        return Document(sample=sample, text=ids, predict_from=len(self.question))


def question_tokens(text: TextTokenizer, prompt: str) -> list[int]:
    """Encode a prompt; for a model with a chat template the question is the user's turn, and the answer the model's."""
    if text.turns is None:
        return text.encode(prompt)
    before, after = text.turns
    question, _, begun = prompt.rpartition(_ANSWER) if _ANSWER in prompt else (prompt, "", "")
    return text.encode(f"{before}{question}{after}{begun.strip()}")


def _answer_tokens(text: TextTokenizer, answer: str) -> list[int]:
    """Encode an answer; a turn of its own begins and ends without a space."""
    if text.turns is not None:
        answer = answer.strip().replace(f" {END_OF_TEXT}", END_OF_TEXT)
    return text.encode(answer)


def likelihoods(
    model: NeuroLM, prompt: Prompt, samples: Iterable[Sample], *, device: torch.device, places: int | None = None
) -> np.ndarray:
    """Log-likelihood of each permitted answer for each sample: the language model's, and the evidence beside it.

    Returns
    -------
    np.ndarray
        float64 (samples, options); up to a constant in each row where there is evidence.

    Raises
    ------
    CheckpointError
        If one is NaN or infinite.
    """
    said, shown = contributions(model, prompt, samples, device=device, places=places)
    return said + shown


def contributions(
    model: NeuroLM, prompt: Prompt, samples: Iterable[Sample], *, device: torch.device, places: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What the language model and the evidence add to `likelihoods`, each float64 (samples, options)."""
    (found,) = all_contributions(model, [prompt], samples, device=device, places=places)
    return found


def all_contributions(
    model: NeuroLM,
    prompts: Sequence[Prompt],
    samples: Iterable[Sample],
    *,
    device: torch.device,
    places: int | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same for several questions about the same windows, which are read once; their last second must be there."""
    return [
        (said if prompt.beside is None else weighed(said, known, prompt.beside.weight), shown)
        for prompt, (said, shown, known) in zip(
            prompts, _voices(model, prompts, samples, device=device, places=places), strict=True
        )
    ]


def weighed(said: np.ndarray, known: np.ndarray, weight: float) -> np.ndarray:
    """The language model's log-likelihoods, weighed where evidence speaks beside it."""
    return np.where(known[:, None], weight * said, said)


def voices(
    model: NeuroLM, prompt: Prompt, samples: Iterable[Sample], *, device: torch.device, places: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the language model and the evidence say, each as it would alone.

    Parameters
    ----------
    samples
        Windows; they are taken as they are needed.
    places
        Most places of a batch (see `loader.in_batches`); by default `PLACES` of the device.

    Returns
    -------
    said
        The language model's log-likelihoods, float64 (samples, options).
    shown
        The evidence, float64 (samples, options); 0 where there is none.
    known
        Where there is evidence, bool (samples,).
    """
    (found,) = _voices(model, [prompt], samples, device=device, places=places)
    return found


def _voices(
    model: NeuroLM, prompts: Sequence[Prompt], samples: Iterable[Sample], *, device: torch.device, places: int | None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What is said for each prompt."""
    found: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in prompts]
    for part in in_batches(samples, places=places or PLACES[device.type], text=max(p.places for p in prompts)):
        for said, prompt, own in zip(_language(model, prompts, part, device), prompts, found, strict=True):
            own.append((said, *_shown(prompt, said, methodcaller("scores", part))))
    return [_joined(own, len(prompt.answers)) for own, prompt in zip(found, prompts, strict=True)]


def with_evidence(
    prompt: Prompt, said: np.ndarray, scores: Callable[[Beside], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """What the language model and the evidence add to `likelihoods`, where what the former says is known already.

    Parameters
    ----------
    said
        The language model's log-likelihoods of windows, float64 (windows, options).
    scores
        What the evidence says of these, as `Beside.scores` returns it.
    """
    shown, known = _shown(prompt, said, scores)
    return said if prompt.beside is None else weighed(said, known, prompt.beside.weight), shown


def _shown(
    prompt: Prompt, said: np.ndarray, scores: Callable[[Beside], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """What the evidence says for each window beside these log-likelihoods, and where there is some."""
    require_finite(said, "log-likelihoods")
    if prompt.beside is None:
        return np.zeros_like(said), np.zeros(len(said), bool)
    shown, known = scores(prompt.beside)
    require_finite(shown, "evidence")
    return shown, known


def _language(
    model: NeuroLM, prompts: Sequence[Prompt], samples: Sequence[Sample], device: torch.device
) -> list[np.ndarray]:
    """Log-likelihoods of a batch for each prompt, float64 (samples, options); several read the EEG once."""
    if len(prompts) == 1:
        documents = [prompts[0].document(i) for i in range(len(samples))]
        batch = build_batch(samples, documents, packed=False).to(device)
        scores = [score_options(model, batch, prompts[0].answers)]
    else:
        batch = build_batch(samples, [Document(sample=i) for i in range(len(samples))], packed=False).to(device)
        scores = score_questions(model, batch, [(prompt.question, prompt.answers) for prompt in prompts])
    return [each.double().cpu().numpy() for each in scores]


def said_of_each(model: NeuroLM, asked: Sequence[tuple[Prompt, Sample]], *, device: torch.device) -> list[np.ndarray]:
    """What the language model says for the options of several questions, each about a window of its own.

    They go through the model in one batch, whatever recordings and questions they are from; no answer depends on its
    batch-mates, but for rounding.

    Parameters
    ----------
    asked
        A question and a window, for each place of the batch.

    Returns
    -------
    list of np.ndarray
        Log-likelihoods as `voices` returns them, float64 (options,), for each.
    """
    samples = [sample for _, sample in asked]
    first = asked[0][0]
    if all(prompt.question == first.question and prompt.answers == first.answers for prompt, _ in asked):
        return list(_language(model, [first.alone], samples, device)[0])
    documents = [prompt.document(number) for number, (prompt, _) in enumerate(asked)]
    batch = build_batch(samples, documents, packed=False).to(device)
    scores = score_each(model, batch, [prompt.answers for prompt, _ in asked])
    return [each.double().cpu().numpy() for each in scores]


def _joined(
    parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], options: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One after the other, also where there are none."""
    nothing = np.zeros((0, options)), np.zeros((0, options)), np.zeros(0, bool)
    said, shown, known = (np.concatenate(each) for each in zip(nothing, *parts, strict=True))
    return said, shown, known


def require_finite(found: np.ndarray, what: str) -> None:
    """Refuse what a model gave where it is NaN or infinite: no answer, embedding or figure may rest on it.

    Raises
    ------
    CheckpointError
        Since readers let no such sample through, the fault is the model's.
    """
    if not np.isfinite(found).all():
        raise CheckpointError(
            f"the model gives {what} that are NaN or infinite: its weights are damaged, or too large for their "
            f"precision; train or download it again"
        )


def option_probabilities(
    model: NeuroLM,
    prompt: Prompt,
    samples: Iterable[Sample],
    *,
    device: torch.device,
    places: int | None = None,
    calibration: TaskCalibration | None = None,
) -> np.ndarray:
    """Probability of each permitted answer for each sample: its share of the likelihood of all of them.

    Parameters
    ----------
    calibration
        Calibration of the task; None takes the likelihoods as they are.

    Returns
    -------
    np.ndarray
        float64 (samples, options); rows sum to 1.
    """
    found = likelihoods(model, prompt, samples, device=device, places=places)
    return softmax(found, axis=1) if calibration is None else calibration.probabilities(found)
