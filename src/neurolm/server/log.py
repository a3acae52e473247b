"""What a service writes down: what went wrong where in the code, never about which recording"""

from __future__ import annotations

import logging
import traceback
import warnings
from pathlib import Path

from neurolm.core.terminal import say

_LOUD = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "python_multipart", "concurrent.futures")
"""Loggers whose messages may hold what somebody sent."""


def quiet() -> None:
    """Let libraries say nothing by themselves: a message may hold the name of a file, and so of a person."""
    warnings.simplefilter("ignore")
    for name in _LOUD:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.NullHandler()], False


def fault(request: str, method: str, route: str, error: BaseException) -> None:
    """Write down a fault of the service: the kind of the error and where it was raised, without what it says.

    Parameters
    ----------
    request
        Id of the request, which the answer names too.
    route
        As the API describes it, with ``{id}`` in place of ids.
    """
    places = [f"{Path(one.filename).name}:{one.lineno}" for one in traceback.extract_tb(error.__traceback__)[-6:]]
    say(f"fault {request}: {method} {route}: {type(error).__name__} at {' > '.join(places)}", error=True)
