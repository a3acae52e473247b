"""The answers about an archive as one HTML page, sorted by what deserves a look."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import neurolm
from neurolm.ask.rows import Outcome
from neurolm.core.amounts import duration, in_words, likely, many
from neurolm.report.overview import MOST, Line, Overview, Question, file_and_folder
from neurolm.report.page import TEMPLATES, write_page

QUARANTINED = 1000
"""Recordings without answers that a page names."""
SCRIPT = "overview.js"
DIGITS = 12
"""Of the digest of the model's files that are shown: as many as tell any two apart."""


def write_overview(
    out: Path, outcomes: Iterable[Outcome], *, model: str, digest: str = "", tables: Sequence[Path] = ()
) -> Path:
    """Write what became of recordings as an HTML page that loads nothing; returns its path.

    Parameters
    ----------
    outcomes
        Read once, one at a time.
    model
        What the model is called.
    digest
        Of its files, of which the page has the beginning.
    tables
        Files that have all of it, of which the page says so.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    found = Overview(outcomes)
    each = MOST // max(1, len(found.questions))
    script = (TEMPLATES / SCRIPT).read_text(encoding="utf-8").removesuffix("\n")
    return write_page(
        out,
        "overview.html",
        title=many(found.recordings, "recording"),
        facts=_facts(found, model, digest, tables),
        questions=[_question(asked, found.folder or "", each) for asked in found.questions.values()],
        failures=_failures(found),
        failed=found.failed,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        tables=[path.name for path in tables],
    )


def _facts(found: Overview, model: str, digest: str, tables: Sequence[Path]) -> list[tuple[str, str]]:
    answered = found.recordings - found.failed
    facts = [
        ("model", f"{model} (files {digest[:DIGITS]})" if digest else model),
        ("asked with", f"neurolm {neurolm.__version__}"),
        ("recordings", f"{answered:,} answered" + (f", {found.failed:,} in quarantine" if found.failed else "")),
        ("EEG", in_words(found.seconds) + (f" of {many(len(found.subjects), 'subject')}" if found.subjects else "")),
    ]
    facts += [("folder", found.folder)] if found.folder else []
    facts += [("tables", ", ".join(path.name for path in tables))] if tables else []
    return facts


def _question(asked: Question, folder: str, most: int) -> dict[str, Any]:
    common = asked.common if asked.common and asked.number > 1 else set()
    groups = [
        (name, count, [_line(line, folder, common) for line in lines]) for name, count, lines in asked.groups(most)
    ]
    shown = sum(len(lines) for _, _, lines in groups)
    return {
        "asked": asked,
        "counts": asked.counts(),
        "groups": groups,
        "common": sorted(common),
        "shown": shown,
        "left": asked.number - shown,
        "percent": None if asked.threshold is None else round(100 * asked.threshold),
    }


def _line(line: Line, folder: str, common: set[str]) -> dict[str, Any]:
    row = line.row
    name, below = file_and_folder(row.recording, folder)
    known = {"subject": row.subject, "session": row.session}
    who = [f"{what} {id}" for what, id in known.items() if id is not None and id not in row.recording]
    return {
        "row": row,
        "name": name,
        "below": "; ".join(part for part in (below, ", ".join(who)) if part),
        "percent": round(100 * row.probability),
        "probability": likely(row.probability),
        "interval": None if row.low is None or row.high is None else (round(100 * row.low), round(100 * row.high)),
        "between": "" if row.low is None or row.high is None else f"{likely(row.low)} to {likely(row.high)}",
        "outside": None if row.outside is None else f"{row.outside:.0%}",
        "dissents": line.dissents,
        "eeg": duration(row.seconds),
        "strip": line.strip,
        "notes": [note for note in line.notes if note not in common],
    }


def _failures(found: Overview) -> list[tuple[str, int, list[str]]]:
    """Reasons, those of most recordings first, each with the recordings, of which not all may be named."""
    left, shown = QUARANTINED, []
    for reason, names in sorted(found.failures.items(), key=lambda one: (-len(one[1]), one[0])):
        named = sorted(names)[:left]
        left -= len(named)
        shown.append((reason, len(names), named))
    return shown
