"""What reaches a terminal: text in which nothing steers it, whatever the names in files are."""

from __future__ import annotations

import re
import sys
import traceback
from types import TracebackType

REPLACED = "�"
"""Stands for a character that is not shown."""
_STEERING = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f"  # escape sequences begin with one of these; the line's end is no such character
    r"\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # turn the direction of what follows, or end a line
    r"\ud800-\udfff]"  # bytes of a file's name that are no text
)


def printable(text: str, *, line: bool = False) -> str:
    """Return a text as it may be shown: what would steer a terminal is replaced.

    Parameters
    ----------
    line
        Whether it is one line: then the ends of lines in it are replaced too.
    """
    shown = _STEERING.sub(REPLACED, text)
    return shown.replace("\n", REPLACED) if line else shown


def say(*lines: object, error: bool = False) -> None:
    """Print lines; each stays one line, so that a name in it cannot pass for a line of our own.

    Parameters
    ----------
    error
        Whether they go to standard error.
    """
    text = "\n".join(printable(str(one), line=True) for one in lines)
    print(text, file=sys.stderr if error else sys.stdout, flush=True)


def warning_line(message: object, *_arguments: object, **_named: object) -> str:
    """Write a warning as one line, for ``warnings.formatwarning``."""
    return f"neurolm: warning: {printable(str(message), line=True)}\n"


def show_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback as Python does, for ``sys.excepthook``: its last line may hold any name."""
    print(printable("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)
