"""neurolm plan recordings --hours 25000"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neurolm.cli.values import with_arguments_of
from neurolm.core.amounts import in_words, many
from neurolm.core.terminal import say

if TYPE_CHECKING:
    from neurolm.prepare.plan import EstimatedRange, Plan


@with_arguments_of("neurolm.prepare.plan:plan")
def plan(**how: Any) -> None:
    """Estimate what preparing recordings takes."""
    from neurolm.prepare.plan import plan

    say(*lines(plan(**how)))


def lines(found: Plan) -> Iterator[str]:
    """Write a plan for a terminal."""
    for one in found.measured:
        yield (
            f"measured: {one.source}: {one.hours:.2f} h, {one.channels} channels, {one.bytes / 1e6:.1f} MB, "
            f"{one.cpu_seconds:.2f} s"
        )
    for reason in found.failed:
        yield f"cannot be prepared, left out of the sums: {reason}"
    what = many(found.recordings, "recording") if found.recordings else "simulated recordings"
    yield f"{what}, measured on {many(len(found.measured), 'file')}; in brackets where 9 of 10 redrawn samples lie"
    yield f"EEG             {_between(found.hours, 1, 'h')}"
    yield f"sources         {_between(found.source_bytes, 1e9, 'GB')}"
    yield f"store           {_between(found.store_bytes, 1e9, 'GB')}"
    yield f"work            {_between(found.core_hours, 1, 'core-hours')}"
    yield (
        f"on {found.cores} cores     about {in_words(found.wall_hours * 3600)}, if the disk delivers "
        f"{found.read_rate / 1e6:.0f} MB/s"
    )
    yield (
        f"memory          {found.peak_memory / 2**20:.0f} MiB per worker, "
        f"{found.peak_memory * found.cores / 2**30:.1f} GiB on {found.cores} cores"
    )


def _between(value: EstimatedRange, unit: float, name: str) -> str:
    estimate, low, high = (_number(number / unit) for number in (value.estimate, value.low, value.high))
    return f"{estimate} {name}" + (f" ({low} to {high})" if low != high else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
