"""What is known of a recording before anything is drawn, as ``neurolm inspect`` has it"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from neurolm.core.amounts import in_words
from neurolm.core.errors import NeuroLMError
from neurolm.core.files import atomic_file, dump_json
from neurolm.core.small_files import parse_json, read_text
from neurolm.recording.options import ReadingOptions
from neurolm.server.errors import TooLarge
from neurolm.server.library import Entry, as_shown
from neurolm.server.shield import Shield

KEPT = "inspection.json"


def inspected(entry: Entry, shield: Shield, *, most_seconds: float | None = None) -> dict[str, Any]:
    """Return what was found in a recording: by names as they are shown, and with the way in which it is read.

    It is found in the crash shield, once for each way of reading.

    Parameters
    ----------
    most_seconds
        Duration that it may have at most.

    Raises
    ------
    TooLarge
        If it is longer.
    """
    reading = asdict(entry.reading)
    kept = entry.scratch / KEPT
    found = _kept(kept, reading)
    if found is None:
        try:
            found = shield.call(entry.path, look, entry.path, entry.reading)
        except NeuroLMError as error:
            if getattr(error, "status", None) is not None:  # the service's own, not the recording's
                raise
            problem = str(error).removeprefix(f"{entry.path}: ")
            found = {"usable": False, "file": str(entry.path), "size": None, "problems": [problem], **_NOTHING}
        found = _shown(found, entry) | {"file": entry.name, "reading": reading}
        with atomic_file(kept) as temporary:
            temporary.write_text(dump_json(found), encoding="utf-8")
        found = parse_json(dump_json(found))
    seconds = found["seconds"]
    if most_seconds is not None and seconds is not None and seconds > most_seconds:
        raise TooLarge(
            f"{entry.name}: {in_words(seconds)} long, and this service takes at most {in_words(most_seconds)}; cut it, "
            "or start the service with the folder in which it lies (neurolm serve --folder)"
        )
    return found


def look(path: Path, reading: ReadingOptions) -> dict[str, Any]:
    """Inspect a recording; runs in the crash shield."""
    from neurolm.recording.inspect import inspect

    found = inspect(path, reading=reading, partly=True)
    values = {name: value for name, value in vars(found).items() if name != "recording"}
    return {"usable": found.usable} | values | {"file": str(path)}


_NOTHING: dict[str, Any] = {
    "notes": [], "coverage": [], "electrodes": [], "rate": None, "seconds": None, "stretches": [], "unit": None,
    "amplitude": None, "mains": None, "mains_how": "", "band": None, "annotations": {}, "outside": 0, "planned": None,
}  # fmt: skip
"""What is known of a recording that cannot be opened at all."""


def _kept(path: Path, reading: dict[str, Any]) -> dict[str, Any] | None:
    try:
        found = parse_json(read_text(path))
    except (OSError, ValueError):
        return None
    return found if found.get("reading") == parse_json(dump_json(reading)) else None


def _shown(found: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """The same with the recording's files called as they are shown."""

    def told(text: str) -> str:
        text = text.replace(str(entry.path), entry.name).replace(f"{entry.path.parent}/", "")
        return as_shown(text, dict(entry.files))

    return found | {name: [told(text) for text in found[name]] for name in ("problems", "notes")}
