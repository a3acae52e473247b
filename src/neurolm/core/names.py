"""Names that people write: one spelling for what looks the same, and which of them are nearly the same."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

_UNSEEN = ("Cf", "Cc", "Co", "Cn")
"""Unicode's categories of characters that show nothing: zero-width spaces, marks of direction, controls."""
_CALLED = {"batch_size": "eeg_batch", "batch": "eeg_batch", "bf16": "bfloat16", "fp32": "float32"}
"""What others call it → what it is called here."""
_NEAR, _NEAR_SHORT, _SHORT = 0.7, 0.6, 4
"""Likeness of names from which one may be meant by the other; less for short ones, which have so many letters."""


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


def near_names(name: str, known: Collection[str], *, most: int = 2) -> list[str]:
    """Return the known names that may be meant: but for spelling, by its initials (``lr``), or by what others say.

    Of names with dots, as settings have them, the last part may be meant alone.
    """
    whole = {_plain(one): one for one in reversed(list(known))}
    wanted = _plain(name)
    if wanted in whole:
        return [whole[wanted]]
    group, dot, last = wanted.rpartition(".")
    within = [one for one in whole if dot and one.startswith(f"{group}.")] or list(whole)
    meant = [one for one in within if one.endswith((f".{wanted}", f"_{wanted}"))]
    if not meant and (not dot or within != list(whole)):
        meant = [one for one in within if _last(one) in (last, _CALLED.get(last)) or _initials(_last(one)) == last]
    if meant:
        return [one for one in known if _plain(one) in meant]
    near = _NEAR if len(last) > _SHORT else _NEAR_SHORT
    close = difflib.get_close_matches(wanted, within, n=most, cutoff=near)
    if not close:
        ends = {_last(one): one for one in within}
        close = [ends[end] for end in difflib.get_close_matches(last, list(ends), n=most, cutoff=near)]
    return [whole[one] for one in close[: 1 if dot else most]]


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Ask, if something is near what is not known: ``: did you mean a or b?``."""
    near = near_names(name, known)
    return f": did you mean {_listed(near)}?" if near else ""


def choose(name: str, known: Sequence[str]) -> str:
    """Say what there is in place of a name that is not known: ``: did you mean a? Choose one of a, b, c``."""
    near = did_you_mean(name, known)
    return f"{near} Choose one of {', '.join(known)}" if near else f": choose one of {', '.join(known)}"


def _plain(name: str) -> str:
    return name.removeprefix("--").casefold().replace("-", "_").replace(" ", "_")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _initials(name: str) -> str:
    words = name.split("_")
    return "".join(word[:1] for word in words) if len(words) > 1 else ""


def _listed(names: Sequence[str]) -> str:
    return " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
