"""What workers do: answer questions about a recording, or embed it, and write that down.

They may be killed at any moment and do it again, by several workers at once too: a file of answers appears whole, and
holds what depends on the recording, the model and the questions alone.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.archive.inputs import Source
from neurolm.archive.request import EmbedRequest, Request
from neurolm.ask.answer import Answer
from neurolm.ask.recording import ModelInput, read_stored
from neurolm.ask.rows import Outcome
from neurolm.ask.vectors import About, vectors, write_vectors
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
    from neurolm.api import Model

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


def read_outcome(part: Path) -> Outcome:
    """Read the answers about a recording.

    Raises
    ------
    StoreError
        If they cannot be read.
    """
    try:
        return Outcome.from_json(gzip.decompress(part.read_bytes()), source=str(part))
    except (OSError, EOFError, zlib.error, StoreError) as error:
        raise StoreError(f"{part}: cannot be read ({error}); delete it, and give the same command again") from error


@lru_cache(maxsize=1)
def _model(folder: str, content: str, device: str, precision: Precision) -> Model:
    """The model, loaded once in a process, which computes with one thread: processes are the parallelism."""
    import torch

    from neurolm.api import load

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
