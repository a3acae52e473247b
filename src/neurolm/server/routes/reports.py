"""The report of a recording, as a page or to print"""

from __future__ import annotations

import re
import threading
from pathlib import PurePath
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from neurolm.report.recording import recording_report
from neurolm.server.errors import Busy
from neurolm.server.service import Service, service

router = APIRouter()
AT_ONCE = 2
"""Reports that are made at the same time."""
WAIT = 10.0
"""Seconds after which to ask again where so many are being made."""
TYPES = {"html": "text/html; charset=utf-8", "pdf": "application/pdf"}
CSP = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""Of the page: it may show itself, and act for nobody."""
_PLACES = threading.BoundedSemaphore(AT_ONCE)


@router.get(
    "/recordings/{id}/report",
    response_class=Response,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in TYPES.values()}, "description": "The file."}},
)
def report(
    id: str,
    of: Annotated[Service, Depends(service)],
    format: Literal["html", "pdf"] = "html",
    model: str | None = None,
    risk: Annotated[float | None, Query(gt=0, lt=1)] = None,
    annotations: bool = True,
) -> Response:
    """Make the report of a recording: its signal, spectra, and what the model answers to all its questions."""
    entry, answering = of.library.get(id), of.model(model)
    if not _PLACES.acquire(blocking=False):
        raise Busy(f"{AT_ONCE} reports are being made; ask again in a moment", retry_after=WAIT)
    try:
        contents = recording_report(
            answering, entry.path, (format,), reading=entry.reading, risk=risk, annotations=annotations,
            name=entry.name,
        )  # fmt: skip
    finally:
        _PLACES.release()
    headers = {"Content-Disposition": _as_file(entry.name, format), "Cache-Control": "private, no-store"}
    return Response(contents[format], media_type=TYPES[format], headers=headers | {"Content-Security-Policy": CSP})


def _as_file(name: str, kind: str) -> str:
    """Let a browser keep the report under the recording's name, whatever characters it has."""
    stem = PurePath(name).name.rpartition(".")[0] or PurePath(name).name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:100].strip("._") or "recording"
    encoded = quote(f"{stem[:100]}.report.{kind}".encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}.report.{kind}\"; filename*=UTF-8''{encoded}"
