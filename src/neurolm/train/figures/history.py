"""The files of figures that a stage leaves: JSON Lines, a row for each step.

No torch here, so that runs are listed at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neurolm.core.small_files import LARGE, parse_json, read_small

LOG, SPEED = "log.jsonl", "speed.jsonl"
TRAINING, VALIDATION, WARNING = "training", "validation", "warning"
"""Kinds of rows in the log."""


def read_rows(path: Path, *, last_of: str | None = None) -> list[dict[str, Any]]:
    """Read the rows of a file; none where there is no file, and none that was cut off when the process was killed.

    Parameters
    ----------
    last_of
        A kind of which only the last row is read: which takes a fraction of the time.
    """
    try:
        lines = read_small(path, most=LARGE).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    if last_of is None:
        return [row for line in lines if (row := _row(line)) is not None]
    marker = json.dumps({"kind": last_of})[1:-1]
    others = [row for line in lines if marker not in line and (row := _row(line)) is not None]
    last = next((row for line in reversed(lines) if marker in line and (row := _row(line)) is not None), None)
    return others if last is None else [*others, last]


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and type(row.get("step")) is int else None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read the figures of training and validation in a stage's log, without the warnings."""
    return [row for row in read_rows(folder / LOG) if row.get("kind") in (TRAINING, VALIDATION)]
