"""What can be chosen about the service: models, recordings, address, and limits"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PORT = 8765


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How a service runs. Its defaults are safe: this machine alone, uploads that are limited and deleted."""

    models: tuple[Path, ...]
    """Folders of runs; the first is asked where a request names none."""
    folder: Path | None = None
    """Recordings that are there already; nothing outside it can be reached by its list."""
    host: str = "127.0.0.1"
    """Address to listen at; another than this machine's own needs a ``token``."""
    port: int = PORT
    token: str | None = None
    """What every request must carry (``Authorization: Bearer …``); None asks nobody."""
    names: tuple[str, ...] = ()
    """Host names by which it is called besides its own address, as by a proxy in front: others are refused."""
    certificate: Path | None = None
    """For TLS without a proxy in front: the certificate with its chain (PEM)."""
    key: Path | None = None
    """The certificate's key (PEM)."""
    uploads: Path | None = None
    """Where uploads lie, and outlive the service until their time is over; by default a folder for the user in that of
    temporary files, from which they are deleted when the service ends as it was asked to."""
    keep: float = 24 * 3600.0
    """Seconds after its last use at which an upload is deleted."""
    most_bytes: int = 4 << 30
    """Of one upload."""
    most_seconds: float = 72 * 3600.0
    """Duration of a recording that is uploaded."""
    waiting: int = 64
    """Questions that wait at most; further ones are told to come again (429)."""
    readers: int = 2
    """Processes that read recordings."""
    device: str = "auto"
    precision: str = "auto"
