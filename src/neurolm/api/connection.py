"""A connection to a service: requests, refusals, events as they come, files as they are sent"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from json import loads
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from neurolm import __version__
from neurolm.core import errors
from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError, NeuroLMError, argument

CONNECT, SILENT = 10.0, 300.0
"""Seconds after which a service that does not answer is not there, and one that says nothing more is given up."""
PATIENCE = 300.0
"""Seconds for which a busy service is asked again, in all."""
SHORTEST_WAIT = 0.2
_CHUNK = 1 << 20


class RemoteError(NeuroLMError):
    """A service that is not there, refuses the request, or breaks off."""


class Connection:
    """Sends requests to a service.

    Parameters
    ----------
    url, token, patience
        As for `neurolm.connect`.
    """

    def __init__(self, url: str, *, token: str | None, patience: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigError(f"{argument(url=url)}: give the address of a service, such as http://127.0.0.1:8765")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        self._patience = patience
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"neurolm/{__version__}"
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close what is open."""
        self._session.close()

    def decoded(self, kind: Any, data: Any) -> Any:
        """Make a dataclass of what the service says, strictly."""
        return decode(kind, data, source=f"{self.url}: what the service says is of another version", error=RemoteError)

    def error(self, said: Any) -> NeuroLMError:
        """Return the error that the service met, as it would be here."""
        said = said if isinstance(said, dict) else {}
        kind, message = getattr(errors, str(said.get("kind")), None), str(said.get("message"))
        if isinstance(kind, type) and issubclass(kind, NeuroLMError) and kind not in (NeuroLMError, errors.Stopped):
            return kind(message)
        return RemoteError(f"{self.url}: {message}")

    def events(self, response: requests.Response) -> Iterator[tuple[str, Any]]:
        """Names and data of server-sent events."""
        name, data = "message", list[str]()
        try:
            for line in response.iter_lines(chunk_size=None):  # type: ignore[call-overload]
                text = line.decode("utf-8", "replace")
                if not text:
                    if data:
                        yield name, loads("\n".join(data))
                    name, data = "message", []
                elif text.startswith("event:"):
                    name = text.removeprefix("event:").strip()
                elif text.startswith("data:"):
                    data.append(text.removeprefix("data:").removeprefix(" "))
        except (requests.RequestException, ValueError) as error:
            raise RemoteError(
                f"{self.url}: the service broke off before the answer was there ({error}): ask again"
            ) from error

    def json(self, method: str, path: str, **how: Any) -> Any:
        with self.request(method, path, **how) as response:
            try:
                return response.json()
            except ValueError as error:
                raise RemoteError(
                    f"{response.url}: no answer of neurolm's service; is it the right address?"
                ) from error

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        files: Sequence[Path] | None = None,
        accept: str = "application/json",
    ) -> requests.Response:
        """Send a request, again where the service is busy; what is returned is to be closed.

        Raises
        ------
        RemoteError
            If there is no service.
        NeuroLMError
            What the service says is wrong, of the kind that it says.
        """
        until = time.monotonic() + self._patience
        while True:
            sent: dict[str, Any] = {"json": body} if body is not None else {}
            if files is not None:
                sent = _Parts(files).sent
            headers = {"Accept": accept} | sent.pop("headers", {})
            try:
                response = self._session.request(
                    method, f"{self.url}/api/v1/{path}", headers=headers, stream=True, timeout=(CONNECT, SILENT),
                    allow_redirects=False, **sent,
                )  # fmt: skip
            except requests.RequestException as error:
                raise RemoteError(
                    f"{self.url}: no service answers there ({error}); start one with `neurolm serve`, or give another "
                    f"address"
                ) from error
            if response.status_code < 300:
                return response
            with response:
                wait = _wait(response)
                if response.status_code != 429 or time.monotonic() + wait > until:
                    raise self._refused(response)
            time.sleep(wait)

    def _refused(self, response: requests.Response) -> NeuroLMError:
        try:
            said = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            said = {}
        if not isinstance(said, dict) or "message" not in said:
            return RemoteError(f"{response.url}: refused with status {response.status_code}; is it neurolm's service?")
        return self.error(said)


class _Parts:
    """Files as a multipart body that is read while it is sent: they may be larger than memory."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._boundary = uuid.uuid4().hex
        self._end = f"--{self._boundary}--\r\n".encode()
        self._files = [(self._head(path), path) for path in files]

    @property
    def sent(self) -> dict[str, Any]:
        """What ``requests`` sends."""
        return {"data": self, "headers": {"Content-Type": f"multipart/form-data; boundary={self._boundary}"}}

    def __len__(self) -> int:
        """Bytes of all of it, which are sent as Content-Length."""
        return sum(len(head) + path.stat().st_size + 2 for head, path in self._files) + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        for head, path in self._files:
            yield head
            with path.open("rb") as file:
                while block := file.read(_CHUNK):
                    yield block
            yield b"\r\n"
        yield self._end

    def _head(self, path: Path) -> bytes:
        name = path.name.encode("utf-8", "replace").decode().replace('"', "%22").replace("\r", "").replace("\n", "")
        return (
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()


def _wait(response: requests.Response) -> float:
    """Seconds after which to ask again."""
    try:
        return max(SHORTEST_WAIT, float(response.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0
