"""A report as PDF: A4, with bookmarks, page numbers and a font that has the letters needed"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from functools import singledispatchmethod
from pathlib import Path

from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos

from neurolm.core.table import Table
from neurolm.core.terminal import printable
from neurolm.report.recording.blocks import (
    Asked,
    Bar,
    Block,
    Document,
    Facts,
    Grid,
    Paragraph,
    Picture,
    Points,
    Section,
)

FONT = "DejaVu"
"""The font that comes with matplotlib; it has µ, Greek, Cyrillic and box drawing."""
MARGIN, WIDTH = 15.0, 180.0
"""Millimetres: of the page's edges, and between them."""
SIZE, SMALL, LEAD = 8.6, 7.4, 1.38
"""Points of text and of captions; height of a line in units of its letters."""
WHOLE, ROW = 12, 4.7
"""Rows up to which a table stands on one page, and millimetres of one."""
INK, FAINT, HAIR = (34, 34, 34), (95, 99, 104), (205, 208, 212)
BAR, OTHER, TRACK = (0, 114, 178), (154, 164, 173), (232, 235, 238)
CARD, WARN, EDGE = (246, 248, 250), (255, 244, 229), (194, 65, 12)
_POINT = 25.4 / 72


class _Page(FPDF):
    """Pages with the recording's name above and their number below."""

    def __init__(self, name: str) -> None:
        super().__init__(orientation="portrait", unit="mm", format="A4")
        self.called = name

    def header(self) -> None:
        """The name of the recording, from the second page on."""
        if self.page_no() == 1:
            return
        self.set_y(8)
        self.set_font(FONT, "", SMALL)
        self.set_text_color(*FAINT)
        self.cell(WIDTH, 4, _fitting(self, self.called, WIDTH - 40), new_x=XPos.LMARGIN, new_y=YPos.TOP)
        self.cell(WIDTH, 4, "neurolm · EEG report", align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_draw_color(*HAIR)
        self.line(MARGIN, 13, MARGIN + WIDTH, 13)
        self.set_y(MARGIN + 2)

    def footer(self) -> None:
        """The number of the page, and that it is no medical device's."""
        self.set_y(-11)
        self.set_font(FONT, "", SMALL - 0.6)
        self.set_text_color(*FAINT)
        self.cell(WIDTH, 4, "Research software, no medical device", new_x=XPos.LMARGIN, new_y=YPos.TOP)
        self.cell(WIDTH, 4, f"{self.page_no()} / {{nb}}", align="R")


def as_pdf(document: Document) -> bytes:
    """Return a report as PDF."""
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # what it says of subsets is for nobody here
    logging.getLogger("fpdf").setLevel(logging.ERROR)  # names may hold letters that no font has
    return _Printed(document).content()


class _Printed:
    """A document on its way to paper."""

    def __init__(self, document: Document) -> None:
        self.pdf = pdf = _Page(_shown(document.name))
        _set_up(pdf, document)
        pdf.add_page()
        self._text("neurolm · EEG report", size=SMALL, colour=FAINT)
        self._heading(_shown(document.name), 15, level=0, mark="Overview")
        for block in document.first:
            self.show(block)
        pdf.add_page()
        for number, section in enumerate(document.sections):
            self._section(section, level=0, first=number == 0)

    def content(self) -> bytes:
        """The file."""
        return bytes(self.pdf.output() or b"")

    def _section(self, section: Section, level: int, *, first: bool = False) -> None:
        self._keep(self._beginning(section))
        if not first and level == 0:
            self.pdf.ln(3)
        self._heading(_shown(section.title), (12.5, 10)[level], level=level)
        for block in section.blocks:
            self.show(block)
        for part in section.parts:
            self._section(part, level + 1)

    def _beginning(self, section: Section) -> float:
        """Millimetres of a section's heading with what must not be parted from it."""
        pictures = [block for block in section.blocks[:2] if isinstance(block, Picture)]
        return 30 + sum(WIDTH * one.inches[1] / one.inches[0] for one in pictures)

    def _heading(self, text: str, size: float, *, level: int, mark: str | None = None) -> None:
        self.pdf.start_section(mark or text, level=level)
        self._text(text, size=size, bold=True)
        if level == 0 and mark is None:
            self.pdf.set_draw_color(*HAIR)
            self.pdf.line(MARGIN, self.pdf.get_y() + 0.5, MARGIN + WIDTH, self.pdf.get_y() + 0.5)
        self.pdf.ln(1.8)

    def _keep(self, height: float) -> None:
        """Begin a page where so many millimetres do not fit any more."""
        if self.pdf.get_y() + height > self.pdf.h - MARGIN:
            self.pdf.add_page()

    def _text(
        self, text: str, *, size: float = SIZE, bold: bool = False, colour: tuple[int, int, int] = INK,
        x: float = MARGIN, width: float = WIDTH,
    ) -> None:  # fmt: skip
        self.pdf.set_font(FONT, "B" if bold else "", size)
        self.pdf.set_text_color(*colour)
        self.pdf.set_x(x)
        height = size * _POINT * LEAD
        self.pdf.multi_cell(width, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _height(self, text: str, width: float, size: float, *, bold: bool = False) -> float:
        self.pdf.set_font(FONT, "B" if bold else "", size)
        lines = self.pdf.multi_cell(width, size * _POINT * LEAD, text, align="L", dry_run=True, output="LINES")
        return len(lines) * size * _POINT * LEAD  # type: ignore[arg-type]

    @singledispatchmethod
    def show(self, block: Block) -> None:
        """Print a block."""
        raise TypeError(f"{type(block).__name__} is no block of a report")

    @show.register
    def _(self, block: Paragraph) -> None:
        size, colour = (SMALL, FAINT) if block.quiet else (SIZE, INK)
        self._text(_shown(block.text), size=size, colour=colour)
        self.pdf.ln(1.6)

    @show.register
    def _(self, block: Facts) -> None:
        names = 33.0
        for name, text in block.pairs:
            name, text = _shown(name), _shown(text)
            self._keep(max(self._height(text, WIDTH - names, SIZE), self._height(name, names - 2, SIZE)) + 0.8)
            top, page = self.pdf.get_y(), self.pdf.page
            self._text(name, colour=FAINT, width=names - 2)
            below = self.pdf.get_y()
            self.pdf.set_y(top)
            self._text(text, x=MARGIN + names, width=WIDTH - names)
            if self.pdf.page == page:
                self.pdf.set_y(max(below, self.pdf.get_y()))
            self.pdf.ln(0.8)
        self.pdf.ln(1.4)

    @show.register
    def _(self, block: Points) -> None:
        lines = [_shown(line) for line in block.lines]
        indent, width = (3.5, WIDTH - 7) if block.warning else (0.0, WIDTH)
        if block.warning:
            height = sum(self._height(line, width - 3.5, SIZE) + 0.6 for line in lines) + 4
            height += 5 if block.title else 0
            self._keep(min(height, 120))
            if self.pdf.get_y() + height <= self.pdf.h - MARGIN:  # else the box would leave the page
                self._box(height, WARN, edge=EDGE)
            self.pdf.ln(2)
        if block.title:
            self._keep(12)
            self._text(_shown(block.title), bold=True, x=MARGIN + indent, width=width)
            self.pdf.ln(0.4)
        for line in lines:
            self._keep(self._height(line, width - 3.5, SIZE))
            top = self.pdf.get_y()
            self._text("•", x=MARGIN + indent, width=4)
            self.pdf.set_y(top)
            self._text(line, x=MARGIN + indent + 3.5, width=width - 3.5)
            self.pdf.ln(0.6)
        self.pdf.ln(4.4 if block.warning else 2)

    @show.register
    def _(self, block: Grid) -> None:
        self._table(block.table)
        if block.caption:
            self.pdf.ln(0.8)
            self._text(_shown(block.caption), size=SMALL, colour=FAINT)
        self.pdf.ln(2.4)

    @show.register
    def _(self, block: Picture) -> None:
        width, height = block.inches
        tall = WIDTH * height / width
        caption = _shown(block.caption)
        self._keep(tall + (self._height(caption, WIDTH, SMALL) + 1 if caption else 0))
        self.pdf.image(io.BytesIO(block.png), x=MARGIN, w=WIDTH, alt_text=_shown(block.alt))
        if caption:
            self.pdf.ln(0.8)
            self._text(caption, size=SMALL, colour=FAINT)
        self.pdf.ln(2.4)

    @show.register
    def _(self, block: Asked) -> None:
        inner, gap = WIDTH - 7, 5.0
        left = inner * 0.46
        right = inner - left - gap
        question, verdict = _shown(block.question), _shown(block.verdict)
        labels = self._label_width(block.bars, left)
        rows = [max(4.2, self._height(_shown(bar.label), labels, SIZE)) for bar in block.bars]
        tall = 0.0 if block.strip is None else right * block.strip.inches[1] / block.strip.inches[0]
        head = self._height(question, inner, SIZE + 1, bold=True) + self._height(verdict, inner, SIZE) + 4.5
        height = head + max(sum(rows), tall) + 2
        self._keep(height)
        self._box(height, CARD, border=True)
        begin = self.pdf.get_y()
        self.pdf.ln(1.8)
        self._text(question, size=SIZE + 1, bold=True, x=MARGIN + 3.5, width=inner)
        self._text(verdict, x=MARGIN + 3.5, width=inner)
        top = self.pdf.get_y() + 1.6
        at = top
        for bar, tall_row in zip(block.bars, rows, strict=True):
            self._bar(bar, MARGIN + 3.5, at, left, labels, tall_row)
            at += tall_row
        if block.strip is not None:
            x = MARGIN + 3.5 + (left + gap if block.bars else 0)
            self.pdf.image(io.BytesIO(block.strip.png), x=x, y=top, w=right, alt_text=_shown(block.strip.alt))
        self.pdf.set_y(begin + height + 3)

    def _label_width(self, bars: Sequence[Bar], most: float) -> float:
        self.pdf.set_font(FONT, "B", SIZE)
        return min(most * 0.5, max((self.pdf.get_string_width(_shown(bar.label)) for bar in bars), default=0.0) + 4)

    def _bar(self, bar: Bar, x: float, y: float, width: float, labels: float, height: float) -> None:
        self.pdf.set_y(y)
        self._text(_shown(bar.label), bold=bar.leading, x=x, width=labels)
        said = 12.0 if len(bar.text) < 7 else 30.0
        start, long = x + labels, width - labels - said - 1
        self.pdf.set_fill_color(*TRACK)
        self.pdf.rect(start, y + 0.7, long, 2.9, style="F")
        self.pdf.set_fill_color(*(BAR if bar.leading else OTHER))
        self.pdf.rect(start, y + 0.7, max(0.2, long * bar.value), 2.9, style="F")
        if bar.interval is not None:
            low, high = (start + long * end for end in bar.interval)
            self.pdf.set_draw_color(*INK)
            self.pdf.set_line_width(0.35)
            self.pdf.line(low, y + 2.15, high, y + 2.15)
            for end in (low, high):
                self.pdf.line(end, y + 1.3, end, y + 3.0)
            self.pdf.set_line_width(0.2)
        self.pdf.set_font(FONT, "B" if bar.leading else "", SIZE)
        self.pdf.set_xy(start + long + 1, y)
        self.pdf.cell(said, 4.2, bar.text, align="R")

    def _box(
        self, height: float, fill: tuple[int, int, int], *, edge: tuple[int, int, int] | None = None,
        border: bool = False,
    ) -> None:  # fmt: skip
        y = self.pdf.get_y()
        self.pdf.set_fill_color(*fill)
        self.pdf.set_draw_color(*HAIR)
        self.pdf.rect(MARGIN, y, WIDTH, height, style="DF" if border else "F")
        if edge is not None:
            self.pdf.set_fill_color(*edge)
            self.pdf.rect(MARGIN, y, 1.1, height, style="F")

    def _table(self, table: Table) -> None:
        groups = [[[_shown(cell) for cell in row] for row in group] for group in table.texts()]
        heads = [_shown(column.head) for column in table.columns]
        widths = self._widths(heads, [row for group in groups for row in group])
        count = 1 + sum(map(len, groups))
        if count <= WHOLE:
            self._keep(count * ROW + 8)
        self.pdf.set_font(FONT, "", SMALL + 0.4)
        self.pdf.set_text_color(*INK)
        self.pdf.set_draw_color(*HAIR)
        self.pdf.set_fill_color(255, 255, 255)
        align = ["RIGHT" if column.number else "LEFT" for column in table.columns]
        with self.pdf.table(
            col_widths=widths, width=sum(widths), align="LEFT", text_align=align, line_height=3.7,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES, padding=(0.5, 2.4, 0.5, 0),
            headings_style=FontFace(emphasis="B", color=INK),
        ) as printed:  # fmt: skip
            printed.row(heads)
            for row in (row for group in groups for row in group):
                style = FontFace(emphasis="B") if table.lead and table.lead in row else None
                printed.row(row, style=style)

    def _widths(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[float]:
        """Widths of columns: as their longest cell, the long ones cut to what the page has."""
        self.pdf.set_font(FONT, "B", SMALL + 0.4)
        columns = list(zip(heads, *rows, strict=True)) if rows else [(head,) for head in heads]
        wanted = [max(self.pdf.get_string_width(cell[:400]) for cell in column) + 4.4 for column in columns]
        words = [max(self.pdf.get_string_width(word[:40]) for cell in column for word in [*cell.split(), ""]) + 4.4
                 for column in columns]  # fmt: skip
        over = sum(wanted) - WIDTH
        if over <= 0:
            return wanted
        room = [max(0.0, want - min(word, 60.0)) for want, word in zip(wanted, words, strict=True)]
        share = min(1.0, over / max(sum(room), 1e-9))
        cut = [want - share * part for want, part in zip(wanted, room, strict=True)]
        return [one * min(1.0, WIDTH / sum(cut)) for one in cut]


def _set_up(pdf: _Page, document: Document) -> None:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdf.add_font(FONT, "", folder / "DejaVuSans.ttf")
    pdf.add_font(FONT, "B", folder / "DejaVuSans-Bold.ttf")
    pdf.set_margins(MARGIN, MARGIN, MARGIN)
    pdf.set_auto_page_break(True, MARGIN)
    pdf.set_title(_shown(document.title))
    pdf.set_lang("en")
    pdf.set_creator("neurolm")
    pdf.set_producer("neurolm with fpdf2")
    pdf.set_creation_date(document.made)


def _shown(text: str) -> str:
    """A text as it may be printed: one paragraph that steers nothing."""
    return " ".join(printable(text).split("\n"))


def _fitting(pdf: FPDF, text: str, width: float) -> str:
    """A text cut to a width."""
    if pdf.get_string_width(text) <= width:
        return text
    while text and pdf.get_string_width(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
