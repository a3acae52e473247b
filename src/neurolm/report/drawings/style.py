"""How all pictures look: width, colours, fonts, and a picture as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Inches; at ``DPI`` the width of a laptop's page."""
DPI = 110
# Okabe and Ito's colours, which people with colour blindness can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
_STYLE: Any = {
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
    "axes.titlepad": 9,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
}
LINE: dict[str, Any] = {"linewidth": 1.2}
DOTS: dict[str, Any] = {"linewidth": 0.7, "marker": "o", "markersize": 3.5}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a function draw in the style of all pictures."""

    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        import matplotlib  # takes nearly a second

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def canvas(height: float) -> Figure:
    """An empty figure of the pictures' width; height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), dpi=DPI)


def png(figure: Figure) -> str:
    """Return a figure as base64 of a PNG; the same figure gives the same text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode("ascii")
