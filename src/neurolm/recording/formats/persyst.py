"""Persyst headers in any encoding and case, with the name of the data that lie beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory

from neurolm.core.errors import RecordingError
from neurolm.core.small_files import read_small
from neurolm.core.text import decode
from neurolm.recording.formats.brainvision import find_beside
from neurolm.recording.links import require_content

_FILE = re.compile(r"(?mi)^(File[ \t]*=)(.*)$")


@contextmanager
def as_specified(path: Path, notes: list[str]) -> Iterator[Path]:
    """Give a header that MNE can read, as ``brainvision.as_specified`` does.

    Raises
    ------
    RecordingError
        If its file of data is not there.
    """
    raw = read_small(path)
    text = re.sub(r"\r\n?", "\n", decode(raw))
    said = _FILE.search(text)
    if said is None:  # MNE says what is wrong with it
        yield path
        return
    named = said[2].strip()
    data = find_beside(path, named, (".dat",))
    if data is None:
        raise RecordingError(
            f"{path}: File= names {named}, which is not there, and no {path.stem}.dat either; copy it beside the "
            f"header, or correct the line"
        )
    require_content(data)
    if data.name != PureWindowsPath(named).name:
        notes.append(f"File= names {named}, which is not there; {data.name} was taken, which is")
    if raw.decode("utf-8", "ignore").encode() == raw and Path(named).name == data.name and path.suffix == ".lay":
        yield path
        return
    with TemporaryDirectory(prefix="neurolm-") as folder:
        (Path(folder) / data.name).symlink_to(data.resolve())
        copy = (Path(folder) / path.name).with_suffix(".lay")
        copy.write_text(_FILE.sub(lambda line: line[1] + data.name, text, count=1), encoding="utf-8")
        yield copy
