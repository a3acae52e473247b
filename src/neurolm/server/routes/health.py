"""Whether the service is well, and what it has done so far"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from neurolm import __version__
from neurolm.server.service import Service, service

router = APIRouter()


class Health(BaseModel):
    """How the service is."""

    status: str
    version: str
    uptime_s: float
    models: list[str]


@router.get("/health")
def health(of: Annotated[Service, Depends(service)]) -> Health:
    """Say that the service is there, since when, and with which models."""
    return Health(
        status="ok", version=__version__, uptime_s=round(time.monotonic() - of.began, 3), models=list(of.models)
    )
