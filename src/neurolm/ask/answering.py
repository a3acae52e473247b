"""Questions about a recording become answers: it is read once, window by window, for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from neurolm.ask.answer import Answer, Progress, answer_windows, conclude
from neurolm.ask.novelty import describe
from neurolm.ask.personal import Person, personal
from neurolm.ask.prompt import PLACES, Prompt, all_contributions
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


def require_risk(asked: Sequence[Asked], risk: float | None) -> None:
    """Refuse a risk that is none, or that answers cannot keep to.

    Raises
    ------
    QuestionError
        If it is not between 0 and 1, or as `require_no_risk`.
    """
    if risk is not None and not 0 < risk < 1:
        raise QuestionError(f"{argument(risk=risk)}: give a share of wrong answers between 0 and 1, such as 0.1")
    require_no_risk(asked, risk)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What was said about windows of a recording: enough to answer at any risk, without the model."""

    language: np.ndarray
    """What the language model adds to the options' log-likelihoods, float64 (windows, options)."""
    evidence: np.ndarray
    """The same of the evidence beside it."""
    features: np.ndarray
    """What the windows are like: float64 (windows, features) of ``novelty.describe``."""

    @classmethod
    def joined(cls, parts: Sequence[Said]) -> Said:
        """One after the other."""
        return cls(
            language=np.concatenate([part.language for part in parts]),
            evidence=np.concatenate([part.evidence for part in parts]),
            features=np.concatenate([part.features for part in parts]),
        )


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """A question put to a recording."""

    asked: Asked
    windows: Windows

    @classmethod
    def of(cls, asked: Asked, recording: ModelInput) -> Inquiry:
        """Put a question to a recording.

        Raises
        ------
        RecordingError
            If the recording is too short.
        """
        task = asked.question.task
        return cls(asked=asked, windows=Windows.of(recording, seconds=task.seconds, stride=task.stride))

    def progress(self, said: Said, first: int, *, risk: float | None = None) -> Progress:
        """Answer for some windows alone, of which the first has this place among all."""
        question, count = self.asked.question, len(said.language)
        windows = answer_windows(
            said.language + said.evidence,
            question.calibration,
            spans=self.windows.spans[first : first + count],
            risk=risk,
            unlike=question.unlike(said.features),
        )
        if not question.trained:  # guesses decide nothing
            windows = tuple(replace(window, decided=False) for window in windows)
        return Progress(windows=windows, done=first + count, total=len(self.windows.starts))

    def conclude(self, said: Said, *, risk: float | None = None) -> Answer:
        """Answer for the recording, from what was said about all of its windows."""
        question, recording = self.asked.question, self.windows.recording
        silence = self.asked.silence(recording.channels)
        answer = conclude(
            said.language + said.evidence,
            question.calibration,
            options=question.task.labels,
            spans=self.windows.spans,
            overlap=question.overlap,
            risk=risk,
            evidence=said.evidence if silence is None else None,
            no_evidence=silence,
            unlike=question.unlike(said.features),
        )
        novelty = question.novelty(said.features)
        if not question.trained:  # guesses decide nothing
            answer = replace(answer, timeline=tuple(replace(window, decided=False) for window in answer.timeline))
        return replace(
            answer,
            recording=recording.name,
            question=question.task.question,
            electrodes=recording.electrodes,
            trained=question.trained,
            calibrated=question.fitted is not None,
            outside=None if novelty is None else novelty.outside,
            person=question.person,
            notes=answer.notes + question.caveats(novelty) + self.windows.notes,
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
    inquiries = [Inquiry.of(one, recording) for one in asked]
    said: list[list[Said]] = [[] for _ in asked]
    for number, part in _heard(model, inquiries, device):
        said[number].append(part)
    return tuple(
        inquiry.conclude(Said.joined(parts), risk=risk) for inquiry, parts in zip(inquiries, said, strict=True)
    )


def answer_stepwise(
    model: NeuroLM, recording: ModelInput, asked: Asked, *, device: torch.device, risk: float | None = None
) -> Iterator[Progress | Answer]:
    """Answer a question about a recording as far as it is read: windows as soon as they are known, in the end all.

    Nothing more is read or computed once the iterator is closed.

    Yields
    ------
    Progress
        The next windows, in the order of time.
    Answer
        In the end: the same as that of `answer_all`.

    Raises
    ------
    RecordingError, CheckpointError
        As `answer_all`.
    """
    inquiry = Inquiry.of(asked, recording)
    said: list[Said] = []
    done = 0
    for _, part in _heard(model, [inquiry], device):
        said.append(part)
        yield inquiry.progress(part, done, risk=risk)
        done += len(part.language)
    yield inquiry.conclude(Said.joined(said), risk=risk)


def _heard(model: NeuroLM, inquiries: Sequence[Inquiry], device: torch.device) -> Iterator[tuple[int, Said]]:
    """Number of an inquiry, and what is said about its next windows: about as many as make a batch."""
    same: dict[tuple[int, tuple[int, ...]], list[int]] = {}  # questions about the same windows
    for number, inquiry in enumerate(inquiries):
        same.setdefault((inquiry.windows.seconds, inquiry.windows.starts), []).append(number)
    groups = list(same.values())
    prompts = [[inquiries[number].asked.prompt for number in group] for group in groups]
    cuts = [inquiries[group[0]].windows for group in groups]
    most = [_batch(cut, max(prompt.places for prompt in ours), device) for cut, ours in zip(cuts, prompts, strict=True)]
    for group, samples in read_windows(cuts, most=most):
        features = describe(samples)
        found = all_contributions(model, prompts[group], samples, device=device)
        for number, (language, evidence) in zip(groups[group], found, strict=True):
            yield number, Said(language=language, evidence=evidence, features=features)


def _batch(windows: Windows, text: int, device: torch.device) -> int:
    """How many windows make a full batch, with so much text after each."""
    return PLACES[device.type] // (windows.seconds * len(windows.recording.channels) + text)
