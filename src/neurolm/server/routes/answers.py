"""Questions about a recording, and what becomes of their answers"""

from __future__ import annotations

import asyncio
import logging
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from neurolm.ask import EXPLAINED, FREE_SECONDS
from neurolm.ask.answer import Answer, Progress
from neurolm.ask.answering import Asked, Inquiry
from neurolm.ask.embedding import save_parts
from neurolm.ask.explanation import Effect, Explanation, explain_windows
from neurolm.ask.prompt import with_evidence
from neurolm.ask.verdict import verdict
from neurolm.core.errors import NeuroLMError, QuestionError, argument
from neurolm.core.files import dump_json
from neurolm.core.names import choose
from neurolm.export.export import export_answer
from neurolm.recording.recording import open_recording
from neurolm.server import kept
from neurolm.server.engine import ENDING, Answered, Asking, Begun, Ending, Event, Failed, shown_error
from neurolm.server.errors import Json
from neurolm.server.kinds import kind_of, place_of
from neurolm.server.library import Entry
from neurolm.server.reading import read_between
from neurolm.server.service import Service, service

router = APIRouter()
OfService = Annotated[Service, Depends(service)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Question = Annotated[str, Field(min_length=1, max_length=500)]
Options = Annotated[list[Label], Field(min_length=2, max_length=26)]
Risk = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
KEEP_ALIVE = 10.0
"""Seconds without news after which a stream says that it is still there."""
LOOK = 0.5
"""Seconds between two looks whether the client still listens."""
_STREAM = "text/event-stream"
_LOG = logging.getLogger(__name__)
_MEDIA = {"csv": "text/csv", "json": "application/json", "edf": "application/edf", "bids": "application/zip",
          "hypnogram": "text/plain"}  # fmt: skip
_SUFFIX = {"bids": "zip", "hypnogram": "txt"}


class Strict(BaseModel):
    """A body without unknown fields."""

    model_config = ConfigDict(extra="forbid")
    model: Annotated[str | None, Field(max_length=200)] = None
    """By its name; by default the first."""


class Ask(Strict):
    """A question to a recording."""

    question: Question
    options: Options | None = None
    """Permitted answers of a question of one's own."""
    risk: Risk | None = None
    """Largest share of wrong answers."""
    unseen: Literal["nearest", "drop", "error"] = "nearest"
    """What to do with electrodes that the model never saw."""


class Explain(Strict):
    """What to explain."""

    question: Question
    options: Options | None = None
    option: Label | None = None
    """By default the likeliest."""
    start: Seconds = 0.0
    stop: Seconds | None = None
    windows: Annotated[int, Field(ge=1, le=64)] = EXPLAINED
    """Most windows to look at."""


class Embed(Strict):
    """Which features to make."""

    seconds: Annotated[int, Field(ge=1, le=64)] = FREE_SECONDS
    """Length of a window."""
    stride: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = FREE_SECONDS
    evidence: bool = False
    """Whether what the evidence says is wanted, too."""


def _model(of: Service, name: str | None) -> str:
    """The name of the model that is meant, which is there."""
    of.model(name)
    return next(iter(of.models)) if name is None else name


def _found(answer: Answer, asked: Asked, id: str) -> dict[str, Any]:
    """An answer as it is sent."""
    more = {"answer_id": id, "verdict": verdict(answer), "kind": kind_of(asked.question.task)}
    return asdict(answer) | more | {"simulated": answer.simulated, "unlike": answer.unlike}


@router.post(
    "/recordings/{id}/ask",
    responses={200: {"content": {_STREAM: {}}, "description": "The answer; or events, one after the other."}},
)
async def ask(id: str, body: Ask, request: Request, of: OfService) -> Response:
    """Ask a question: windows come as events as soon as they are answered, or the answer when it is there.

    With ``Accept: text/event-stream`` the events are ``begin``, ``windows`` (many), and in the end ``answer`` or
    ``error``; comments between them keep the connection alive. Else the body is what ``answer`` would be.
    """
    entry = await run_in_threadpool(of.library.get, id)
    model = _model(of, body.model)
    asked = await run_in_threadpool(of.model(model).asked, body.question, body.options)
    of.library.touch(id)
    events: asyncio.Queue[Event] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def told(event: Event) -> None:
        with suppress(RuntimeError):  # the service has ended
            loop.call_soon_threadsafe(events.put_nowait, event)

    asking = of.engine.ask(entry, asked, model=model, risk=body.risk, unseen=body.unseen, told=told)
    put = _Put(of, entry, model, body, asked, asking)
    if _STREAM in request.headers.get("accept", ""):
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(put.stream(events, request), media_type=_STREAM, headers=headers)
    try:
        return Json(await put.final(events, request))
    finally:
        asking.cancel()


class _Put:
    """A question that was put, on its way to whoever asked it."""

    def __init__(self, of: Service, entry: Entry, model: str, body: Ask, asked: Asked, asking: Asking) -> None:
        self.id = kept.new_id()
        self._of, self._entry, self._model = of, entry, model
        self._body, self._asked, self._asking = body, asked, asking

    async def final(self, events: asyncio.Queue[Event], request: Request) -> dict[str, Any]:
        """The answer."""
        async for event in self._each(events, request):
            if isinstance(event, Answered):
                return await self._keep(event)
            if isinstance(event, Failed):
                raise event.error
        raise QuestionError("nobody waits for the answer")  # and nobody reads this

    async def stream(self, events: asyncio.Queue[Event], request: Request) -> AsyncIterator[str]:
        """Everything, as server-sent events."""
        try:
            async for event in self._each(events, request):
                if event is None:
                    yield ": still here\n\n"
                elif isinstance(event, Begun):
                    yield _event("begin", self._begun(event.inquiry))
                elif isinstance(event, Progress):
                    yield _event("windows", asdict(event))
                elif isinstance(event, Answered):
                    yield _event("answer", await self._keep(event))
                else:
                    yield _event("error", self._failed(event.error))
        except Exception as error:
            yield _event("error", self._failed(error))
        finally:
            self._asking.cancel()

    async def _each(self, events: asyncio.Queue[Event], request: Request) -> AsyncIterator[Any]:
        """Events to the last one; None where there was no news for a while. The end where nobody listens any more."""
        silent = 0.0
        while True:
            if self._of.ending.is_set():
                self._asking.fail(Ending(ENDING))
            try:
                event = await asyncio.wait_for(events.get(), LOOK)
            except TimeoutError:
                if await request.is_disconnected():
                    return
                silent += LOOK
                if silent >= KEEP_ALIVE:
                    silent = 0.0
                    yield None
                continue
            silent = 0.0
            yield event
            if isinstance(event, Answered | Failed):
                return
            if events.empty() and await request.is_disconnected():
                return

    def _begun(self, inquiry: Inquiry) -> dict[str, Any]:
        windows, question = inquiry.windows, self._asked.question
        return {
            "answer_id": self.id, "question": question.task.question, "options": question.task.labels,
            "electrodes": windows.recording.electrodes, "windows": len(windows.starts),
            "seconds": windows.recording.length, "stride": question.task.stride, "length": windows.seconds,
            "trained": question.trained, "kind": kind_of(question.task),
        }  # fmt: skip

    async def _keep(self, event: Answered) -> dict[str, Any]:
        what = kept.Kept(
            model=self._model, question=self._body.question, risk=self._body.risk,
            options=None if self._body.options is None else tuple(self._body.options),
            windows=event.inquiry.windows, said=event.said,
        )  # fmt: skip
        try:
            await run_in_threadpool(kept.keep, self._entry, self.id, what)
        except (NeuroLMError, OSError) as error:  # it is told all the same, and cannot be concluded again
            _LOG.warning("an answer could not be kept: %s", type(error).__name__)
        return await run_in_threadpool(_found, event.answer, self._asked, self.id)

    def _failed(self, error: Exception) -> dict[str, str]:
        kind, message = shown_error(error)
        if not isinstance(error, NeuroLMError):
            _LOG.error("a question failed", exc_info=error)
        return {"kind": kind, "message": self._of.library.shown(message, self._entry.id)}


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {dump_json(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _again(of: Service, id: str, answer_id: str, risk: float | None) -> tuple[Entry, Answer, Asked]:
    """An answer that is kept, concluded at a risk; by default at the one it was given at."""
    entry = of.library.get(id)
    found = kept.find(entry, answer_id)
    asked = of.model(found.model).asked(found.question, found.options)
    of.library.touch(id)
    inquiry = Inquiry(asked=asked, windows=found.windows)
    return entry, inquiry.conclude(found.said, risk=found.risk if risk is None else risk), asked


@router.get("/recordings/{id}/answers/{answer_id}")
def again(id: str, answer_id: str, of: OfService, risk: Annotated[float | None, Query(gt=0, lt=1)] = None) -> Response:
    """Conclude an answer again, at another risk: nothing is read, and no model is asked."""
    _, answer, asked = _again(of, id, answer_id, risk)
    return Json(_found(answer, asked, answer_id))


@router.get("/recordings/{id}/answers/{answer_id}/export", response_class=FileResponse)
def export(
    id: str,
    answer_id: str,
    of: OfService,
    after: BackgroundTasks,
    format: Literal["csv", "json", "edf", "bids", "hypnogram"],
    risk: Annotated[float | None, Query(gt=0, lt=1)] = None,
) -> FileResponse:
    """Write an answer as a file of other programs: a table, JSON, EDF+ annotations, BIDS derivatives (a .zip file)."""
    entry, answer, _ = _again(of, id, answer_id, risk)
    start = open_recording(entry.path, reading=entry.reading).start if format == "edf" else None
    folder = tempfile.TemporaryDirectory(prefix="export-", dir=entry.scratch)
    suffix = _SUFFIX.get(format, format)
    path = Path(folder.name) / f"answer.{suffix}"
    try:
        export_answer(answer, path, format=format, start=start)
    except BaseException:
        folder.cleanup()
        raise
    after.add_task(folder.cleanup)
    headers = {"Content-Disposition": _attached(entry.name, f"answer.{suffix}")}
    return FileResponse(path, media_type=_MEDIA[format], headers=headers)


def _attached(name: str, suffix: str) -> str:
    """The name under which a file is saved: the recording's and what it is, so that it never replaces a recording."""
    stem = Path(name.replace("\\", "/")).stem or "recording"
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
    return f"attachment; filename=\"{plain}.{suffix}\"; filename*=UTF-8''{quote(f'{stem}.{suffix}', safe='')}"


@router.post("/recordings/{id}/explain")
def explain(id: str, body: Explain, of: OfService) -> dict[str, Any]:
    """Say which electrodes and seconds carried an answer, by leaving each out in turn."""
    entry, name = of.library.get(id), _model(of, body.model)
    asked = of.model(name).asked(body.question, body.options)
    labels = asked.question.task.labels
    if body.option is not None and body.option not in labels:
        raise QuestionError(f"{argument(option=body.option)}: no answer to this question{choose(body.option, labels)}")
    of.library.touch(id)
    batcher, source = of.engine.batcher(name), of.engine.source(entry, asked, model=name)
    with of.engine.room():
        ticket = kept.new_id()
        try:
            starts, part = of.engine.readers.submit(
                ticket, read_between, source, body.start, body.stop, body.windows
            ).result()
        finally:
            of.engine.readers.forget(ticket)

        def score(given: Any) -> Any:
            samples = list(given)
            said = batcher.score(asked.prompt, samples)
            return sum(with_evidence(asked.prompt, said, lambda beside: beside.scores(samples)))

        found = explain_windows(asked, part.windows, starts, part.samples, option=body.option, score=score)
    return _explained(found)


def _explained(found: Explanation) -> dict[str, Any]:
    electrodes = []
    for electrode, effect in zip(found.electrodes, found.electrode_effects, strict=False):  # of a single one none
        x, y = place_of(electrode)
        electrodes.append({"name": electrode, "x": x, "y": y, **_effect(effect)})
    seconds = [
        {"start": start, **_effect(effect)} for start, effect in zip(found.seconds, found.second_effects, strict=True)
    ]
    return {
        "recording": found.recording, "question": found.question, "option": found.option,
        "log_odds": found.log_odds, "electrodes": electrodes, "seconds": seconds, "names": found.electrodes,
        "starts": found.starts, "notes": found.notes,
    }  # fmt: skip


def _effect(found: Effect) -> dict[str, Any]:
    return {"effect": found.mean, "spread": found.spread, "windows": found.windows}


@router.post("/recordings/{id}/embed", response_class=FileResponse)
def embed(id: str, body: Embed, of: OfService, after: BackgroundTasks) -> FileResponse:
    """Make features of a recording: an .npz file as ``neurolm embed`` writes it."""
    entry, name = of.library.get(id), _model(of, body.model)
    of.library.touch(id)
    batcher = of.engine.batcher(name)
    with of.engine.room():
        parts = of.model(name).embed_parts(
            entry.path, seconds=body.seconds, stride=body.stride, evidence=body.evidence, reading=entry.reading
        )
        folder = tempfile.TemporaryDirectory(prefix="features-", dir=entry.scratch)
        each = iter(parts)

        def turns() -> Any:
            while (part := batcher.step(lambda: next(each, None))) is not None:
                yield part

        try:
            path = save_parts(Path(folder.name) / "features.npz", turns(), parts.shape[0])
        except BaseException:
            folder.cleanup()
            raise
    after.add_task(folder.cleanup)
    headers = {"Content-Disposition": _attached(entry.name, "features.npz")}
    return FileResponse(path, media_type="application/octet-stream", headers=headers)
