"""What lives as long as the service: its models, its recordings, what answers and draws"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from fastapi import Request

from neurolm.core.names import choose
from neurolm.server.engine import Engine
from neurolm.server.errors import NoSuch
from neurolm.server.library import Library
from neurolm.server.metrics import Metrics
from neurolm.server.models import load_models
from neurolm.server.settings import ServerSettings
from neurolm.server.shield import Shield
from neurolm.server.traces.traces import Traces

if TYPE_CHECKING:
    from neurolm.api.model import Model


class Service:
    """Models and recordings, and what is made of them."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.began = time.monotonic()
        self.metrics = Metrics()
        self.models: dict[str, Model] = load_models(settings)
        """By name; the first is asked where a request names none."""
        self.library = Library(settings)
        self.shield = Shield(settings.readers)
        self.ending = threading.Event()
        """Set when what still runs has to end, a few seconds after the service was asked to."""
        self.traces = Traces(settings.readers)
        self.engine = Engine(self.models, settings, counted=self.metrics.batch, ended=self.metrics.question)
        self.metrics.waiting.set_function(lambda: self.engine.waiting)

    def model(self, name: str | None = None) -> Model:
        """Return a model by its name; without one, the first.

        Raises
        ------
        NoSuch
            If there is none of this name.
        """
        found = self.models.get(next(iter(self.models)) if name is None else name)
        if found is None:
            raise NoSuch(f"model={name!r}{choose(str(name), list(self.models))}")
        return found

    def end(self) -> None:
        """End answers that still run: whoever waits is told so, and no others begin."""
        self.ending.set()
        self.engine.close()

    def close(self) -> None:
        """End what runs, and delete what was uploaded."""
        for one in (self.engine, self.traces, self.shield):
            one.close()
        self.library.close()


async def service(request: Request) -> Service:
    """Return the service that a request is for; routes take it by ``Depends(service)``.

    It waits for nothing, so it needs no thread of those that requests share.
    """
    return request.app.state.service
