"""Pages: a template filled in, where everything is escaped, as one HTML file that loads nothing."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.core.files import write_text
from neurolm.core.terminal import printable
from neurolm.report.drawings.style import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).with_name("templates")


def write_page(out: Path, template: str, **facts: Any) -> Path:
    """Fill in a template and write the page; returns its path.

    Parameters
    ----------
    template
        Name of a file in ``templates/``.
    facts
        What its names stand for: texts, tables, and figures for the pictures.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a name that is not given.
    WriteError
        If the file cannot be written.
    """
    write_text(out, render(template, **facts))
    return out


def render(template: str, **facts: Any) -> str:
    """Return a template filled in."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.filters["png"] = _png
    return environment.get_template(template).render(facts)


def _shown(value: Any) -> Any:
    """A value as it may stand on a page: names turn no direction there, and steer no terminal that prints it."""
    return value if not isinstance(value, str) or hasattr(value, "__html__") else printable(value)


def _png(figure: Figure) -> str:
    return base64.b64encode(png(figure)).decode("ascii")
