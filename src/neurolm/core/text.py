"""Text as other programs wrote it: UTF-8, UTF-16 with its mark, or a code page of Windows."""

from __future__ import annotations

import codecs
import re

_PAGE = re.compile(r"(?i)(utf|ucs|iso|latin|ascii|cp\d|windows|koi8|mac|gb|big5|shift|sjis|euc)")
"""What names of code pages begin with; others of Python's, as punycode, take time by the square of a text."""
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def decode(raw: bytes, codepage: str = "cp1252") -> str:
    """Read bytes as text, whatever they are.

    Parameters
    ----------
    raw
        The text. It is UTF-8 if it can be: hardly any other text can.
    codepage
        What it is otherwise, by its own word or by custom; what that has no character for is read as Latin-1.
    """
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8")
    for name in (encoding, codepage if _PAGE.match(codepage) else "latin-1"):
        try:
            return raw.decode(name)
        except (UnicodeError, LookupError):
            continue
    return raw.decode("latin-1")
