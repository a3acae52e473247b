"""One file over HTTP: resumed, compared with its checksum, in place whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, local

import requests

from neurolm.core.errors import DownloadError, WriteError

PART = ".part"
"""Suffix of what is not complete yet; the next attempt, or the next run, goes on from it."""
BLOCK = 1 << 16
"""Bytes at a time: the most that a cut connection makes lost."""
TIMEOUTS = (20, 60)
"""Seconds to connect, and without a byte."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the second attempt, doubled each time up to the longest."""
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses that may pass."""
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416


class Stopped(Exception):
    """The user interrupted the downloads."""


class Unreachable(DownloadError):
    """There is no way to the server: no network, no such host, no answer."""


class _Interrupted(Exception):
    """An attempt that may be made again."""

    def __init__(self, reason: str, *, wait: float = 0, network: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.network = wait, network


@dataclass(frozen=True)
class Transfer:
    """How files are fetched."""

    attempts: int
    """In a row that bring nothing, before a file is given up."""
    stop: Event
    """Ends all transfers when it is set."""
    wait: Callable[[float], object]
    """Waits some seconds, or less when ``stop`` is set."""
    _kept: local

    @classmethod
    def start(cls, *, attempts: int) -> Transfer:
        """Return what fetches files, with a connection kept per thread."""
        stop = Event()
        return cls(attempts=attempts, stop=stop, wait=stop.wait, _kept=local())

    def fetch(self, url: str, path: Path, sha256: str | None = None) -> None:
        """Fetch a file.

        Parameters
        ----------
        url
            Of the file.
        path
            Where it shall be.
        sha256
            Hash of its content; None: not known.

        Raises
        ------
        Stopped
            If ``stop`` was set.
        Unreachable
            If the server does not answer.
        DownloadError
            If the server refuses, or the content does not match the hash even when fetched anew.
        WriteError
            If the file cannot be written.
        """
        part = path.with_name(f".{path.name}{PART}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if sha256 is None:
                part.unlink(missing_ok=True)  # nothing would tell that what follows belongs to it
            self._complete(url, part)
            if sha256 is not None and file_hash(part) != sha256:
                part.unlink()  # a cut connection may have left anything: once more, from the start
                self._complete(url, part)
                found = file_hash(part)
                if found != sha256:
                    part.unlink()
                    raise DownloadError(
                        f"{url}: fetched twice, and its content (SHA-256 {found[:16]}…) is not the one that the site's "
                        f"checksums promise ({sha256[:16]}…); tell the site, or name a mirror (base_url=)"
                    )
            part.replace(path)
        except requests.RequestException as error:
            raise DownloadError(f"{url}: not a URL that can be fetched ({error})") from error
        except OSError as error:
            raise WriteError(f"{path}: cannot be written ({error.strerror}); free space, or choose a folder") from error

    def _complete(self, url: str, part: Path) -> None:
        """Fetch what is missing of a file, in as many attempts as bring something."""
        most, failed = _size(part), 0
        while not self.stop.is_set():
            try:
                return self._attempt(url, part)
            except _Interrupted as error:
                failed = 1 if _size(part) > most else failed + 1
                most = max(most, _size(part))
                if failed >= self.attempts:
                    kind = Unreachable if error.network and not most else DownloadError
                    raise kind(f"{url}: {error} (after {failed} attempts)") from error
                self.wait(min(LONGEST_PAUSE, max(error.wait, PAUSE * 2 ** (failed - 1))))
        raise Stopped

    def _attempt(self, url: str, part: Path) -> None:
        have = _size(part)
        headers = {"Accept-Encoding": "identity"}  # what is compressed on the way cannot be resumed
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with self._session().get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
                self._take(response, part, have)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _Interrupted(_reason(error), network=True) from error

    def _take(self, response: requests.Response, part: Path, have: int) -> None:
        status = response.status_code
        if status == RANGE_NOT_SATISFIABLE and have:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was complete already
            part.unlink()
            raise _Interrupted("what was left of an earlier attempt is not part of the file")
        if status in BUSY:
            raise _Interrupted(f"the server answered {status} {response.reason}", wait=_asked_to_wait(response))
        if status not in (200, PARTIAL_CONTENT):
            raise DownloadError(
                f"{response.url}: the server answered {status} {response.reason}; "
                + ("the file is not there: is the mirror complete?" if status == 404 else "it gives no access")
            )
        resumed = status == PARTIAL_CONTENT and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if status == PARTIAL_CONTENT and not resumed:
            part.unlink(missing_ok=True)
            raise _Interrupted("the server sent another part than was asked for")
        with part.open("ab" if resumed else "wb") as file:
            for block in response.iter_content(BLOCK):
                file.write(block)
                if self.stop.is_set():
                    raise Stopped
        length = response.headers.get("Content-Length")
        came = _size(part) - (have if resumed else 0)
        if length is not None and came != int(length):
            raise _Interrupted(f"the connection was cut after {came:,} of {int(length):,} bytes")

    def _session(self) -> requests.Session:
        if not hasattr(self._kept, "session"):
            self._kept.session = requests.Session()
        return self._kept.session


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _asked_to_wait(response: requests.Response) -> float:
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 0.0


def _reason(error: BaseException) -> str:
    """The innermost cause, without the wrappings of the libraries around it."""
    while error.__context__ is not None or (error.args and isinstance(error.args[0], BaseException)):
        error = error.__context__ if error.__context__ is not None else error.args[0]
    return str(error) or type(error).__name__
