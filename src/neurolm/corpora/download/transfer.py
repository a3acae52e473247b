"""One file over HTTP: resumed, compared with its checksum, in place whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, local
from typing import BinaryIO

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError
from urllib3 import BaseHTTPResponse, Retry
from urllib3.exceptions import HTTPError

from neurolm.core.errors import DownloadError, WriteError, argument
from neurolm.core.small_files import SMALL

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


class Interrupted(Exception):
    """The user interrupted the downloads."""


class Unreachable(DownloadError):
    """There is no way to the server: no network, no such host, no answer."""


@dataclass(frozen=True)
class Transfer:
    """How files are fetched."""

    attempts: int
    """Requests in a row that bring nothing, after which a file is given up."""
    stop: Event = field(default_factory=Event)
    """Ends all transfers when it is set."""
    _kept: local = field(default_factory=local, init=False)
    """A connection per thread."""

    def fetch(self, url: str, path: Path, sha256: str | None = None, *, most: int = SMALL) -> None:
        """Fetch a file.

        Parameters
        ----------
        url
            Its address.
        path
            Where it shall be.
        sha256
            Hash of its content; None where it is not known.
        most
            Bytes that it can have: a server may send without end.

        Raises
        ------
        Interrupted
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
            self._complete(url, part, most)
            if sha256 is not None and file_hash(part) != sha256:
                part.unlink()  # a cut connection may have left anything: once more, from the start
                self._complete(url, part, most)
                found = file_hash(part)
                if found != sha256:
                    part.unlink()
                    raise DownloadError(
                        f"{url}: fetched twice, and its content (SHA-256 {found[:16]}…) is not the one that the site's "
                        f"checksums promise ({sha256[:16]}…); tell the site, or name a mirror ({argument('base_url')})"
                    )
            part.replace(path)
        except requests.RequestException as error:
            raise DownloadError(f"{url}: not a URL that can be fetched ({error})") from error
        except OSError as error:
            raise WriteError(f"{path}: cannot be written ({error.strerror}); free space, or choose a folder") from error

    def _complete(self, url: str, part: Path, limit: int) -> None:
        """Fetch what is missing of a file, after every cut from there on, in as many requests as bring something."""
        most, failed = _size(part), 0
        while not self.stop.is_set():
            problem = self._request(url, part, limit)
            if problem is None:
                return
            failed = 1 if _size(part) > most else failed + 1
            most = max(most, _size(part))
            if failed >= self.attempts:
                raise DownloadError(f"{url}: {problem} (after {failed} attempts)")
            self.stop.wait(min(LONGEST_PAUSE, PAUSE * 2 ** (failed - 1)))
        raise Interrupted

    def _request(self, url: str, part: Path, limit: int) -> str | None:
        """Append what the server sends; returns why that was not all, None where it was."""
        have = _size(part)
        if have > limit:
            part.unlink()
            raise DownloadError(
                f"{url}: more than {limit:,} bytes came, and it cannot be so long; trust no such site, or name another "
                f"mirror ({argument('base_url')})"
            )
        headers = {"Accept-Encoding": "identity"}  # what is compressed on the way cannot be resumed
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            response = self._session().get(url, headers=headers, stream=True, timeout=TIMEOUTS)
        except HTTPError as error:  # of urllib3, for headers that are none
            raise DownloadError(f"{url}: the server's answer is none ({error})") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            kind = DownloadError if have else Unreachable
            raise kind(f"{url}: {_reason(error)} (after {self.attempts} attempts)") from error
        with response:
            status, where = response.status_code, response.headers.get("Content-Range", "")
            if status == RANGE_NOT_SATISFIABLE and have:
                if where == f"bytes */{have}":
                    return None  # it was complete already
                part.unlink()
                return "what was left of an earlier attempt is not part of the file"
            if status not in (200, PARTIAL_CONTENT):
                busy = f"it is busy (after {self.attempts} attempts)" if status in BUSY else "it gives no access"
                hint = "the file is not there: is the mirror complete?" if status == 404 else busy
                raise DownloadError(f"{response.url}: the server answered {status} {response.reason}; {hint}")
            resumed = status == PARTIAL_CONTENT
            if resumed and not where.startswith(f"bytes {have}-"):
                part.unlink(missing_ok=True)
                return "the server sent another part than was asked for"
            try:
                with _writing(part, append=resumed) as file:
                    got = have if resumed else 0
                    for block in response.iter_content(BLOCK):
                        file.write(block)
                        got += len(block)
                        if got > limit:
                            return "it sends more than there can be"
                        if self.stop.is_set():
                            raise Interrupted
            except (requests.ConnectionError, requests.exceptions.ContentDecodingError, ChunkedEncodingError) as error:
                return f"the connection was cut: {_reason(error)}"
        return None

    def _session(self) -> requests.Session:
        """A connection that is asked again, after a while, where the server does not answer or is busy."""
        if not hasattr(self._kept, "session"):
            stop = self.stop

            class Patience(Retry):
                def sleep(self, response: BaseHTTPResponse | None = None) -> None:
                    asked = self.get_retry_after(response) if response else None
                    stop.wait(min(LONGEST_PAUSE, max(asked or 0, self.get_backoff_time())))

            retries = Patience(self.attempts - 1, status_forcelist=BUSY, backoff_factor=PAUSE, raise_on_status=False)
            self._kept.session = requests.Session()
            for scheme in ("http://", "https://"):
                self._kept.session.mount(scheme, HTTPAdapter(max_retries=retries))
        return self._kept.session


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    """Bytes that are there of a file; what is no file of the folder itself, as a link, is removed."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        path.unlink()
        return 0
    return status.st_size


def _writing(path: Path, *, append: bool) -> BinaryIO:
    """Open a file to be written, following no link that somebody put in its place."""
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | (os.O_APPEND if append else os.O_TRUNC)
    return os.fdopen(os.open(path, flags, 0o666), "ab" if append else "wb")


def _reason(error: BaseException) -> str:
    """The innermost cause, without the wrappings of the libraries around it."""
    while error.__context__ is not None or (error.args and isinstance(error.args[0], BaseException)):
        error = error.__context__ if error.__context__ is not None else error.args[0]
    return str(error) or type(error).__name__
