"""What others published on the same tasks: a table for the terminal, and one for a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from neurolm.report.page import html_table

if TYPE_CHECKING:
    from neurolm.evaluation.published import Published, PublishedScore

SCORES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "auc_pr": "AUC-PR"}
TITLE = "published by others, not measured here"


def published_table(tasks: Sequence[str]) -> Table | None:
    """Return what was published on tasks as a table for the terminal; None where there is nothing."""
    found = _found(tasks)
    if not found:
        return None
    rows = Table(title=TITLE, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("task", "model"):
        rows.add_column(name, overflow="fold")
    for name in list(SCORES.values())[:2]:
        rows.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    rows.add_column("test set", overflow="fold")
    before = ""
    for figure in found:
        if before not in ("", figure.task):
            rows.add_section()
        scores = (_text(figure.score(name)) for name in list(SCORES)[:2])
        rows.add_row("" if figure.task == before else figure.task, figure.model, *scores, figure.test_set)
        before = figure.task
    return rows


def published_html(tasks: Sequence[str]) -> str:
    """Return what was published on tasks as a part of a page, with sources and differences; empty without any."""
    found = _found(tasks)
    if not found:
        return ""
    rows = [(f.task, f.model, f.test_set, *(_text(f.score(name)) for name in SCORES)) for f in found]
    notes: dict[tuple[str, str, str], list[str]] = {}
    for f in found:
        notes.setdefault((f.origin, f.protocol, f.address), []).append(f"{f.task}, {f.model}")
    items = "".join(
        f"<li>{html.escape('; '.join(names))}: {html.escape(origin)}. {html.escape(protocol)} "
        f"<a href='{html.escape(address, quote=True)}'>Source</a></li>"
        for (origin, protocol, address), names in notes.items()
    )
    return (
        f"<h3>{TITLE[0].upper()}{TITLE[1:]}</h3>\n"
        + html_table(("task", "model", "test set", *SCORES.values()), rows, text_columns=3, group=[])
        + "\n<p class='caption'>Other protocols, often other test people: such figures say what is usual, not which "
        f"model is better. ± standard deviation over seeds.</p>\n<ul class='caption'>{items}</ul>"
    )


def _found(tasks: Sequence[str]) -> list[Published]:
    from neurolm.evaluation.published import published

    return [figure for task in tasks for figure in published(task)]


def _text(score: PublishedScore | None) -> str:
    if score is None:
        return "–"
    return f"{score.value:g}" + ("" if score.sd is None else f"±{score.sd:g}")
