"""Files from the Hugging Face hub, in a folder that its client keeps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from neurolm.core.errors import CheckpointError, NeuroLMError
from neurolm.core.names import near_names

HUB = "hf://"
"""Before an id: no folder of this machine is meant."""
HUB_ID = re.compile(r"(?P<name>[\w-][\w.-]*(/[\w-][\w.-]*)?)(@(?P<revision>[\w./-]+))?")
"""A repository on the hub, ``gpt2`` or ``organisation/name``, and perhaps one of its revisions."""


def hub_folder(
    source: str | Path,
    files: Sequence[str],
    *,
    give: str,
    kind: type[NeuroLMError] = CheckpointError,
    revision: str | None = None,
) -> Path:
    """Return a folder; where there is none of this name, some files of the repository of this name on the hub.

    Parameters
    ----------
    source
        A folder, or a repository's id: ``name``, ``organisation/name``, ``organisation/name@revision``; after ``hf://``
        only an id.
    files
        To be downloaded; those that the repository does not have are left out, but one must be there.
    give
        What the user can give instead, for messages: "give a folder with …".
    kind
        Class of the error.
    revision
        Commit, tag or branch of the repository, where its id does not say it; by default the newest.

    Raises
    ------
    NeuroLMError
        As an object of ``kind``, if there is no such folder, and no such repository or no way to it.
    """
    here = not str(source).startswith(HUB)
    if here and Path(source).is_dir():
        if revision is not None:
            raise kind(f"{source}: a folder has no revision {revision!r}: leave it out, or put {HUB} before an id")
        return Path(source)
    found = HUB_ID.fullmatch(str(source).removeprefix(HUB))
    if found is None or (here and "/" in found["name"] and Path(source).parent.is_dir()):  # a folder, misspelt
        raise kind(f"{source}: no such folder{near_folder(source)}; {give}")
    if found["revision"] and revision not in (None, found["revision"]):
        raise kind(f"{source}: says another revision than {revision!r}: give one of them")
    from huggingface_hub import snapshot_download

    wanted = found["revision"] or revision
    try:
        folder = Path(snapshot_download(found["name"], revision=wanted, allow_patterns=list(files)))
        if not any((folder / file).is_file() for file in files):
            raise FileNotFoundError(f"it has no {' or '.join(files)}")
    except Exception as error:  # the client raises errors of several libraries, depending on its version
        raise kind(
            f"{source}: {'no such folder, and ' * here}the Hugging Face hub did not give it ({type(error).__name__}: "
            f"{first_line(error)}); check the name and the network, or {give}"
        ) from error
    return folder


def near_folder(source: str | Path) -> str:
    """Ask whether a folder beside one that is not there is meant, or one in ``runs``: ``: did you mean runs/demo?``."""
    path = Path(source)
    places = dict.fromkeys([path.parent, path.parent / "runs"])
    for place in places:
        try:
            names = [each.name for each in sorted(place.iterdir()) if each.is_dir()]
        except OSError:  # there is none, or it may not be read
            continue
        if near := near_names(path.name, [name for name in names if not name.startswith(".")], most=1):
            return f": did you mean {place / near[0]}?"
    return ""


def first_line(error: Exception) -> str:
    """Return the first line of what the hub's client says, which goes on with advice of its own."""
    return (str(error).splitlines() or [""])[0]
