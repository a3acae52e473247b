"""Whether the service is well, and what it has done so far"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from neurolm import __version__
from neurolm.server.metrics import CONTENT_TYPE
from neurolm.server.service import Service, service

router = APIRouter()


class Health(BaseModel):
    """How the service is."""

    status: str
    version: str
    uptime_s: float
    models: list[str]


@router.get("/health")
async def health(of: Annotated[Service, Depends(service)]) -> Health:
    """Say that the service is there, since when, and with which models; also when all its threads are at work."""
    return Health(
        status="ok", version=__version__, uptime_s=round(time.monotonic() - of.began, 3), models=list(of.models)
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(of: Annotated[Service, Depends(service)]) -> Response:
    """Say what was counted so far, as Prometheus reads it."""
    return Response(of.metrics.text(), headers={"Content-Type": CONTENT_TYPE})
