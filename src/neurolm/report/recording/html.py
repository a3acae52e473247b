"""A report as one HTML page that loads nothing and runs nothing"""

from __future__ import annotations

import base64

from neurolm.report.page import render
from neurolm.report.recording.blocks import Document, Picture


def as_html(document: Document) -> bytes:
    """Return a report as HTML."""
    text = render(
        "recording.html",
        document=document,
        kind=lambda block: type(block).__name__,
        embedded=_embedded,
        percent=lambda value: f"{100 * value:.2f}",
    )
    return text.encode("utf-8")


def _embedded(picture: Picture) -> str:
    return base64.b64encode(picture.png).decode("ascii")
