"""Questions about a recording become answers: it is read once, window by window, for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from neurolm.ask.answer import Answer, conclude
from neurolm.ask.novelty import describe
from neurolm.ask.personal import Person, personal
from neurolm.ask.prompt import Prompt, all_contributions
from neurolm.ask.question import Question
from neurolm.ask.recording import ModelInput, Windows, read_windows
from neurolm.core.errors import QuestionError, argument
from neurolm.model.neurolm import NeuroLM


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question with its token ids."""

    question: Question
    prompt: Prompt

    def of_person(self, person: Person) -> Asked:
        """The same, with what was adapted to a person.

        Raises
        ------
        QuestionError
            If nothing was for this question.
        """
        question, task = self.question, self.question.task
        if not question.trained or self.prompt.beside is None:
            raise QuestionError(
                f"{task.question!r}: only answers to questions that the model was tuned on, and has evidence for, are "
                "adapted to a person: ask without one"
            )
        known, adapted = person.of(task.name, task.labels)
        beside, calibration = personal(self.prompt.beside, question.calibration, adapted)
        own = replace(question, fitted=calibration, person=person.name, personal=known.note(person.name))
        return Asked(question=own, prompt=replace(self.prompt, beside=beside))

    def silence(self, electrodes: np.ndarray) -> str | None:
        """Why no evidence speaks for an answer about some electrodes, by their ids; None where some does."""
        if not self.question.trained:
            return "there is none for questions that the model was not tuned on"
        if self.prompt.beside is None:
            return "the model has none for this question"
        return None if self.prompt.beside.knows(electrodes.tolist()) else "it knows none of these electrodes"


def require_no_risk(asked: Sequence[Asked], risk: float | None) -> None:
    """Refuse to keep to a risk where answers are a person's.

    Raises
    ------
    QuestionError
        Since its thresholds are of other answers.
    """
    one = next((one.question.person for one in asked if one.question.person), None)
    if risk is not None and one is not None:
        raise QuestionError(
            f"{argument(risk=risk)}: the thresholds for a risk are of answers about anybody, not of those for {one}: "
            "leave out the risk or the person"
        )


def answer_all(
    model: NeuroLM,
    recording: ModelInput,
    asked: Sequence[Asked],
    *,
    device: torch.device,
    risk: float | None = None,
) -> tuple[Answer, ...]:
    """Answer questions about a recording, which is read and filtered once.

    Windows are held until they are answered, and of each is kept what it said: memory does not grow with the recording
    but for its answers.

    Returns
    -------
    tuple of Answer
        One for each question, in their order.

    Raises
    ------
    RecordingError
        If the recording is too short, or can no longer be read.
    CheckpointError
        If the model gives what is NaN or infinite.
    """
    windows = [
        Windows.of(recording, seconds=one.question.task.seconds, stride=one.question.task.stride) for one in asked
    ]
    same: dict[tuple[int, tuple[int, ...]], list[int]] = {}  # questions about the same windows
    for number, each in enumerate(windows):
        same.setdefault((each.seconds, each.starts), []).append(number)
    groups = list(same.values())
    said: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in asked]
    for group, samples in read_windows([windows[numbers[0]] for numbers in groups]):
        features = describe(samples)
        prompts = [asked[number].prompt for number in groups[group]]
        for number, found in zip(groups[group], all_contributions(model, prompts, samples, device=device), strict=True):
            said[number].append((*found, features))
    return tuple(
        _answer(one, of, *(np.concatenate(parts) for parts in zip(*found, strict=True)), risk=risk)
        for one, of, found in zip(asked, windows, said, strict=True)
    )


def _answer(
    asked: Asked,
    windows: Windows,
    language: np.ndarray,
    evidence: np.ndarray,
    features: np.ndarray,
    *,
    risk: float | None,
) -> Answer:
    """Conclude from what language model and evidence say for the options, (windows, options), and from the windows'
    features of ``novelty.describe``."""
    question, recording = asked.question, windows.recording
    silence = asked.silence(recording.channels)
    answer = conclude(
        language + evidence,
        question.calibration,
        options=question.task.labels,
        spans=windows.spans,
        overlap=question.overlap,
        risk=risk,
        evidence=evidence if silence is None else None,
        no_evidence=silence,
    )
    unlike = question.novelty(features)
    if not question.trained:  # guesses decide nothing
        answer = replace(answer, timeline=tuple(replace(window, decided=False) for window in answer.timeline))
    return replace(
        answer,
        recording=recording.name,
        question=question.task.question,
        electrodes=recording.electrodes,
        trained=question.trained,
        calibrated=question.fitted is not None,
        outside=None if unlike is None else unlike.outside,
        person=question.person,
        notes=answer.notes + question.caveats(unlike) + windows.notes,
    )
