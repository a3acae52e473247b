"""Where the work is done: a model, a folder, one answer at a time, each of which can be stopped"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from neurolm.ask.answer import Answer
from neurolm.assistant.folder import Recordings
from neurolm.assistant.results import Reading, reading_of
from neurolm.core.errors import NeuroLMError

if TYPE_CHECKING:
    from neurolm.api.model import Model

Result = TypeVar("Result")
Tell = Callable[[float, float | None], Any]
AT_ONCE = 4
"""Calls that are worked on at once; further ones wait."""
PACE = 0.2
"""Seconds between two looks at how far the work is."""


class StoppedWork(Exception):
    """Nobody waits for the result any more."""


@dataclass
class Job:
    """Work in a thread of its own: how far it is, and whether anybody still wants it."""

    done: float = 0.0
    total: float | None = None
    before: float = 0.0
    """What was done for answers before this one."""
    unwanted: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        """Stop here where nobody waits any more.

        Raises
        ------
        StoppedWork
            Then.
        """
        if self.unwanted.is_set():
            raise StoppedWork


class Desk:
    """A model and a folder of recordings.

    Parameters
    ----------
    load
        Loads the model, which takes a while: the way in is open meanwhile.
    recordings
        What may be asked about.
    """

    def __init__(self, load: Callable[[], Model], recordings: Recordings) -> None:
        self.recordings = recordings
        self._model: Future[Model] = Future()
        self._one, self._drawing = threading.Lock(), threading.Lock()
        self._job: Job | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        threading.Thread(target=self._load, args=(load,), daemon=True).start()

    def _load(self, load: Callable[[], Model]) -> None:
        try:
            model = load()
            # Also between two passes of one answer nothing more is computed than is wanted.
            model.module.language.register_forward_pre_hook(lambda *_: self._look_up())
            self._model.set_result(model)
        except Exception as error:
            logging.getLogger(__name__).exception("the model could not be loaded")
            self._model.set_exception(error if isinstance(error, NeuroLMError) else NeuroLMError(_BROKEN))

    def _look_up(self) -> None:
        if self._job is not None:
            self._job.go_on()
            self._job.done += self._job.total is None  # passes, where nothing better is known

    def model(self) -> Model:
        """Return the model, once it is loaded."""
        return self._model.result()

    def ask(self, job: Job, file: str, question: str, *, reading: Reading | None, **how: Any) -> Answer:
        """Answer a question about a recording, as `Model.ask` does; runs in a thread."""
        model, path = self.model(), self.recordings.path(file)
        with self.turn(job):
            for step in model.ask_stream(path, question, reading=reading_of(reading), **how):
                if isinstance(step, Answer):
                    job.before = job.done
                    return step
                job.done, job.total = job.before + step.done, job.before + step.total
                job.go_on()
        raise AssertionError("an answer comes last")

    def turn(self, job: Job) -> Any:
        """Return a context in which a job has the model for itself."""
        return _Turn(self, job)

    def drawn(self, draw: Callable[[], bytes]) -> bytes:
        """Draw a picture; one at a time, since matplotlib's settings are everybody's."""
        with self._drawing:
            return draw()

    async def work(self, tell: Tell, do: Callable[[Job], Result]) -> Result:
        """Do something in a thread, saying how far it is; what is cancelled stops there, too.

        Raises
        ------
        NeuroLMError
            As what is done raises it.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        job = Job()
        async with _told(tell, job):
            done = await anyio.to_thread.run_sync(_caught, do, job, abandon_on_cancel=True, limiter=self._limiter)
        if isinstance(done, NeuroLMError):
            raise done
        return done


class _Turn:
    def __init__(self, desk: Desk, job: Job) -> None:
        self.desk, self.job = desk, job

    def __enter__(self) -> None:
        while not self.desk._one.acquire(timeout=PACE):
            self.job.go_on()
        self.desk._job = self.job

    def __exit__(self, *_: object) -> None:
        self.desk._job = None
        self.desk._one.release()


def _caught(do: Callable[[Job], Result], job: Job) -> Result | NeuroLMError:
    """An error for users as a value: a group of tasks would wrap it."""
    try:
        return do(job)
    except NeuroLMError as error:
        return error


@asynccontextmanager
async def _told(tell: Tell, job: Job) -> AsyncIterator[None]:
    """Say how far a job is while it lasts; whatever ends the wait ends the job."""

    said = 0.0

    async def say() -> None:
        nonlocal said
        if job.done > said:
            said = job.done
            await tell(said, job.total)

    async def watch() -> None:
        while True:
            await anyio.sleep(PACE)
            await say()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            yield
        finally:
            job.unwanted.set()
            group.cancel_scope.cancel()
    await say()


_BROKEN = "the model could not be loaded; whoever runs this server finds the reason in its log"
