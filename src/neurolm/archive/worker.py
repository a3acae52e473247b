"""What workers do: answer questions about a recording, or embed it, and write that down.

They may be killed at any moment and do it again, by several workers at once too: a file of answers appears whole, and
holds what depends on the recording, the model and the questions alone.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.archive.inputs import Source
from neurolm.archive.request import EmbedRequest, Request
from neurolm.ask.answer import UNDECIDED, Answer
from neurolm.ask.recording import ModelInput, read_stored
from neurolm.ask.rows import Outcome
from neurolm.ask.vectors import About, read_part, vectors, write_vectors
from neurolm.core.amounts import many
from neurolm.core.config import Precision
from neurolm.core.errors import (
    CheckpointError,
    ConfigError,
    NeuroLMError,
    QuestionError,
    StoreError,
    WriteError,
)
from neurolm.core.files import atomic_file
from neurolm.core.names import readable
from neurolm.recording.readers import as_one_of_many
from neurolm.store.store import Label, Store

if TYPE_CHECKING:
    from neurolm.api.model import Model

_ROUNDING = 1e-6
"""By how much a probability may leave its range."""
_USERS = (ConfigError, WriteError, QuestionError, CheckpointError)
"""Errors that are not the recording's fault: the next one would end in the same."""


@dataclass(frozen=True)
class Job:
    """A recording to answer or to embed."""

    source: Source
    request: Request | EmbedRequest
    part: Path
    """Where what is made of it goes."""
    size: int
    """Bytes of its files."""


@dataclass(frozen=True)
class Done:
    """A recording that was answered or embedded."""

    seconds: float
    """Its length, as far as windows reach."""


@dataclass(frozen=True)
class Unanswered:
    """Stands for a recording that could not be answered or embedded."""

    reason: str


def answer_recording(job: Job) -> Done | Unanswered:
    """Answer the questions about one recording, and write the answers down; runs in a worker.

    Raises
    ------
    NeuroLMError
        If the model, a question or an argument is wrong, or nothing can be written: not the recording's fault.
    """
    return _done(job, _answer)


def embed_recording(job: Job) -> Done | Unanswered:
    """Embed one recording, and write the rows of its vectors down; runs in a worker, and raises as the others do."""
    return _done(job, _embed)


def _done(job: Job, make: Callable[[Job, Model], Done]) -> Done | Unanswered:
    """Do what is to be done with a recording; its faults are told, and others' raised."""
    source, request = job.source, job.request
    try:
        return make(job, _model(request.model, request.content, request.device, request.precision))
    except _USERS:
        raise
    except NeuroLMError as error:
        return Unanswered(_about(source, str(error)))
    except Exception as error:  # a reader may fail in any way on a damaged file, and must not stop the others
        return Unanswered(_about(source, f"{type(error).__name__}: {error}"))


def _answer(job: Job, model: Model) -> Done:
    source, request = job.source, job.request
    assert isinstance(request, Request)
    answers = _ask(model, source, request)
    outcome = Outcome(recording=source.name, subject=source.subject, session=source.session, answers=answers)
    with atomic_file(job.part) as temporary:
        temporary.write_bytes(gzip.compress(outcome.to_json().encode(), mtime=0))
    return Done(max(window.stop for window in answers[0].timeline))


def _embed(job: Job, model: Model) -> Done:
    source, request = job.source, job.request
    assert isinstance(request, EmbedRequest)
    opened, labels = _opened(model, source, request)
    found = model.embed_parts(
        opened, seconds=request.seconds, stride=request.stride, unseen=request.unseen,
        reading=as_one_of_many(source.path, request.reading),
    )  # fmt: skip
    about = About(recording=source.name, subject=source.subject, session=source.session, labels=labels)
    write_vectors(job.part, vectors(found, request.level, about))
    return Done(found.windows.spans[-1][1])


class DamagedPart(StoreError):
    """What was kept of a recording, answers or features, that cannot be read.

    Attributes
    ----------
    source
        The recording.
    fault
        What is wrong with them.
    """

    def __init__(self, job: Job, fault: str) -> None:
        super().__init__(f"{job.part}: {fault}; give the same command again")
        self.source, self.fault = job.source, fault


def check_part(job: Job) -> None:
    """Read what was kept of a recording.

    Raises
    ------
    DamagedPart
        If it cannot be read, or is not what it should be.
    """
    if isinstance(job.request, Request):
        read_outcome(job)
    else:
        deque(read_vectors(job), maxlen=0)


def read_vectors(job: Job) -> Iterator[Any]:
    """Read the features of a recording, a row group at a time, as ``pyarrow.Table``.

    Raises
    ------
    DamagedPart
        If they cannot be read, or are not about it.
    """
    try:
        for part in read_part(job.part):
            if set(part["recording"].to_pylist()) != {job.source.name}:
                raise DamagedPart(job, "it is not about this recording")
            yield part
    except (StoreError, KeyError) as error:
        raise error if isinstance(error, DamagedPart) else DamagedPart(job, f"cannot be read ({error})") from error


def read_outcome(job: Job) -> Outcome:
    """Read the answers about a recording.

    Raises
    ------
    DamagedPart
        If they cannot be read, are not about it or to what is asked, or contradict themselves.
    """
    try:
        outcome = Outcome.from_json(gzip.decompress(job.part.read_bytes()))
    except (OSError, EOFError, zlib.error, StoreError) as error:
        raise DamagedPart(job, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if fault := _fault(outcome, job):
        raise DamagedPart(job, fault)
    return outcome


def _fault(outcome: Outcome, job: Job) -> str | None:
    """Why these are not the answers to what is asked about the recording."""
    assert isinstance(job.request, Request)
    about = {outcome.recording, *(answer.recording for answer in outcome.answers)}
    if about != {job.source.name} or outcome.failure is not None:
        return "it is not about this recording"
    if tuple(answer.question for answer in outcome.answers) != job.request.asked:
        return "it answers other questions"
    for answer in outcome.answers:
        if job.request.options is not None and set(answer.options) != set(job.request.options):
            return "it has other options"
        if fault := _contradiction(answer):
            return fault
    return None


def _contradiction(answer: Answer) -> str | None:
    """What no answer can be."""
    spoke, count = answer.contributions, len(answer.options)
    each = [answer.probabilities, *(window.probabilities for window in answer.timeline)]
    named = {answer.answer} - {UNDECIDED} | ({spoke.option, spoke.against} if spoke else set())
    shares = [answer.probability, *(answer.interval or ()), *(share for shares in each for share in shares)]
    if not answer.timeline or any(window.stop < window.start for window in answer.timeline):
        return "it has no windows, or some that end before they begin"
    if not count or any(len(shares) != count for shares in each):
        return f"it has not a probability for each of {many(count, 'option')}, in every window"
    if not named <= set(answer.options):
        return "it names an option that the question does not have"
    if not all(-_ROUNDING <= share <= 1 + _ROUNDING for share in shares):
        return "it has probabilities that are not between 0 and 1"
    return None


@lru_cache(maxsize=1)
def _model(folder: str, content: str, device: str, precision: Precision) -> Model:
    """The model, loaded once in a process, which computes with one thread: processes are the parallelism."""
    import torch

    from neurolm.api.model import load

    torch.set_num_threads(1)  # a sum of parts, by as many threads as there are, has other last digits
    return load(folder, device=device, precision=precision)


def _ask(model: Model, source: Source, request: Request) -> tuple[Answer, ...]:
    reading = as_one_of_many(source.path, request.reading)
    opened, _ = _opened(model, source, request)
    if request.options is None:
        answers = model.ask_all(opened, request.questions, reading=reading, unseen=request.unseen, risk=request.risk)
    else:
        (question,) = request.questions
        answer = model.ask(
            opened, question, options=request.options, reading=reading, unseen=request.unseen, risk=request.risk
        )
        answers = (answer,)
    return tuple(replace(answer, recording=source.name) for answer in answers)


def _opened(
    model: Model, source: Source, request: Request | EmbedRequest
) -> tuple[Path | ModelInput, tuple[Label, ...]]:
    """What the model is given, and the labels that a store has of it."""
    if source.stored is None:
        return source.path, ()
    store, index = _store(str(source.path), source.stored.store), source.stored.index
    opened = read_stored(store, index, model.card, name=source.name, unseen=request.unseen)
    return opened, store.rows[index].labels


@lru_cache(maxsize=1)
def _store(path: str, fingerprint: str) -> Store:
    store = Store(path)
    if store.fingerprint != fingerprint:
        raise StoreError(f"{path}: the store was prepared anew meanwhile; give the same command again")
    return store


def _about(source: Source, message: str) -> str:
    """What a message says of a recording, whatever folder it was opened from, and without its name in front."""
    here, given = f"{source.path.parent}{os.sep}", source.name.removesuffix(readable(source.path.name))
    return readable(message.replace(here, given)).removeprefix(f"{source.name}: ")
