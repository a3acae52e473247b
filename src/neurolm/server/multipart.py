"""Files of a request straight to disk: parsed while they come, counted, never whole in memory"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from neurolm.core.amounts import many
from neurolm.core.errors import NeuroLMError
from neurolm.server.errors import FULL, DiskFull, ServiceError, TooLarge, TooSlow
from neurolm.server.naming import name_on_disk, shown_name

MOST_FILES = 8
"""Of one upload."""
PART = "files"
"""What the parts of the request are called."""
PIECE = 1 << 20
"""Bytes that are gathered before a thread writes them."""
OVERHEAD = 1 << 16
"""Bytes that a request may have besides its files."""
PATIENCE = 60.0
"""Seconds for which the next piece of an upload is waited for."""
_DRAIN = 3.0, 64 << 20
"""Seconds and bytes for which the rest of a refused upload is read: else many clients never see the reason."""


async def receive(request: Request, folder: Path, *, most: int) -> dict[str, str]:
    """Write the files of a request into a folder, by names of our own, and have them on disk for good.

    Parameters
    ----------
    folder
        Is there, and empty.
    most
        Bytes of all files together.

    Returns
    -------
    dict of str to str
        Names on disk → names as they are shown.

    Raises
    ------
    TooLarge
        As soon as that is known: by what the request declares, before anything is read.
    ServiceError
        If it is no upload, or one without files or with too many.
    RecordingError
        If a file has a suffix that no format has.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most + OVERHEAD:
        await _drain(request, request.stream())
        raise _too_large(most)
    free = _free(folder)
    if declared.isdecimal() and int(declared) > free:
        await _drain(request, request.stream())
        raise DiskFull(f"{int(declared):,} bytes, and the service's disk has {free:,} left: free space there")
    parts = _Parts(request.headers.get("content-type", ""), folder, most)
    gathered, stream = bytearray(), request.stream()
    try:
        async for piece in _in_time(stream):
            gathered += piece
            if len(gathered) >= PIECE:
                await run_in_threadpool(parts.write, bytes(gathered))
                gathered.clear()
        await run_in_threadpool(parts.finish, bytes(gathered))
    except OSError as error:
        await _drain(request, stream)
        if error.errno in FULL:
            raise DiskFull("the disk of the service is full: free space there, then send it again") from error
        raise
    except NeuroLMError:
        await _drain(request, stream)
        raise
    finally:
        parts.close()
    return parts.files


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"more than {most / 1e9:.3g} GB, the most that this service takes in one upload")


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


async def _drain(request: Request, stream: AsyncIterator[bytes]) -> None:
    """Read on for a moment and forget it, unless the client waits for leave to send."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    left = _DRAIN[1]
    with suppress(TimeoutError):  # a client that promised much may send nothing
        async with asyncio.timeout(_DRAIN[0]):
            async for piece in stream:
                left -= len(piece)
                if left < 0:
                    return


async def _in_time(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces of a request, none of which is waited for without end."""
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise TooSlow(f"nothing came for {PATIENCE:g} seconds: send it again") from error
        yield piece


class _Parts:
    """The parts of a request, as they come."""

    def __init__(self, content_type: str, folder: Path, most: int) -> None:
        kind, given = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not given.get(b"boundary"):
            raise ServiceError(f"an upload is multipart/form-data with parts named {PART!r}")
        self.files: dict[str, str] = {}
        self._folder, self._most, self._left = folder, most, most
        self._file: int | None = None
        self._header = self._value = b""
        self._disposition = b""
        self._ended = False
        calls: dict[str, Callable] = {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end,
            "on_header_field": self._field, "on_header_value": self._said, "on_header_end": self._header_end,
            "on_headers_finished": self._open, "on_end": self._whole,
        }  # fmt: skip
        try:
            self._parser = MultipartParser(given[b"boundary"], calls)  # type: ignore[arg-type]
        except FormParserError as error:
            raise ServiceError(f"the upload cannot be understood: {error}") from error

    def write(self, piece: bytes) -> None:
        """Take what has come."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise ServiceError(f"the upload cannot be understood: {error}") from error

    def finish(self, piece: bytes) -> None:
        """Take the last of it."""
        self.write(piece)
        if not self._ended:
            raise ServiceError("the upload ended before it was whole: send it again")
        if not self.files:
            raise ServiceError(f"an upload without a file: send at least one part named {PART!r}")
        _sync(self._folder)

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _begin(self) -> None:
        self._disposition = b""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _said(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open(self) -> None:
        _, said = parse_options_header(self._disposition)
        if said.get(b"name") != PART.encode() or b"filename" not in said:
            raise ServiceError(f"an upload has parts named {PART!r}, each a file with its name, and no others")
        if len(self.files) == MOST_FILES:
            raise TooLarge(f"more than {many(MOST_FILES, 'file')}; an upload is one recording")
        given = said[b"filename"].decode("utf-8", "replace")
        name = name_on_disk(given)
        if name in self.files:
            raise ServiceError(
                f"{self.files[name]}, {shown_name(given)}: two files of one kind; an upload is one recording, each "
                "other is uploaded by itself"
            )
        self.files[name] = shown_name(given)
        self._file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._left -= end - start
        if self._left < 0:
            raise _too_large(self._most)
        assert self._file is not None
        piece = memoryview(data)[start:end]
        while len(piece):
            piece = piece[os.write(self._file, piece) :]

    def _end(self) -> None:
        assert self._file is not None
        os.fsync(self._file)
        self.close()

    def _whole(self) -> None:
        self._ended = True


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
