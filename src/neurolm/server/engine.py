"""Answers of the service: many questions at once, each window by window, none stuck behind another

Processes read (`reading.py`), one thread for each model computes (`batching.py`), and what is known of a question is
told to whoever asked it. Only so many questions are taken in at a time; each holds a few megabytes of windows at most.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from neurolm.ask.answer import Answer, Progress
from neurolm.ask.answering import Asked, Inquiry, Said
from neurolm.ask.engine import require_positions
from neurolm.ask.prompt import with_evidence
from neurolm.core.errors import NeuroLMError
from neurolm.recording.options import Unseen
from neurolm.server.batching import Batcher, Line
from neurolm.server.errors import Busy, ServiceError
from neurolm.server.reading import Readers, Slice, Source, read_slice

if TYPE_CHECKING:
    from concurrent.futures import Future

    from neurolm.api.model import Model
    from neurolm.server.library import Entry
    from neurolm.server.settings import ServerSettings

ROOMS = 4
"""Explanations and the like that are made at a time: each holds one of the threads that all requests share."""
TYPICAL = 5.0
"""Seconds that a question takes, before any was answered."""
LONGEST_WAIT = 600.0
"""Seconds after which anybody may ask again."""

ENDING = "the service is ending: ask again when it is back"


class Ending(ServiceError):
    """The service ends before an answer is there."""

    status = 503


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A question that is being answered: what is known before its first window."""

    inquiry: Inquiry


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A question's answer."""

    answer: Answer
    inquiry: Inquiry
    said: Said
    """From which it can be concluded again at another risk."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A question that will not be answered."""

    error: Exception


Event = Begun | Progress | Answered | Failed
"""In this order: one `Begun`, any number of `Progress`, and in the end one `Answered` or `Failed`."""


class Asking:
    """A question that is being answered.

    Parameters
    ----------
    told
        Is told every event, one after the other, from threads of the engine; it must not wait for anything.
    ended
        Is called when it is over, however it ended.
    """

    def __init__(
        self,
        asked: Asked,
        source: Source,
        *,
        risk: float | None,
        readers: Readers,
        batcher: Batcher,
        told: Callable[[Event], None],
        ended: Callable[[Asking], None],
    ) -> None:
        self.id = uuid.uuid4().hex
        self.began = time.monotonic()
        self.outcome = ""
        """``answered``, ``failed`` or ``left``, when it is over."""
        self.done = self.total = 0
        """Windows that are answered, and all; 0 before the recording is open."""
        self._asked, self._source, self._risk = asked, source, risk
        self._readers, self._batcher, self._told, self._ended = readers, batcher, told, ended
        self._lock = threading.RLock()
        self._line = Line(asked.prompt, self._on_said, self.fail)
        self._inquiry: Inquiry | None = None
        self._reading = self._over = False
        self._read = 0
        self._slices: list[Slice] = []
        """What was read and is not yet all answered."""
        self._said: list[Said] = []

    def start(self) -> None:
        """Begin to read."""
        with self._lock:
            self._read_on()

    def cancel(self) -> None:
        """Nobody wants to know any more: nothing more is read or computed, or told."""
        self._end(None)

    def fail(self, error: Exception) -> None:
        """End with an error."""
        self._end(Failed(error=error))

    def _end(self, event: Event | None) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
            self.outcome = "left" if event is None else "answered" if isinstance(event, Answered) else "failed"
            self._slices.clear()
            if event is not None:
                self._told(event)
        self._batcher.drop(self._line)
        self._readers.forget(self.id)
        self._ended(self)

    def _read_on(self) -> None:
        """Ask for the next slice where none is asked for and no more than one waits for the model."""
        if self._over or self._reading or len(self._slices) > 1 or (self.total and self._read >= self.total):
            return
        self._reading = True
        found = self._readers.submit(self.id, read_slice, self.id, self._source, self._read)
        found.add_done_callback(self._on_slice)

    def _on_slice(self, found: Future[Slice]) -> None:
        try:
            part = found.result()
        except Exception as error:
            self.fail(error)
            return
        try:
            with self._lock:
                self._reading = False
                if self._over:
                    return
                if self._inquiry is None:
                    self._begin(part)
                self._read += len(part.samples)
                self._slices.append(part)
                self._batcher.put(self._line, part.samples)
                self._read_on()
        except Exception as error:
            self.fail(error)

    def _begin(self, part: Slice) -> None:
        inquiry = Inquiry(asked=self._asked, windows=part.windows)
        prompt = self._asked.prompt
        longest = part.windows.seconds + len(prompt.question) + max(map(len, prompt.answers)) - 1
        require_positions(longest, self._source.card.run.model.language.positions)
        self._inquiry, self.total = inquiry, len(part.windows.starts)
        self._told(Begun(inquiry=inquiry))

    def _on_said(self, said: np.ndarray) -> None:
        with self._lock:
            if self._over or self._inquiry is None:
                return
            while len(said):
                part = self._slices[0]
                first = self.done - (self._read - sum(len(one.samples) for one in self._slices))
                count = min(len(part.samples) - first, len(said))
                self._tell(part, first, said[:count])
                said = said[count:]
                if first + count == len(part.samples):
                    del self._slices[0]
            self._read_on()
            if self.done < self.total:
                return
            whole = Said.joined(self._said)
            answer = self._inquiry.conclude(whole, risk=self._risk)
        self._end(Answered(answer=answer, inquiry=self._inquiry, said=whole))

    def _tell(self, part: Slice, first: int, said: np.ndarray) -> None:
        """Tell what was said about windows of a slice, from this one on."""
        assert self._inquiry is not None
        these = slice(first, first + len(said))
        shown, known = np.zeros_like(said), np.zeros(len(said), bool)
        if part.shown is not None and part.known is not None:
            shown, known = part.shown[these], part.known[these]
        language, evidence = with_evidence(self._asked.prompt, said, lambda _beside: (shown, known))
        found = Said(language=language, evidence=evidence, features=part.features[these])
        self._said.append(found)
        progress = self._inquiry.progress(found, self.done, risk=self._risk)
        self.done += len(said)
        self._told(progress)


class Engine:
    """Answers questions with the models of a service.

    Parameters
    ----------
    models
        By their names; nobody else may use them meanwhile.
    counted
        Is told of every batch how many windows it had, of how many questions.
    ended
        Is told what became of every question (`Asking.outcome`), or that it was ``refused``.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        settings: ServerSettings,
        *,
        counted: Callable[[int, int], None] = lambda _windows, _questions: None,
        ended: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._settings, self._ended = settings, ended
        self.readers = Readers(settings.readers)
        self._batchers = {
            name: Batcher(model.module, device=model.device, counted=counted) for name, model in models.items()
        }
        self._models = dict(models)
        self._lock = threading.Lock()
        self._active: dict[str, Asking] = {}
        self._taken = 0
        """Places that explanations and the like take."""
        self._typical = TYPICAL
        self._closed = False

    @property
    def waiting(self) -> int:
        """Questions that are not yet answered."""
        with self._lock:
            return len(self._active) + self._taken

    def ask(
        self,
        entry: Entry,
        asked: Asked,
        *,
        model: str,
        risk: float | None = None,
        unseen: Unseen = "nearest",
        told: Callable[[Event], None],
    ) -> Asking:
        """Begin to answer a question.

        Parameters
        ----------
        asked
            Of the model, by ``Model.asked``.
        told
            Is told every event; see `Asking`.
        risk, unseen
            As for ``Model.ask``.

        Raises
        ------
        Busy
            If as many questions wait as may.
        """
        asking = Asking(
            asked, self.source(entry, asked, model=model, unseen=unseen), risk=risk, readers=self.readers,
            batcher=self._batchers[model], told=told, ended=self._on_end,
        )  # fmt: skip
        with self._lock:
            self._require_room()
            self._active[asking.id] = asking
        asking.start()
        return asking

    def source(self, entry: Entry, asked: Asked, *, model: str, unseen: Unseen = "nearest") -> Source:
        """Return what is read of a recording for a question."""
        task, card = asked.question.task, replace(self._models[model].card, subjects=(), recordings=())
        return Source(
            path=entry.path, name=entry.name, reading=entry.reading, unseen=unseen, card=card, seconds=task.seconds,
            stride=task.stride, beside=asked.prompt.beside,
        )  # fmt: skip

    def batcher(self, model: str) -> Batcher:
        """Return the one whose thread uses a model."""
        return self._batchers[model]

    def room(self) -> _Room:
        """Take the place of a question, for something else that uses models, in a ``with`` statement.

        Raises
        ------
        Busy
            If there is none, or `ROOMS` are taken.
        """
        return _Room(self)

    def close(self) -> None:
        """End what runs: whoever waits is told so."""
        with self._lock:
            self._closed = True
            active = list(self._active.values())
        for asking in active:
            asking.fail(Ending(ENDING))
        self.readers.close()
        for batcher in self._batchers.values():
            batcher.close()

    def _require_room(self) -> None:
        if self._closed:
            raise Ending(ENDING)
        if len(self._active) + self._taken >= self._settings.waiting:
            self._ended("refused")
            wait = self._until_room()
            raise Busy(
                f"{self._settings.waiting} questions are being answered, as many as this service takes at a time: "
                f"ask again in {wait:.0f} s",
                retry_after=wait,
            )

    def _until_room(self) -> float:
        """Seconds after which the first of those that wait is likely answered."""
        now = time.monotonic()
        left = [self._typical] if not self._active else []
        for one in self._active.values():
            spent, share = now - one.began, one.done / one.total if one.total else 0.0
            left.append(spent / share - spent if share else max(self._typical - spent, self._typical / 4))
        return min(max(1.0, min(left)), LONGEST_WAIT)

    def _on_end(self, asking: Asking) -> None:
        self._ended(asking.outcome)
        with self._lock:
            if self._active.pop(asking.id, None) is not None and asking.outcome == "answered":
                self._typical += (time.monotonic() - asking.began - self._typical) / 4


class _Room:
    """The place of a question."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        with self._engine._lock:
            self._engine._require_room()
            if self._engine._taken >= ROOMS:
                self._engine._ended("refused")
                wait = self._engine._typical
                raise Busy(
                    f"{ROOMS} explanations or sets of features are being made, as many as this service makes at a "
                    f"time: ask again in {wait:.0f} s",
                    retry_after=wait,
                )
            self._engine._taken += 1

    def __exit__(self, *_error: object) -> None:
        with self._engine._lock:
            self._engine._taken -= 1


def shown_error(error: Exception) -> tuple[str, str]:
    """Return kind and message of an error as clients are told it: faults of the service tell nothing of it."""
    if isinstance(error, NeuroLMError):
        return type(error).__name__, str(error)
    return "InternalError", "a fault of the service, which its log has: ask again, and report it if it happens again"
