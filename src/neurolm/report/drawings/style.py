"""How all pictures look: width, colours and fonts, panels side by side, and a picture as PNG."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.core.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Inches; at ``DPI`` the width of a laptop's page."""
DPI = 110
# Okabe and Ito's colours, which people with colour blindness can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
PALE = "#bbbbbb"
TITLE = 125
"""Characters of titles that fit side by side into a picture."""
LINE_HEIGHT = 0.17
"""Inches of a line of a title."""
_STYLE: Any = {
    # Pictures keep their white ground on a dark page, where black writing on none could not be read.
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # names of tasks and people's questions may hold $
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "axes.titlepad": 9,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a function draw in the style of all pictures."""

    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        import matplotlib  # takes nearly a second

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def canvas(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure; inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI)


def panels(titles: Sequence[str], *, most: int, height: float, extra: float = 0.0) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel for every title, and the panels.

    Parameters
    ----------
    most
        Panels side by side; long titles are broken to the width that is left.
    height, extra
        Inches of a row of panels, and of what stands below all of them.
    """
    columns = min(most, len(titles))
    rows = math.ceil(len(titles) / columns)
    broken = [textwrap.fill(title, TITLE // columns) for title in titles]
    lines = max(title.count("\n") for title in broken)
    figure = canvas((height + LINE_HEIGHT * lines) * rows + extra)
    found = [figure.add_subplot(rows, columns, place + 1, title=title) for place, title in enumerate(broken)]
    return figure, found


def png(figure: Figure) -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # names may hold any character
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def write_png(figure: Figure, path: Path) -> Path:
    """Write a figure into a PNG file; returns its path."""
    picture = png(figure)
    with atomic_file(path) as temporary:
        temporary.write_bytes(picture)
    return path
