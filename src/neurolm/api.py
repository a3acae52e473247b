"""What users import: load a model, ask it about a recording.

import neurolm
model = neurolm.load("runs/demo")
answer = model.ask("recording.edf", "Is this EEG segment of high workload?")
print(answer.answer, answer.probability)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from neurolm.answering import Prompt, answer
from neurolm.batch import PADDING
from neurolm.checkpoint import Card, load_neurolm
from neurolm.data.loader import Document, Sample, build_batch, build_patches, sample_from
from neurolm.data.preprocess import preprocess
from neurolm.data.recording import Recording, open_recording
from neurolm.data.text import END_OF_TEXT, TextTokenizer
from neurolm.engine import generate
from neurolm.errors import QuestionError, RecordingError
from neurolm.model.neurolm import NeuroLM
from neurolm.montage import RATE, REACH, channel_id, positions
from neurolm.publish import find_checkpoint, find_evaluation, push, save
from neurolm.tasks.task import Option, Task, find_questions
from neurolm.train.run import choose_device

if TYPE_CHECKING:
    import mne

POLICIES = ("nearest", "drop", "error")
"""What can be done with electrodes that are unknown, or that the model never saw."""
CHUNK = 64
"""Windows answered at once."""
FREE_SECONDS = 4
"""Window of a question that no task of the model asks."""


@dataclass(frozen=True, kw_only=True)
class WindowAnswer:
    """The answer for one window."""

    start: float
    """Seconds from the start of the recording."""
    stop: float
    probabilities: tuple[float, ...]
    """One per option, in the order of ``Answer.options``."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for a recording."""

    recording: str
    question: str
    options: tuple[str, ...]
    answer: str
    """The option with the highest mean probability."""
    probability: float
    """Its mean probability over the windows."""
    probabilities: tuple[float, ...]
    """Mean probability of every option."""
    timeline: tuple[WindowAnswer, ...]
    electrodes: tuple[str, ...]
    """Electrodes the answer rests on, as the model knows them."""
    trained: bool
    """Whether the model was tuned on this question; if not, the probability is no more than a likelihood."""
    notes: tuple[str, ...]
    """What was done to make the recording fit, and what limits the answer."""


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Features of a recording."""

    features: np.ndarray
    """float32 (windows, seconds, electrodes, width), of the frozen encoder."""
    codes: np.ndarray
    """int64 (windows, seconds, electrodes), of the neural tokenizer."""
    starts: np.ndarray
    """float64 (windows,), seconds from the start of the recording."""
    electrodes: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    signal: np.ndarray
    channels: np.ndarray
    electrodes: tuple[str, ...]
    notes: tuple[str, ...]

    def sample(self, start: int, seconds: int) -> Sample:
        return sample_from(self.signal[start : start + seconds * RATE], self.channels)


class Model:
    """A trained model that answers questions about recordings. Make one with ``neurolm.load``."""

    def __init__(
        self, module: NeuroLM, card: Card, text: TextTokenizer, device: torch.device, *, folder: Path | None = None
    ) -> None:
        self.module, self.card, self.text, self.device = module.to(device).eval(), card, text, device
        self.folder = folder

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions it was tuned on."""
        return tuple(dict.fromkeys(task.question for task in self.card.tasks))

    def ask(
        self,
        source: str | Path | mne.io.BaseRaw,
        question: str,
        *,
        options: Sequence[str] | None = None,
        unknown: str = "nearest",
        unit: str | None = None,
        mains: float | None = None,
        channels: Sequence[str] | Mapping[str, str] | None = None,
        truncated: str = "refuse",
    ) -> Answer:
        """Answer a question about a recording, window by window and over all of it.

        Parameters
        ----------
        source
            File of any format MNE reads, or an MNE Raw.
        question
            In English. A question the model was tuned on needs no ``options``.
        options
            Permitted answers of a question of your own.
        unknown
            What to do with channels that are no known electrode, or electrodes the model never saw: ``nearest``
            takes the nearest electrode it knows within 40 mm that the recording lacks, and drops the others;
            ``drop``; ``error``. What was done stands in the answer's notes.
        unit
            What the file's numbers are (V, mV, uV, nV) where its header is wrong; ``auto`` decides by the amplitude.
        mains
            Mains frequency in Hz; by default found in the spectrum.
        channels
            Channels to use, by default every electrode; or a mapping of the file's own names to electrodes, for files
            whose names say nothing (``{"E36": "C3"}``).
        truncated
            ``accept`` takes what is there of a file that ends too early.

        Raises
        ------
        QuestionError
            If the model was not tuned on the question and no options are given.
        RecordingError
            If the recording cannot be read, is implausible, or has no electrode the model knows.
        """
        task, trained = self._task(question, options)
        prepared = self._prepare(
            source, unknown=unknown, unit=unit, mains=mains, channels=channels, truncated=truncated
        )
        starts, seconds, notes = _windows(len(prepared.signal), task.seconds, task.stride, source)
        prompt = Prompt.of(task, self.text, self.card.run.model.vocabulary.separator)
        parts = []
        for first in range(0, len(starts), CHUNK):
            samples = [prepared.sample(start, seconds) for start in starts[first : first + CHUNK]]
            parts.append(answer(self.module, prompt, samples, device=self.device, batch=CHUNK))
        probability = np.concatenate(parts)
        mean = probability.mean(0)
        if not trained:
            notes += ("the model was not tuned on this question: the probabilities are likelihoods, not calibrated",)
        return Answer(
            recording=_name(source),
            question=task.question,
            options=task.labels,
            answer=task.labels[int(mean.argmax())],
            probability=float(mean.max()),
            probabilities=tuple(float(p) for p in mean),
            timeline=tuple(
                WindowAnswer(start=s / RATE, stop=s / RATE + seconds, probabilities=tuple(float(p) for p in row))
                for s, row in zip(starts, probability, strict=True)
            ),
            electrodes=prepared.electrodes,
            trained=trained,
            notes=prepared.notes + notes,
        )

    def generate(
        self,
        source: str | Path | mne.io.BaseRaw,
        prompt: str,
        *,
        start: float = 0.0,
        seconds: int = FREE_SECONDS,
        max_tokens: int = 20,
        temperature: float = 0.0,
        seed: int = 0,
        unknown: str = "nearest",
        unit: str | None = None,
        mains: float | None = None,
        channels: Sequence[str] | Mapping[str, str] | None = None,
        truncated: str = "refuse",
    ) -> str:
        """Continue a text freely after a window of a recording; temperature 0 takes the likeliest token each time.

        The text is what the model says, not a checked answer: ask with options for a probability.
        """
        prepared = self._prepare(
            source, unknown=unknown, unit=unit, mains=mains, channels=channels, truncated=truncated
        )
        first = round(start * RATE)
        if not 0 <= first <= len(prepared.signal) - seconds * RATE:
            raise QuestionError(
                f"start={start:g} s with seconds={seconds} lies outside the recording of "
                f"{len(prepared.signal) / RATE:.1f} s: choose another start"
            )
        ids = (self.card.run.model.vocabulary.separator, *self.text.encode(prompt))
        batch = build_batch([prepared.sample(first, seconds)], [Document(sample=0, text=ids)], packed=False)
        (tokens,) = generate(
            self.module, batch.to(self.device), max_tokens=max_tokens, temperature=temperature, seed=seed
        )
        return self.text.decode(tokens).replace(END_OF_TEXT, "").strip()

    def embed(
        self,
        source: str | Path | mne.io.BaseRaw,
        *,
        seconds: int = FREE_SECONDS,
        stride: float = FREE_SECONDS,
        unknown: str = "nearest",
        unit: str | None = None,
        mains: float | None = None,
        channels: Sequence[str] | Mapping[str, str] | None = None,
        truncated: str = "refuse",
    ) -> Embedding:
        """Features and codes of the frozen encoder, for windows of a recording."""
        prepared = self._prepare(
            source, unknown=unknown, unit=unit, mains=mains, channels=channels, truncated=truncated
        )
        starts, seconds, notes = _windows(len(prepared.signal), seconds, stride, source)
        features, codes = [], []
        for start in starts:
            patches = build_patches([prepared.sample(start, seconds)])[0].to(self.device)
            with torch.no_grad():
                out = self.module.tokenizer.tokenize(patches)
            real = patches.document != PADDING
            features.append(out.features[real].cpu().numpy().reshape(seconds, len(prepared.electrodes), -1))
            codes.append(out.codes[real].cpu().numpy().reshape(seconds, -1))
        return Embedding(
            features=np.stack(features),
            codes=np.stack(codes),
            starts=np.array(starts) / RATE,
            electrodes=prepared.electrodes,
            notes=prepared.notes + notes,
        )

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write a folder that ``from_pretrained`` loads, with a model card; returns the folder."""
        return save(Path(folder), self.module, self.card, self.text, find_evaluation(self.folder, self.card))

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload the model with its model card to the Hugging Face hub; returns the address.

        The ids of the people it was trained on go with it, so that nobody is tested on them by mistake.

        Parameters
        ----------
        repository
            ``organisation/name``; made if it does not exist.
        private
            Whether a new repository can be seen by its owners only.

        Raises
        ------
        CheckpointError
            If the hub does not take it.
        """
        evaluation = find_evaluation(self.folder, self.card)
        return push(repository, self.module, self.card, self.text, evaluation, private=private)

    def _task(self, question: str, options: Sequence[str] | None) -> tuple[Task, bool]:
        found = find_questions(question, self.card.tasks)
        if found and (options is None or set(options) == set(found[0].labels)):
            return found[0], True
        if options is None:
            known = "; ".join(self.questions)
            raise QuestionError(
                f"the model was not tuned on the question {question!r}. It knows: {known}. "
                "Ask one of these, or give the permitted answers of your own question (options)"
            )
        if len(set(options)) < 2:
            raise QuestionError(f"options={list(options)}: give at least two different answers")
        return Task(
            name="question", description="", question=question, seconds=FREE_SECONDS, stride=FREE_SECONDS, metrics=(),
            options=tuple(Option(label=o, text=o) for o in options), licence="", citation="",
        ), False  # fmt: skip

    def _prepare(
        self,
        source,
        *,
        unknown: str,
        unit: str | None,
        mains: float | None,
        channels: Sequence[str] | Mapping[str, str] | None,
        truncated: str,
    ) -> _Prepared:
        if unknown not in POLICIES:
            raise QuestionError(f"unknown={unknown!r}: choose one of {', '.join(POLICIES)}")
        recording = open_recording(source, unknown=unknown, unit=unit, channels=channels, truncated=truncated)
        kept, notes = self._fit_electrodes(recording, unknown, _name(source))
        ready = preprocess(recording, mains=mains)
        columns = [column for column, _ in kept]
        names = tuple(name for _, name in kept)
        low, high = self.card.band
        if ready.band[1] < high - 1:
            notes += (
                f"the recording reaches {ready.band[1]:g} Hz only; the model was trained on {low:g} to {high:g} Hz",
            )
        return _Prepared(
            signal=ready.signal[:, columns],
            channels=np.array([channel_id(name) for name in names]),
            electrodes=names,
            notes=(*recording.notes, *ready.notes, *notes),
        )

    def _fit_electrodes(
        self, recording: Recording, policy: str, name: str
    ) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
        """Columns of the recording to use and what the model knows them as."""
        seen = set(self.card.electrodes)
        kept = [(column, channel) for column, channel in enumerate(recording.channels) if channel in seen]
        unseen = [(column, channel) for column, channel in enumerate(recording.channels) if channel not in seen]
        if unseen and policy == "error":
            raise RecordingError(
                f"{name}: electrodes {', '.join(c for _, c in unseen)} were not in the model's training data "
                f"({', '.join(sorted(seen))}); choose unknown='nearest' or 'drop'"
            )
        notes: list[str] = []
        free = sorted(seen - {channel for _, channel in kept})
        matches = _matches([channel for _, channel in unseen], free) if policy == "nearest" else {}
        for column, channel in unseen:
            if channel in matches:
                match, distance = matches[channel]
                kept.append((column, match))
                notes.append(f"{channel} was never seen in training and taken for {match}, {distance:.0f} mm away")
        dropped = [channel for _, channel in unseen if channel not in matches]
        if dropped:
            notes.append(f"never seen in training and dropped: {', '.join(dropped)}")
        if not kept:
            raise RecordingError(
                f"{name}: none of its electrodes ({', '.join(recording.channels)}) is, or lies within {REACH:g} mm of, "
                f"one the model was trained on ({', '.join(sorted(seen))}); use a model trained on such a montage"
            )
        if len(kept) < len(seen):
            notes.append(f"the answer rests on {len(kept)} of the {len(seen)} electrodes seen in training")
        return sorted(kept), tuple(notes)


def load(folder: str | Path, *, device: str = "auto") -> Model:
    """Load a trained model.

    Parameters
    ----------
    folder
        Of a run or of its ``instruct`` checkpoint; or the id of a model on the Hugging Face hub, ``organisation/name``.
    device
        ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    CheckpointError
        If there is none, or only one that was never instruction-tuned: its answers would be noise.
    """
    path = find_checkpoint(folder)
    module, card, text = load_neurolm(path, stage="instruct")
    return Model(module, card, text, choose_device(device), folder=path)


from_pretrained = load


def _matches(unseen: Sequence[str], free: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Give unseen electrodes free ones within reach: the closest pair first, whatever the order in the file."""
    where = positions()
    pairs = sorted(
        (distance, channel, name)
        for channel in unseen
        for name in free
        if channel in where and name in where
        for distance in [1000 * math.dist(where[channel], where[name])]
        if distance <= REACH
    )
    matches: dict[str, tuple[str, float]] = {}
    for distance, channel, name in pairs:
        if channel not in matches and name not in {taken for taken, _ in matches.values()}:
            matches[channel] = (name, distance)
    return matches


def _windows(samples: int, seconds: int, stride: float, source) -> tuple[list[int], int, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if samples < RATE:
        raise RecordingError(f"{_name(source)}: {samples / RATE:.2f} s long; at least 1 s of EEG is needed")
    if samples < seconds * RATE:
        notes = (f"the recording is shorter than the {seconds} s window the model was trained on",)
        seconds = samples // RATE
    return list(range(0, samples - seconds * RATE + 1, max(1, round(stride * RATE)))), seconds, notes


def _name(source) -> str:
    if isinstance(source, str | Path):
        return str(source)
    names = [str(f) for f in getattr(source, "filenames", ()) if f]
    return names[0] if names else "recording"
