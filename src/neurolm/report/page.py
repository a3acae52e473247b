"""The HTML of the report: one page in plain style, with nothing to load."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from neurolm.report.drawings.style import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(figure: Figure, alt: str, caption: str) -> str:
    """Return an HTML figure with its caption."""
    return (
        f"<figure><img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{png(figure)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
    )


def html_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int, group: int | Collection[int]
) -> str:
    """Return an HTML table: numbers to the right, the first row of every group of rows in bold.

    ``group`` is how many rows a group has, or the rows that begin one.
    """
    begins = range(0, len(rows), group) if isinstance(group, int) else group

    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = ["" if number < text_columns else " class=number" for number in range(len(row))]
        return "".join(f"<{tag}{kind}>{html.escape(c)}</{tag}>" for kind, c in zip(kinds, row, strict=True))

    lines = [f"<tr{' class=first' if i in begins else ''}>{cells('td', row)}</tr>" for i, row in enumerate(rows)]
    return f"<table class='results'><tr>{cells('th', head)}</tr>{''.join(lines)}</table>"


CSS = """\
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; background: #fff; color: #222;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
table { border-collapse: collapse; margin: .6rem 0; } th, td { padding: .15rem .8rem .15rem 0; text-align: left; }
.facts th { font-weight: normal; color: #666; vertical-align: top; white-space: nowrap; }
.results th { border-bottom: 1px solid #999; font-weight: 600; }
.results td { white-space: nowrap; }
.results .number { text-align: right; font-variant-numeric: tabular-nums; }
.results .first td { border-top: 1px solid #ddd; font-weight: 600; }
figure { margin: 1rem 0 1.6rem; } img { max-width: 100%; height: auto; }
figcaption, .caption { color: #555; font-size: .9rem; max-width: 54rem; }
.answer span { color: #666; } blockquote { border-left: 3px solid #ccc; margin: 0; padding-left: 1rem; }
"""
PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style></head>
<body>
{body}
</body>
</html>
"""
