"""The recordings of a service: what is known of each, and how others come and go"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, UploadFile
from pydantic import BaseModel, ConfigDict

from neurolm.recording.inspect import inspect
from neurolm.recording.options import ReadingOptions
from neurolm.server.errors import ServiceError
from neurolm.server.library import Entry
from neurolm.server.service import Service, service

router = APIRouter()
OfService = Annotated[Service, Depends(service)]


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
    unit: str | None = None
    mains: float | None = None
    rate: float | None = None
    unknown: str | None = "nearest"
    channels: list[str] | dict[str, str] | None = None
    truncated: str = "refuse"
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


@router.post("/recordings", status_code=201)
def upload(files: list[UploadFile], of: OfService) -> Listed:
    """Take a recording in, of one file or of several."""

    def fill(folder: Path) -> Path:
        for one in files:
            with (folder / f"recording{Path(one.filename or '').suffix.lower()}").open("wb") as to:
                shutil.copyfileobj(one.file, to)
        return folder / f"recording{Path(files[0].filename or '').suffix.lower()}"

    return listed(of.library.add(files[0].filename or "recording", "upload", fill), of)


@router.post("/recordings/example", status_code=201)
def example(of: OfService) -> Listed:
    """Take an example in."""
    raise ServiceError("there is no example yet")


@router.delete("/recordings/{id}", status_code=204)
def delete(id: str, of: OfService) -> None:
    """Delete an upload and all that was derived of it."""
    of.library.remove(id)


@router.get("/recordings/{id}/inspection")
def inspection(id: str, of: OfService) -> dict[str, Any]:
    """Say what was understood of a recording, as ``neurolm inspect --json`` does, and how it is read."""
    return _inspected(of.library.get(id))


@router.put("/recordings/{id}/reading")
def read_as(id: str, reading: Reading, of: OfService) -> dict[str, Any]:
    """Set how a recording is read, as the remedies say, and inspect it anew."""
    of.library.get(id)
    how = ReadingOptions(**reading.model_dump())
    return _inspected(of.library.read_as(id, how))


def _inspected(entry: Entry) -> dict[str, Any]:
    found = inspect(entry.path, reading=entry.reading)
    values = {name: value for name, value in vars(found).items() if name != "recording"}
    return {"usable": found.usable} | values | {"file": entry.name, "reading": vars(entry.reading)}
