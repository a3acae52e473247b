"""What a report is made of, whatever shows it: paragraphs, facts, tables, bars, pictures"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from neurolm.core.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
"""Of pictures: sharp in print and on dense screens."""
COLOURS = 128
"""In a picture; more are not seen in diagrams, and files become twice as large."""


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Sentences."""

    text: str
    quiet: bool = False
    """Whether it explains what stands above it."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Pairs of a name and what is said under it."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Points:
    """Sentences that stand by themselves, one below the other."""

    lines: tuple[str, ...]
    title: str = ""
    warning: bool = False
    """Whether they limit everything else, so that nobody may overlook them."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table."""

    table: Table
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The probability of an option."""

    label: str
    value: float
    text: str
    """The probability in words."""
    interval: tuple[float, float] | None = None
    leading: bool = False
    """Whether it is the likeliest."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question with its answer, as page one has it."""

    question: str
    verdict: str
    bars: tuple[Bar, ...]
    """None for a guess, which has no size."""
    strip: Picture | None
    """The answer over time."""


class Picture:
    """A picture with its caption; drawn when it is first shown, once for all that show it."""

    def __init__(self, figure: Figure, *, alt: str, caption: str = "") -> None:
        self._figure, self.alt, self.caption = figure, alt, caption

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height."""
        width, height = self._figure.get_size_inches()
        return float(width), float(height)

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG, with few enough colours to be small."""
        from PIL import Image

        from neurolm.report.drawings.style import png

        self._figure.set_dpi(DPI)
        whole = Image.open(io.BytesIO(png(self._figure))).convert("RGB")
        buffer = io.BytesIO()
        whole.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


Block = Paragraph | Facts | Points | Grid | Asked | Picture


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]
    parts: tuple[Section, ...] = ()
    """Sections below it."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report: its first page and the details behind it."""

    name: str
    """Of the recording."""
    title: str
    made: datetime
    first: tuple[Block, ...]
    sections: tuple[Section, ...] = field(default=())
