"""The app: the page, the API under /api/v1, and what every answer of it has in common"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from neurolm import __version__
from neurolm.server.errors import Failed, Json, add_handlers
from neurolm.server.routes import answers, health, models, recordings, reports, traces
from neurolm.server.security import Guard, require_safe
from neurolm.server.service import Service
from neurolm.server.settings import ServerSettings

API = "/api/v1"
PAGE = Path(__file__).with_name("page")
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failed, "description": what}
    for status, what in {
        400: "The body of the request cannot be understood.",
        401: "The token is missing or wrong.",
        403: "The request comes from another site.",
        404: "No such recording, model or answer.",
        408: "Nothing more of the request came for a minute.",
        413: "Larger than the service takes.",
        421: "The service is not called by this name.",
        422: "What is asked for cannot be done; the message says why and what to do.",
        429: "Too much at once; come again after the seconds of Retry-After.",
        500: "A fault of the service.",
        507: "The service's disk is full.",
    }.items()
}
"""What any request may be answered with."""


def create_app(settings: ServerSettings) -> FastAPI:
    """Put the service together; its models are loaded here.

    Raises
    ------
    NeuroLMError
        If a model or a folder cannot be used.
    """
    require_safe(settings)
    service = Service(settings)

    @asynccontextmanager
    async def alive(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="neurolm", version=__version__, docs_url=None, redoc_url=None, openapi_url=f"{API}/openapi.json",
        default_response_class=Json, lifespan=alive,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )  # fmt: skip
    app.state.service = service
    add_handlers(app)
    for part in (health, models, recordings, traces, answers, reports):
        app.include_router(part.router, prefix=API, responses=FAILURES)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/assets", StaticFiles(directory=PAGE), name="assets")
    app.add_middleware(Guard, settings=settings, metrics=service.metrics)
    return app
