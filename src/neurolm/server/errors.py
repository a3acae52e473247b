"""What goes wrong in a request, as JSON, with the status that says whose fault it is"""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError, StarletteHTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from neurolm.core.errors import NeuroLMError
from neurolm.core.files import dump_json
from neurolm.core.terminal import printable

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that has no room."""


class ServiceError(NeuroLMError):
    """A request that cannot be met; its ``status`` is HTTP's."""

    status = 422
    headers: dict[str, str]

    def __init__(self, message: str, **headers: str) -> None:
        super().__init__(message)
        self.headers = headers


class NoSuch(ServiceError):
    """What a request names is not there, or not any more."""

    status = 404


class TooLarge(ServiceError):
    """An upload beyond a limit."""

    status = 413


class TooSlow(ServiceError):
    """An upload of which nothing more came."""

    status = 408


class DiskFull(ServiceError):
    """No room for what a request brings or asks for."""

    status = 507


class Busy(ServiceError):
    """More is asked for than can be done now.

    Parameters
    ----------
    retry_after
        Seconds after which to ask again.
    """

    status = 429

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, **{"Retry-After": str(max(1, math.ceil(retry_after)))})


class Failure(BaseModel):
    """What went wrong."""

    kind: str
    message: str


class Failed(BaseModel):
    """The body of every answer that is an error."""

    error: Failure


class Json(JSONResponse):
    """JSON as the rest of neurolm writes it: numbers that are none become null."""

    def render(self, content: Any) -> bytes:
        """Write the body."""
        return dump_json(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def failed(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Json:
    """Return the answer to a request that failed."""
    return Json({"error": {"kind": kind, "message": printable(message)}}, status_code=status, headers=headers)


def status_of(error: Exception) -> int:
    """Return HTTP's status for an error that is meant for users."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError) and behind.errno in FULL:
            return DiskFull.status
        behind = behind.__cause__ or behind.__context__
    return getattr(error, "status", 422)


def add_handlers(app: FastAPI) -> None:
    """Let an app answer errors as JSON, without the service's own paths."""

    @app.exception_handler(NeuroLMError)
    def _told(request: Request, error: NeuroLMError) -> Json:
        service = request.app.state.service
        message = service.library.shown(str(error), request.path_params.get("id"))
        return failed(status_of(error), type(error).__name__, message, getattr(error, "headers", None))

    @app.exception_handler(OSError)
    def _full(_request: Request, error: OSError) -> Json:
        if error.errno not in FULL:
            raise error
        return failed(DiskFull.status, DiskFull.__name__, "the disk of the service is full: free space there")

    @app.exception_handler(RequestValidationError)
    def _refused(_request: Request, error: RequestValidationError) -> Json:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc'][1:])) or one['loc'][0]}: {one['msg']}" for one in error.errors()
        )
        return failed(422, "RequestError", said)

    @app.exception_handler(StarletteHTTPException)
    def _http(_request: Request, error: StarletteHTTPException) -> Json:
        return failed(error.status_code, "RequestError", str(error.detail), dict(error.headers or {}))
