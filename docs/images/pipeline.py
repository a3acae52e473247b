"""The picture of the map: the rooms of the house, and how EEG passes through them.

    python docs/images/pipeline.py

It stands on a light card of its own, so that it is read on light and on dark pages alike.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

OUT = Path(__file__).with_name("pipeline.svg")
WIDTH, HEIGHT = 960, 722
BOX_WIDTH, BOX_HEIGHT = 148, 66
INK, GREY, CARD, EDGE = "#1f2937", "#5b6472", "#f8fafc", "#cbd5e1"
DATA, LEARNING, ANSWERS, STRIP = "#dbeafe", "#fef3c7", "#dcfce7", "#e5e7eb"
COLUMNS = (30, 218, 406, 594, 782)
"""Left edges of the boxes."""
ROWS = {"data": 142, "learning": 274, "answers": 406, "arriving": 538}
"""Upper edges of the boxes."""
STRIPS = (
    (
        24,
        "cli/, api/, server/, assistant/, demo.py",
        "what people call: the command, the library, the page, assistants' tools, everything in one command",
    ),
    (644, "core/", "what all stand on: rate and scale, electrodes, settings, recipes, errors, files, and the batch"),
)
"""Upper edge, name and purpose of what spans all columns."""

BOXES = {
    # room or file: column, row, colour, what it does in two lines
    "corpora/": (0, "data", DATA, ("which files, whose,", "with what labels")),
    "recording/": (1, "data", DATA, ("one file of any format", "as electrodes in µV")),
    "prepare/": (2, "data", DATA, ("many recordings,", "filtered, at 200 Hz")),
    "store/": (3, "data", DATA, ("int16 shards and", "their manifest")),
    "batches/": (4, "data", DATA, ("who is held out,", "windows, packing")),
    "official/": (0, "learning", LEARNING, ("the authors' weights,", "proof of equality")),
    "model/": (1, "learning", LEARNING, ("neural tokenizer and", "language model")),
    "train/": (2, "learning", LEARNING, ("four stages,", "one loop")),
    "checkpoint.py": (3, "learning", LEARNING, ("settings and weights", "in a folder")),
    "hub/": (4, "learning", LEARNING, ("a checkpoint given", "away, with a card")),
    "tasks/": (0, "answers", ANSWERS, ("questions, options,", "splits, metrics")),
    "ask/": (1, "answers", ANSWERS, ("options scored, an", "honest probability")),
    "evaluation/": (2, "answers", ANSWERS, ("held-out people,", "beside baselines")),
    "report/": (3, "answers", ANSWERS, ("tables, pictures,", "one HTML page")),
    "archive/": (4, "answers", ANSWERS, ("thousands of", "recordings at once")),
    "live/": (1, "arriving", ANSWERS, ("an answer every", "second, by caches")),
    "signals/": (2, "arriving", ANSWERS, ("codes back to EEG,", "seconds to come")),
    "export/": (3, "arriving", ANSWERS, ("EDF+, BIDS, CSV:", "for other programs")),
}
ARROWS = (
    ("corpora/", "recording/"), ("recording/", "prepare/"), ("prepare/", "store/"), ("store/", "batches/"),
    ("batches/", "train/"), ("official/", "model/"), ("model/", "train/"), ("train/", "checkpoint.py"),
    ("checkpoint.py", "hub/"), ("checkpoint.py", "ask/"), ("tasks/", "ask/"), ("ask/", "evaluation/"),
    ("evaluation/", "report/"), ("report/", "archive/"),
    ("ask/", "live/"), ("ask/", "signals/"), ("ask/", "export/"),
)  # fmt: skip


def box(name: str) -> str:
    """A room or file: its name, and what it does."""
    column, row, colour, says = BOXES[name]
    x, y = COLUMNS[column], ROWS[row]
    middle = x + BOX_WIDTH / 2
    lines = [
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="{colour}" stroke="{EDGE}"/>',
        f'<text x="{middle:g}" y="{y + 22}" class="name">{escape(name)}</text>',
    ]
    lines += [f'<text x="{middle:g}" y="{y + 40 + 15 * i}">{escape(line)}</text>' for i, line in enumerate(says)]
    return "\n".join(lines)


def arrow(start: str, end: str) -> str:
    """From one room to another: straight within a row, else down from the lower edge to the upper one."""
    (column, row, *_), (to_column, to_row, *_) = BOXES[start], BOXES[end]
    x, y, to_x, to_y = COLUMNS[column], ROWS[row], COLUMNS[to_column], ROWS[to_row]
    if row == to_row:
        points = [(x + BOX_WIDTH, y + BOX_HEIGHT / 2), (to_x, y + BOX_HEIGHT / 2)]
    else:
        half = (y + BOX_HEIGHT + to_y) / 2
        points = [(x + BOX_WIDTH / 2, y + BOX_HEIGHT), (x + BOX_WIDTH / 2, half),
                  (to_x + BOX_WIDTH / 2, half), (to_x + BOX_WIDTH / 2, to_y)]  # fmt: skip
    path = " ".join(f"{'ML'[i > 0]}{px:g} {py:g}" for i, (px, py) in enumerate(points))
    return f'<path d="{path}" class="arrow"/>'


def strip(y: int, name: str, says: str) -> str:
    """What spans all columns."""
    return "\n".join(
        (
            f'<rect x="{COLUMNS[0]}" y="{y}" width="{WIDTH - 2 * COLUMNS[0]}" height="54" rx="8" fill="{STRIP}" '
            f'stroke="{EDGE}"/>',
            f'<text x="{WIDTH // 2}" y="{y + 22}" class="name">{escape(name)}</text>',
            f'<text x="{WIDTH // 2}" y="{y + 41}">{escape(says)}</text>',
        )
    )


def heading(text: str, row: str) -> str:
    """What a row of rooms is about."""
    return f'<text x="{COLUMNS[0]}" y="{ROWS[row] - 30}" class="row">{escape(text)}</text>'


def picture() -> str:
    """The whole picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" aria-label="The rooms of neurolm and how EEG passes through them">',
        "<style>",
        f"text {{ font: 12px 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; fill: {GREY}; text-anchor: middle; }}",
        f".name {{ font-size: 15px; font-weight: bold; fill: {INK}; }}",
        f".row {{ font-size: 13px; font-weight: bold; fill: {GREY}; text-anchor: start; }}",
        f".arrow {{ fill: none; stroke: {GREY}; stroke-width: 1.6; marker-end: url(#tip); }}",
        "</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{GREY}"/></marker>',
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="14" fill="{CARD}" stroke="{EDGE}"/>',
        heading("from recordings to batches", "data"),
        heading("from batches to a model", "learning"),
        heading("from a question to an answer", "answers"),
        heading("live EEG, EEG out of a model, answers for other programs", "arriving"),
        *(arrow(*pair) for pair in ARROWS),
        *(box(name) for name in BOXES),
        *(strip(*one) for one in STRIPS),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    OUT.write_text(picture(), encoding="utf-8")
    print(OUT)
