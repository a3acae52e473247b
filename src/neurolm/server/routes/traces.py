"""Traces of a recording, as the page draws them"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from neurolm.server.errors import Json
from neurolm.server.service import Service, service
from neurolm.server.traces.display_filters import DisplayFilters
from neurolm.server.traces.page import MOST_COLUMNS, Request
from neurolm.server.traces.traces import NotReady

router = APIRouter()
OfService = Annotated[Service, Depends(service)]
Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False)]
Hertz = Annotated[float, Query(ge=0, allow_inf_nan=False, description="Hz; 0 is off.")]
Columns = Annotated[int, Query(ge=1, le=MOST_COLUMNS, description="Columns of the screen.")]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_CACHED = {"Cache-Control": "private, max-age=3600"}


class Building(BaseModel):
    """The traces are still being made: ask again."""

    ready: bool
    progress: float


class ShownChannel(BaseModel):
    """A channel as a page shows it."""

    name: str
    electrode: str | None
    side: str | None
    bad: str | None
    unit: str | None
    kind: str
    label: str
    baseline: float


class ShownAnnotation(BaseModel):
    """What the file says about a stretch of time."""

    start: float
    duration: float
    text: str
    bad: bool


class Montage(BaseModel):
    """A montage in which the recording can be shown."""

    id: str
    name: str
    channels: list[str]
    bad: list[str | None]


class View(BaseModel):
    """What a page has to know of a recording before it draws."""

    ready: bool
    rate: float
    seconds: float
    start_time: str | None
    channels: list[ShownChannel]
    gaps: list[tuple[float, float]]
    annotations: list[ShownAnnotation]
    more_annotations: int
    montages: list[Montage]
    filters: dict[str, list[float]]
    sleep: bool
    version: str


_LATER: dict[int | str, dict[str, Any]] = {202: {"model": Building, "description": "Still being made: ask again."}}
_PAGE: dict[int | str, dict[str, Any]] = _LATER | {
    200: {"content": {"application/octet-stream": _BINARY}, "description": "NLT1: a header and int16."}
}


@router.get("/recordings/{id}/view", response_model=View, responses=_LATER)
def view(id: str, of: OfService) -> Response:
    """Say what a page has to know of a recording; its traces are made when this is asked for the first time."""
    of.library.touch(id)
    found = of.traces.view(of.library.get(id))
    return Json(found) if found["ready"] else _later(found["progress"])


@router.get("/recordings/{id}/traces", response_class=Response, responses=_PAGE)
def traces(
    id: str,
    of: OfService,
    start: Seconds = 0.0,
    seconds: Annotated[float, Query(gt=0, allow_inf_nan=False)] = 10.0,
    columns: Columns = 1200,
    montage: Annotated[str, Query(max_length=4000)] = "recorded",
    highpass: Hertz = 0.0,
    lowpass: Hertz = 0.0,
    notch: Hertz = 0.0,
    bad: Annotated[str, Query(max_length=4000, description="Channels that the average leaves out, too.")] = "",
) -> Response:
    """Return a page of traces in a binary form that docs/service.md describes."""
    request = Request(
        start=start,
        seconds=seconds,
        columns=columns,
        montage=montage,
        filters=DisplayFilters(highpass=highpass, lowpass=lowpass, notch=notch),
        bad=tuple(bad.split(",")) if bad else (),
    )
    try:
        page = of.traces.page(of.library.get(id), request)
    except NotReady as later:
        return _later(later.progress)
    return Response(page, media_type="application/octet-stream", headers=_CACHED)


@router.get("/recordings/{id}/overview", response_class=Response, responses=_PAGE)
def overview(id: str, of: OfService, columns: Columns = 1200) -> Response:
    """Return the range over all good EEG channels of the whole recording, as a page of one channel."""
    try:
        page = of.traces.overview(of.library.get(id), columns)
    except NotReady as later:
        return _later(later.progress)
    return Response(page, media_type="application/octet-stream", headers=_CACHED)


def _later(progress: float) -> Json:
    return Json({"ready": False, "progress": round(progress, 3)}, status_code=202, headers={"Retry-After": "1"})
