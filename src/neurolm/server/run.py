"""The service as a process: its socket, its signals, its end"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from neurolm.core.errors import FLAGS, ConfigError, argument
from neurolm.server.app import create_app
from neurolm.server.log import quiet
from neurolm.server.security import require_safe
from neurolm.server.service import Service
from neurolm.server.settings import ServerSettings

GRACE, LONGEST = 3.0, 8
"""Seconds that running answers get when the service is to end, and in which it has ended in any case."""


def run(settings: ServerSettings, *, told: Callable[[str], None]) -> None:
    """Serve until a signal asks to end (Ctrl-C, SIGTERM).

    Parameters
    ----------
    told
        Is given the address when the service is there.

    Raises
    ------
    ConfigError
        If the port is taken or the address is not this machine's.
    NeuroLMError
        If a model or a folder cannot be used.
    """
    require_safe(settings)
    quiet()
    with bound(settings.host, settings.port) as listening:
        app = create_app(settings)
        host, port = listening.getsockname()[:2]
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=LONGEST,
            lifespan="on", ssl_certfile=settings.certificate, ssl_keyfile=settings.key,
        )  # fmt: skip
        _require_certificate(config)
        os.environ.pop(FLAGS, None)  # from now on messages are for users of the page and the API, who give no flags
        server = _Server(config, lambda: told(address(host, port, tls=settings.certificate is not None)))
        server.run(sockets=[listening])


def address(host: str, port: int, *, tls: bool = False) -> str:
    """Return the address as a browser takes it."""
    name = f"[{host}]" if ":" in host else host
    return f"http{'s' * tls}://{name}:{port}"


def _require_certificate(config: uvicorn.Config) -> None:
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        what = getattr(error, "reason", None) or error.strerror or error
        raise ConfigError(
            f"{config.ssl_certfile}, {config.ssl_keyfile}: no certificate with its key ({what}); give both as PEM: "
            f"{argument(tls_cert='FILE', tls_key='FILE')}"
        ) from error


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that listens at an address.

    Raises
    ------
    ConfigError
        If it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, port))
            found.listen(128)
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                raise ConfigError(
                    f"{argument(port=port)}: another program listens there, perhaps another service of neurolm; "
                    f"choose another: {argument(port=port + 1)}"
                ) from error
            raise ConfigError(f"{argument(host=host)}, {argument(port=port)}: cannot listen there ({error})") from error
        yield found


class _Server(uvicorn.Server):
    """A server that says when it is there, and whose end by a signal is no error."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._told = started

    async def startup(self, *given: Any, **named: Any) -> None:
        """Start, and say so."""
        await super().startup(*given, **named)
        if self.started:
            self._told()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end the service, and give them back."""
        before = {one: signal.signal(one, self._end) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, what in before.items():
                signal.signal(one, what)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True  # a second Ctrl-C waits for nobody
        self.should_exit = True
        service: Service = self.config.app.state.service  # type: ignore[union-attr]
        ending = threading.Timer(0.0 if self.force_exit else GRACE, service.end)
        ending.daemon = True
        ending.start()
