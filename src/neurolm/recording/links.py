"""Files that were not fetched: links of git-annex, DataLad and Git LFS that lead to nothing."""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.core.errors import RecordingError

_LARGEST = 4096  # bytes of a pointer
_ANNEX = re.compile(rb"/annex/objects/|[^\n]*\.git/annex/objects/")
_LFS = b"version https://git-lfs.github.com/spec/"


def require_content(path: Path) -> None:
    """Refuse what is only the name of a file.

    Raises
    ------
    RecordingError
        If it is a link to nothing, or a pointer in place of the file, saying how to get it.
    """
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        get = _get(path)
        if "annex/objects" not in target.replace("\\", "/"):
            get = f"correct the link, or if the folder is a data set of git-annex or DataLad, {get}"
        raise RecordingError(f"{path}: a link to a file that is not there ({target}): {get}")
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return
    with path.open("rb") as file:
        head = file.read(_LARGEST)
    if _ANNEX.match(head.replace(b"\\", b"/")):
        raise RecordingError(f"{path}: a link to a file that is not there (git-annex's, as text): {_get(path)}")
    if head.startswith(_LFS):
        get = f"get it first (git lfs pull --include '{path.name}')"
        raise RecordingError(f"{path}: a pointer of Git LFS to a file that is not there: {get}")


def _get(path: Path) -> str:
    return f"get it first (git annex get '{path.name}', or datalad get '{path.name}')"
