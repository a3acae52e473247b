"""Answers that are kept with their recording, so that the risk can change afterwards

An answer is one file in the recording's private folder, with what was said of each window. It outlives
a restart as the recording does, and goes with it.
"""

from __future__ import annotations

import re
import uuid
import zipfile
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from neurolm.ask.answering import Said
from neurolm.ask.recording import ModelInput, Windows
from neurolm.core.files import atomic_file, dump_json
from neurolm.core.montage import channel_id
from neurolm.core.small_files import parse_json
from neurolm.server.errors import NoSuch
from neurolm.server.library import Entry
from neurolm.server.reading import nothing

MOST = 40
"""Answers that are kept of a recording: those that were given last."""
_ID = re.compile(r"[0-9a-f]{32}")
_GONE = "no such answer; the last {most} of a recording are kept: ask the question again"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An answer that is kept."""

    model: str
    """Name of the model."""
    question: str
    options: tuple[str, ...] | None
    """Of a question of one's own."""
    risk: float | None
    windows: Windows
    """Without their signal."""
    said: Said


def new_id() -> str:
    """Return the id of an answer that is not there yet."""
    return uuid.uuid4().hex


def keep(entry: Entry, id: str, kept: Kept) -> None:
    """Write an answer, and delete the oldest where there are more than `MOST`.

    Nothing is written where the recording was deleted meanwhile.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    if not entry.scratch.is_dir():
        return
    folder = entry.scratch / "answers"
    with suppress(FileNotFoundError):
        folder.mkdir(mode=0o700, exist_ok=True)
    recording = kept.windows.recording
    meta = {
        "model": kept.model, "question": kept.question, "options": kept.options, "risk": kept.risk,
        "name": recording.name, "electrodes": recording.electrodes, "notes": kept.windows.notes,
        "seconds": kept.windows.seconds,
    }  # fmt: skip
    with atomic_file(folder / f"{id}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, meta=np.array(dump_json(meta)), starts=np.array(kept.windows.starts, np.int64),
            language=kept.said.language, evidence=kept.said.evidence, features=kept.said.features,
        )  # fmt: skip
    every = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
    for path in every[:-MOST]:
        path.unlink(missing_ok=True)


def find(entry: Entry, id: str) -> Kept:
    """Read an answer.

    Raises
    ------
    NoSuch
        If there is none of this id.
    """
    gone = NoSuch(_GONE.format(most=MOST))
    if not _ID.fullmatch(id):
        raise gone
    try:
        with np.load(entry.scratch / "answers" / f"{id}.npz", allow_pickle=False) as arrays:
            meta = parse_json(str(arrays["meta"]))
            starts = tuple(arrays["starts"].tolist())
            said = Said(**{name: arrays[name] for name in ("language", "evidence", "features")})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise gone from error
    electrodes = tuple(meta["electrodes"])
    recording = ModelInput(
        name=meta["name"], stretches=(), channels=np.array([channel_id(one) for one in electrodes]),
        electrodes=electrodes, notes=(), holding=nothing,
    )  # fmt: skip
    windows = Windows(recording=recording, starts=starts, seconds=meta["seconds"], notes=tuple(meta["notes"]))
    options = None if meta["options"] is None else tuple(meta["options"])
    return Kept(
        model=meta["model"], question=meta["question"], options=options, risk=meta["risk"], windows=windows, said=said
    )
