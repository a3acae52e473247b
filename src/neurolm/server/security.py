"""Who may ask: Host, Origin and token of every request, and the headers of every answer"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

from neurolm.core.errors import ConfigError, argument
from neurolm.server import log
from neurolm.server.errors import Json, failed
from neurolm.server.metrics import Metrics
from neurolm.server.settings import ServerSettings

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""On every answer."""
API, UPLOADS, OPEN = "/api/", "/api/v1/recordings", ("/api/v1/health",)
LEFT = 499
"""What is counted as the status of a request whose client hung up before it was whole; nobody is sent it."""
MOST_BODY = 1 << 20
"""Bytes of a request that is no upload."""
SHORTEST_TOKEN = 16
"""Characters of a token for others than this machine."""
_OWN = ("127.0.0.1", "::1", "localhost")


def require_safe(settings: ServerSettings) -> None:
    """Refuse to be reached from other machines without a token.

    Raises
    ------
    ConfigError
        If the address is not this machine's own and there is no token, or one that can be guessed.
    """
    if is_loopback(settings.host):
        return
    how = "NEUROLM_TOKEN=\"$(python -c 'import secrets; print(secrets.token_urlsafe())')\" in the environment"
    if settings.token is None:
        raise ConfigError(
            f"{argument(host=settings.host)}: others than this machine could reach the service, so it needs a token: "
            f"set {how}; docs/service.md says how to put TLS in front"
        )
    if len(settings.token) < SHORTEST_TOKEN:
        raise ConfigError(f"a token of {len(settings.token)} characters can be guessed: set {how}")


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """Lets through what may come in, puts the headers of safety on all that goes out, and counts."""

    def __init__(self, app: App, *, settings: ServerSettings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self._names = {name.lower().rstrip(".") for name in (*_OWN, settings.host, *settings.names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # no part of the service is a web socket
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.monotonic(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_headers(message.get("headers", ()), scope["path"])
            await send(message)

        self.metrics.running.inc()
        try:
            refused = self._refused(scope)
            if refused is not None:
                await refused(scope, receive, sent)
            else:
                await self.app(scope, self._limited(scope, receive), sent)
        except ClientDisconnect:  # who asked is gone, which is no fault
            status = status or LEFT
        except Exception as error:
            id = secrets.token_hex(4)
            log.fault(id, scope["method"], _route(scope), error)
            if status == 0:
                what = f"a fault of the service, which its log has as {id}; the request may be right"
                await failed(500, "Fault", what)(scope, receive, sent)
        finally:
            self.metrics.running.dec()
            route = _route(scope)
            self.metrics.requests.labels(_method(scope), route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - began)

    def _refused(self, scope: Scope) -> Json | None:
        """The answer to a request that may not come in; None: it may."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if len(hosts) != 1 or not self._is_named(host):
            return failed(
                421, "WrongHost", "the service is not called by this name; the flag --name of neurolm serve adds one"
            )
        origins = sum(name == b"origin" for name, _ in scope["headers"])
        if origins > 1 or not self._is_same_origin(headers, host, scope["path"]):
            return failed(403, "WrongOrigin", "the request comes from another site's page")
        path = scope["path"]
        if self.settings.token is not None and path.startswith(API) and path not in OPEN:
            given = headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {self.settings.token}".encode()):
                what = "the service wants its token, as Authorization: Bearer TOKEN"
                return failed(401, "WrongToken", what, {"WWW-Authenticate": "Bearer"})
        declared = headers.get("content-length", "0")
        if not _is_upload(scope) and declared.isdecimal() and int(declared) > MOST_BODY:
            return _too_long()
        return None

    def _is_named(self, host: str) -> bool:
        name = _hostname(host)
        if name in self._names:
            return True
        if self.settings.host not in ("0.0.0.0", "::"):
            return False
        try:
            ipaddress.ip_address(name or "")
        except ValueError:
            return False
        return True  # by its number: no name was bound to another address

    def _is_same_origin(self, headers: Mapping[str, str], host: str, path: str) -> bool:
        """Whether a request is of the service's own page, or of no page."""
        origin = headers.get("origin")
        if origin is not None:
            try:
                found = urlsplit(origin)
                ours = (_netloc(host, "http"), _netloc(host, "https"))
                own = found.scheme in ("http", "https") and _netloc(found.netloc, found.scheme) in ours
                own = own and found.username is None
            except ValueError:
                return False
            names = {name.lower() for name in self.settings.names}
            if not own and not (found.scheme == "https" and _hostname(found.netloc) in names):
                return False
        site = headers.get("sec-fetch-site", "none")
        return site in ("none", "same-origin") or not path.startswith(API)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Count what comes, where it is no upload, which counts by itself."""
        if _is_upload(scope):
            return receive
        left = MOST_BODY

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        return counted


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and scope["path"] == UPLOADS


def _too_long() -> Json:
    return failed(413, "TooLarge", f"a request that is no upload has at most {MOST_BODY:,} bytes")


def _hostname(host: str) -> str | None:
    """The name in ``name:port``, in small letters; None where it is none."""
    try:
        found = urlsplit(f"//{host}")
        _ = found.port
    except ValueError:
        return None
    if found.hostname is None or found.username is not None or found.netloc != host:  # a path, say
        return None
    return found.hostname.rstrip(".")


def _netloc(host: str, scheme: str) -> tuple[str | None, int]:
    found = urlsplit(f"//{host}")
    return found.hostname, found.port or (443 if scheme == "https" else 80)


def _route(scope: Scope) -> str:
    route = getattr(scope.get("route"), "path", None)
    return route if isinstance(route, str) and route else "other"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS") else "other"


def _with_headers(headers: Any, path: str) -> list[tuple[bytes, bytes]]:
    there = {name.lower() for name, _ in headers}
    own = HEADERS | {"Cache-Control": "no-store" if path.startswith(API) else "no-cache"}
    more = [(name.lower().encode(), value.encode()) for name, value in own.items()]
    return [*headers, *((name, value) for name, value in more if name not in there)]
