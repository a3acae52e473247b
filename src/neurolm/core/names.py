"""Names that people write: one spelling for what looks the same, and which of them are nearly the same."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

_UNSEEN = ("Cf", "Cc", "Co", "Cn")
"""Unicode's categories of characters that show nothing: zero-width spaces, marks of direction, controls."""


def one_spelling(name: str) -> str:
    """Write a name in the one way that all names that look like it become.

    The accent of ``é`` is part of the letter (NFC) although some systems write it apart (NFD); what nobody can see is
    left out, and any white space is one space.
    """
    seen = "".join(" " if c.isspace() else c for c in name if c.isspace() or unicodedata.category(c) not in _UNSEEN)
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def nearly_same(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that differ only in capitals or in zeros before a number: ``S01`` and ``s1``."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        groups[re.sub(r"(?<!\d)0+(?=\d)", "", name.casefold())].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def readable(name: str) -> str:
    """Write a file's name whose bytes are no UTF-8 so that it can be printed: ``Se\\xf1or.edf``; others as they are."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
