"""The recordings of a service: what is known of each, and how others come and go"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from neurolm.core.errors import RecordingError
from neurolm.recording.formats.hdf5 import is_hdf5, require_own_data
from neurolm.recording.options import ReadingOptions, Truncated, Unit, Unknown
from neurolm.server.errors import Busy, TooLarge
from neurolm.server.example import make_example
from neurolm.server.inspection import inspected
from neurolm.server.library import Entry, Origin, as_shown
from neurolm.server.multipart import PART, receive
from neurolm.server.naming import main_of, rename_within
from neurolm.server.service import Service, service

router = APIRouter()
OfService = Annotated[Service, Depends(service)]
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [PART],
                    "properties": {
                        PART: {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
                    },
                }
            }
        },
    }
}
"""What an upload is, for the description of the API; it is read while it comes, not by the framework."""


class Listed(BaseModel):
    """A recording of the service."""

    id: str
    name: str
    origin: str
    bytes: int
    expires: float | None
    """Seconds since 1970; null: it stays."""


class Reading(BaseModel):
    """How a recording is read, where its file does not say it."""

    model_config = ConfigDict(extra="forbid")
    unit: Unit | None = None
    mains: float | None = Field(default=None, gt=0, lt=100)
    rate: float | None = Field(default=None, gt=0, le=1e6)
    unknown: Unknown | None = "nearest"
    channels: list[str] | dict[str, str] | None = None
    truncated: Truncated = "refuse"
    cap: str | None = None
    stream: str | int | None = None


def listed(entry: Entry, of: Service) -> Listed:
    """Say what a list says of a recording."""
    expires = None if entry.origin == "folder" else entry.used + of.settings.keep
    return Listed(id=entry.id, name=entry.name, origin=entry.origin, bytes=entry.bytes, expires=expires)


@router.get("/recordings")
def all_recordings(of: OfService) -> list[Listed]:
    """List the recordings: uploads, the newest first, then those of the folder."""
    return [listed(entry, of) for entry in of.library.entries()]


@router.post("/recordings", status_code=201, openapi_extra=_UPLOAD)
async def upload(request: Request, of: OfService) -> Listed:
    """Take a recording in: a file, or all files of one that has several (``.vhdr``, ``.eeg`` and ``.vmrk``).

    When this has answered, the upload is on disk, and a crash of the service does not lose it. It is deleted some time
    after its last use.
    """
    outcome = "refused"
    try:
        with of.library.coming() as (id, folder):
            files = await receive(request, folder, most=of.settings.most_bytes)
            found = await run_in_threadpool(_taken, of, id, folder, files, "upload")
        outcome = "kept"
        of.metrics.upload_bytes.inc(found.bytes)
    finally:
        of.metrics.uploads.labels(outcome).inc()
    return found


def _taken(of: Service, id: str, folder: Path, files: dict[str, str], origin: Origin) -> Listed:
    """Have what was uploaded, unless it is too long."""
    main = main_of(folder, files)
    rename_within(folder, files)
    if is_hdf5(main):  # whose library opens what it names without asking
        try:
            of.shield.call(main, require_own_data, main)
        except RecordingError as error:
            raise RecordingError(as_shown(str(error).replace(f"{folder}/", ""), files)) from error
    entry = of.library.add(id, folder, main, files, origin)
    try:
        inspected(entry, of.shield, most_seconds=of.settings.most_seconds)
    except TooLarge:
        of.library.remove(id)
        raise
    except Busy:  # it is inspected when somebody asks
        pass
    return listed(entry, of)


@router.post("/recordings/example", status_code=201)
def example(of: OfService) -> Listed:
    """Take an example in: simulated EEG."""
    with of.library.coming() as (id, folder):
        return _taken(of, id, folder, make_example(folder), "example")


@router.delete("/recordings/{id}", status_code=204)
def delete(id: str, of: OfService) -> None:
    """Delete an upload and all that was derived of it."""
    of.library.remove(id)
    of.traces.forget(id)


@router.get("/recordings/{id}/inspection")
def inspection(id: str, of: OfService) -> dict[str, Any]:
    """Say what was understood of a recording, as ``neurolm inspect --json`` does, and how it is read."""
    of.library.touch(id)
    entry = of.library.get(id)
    most = None if entry.origin == "folder" else of.settings.most_seconds  # it may not have been looked at yet
    return inspected(entry, of.shield, most_seconds=most)


@router.put("/recordings/{id}/reading")
def read_as(id: str, reading: Reading, of: OfService) -> dict[str, Any]:
    """Set how a recording is read, as the remedies say, and inspect it anew; what is not given is as at first."""
    before = of.library.get(id)
    how = ReadingOptions(**reading.model_dump())
    most = None if before.origin == "folder" else of.settings.most_seconds
    found = inspected(replace(before, reading=how), of.shield, most_seconds=most)
    of.library.touch(id)
    of.library.read_as(id, how)
    return found
