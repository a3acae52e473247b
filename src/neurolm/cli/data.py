"""What the verbs around data do: download, plan, overlap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from neurolm.cli import as_flags
from neurolm.cli.show import Display, duration, many
from neurolm.core.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from neurolm.prepare.plan import Plan, Range
    from neurolm.store.overlap.overlap import Overlap

SHOWN = 10
"""Findings printed; the list has all."""


def download(arguments: Namespace) -> None:
    """Fetch a data set, say under which terms."""
    from neurolm.corpora import LAYOUTS
    from neurolm.corpora.download.download import download

    known = LAYOUTS.get(arguments.corpus)
    if known is not None:
        print(f"{known.TITLE}\nlicence: {known.LICENCE}\ncite: {known.CITATION}", flush=True)
    with Display(Console(stderr=True)) as display:
        report = download(
            arguments.corpus,
            arguments.dir,
            base_url=arguments.base_url,
            include=[part for part in (arguments.include or "").split(",") if part],
            connections=arguments.connections,
            accept_licence=arguments.accept_licence,
            progress=display.count("fetching files"),
        )
    for note in report.notes:
        print(f"note: {note}")
    print(
        f"{arguments.dir}: {report.files} files, {report.gigabytes:.2f} GB, with the checksums that the site promises; "
        f"{report.fetched} were fetched"
    )
    if report.licence is not None:
        print(f"terms: {report.licence}")
    print(f"next: neurolm plan {arguments.dir}, or neurolm prepare {arguments.dir} --out STORE")


def plan(arguments: Namespace) -> None:
    """Estimate what preparing takes."""
    from neurolm.prepare.plan import plan

    names = ("hours", "corpus", "unknown", "unit", "mains", "jobs", "samples", "seed", "channels", "rate")
    found = plan(arguments.data, **{name: arguments[name] for name in names})
    print("\n".join(plan_lines(found)))


def preparing_flags(message: str) -> str:
    """Write a message as a preparation's flags, of which none names channels: they are renamed in the file."""
    return as_flags(re.sub(r"say what they are with channels=\{.*?…\}, or ", "", message))


def plan_lines(found: Plan) -> Iterator[str]:
    """Write a plan for a terminal."""
    for one in found.measured:
        yield (
            f"measured: {one.source}: {one.hours:.2f} h, {one.channels} channels, {one.bytes / 1e6:.1f} MB, "
            f"{one.cpu_seconds:.2f} s"
        )
    for reason in found.failed:
        yield f"cannot be prepared, left out of the sums: {preparing_flags(reason)}"
    what = many(found.recordings, "recording") if found.recordings else "simulated recordings"
    yield f"{what}, measured on {many(len(found.measured), 'file')}; in brackets where 9 of 10 redrawn samples lie"
    yield f"EEG             {_between(found.hours, 1, 'h')}"
    yield f"sources         {_between(found.source_bytes, 1e9, 'GB')}"
    yield f"store           {_between(found.store_bytes, 1e9, 'GB')}"
    yield f"work            {_between(found.core_hours, 1, 'core-hours')}"
    yield (
        f"on {found.cores} cores     about {duration(found.wall_hours * 3600)}, if the disk delivers "
        f"{found.read_rate / 1e6:.0f} MB/s"
    )
    yield (
        f"memory          {found.peak_memory / 2**20:.0f} MiB per worker, "
        f"{found.peak_memory * found.cores / 2**30:.1f} GiB on {found.cores} cores"
    )


def _between(value: Range, unit: float, name: str) -> str:
    estimate, low, high = (_number(number / unit) for number in (value.estimate, value.low, value.high))
    return f"{estimate} {name}" + (f" ({low} to {high})" if low != high else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def overlap(arguments: Namespace) -> bool:
    """Look for what must not be in a store; returns whether there is nothing."""
    from neurolm.store.overlap.overlap import overlap, write_exclusions

    against = arguments.against or []
    if not against:
        raise ConfigError("--against is missing: give the stores whose recordings must not be in it")
    with Display(Console(stderr=True)) as display:
        found = overlap(
            arguments.store,
            against,
            split=arguments.split,
            every=arguments.every,
            jobs=arguments.jobs,
            progress=display.count("reading recordings"),
        )
    print(as_flags("\n".join(overlap_lines(found))))
    write_exclusions(arguments.out, found.exclusions)
    if found.none:
        print(f"nothing of {', '.join(map(str, against))} is in {arguments.store}")
    else:
        print(
            f"{arguments.out}: {len(found.exclusions)} recordings to leave out\n"
            f"next: neurolm prepare RECORDINGS --out STORE --exclude {arguments.out}"
        )
    return found.none


def overlap_lines(found: Overlap) -> Iterator[str]:
    """Write what was found for a terminal."""
    yield (
        f"{found.recordings} recordings ({found.hours[0]:.1f} h) compared with {found.others} "
        f"({found.hours[1]:.1f} h), a stretch every {found.every:g} s"
    )
    yield f"shared recordings: {len(found.shared)}"
    for copy in found.shared[:SHOWN]:
        yield (
            f"  {copy.recording} is {copy.other} of {copy.store}: {duration(copy.start)} – {duration(copy.stop)} "
            f"there, shifted by {copy.shift:+.2f} s, correlation {copy.correlation:.3f}"
        )
    yield from _more(found.shared)
    yield f"people with the same id: {len(found.people)}"
    for person in found.people[:SHOWN]:
        yield f"  {person.subject} is {person.other} of {person.store}: {person.recordings} recordings"
    yield from _more(found.people)
    for note in found.notes:
        yield f"note: {note}"


def _more(findings: tuple) -> Iterator[str]:
    if len(findings) > SHOWN:
        yield f"  and {len(findings) - SHOWN} more"
