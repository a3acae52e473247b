"""neurolm overlap pretraining --against downstream"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.cli.show import Display
from neurolm.cli.values import with_arguments_of
from neurolm.core.amounts import duration, many
from neurolm.core.files import require_writable
from neurolm.core.terminal import say

if TYPE_CHECKING:
    from neurolm.store.overlap.overlap import Overlap

SHOWN = 10
"""Findings printed; the list has all."""


@with_arguments_of("neurolm.store.overlap.overlap:overlap")
def overlap(
    store: Path | str, *, against: Sequence[Path | str] = (), out: Path = Path("exclusions.jsonl"), **how: Any
) -> bool:
    """Look for recordings and people of some stores in another, or for recordings that one store has twice.

    The exit status is 0 if there are none, 1 if there are some.

    Parameters
    ----------
    store
        The store (or its URL) that should hold nothing of the others.
    against
        The stores whose recordings must not be in it; by default its own recordings are compared with each other.
    out
        List of what to leave out.
    """
    from neurolm.store.overlap.overlap import overlap, write_exclusions

    require_writable(out)
    with Display() as display:
        found = overlap(store, against, **how, progress=display.count("reading recordings"))
    say(*lines(found, against=bool(against)))
    write_exclusions(out, found.exclusions)
    if found.none:
        twice = f"no recording is in {store} under two people"
        say(f"nothing of {', '.join(map(str, against))} is in {store}" if against else twice)
    else:
        say(
            f"{out}: {many(len(found.exclusions), 'recording')} to leave out",
            f"next: neurolm prepare RECORDINGS --out STORE --exclude {out}",
        )
    return found.none


def lines(found: Overlap, *, against: bool = True) -> Iterator[str]:
    """Write what was found for a terminal."""
    others = f"{found.others} ({found.hours[1]:.1f} h)" if against else "each other"
    yield (
        f"{found.recordings} recordings ({found.hours[0]:.1f} h) compared with {others}, "
        f"a stretch every {found.every:g} s"
    )
    yield f"shared recordings: {len(found.shared)}"
    for copy in found.shared[:SHOWN]:
        of = f" of {copy.store}" if against else ""
        yield (
            f"  {copy.recording} is {copy.other}{of}: {duration(copy.start)} – {duration(copy.stop)} "
            f"there, shifted by {copy.shift:+.2f} s, correlation {copy.correlation:.3f}"
        )
    yield from _more(found.shared)
    if against:
        yield f"people with the same id: {len(found.people)}"
    for person in found.people[:SHOWN]:
        yield f"  {person.subject} is {person.other} of {person.store}: {many(person.recordings, 'recording')}"
    yield from _more(found.people)
    for note in found.notes:
        yield f"note: {note}"


def _more(findings: tuple) -> Iterator[str]:
    if len(findings) > SHOWN:
        yield f"  and {len(findings) - SHOWN} more"
