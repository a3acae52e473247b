"""A table of features as a picture: its rows in a plane, coloured by what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.ask.vectors import read_rows
from neurolm.core.errors import ConfigError
from neurolm.report.drawings.style import COLOURS, PALE, panels, styled, write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 5_000
"""Rows that are drawn at most, spread evenly over the table."""
NAMED = len(COLOURS) - 1
"""Values that have a colour and a name of their own; the others share one."""
LONGEST = 28
"""Characters of a name in a legend; of a longer one the end is shown, which tells files apart."""
OTHERS, UNKNOWN = "others", "not known"


def draw_vectors(table: str | Path, out: str | Path) -> Path:
    """Draw a table of features into a PNG file, once coloured by subject and once by the labels of each task.

    Parameters
    ----------
    table
        What ``neurolm.embed_archive`` wrote; of a large one, 5,000 rows spread evenly. The plane is that of the two
        directions in which rows differ most (principal components).

    Raises
    ------
    ConfigError
        If there are fewer than three rows.
    StoreError
        If it is no table of features.
    WriteError
        If the picture cannot be written.
    """
    rows, vectors = _some(table)
    if len(vectors) < 3:
        raise ConfigError(f"{table}: {len(vectors)} rows; a picture needs at least three")
    return write_png(scatter(*_components(vectors), colourings(rows)), Path(out))


def _some(table: str | Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Rows spread evenly over a table, and their vectors."""
    total = sum(len(vectors) for _, vectors in read_rows(table))
    step = max(1, -(-total // MOST))
    rows, found, at = list[dict[str, Any]](), list[np.ndarray](), 0
    for part, vectors in read_rows(table):
        chosen = np.arange(-at % step, len(vectors), step)
        rows += part.select(["recording", "subject", "labels"]).take(chosen).to_pylist()
        found.append(vectors[chosen])
        at += len(vectors)
    return rows, np.concatenate(found)


def _components(vectors: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    from sklearn.decomposition import PCA

    fitted = PCA(n_components=2, svd_solver="full").fit(vectors)
    first, second = (f"component {n + 1} ({share:.0%} of variance)"
                     for n, share in enumerate(fitted.explained_variance_ratio_))  # fmt: skip
    return fitted.transform(vectors), (first, second)


def colourings(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what rows can be coloured by: title → a value for each row.

    By subject, or where nobody's subject is known by recording; and by the labels of each task.
    """
    whose = "subject" if any(row["subject"] for row in rows) else "recording"
    found = {f"by {whose}": [row[whose] or UNKNOWN for row in rows]}
    each = [dict(label.split(": ", 1) for label in row["labels"]) for row in rows]
    for task in sorted({task for labels in each for task in labels}):
        found[f"by label of {task}"] = [labels.get(task, UNKNOWN) for labels in each]
    return found


@styled
def scatter(places: np.ndarray, axes: tuple[str, str], colours: dict[str, list[str]]) -> Figure:
    """Draw points in a plane, in a panel for each way of colouring them.

    Parameters
    ----------
    places
        (rows, 2).
    axes
        What both directions are.
    colours
        Title of each panel, and a value for each row; those of most rows have colours of their own.
    """
    figure, found = panels(list(colours), most=2, height=3.8)
    for panel, values in zip(found, colours.values(), strict=True):
        counts = Counter(value for value in values if value != UNKNOWN)
        named = sorted(value for value, _ in counts.most_common(NAMED))
        rest = {value for value in counts if value not in named}
        shown = np.array([OTHERS if value in rest else value for value in values], object)
        kinds = [(UNKNOWN, PALE, UNKNOWN), (OTHERS, "#999999", f"{len(rest)} others")]
        kinds += [(value, colour, _short(value)) for value, colour in zip(named, COLOURS, strict=False)]
        for value, colour, label in kinds:
            here = places[shown == value]
            if len(here):
                panel.scatter(here[:, 0], here[:, 1], s=9, color=colour, alpha=0.7, linewidths=0, label=label)
        panel.set(xlabel=axes[0], ylabel=axes[1])
        panel.legend(markerscale=1.6, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"
