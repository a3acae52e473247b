"""The files of figures that a stage leaves: JSON Lines, a row for each step.

No torch here, so that runs are listed at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOG, SPEED = "log.jsonl", "speed.jsonl"
TRAINING, VALIDATION, WARNING = "training", "validation", "warning"
"""Kinds of rows in the log."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file; none where there is no file, and none that was cut off when the process was killed."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and type(row.get("step")) is int:
            rows.append(row)
    return rows


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read the figures of training and validation in a stage's log, without the warnings."""
    return [row for row in read_rows(folder / LOG) if row.get("kind") in (TRAINING, VALIDATION)]
