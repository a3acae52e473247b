"""The ways in: standard input and output for an assistant on this machine, HTTP with a token"""

from __future__ import annotations

import contextlib
import hmac
import signal
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from neurolm.core.errors import ConfigError

PATH = "/mcp"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST = 16
"""Characters that a token must have."""
Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class TokenOnly:
    """Lets through requests that carry the token, compared in constant time, before anything of them is read."""

    def __init__(self, app: App, token: str) -> None:
        self.app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope.get("headers", ()) if name.lower() == b"authorization"]
        if len(given) == 1 and hmac.compare_digest(given[0], self._expected):
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"give the server's token: Authorization: Bearer ...\n"})


def require_token(token: str | None) -> str:
    """Return the token, if it may be one.

    Raises
    ------
    ConfigError
        If there is none, or a short one.
    """
    if token is None or len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        found = "no token" if not token else "a token that is short or has blanks"
        raise ConfigError(
            f"{found}: over HTTP every request must carry one. Put at least {SHORTEST} letters and digits into "
            "$NEUROLM_TOKEN, or give a file with them by --token-file"
        )
    return token


def http_app(server: MCPServer, *, token: str, host: str, port: int, names: Sequence[str] = ()) -> App:
    """Return the application that serves HTTP: token, Host and Origin of every request are checked.

    Parameters
    ----------
    host, port
        Where it listens.
    names
        Host names by which it is called besides, as by a proxy in front.
    """
    own = dict.fromkeys((*LOOPBACK, host) if host in LOOPBACK else (host,))
    hosts = [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in own]
    hosts += [called for name in names for called in (name, f"{name}:*")]
    security = TransportSecuritySettings(
        allowed_hosts=hosts, allowed_origins=[f"{scheme}://{one}" for one in hosts for scheme in ("http", "https")]
    )
    return TokenOnly(
        server.streamable_http_app(streamable_http_path=PATH, transport_security=security, host=host), token
    )


def serve_stdio(server: MCPServer) -> None:
    """Serve an assistant that started this process, until it closes standard input."""
    server.run("stdio")


def serve_http(
    server: MCPServer, *, token: str, host: str, port: int, names: Sequence[str], told: Callable[[str], None]
) -> None:
    """Serve HTTP until the process is told to end.

    Raises
    ------
    ConfigError
        If nothing can listen there.
    """
    import socket

    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # who comes as soon as the address is told waits until it is served
    except OSError as error:
        listening.close()
        raise ConfigError(f"--host {host} --port {port}: {error.strerror}; choose another --port") from error
    port = listening.getsockname()[1]
    app = http_app(server, token=token, host=host, port=port, names=names)
    told(f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=3
    )  # type: ignore[arg-type]
    with contextlib.suppress(KeyboardInterrupt), listening:
        uvicorn.Server(config).run(sockets=[listening])
    signal.signal(signal.SIGINT, signal.default_int_handler)
