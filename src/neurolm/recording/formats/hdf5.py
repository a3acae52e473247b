"""HDF5 files (MATLAB 7.3) whose data lie in other files, which the library opens by itself"""

from __future__ import annotations

from pathlib import Path

from neurolm.core.errors import RecordingError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OFFSETS = (0, 512, 1024, 2048)
"""Where the signature may be."""


def is_hdf5(path: Path) -> bool:
    """Whether a file is one of HDF5."""
    with path.open("rb") as file:
        head = file.read(_OFFSETS[-1] + len(SIGNATURE))
    return any(head[at:].startswith(SIGNATURE) for at in _OFFSETS)


def require_own_data(path: Path) -> None:
    """Refuse a file of HDF5 that names others: external links, external or virtual data.

    Raises
    ------
    RecordingError
        If it does.
    """
    if not is_hdf5(path):
        return
    import h5py

    with h5py.File(path, "r") as file:
        groups = [file]
        seen = set()
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                found = None if isinstance(link, h5py.ExternalLink) else group.get(name)
                if isinstance(link, h5py.ExternalLink) or (
                    isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
                ):
                    raise RecordingError(f"{path}: its {name[:40]!r} lies in another file; save it as one file")
                if isinstance(found, h5py.Group) and found.id not in seen:
                    seen.add(found.id)
                    groups.append(found)
