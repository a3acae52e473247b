"""A recording's report as a file: one HTML page, PDF, or both

>>> model = neurolm.load("runs/mine")
>>> write_recording_report(model, "recording.edf", "report.pdf")
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.core.errors import ConfigError, argument
from neurolm.core.files import atomic_file, require_writable
from neurolm.recording.options import ReadingOptions, Unseen, require_one_of
from neurolm.report.recording.blocks import Document

if TYPE_CHECKING:
    from neurolm.api.model import Model

KINDS = ("html", "pdf")
"""What a report can be."""
_DRAWING = threading.Lock()  # matplotlib's style is one for all threads
NEAREST = ReadingOptions(unknown="nearest")


def recording_report(
    model: Model,
    source: str | Path,
    kinds: Sequence[str] = KINDS,
    *,
    questions: Sequence[str] | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    risk: float | None = None,
    annotations: bool = True,
    name: str | None = None,
    command: str = "",
) -> dict[str, bytes]:
    """Make the report of a recording: what it is, how good it is, what the model answers about it, and why.

    Nothing that says who was recorded is in it, but what the file's name and its annotations say.

    Parameters
    ----------
    model
        That answers.
    source
        The recording, a file of any format that is read.
    kinds
        Some of ``KINDS``.
    questions
        That the model was tuned on; by default all of them.
    reading, unseen, risk
        As for ``Model.ask``.
    annotations
        Whether the texts of the file's annotations are shown.
    name
        What the recording is called; by default as its file.
    command
        That makes the report again, to be said in it.

    Returns
    -------
    dict
        Kind → content of the file: HTML that loads nothing, or PDF.

    Raises
    ------
    ConfigError
        If there is no such kind.
    QuestionError, RecordingError
        As for ``Model.ask``.
    """
    from neurolm.report.recording.build import build
    from neurolm.report.recording.gather import gather

    for kind in kinds:
        require_one_of("format", kind, KINDS)
    found = gather(
        model, source, questions=questions, reading=reading, unseen=unseen, risk=risk, annotations=annotations,
        name=name, command=command,
    )  # fmt: skip
    with _DRAWING:
        document = build(found)
        return {kind: _shown_as(kind)(document) for kind in kinds}


def _shown_as(kind: str) -> Callable[[Document], bytes]:
    if kind == "pdf":
        from neurolm.report.recording.pdf import as_pdf

        return as_pdf
    from neurolm.report.recording.html import as_html

    return as_html


def write_recording_report(
    model: Model, source: str | Path, out: str | Path | Sequence[str | Path], **how: object
) -> list[Path]:
    """Write the report of a recording; returns the files.

    Parameters
    ----------
    out
        One or several files, ending in .html or .pdf; the recording is answered once for all of them.
    how
        As for `recording_report`.

    Raises
    ------
    ConfigError
        If a file ends otherwise.
    WriteError
        If one cannot be written.
    QuestionError, RecordingError
        As for ``Model.ask``.
    """
    paths = [Path(one) for one in ([out] if isinstance(out, str | Path) else out)]
    kinds = [kind_of(path) for path in paths]
    for path in paths:
        require_writable(path)
    contents = recording_report(model, source, tuple(dict.fromkeys(kinds)), **how)  # type: ignore[arg-type]
    for path, kind in zip(paths, kinds, strict=True):
        with atomic_file(path) as temporary:
            temporary.write_bytes(contents[kind])
    return paths


def kind_of(out: Path) -> str:
    """Return which of ``KINDS`` a file is to be, by its suffix.

    Raises
    ------
    ConfigError
        If it is none of them.
    """
    suffix = out.suffix.lower().removeprefix(".")
    if suffix not in KINDS:
        raise ConfigError(f"{argument(out=str(out))}: a report is .html or .pdf; let the name end so")
    return suffix
