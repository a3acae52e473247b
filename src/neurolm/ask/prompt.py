"""A task's question and options as token ids, and the options' likelihoods for windows.

>>> prompt = Prompt.of(task, text, card.run.model.vocabulary.separator)
>>> probabilities = option_probabilities(model, prompt, samples, device=torch.device("cpu"))
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from scipy.special import softmax

from neurolm.ask.calibration import TaskCalibration
from neurolm.ask.engine import score_options
from neurolm.batches.loader import Document, Sample, build_batch
from neurolm.batches.text import TextTokenizer
from neurolm.core.errors import CheckpointError
from neurolm.model.neurolm import NeuroLM
from neurolm.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A task's question and answers as token ids."""

    question: tuple[int, ...]
    """Separator and question."""
    answers: tuple[tuple[int, ...], ...]
    """What follows it, for each option."""

    @classmethod
    def of(cls, task: Task, text: TextTokenizer, separator: int) -> Prompt:
        """Encode a task."""
        return cls(
            question=(separator, *text.encode(task.prompt)), answers=tuple(tuple(text.encode(a)) for a in task.answers)
        )

    def document(self, sample: int, answer: int | None = None) -> Document:
        """EEG sample, question and, for training, an answer to predict."""
        ids = self.question if answer is None else self.question + self.answers[answer]
        return Document(sample=sample, text=ids, predict_from=len(self.question))


def likelihoods(
    model: NeuroLM, prompt: Prompt, samples: Iterable[Sample], *, device: torch.device, batch: int = 32
) -> np.ndarray:
    """Log-likelihood of each permitted answer for each sample.

    Returns
    -------
    np.ndarray
        float64 (samples, options).

    Raises
    ------
    CheckpointError
        If one is NaN or infinite.
    """
    options = [list(ids) for ids in prompt.answers]
    out, source = [], iter(samples)
    while part := list(islice(source, batch)):
        built = build_batch(part, [prompt.document(i) for i in range(len(part))], packed=False).to(device)
        found = score_options(model, built, options).double().cpu().numpy()
        require_finite(found, "log-likelihoods")
        out.append(found)
    return np.concatenate(out) if out else np.zeros((0, len(options)))


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
    batch: int = 32,
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
    found = likelihoods(model, prompt, samples, device=device, batch=batch)
    return softmax(found, axis=1) if calibration is None else calibration.probabilities(found)
