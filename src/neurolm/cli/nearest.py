"""neurolm nearest features.parquet --to recording.edf@30"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neurolm.cli.ask import NEAREST, open_model
from neurolm.cli.show import print_json, print_table
from neurolm.cli.values import Answering, Machine
from neurolm.core.errors import ConfigError, RecordingError
from neurolm.core.table import Column, Table
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    from neurolm.ask.nearest import Query


def nearest(
    table: Path,
    *,
    to: str,
    count: int = 10,
    apart: Literal["nothing", "itself", "recording", "subject"] = "itself",
    subject: str | None = None,
    model: Path | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    json: bool = False,
    machine: Machine,
) -> None:
    """Find the recordings, or the stretches of them, that are most like another, by their features.

    Parameters
    ----------
    table
        Table that neurolm embed wrote.
    to
        A recording, as recording.edf, or a moment of one in seconds, as recording.edf@30: of the table, or any other,
        which the model then reads.
    count
        Most rows to show.
    apart
        What is not looked at: the stretch itself, all of its recording, or all of its subject.
    subject
        Whose recordings these are, where the table does not know: an expression whose group is the person in their
        names, such as 'Subject([0-9]+)'.
    unseen
        What to do with electrodes that the model never saw, where the recording is not in the table.
    """
    from neurolm.archive.inputs import Source
    from neurolm.ask.nearest import moment, query_of, whose
    from neurolm.ask.nearest import nearest as find

    name, at = moment(to)
    if Path(to).exists():
        name, at = to, None
    query = query_of(table, name, at=at)
    if query is None:
        if not Path(name).exists():
            raise RecordingError(f"{name}: neither a recording of {table} nor a file; give one of either")
        query = _embedded(table, Path(name), at, model, reading, unseen, machine)
        person = Source(name, Path(name).absolute()).subject if subject is None else whose(name, subject)
        query = replace(query, subject=person)
    found = find(table, query, count=count, apart=apart, subject=subject)
    if json:
        print_json(found)
        return
    if not found:
        say(f"{table}: no rows but those that are left out; leave out less with --apart")
        return
    heads = [Column(head="similarity", form=".3f"), Column(head="recording", whole=True)]
    heads += [Column(head="start", form="g"), Column(head="stop", form="g")]
    extra = [name for name in ("electrode", "subject", "labels") if any(getattr(one, name) for one in found)]
    rows = [
        (
            one.similarity, one.recording, one.start, one.stop,
            *(", ".join(one.labels) if name == "labels" else getattr(one, name) for name in extra),
        )
        for one in found
    ]  # fmt: skip
    print_table(Table(columns=[*heads, *(Column(head=name) for name in extra)], groups=[rows]))


def _embedded(
    table: Path,
    file: Path,
    at: float | None,
    model: Path | None,
    reading: ReadingOptions,
    unseen: Unseen,
    machine: Machine,
) -> Query:
    """What is looked for of a recording that the table has not, by the model that the table is of."""
    from neurolm.ask.nearest import Query
    from neurolm.ask.vectors import about_table
    from neurolm.hub.publish import digest

    about = about_table(table)
    opened = open_model(file, model, Answering(device=machine.device, threads=machine.threads, precision="float32"))
    if opened.folder is None or digest(opened.folder) != about["model"]:
        raise ConfigError(f"{table}: its vectors are another model's; name that with --model")
    found = opened.embed(file, seconds=about["seconds"], stride=about["stride"], reading=reading, unseen=unseen)
    features, length = found.features, found.features.shape[1]
    if at is not None:
        held = (found.starts <= at) & (at < found.starts + length)
        if not held.any():
            raise RecordingError(f"{file}: no window holds second {at:g}; choose another")
        one = features[held][-1:]
        if about["level"] in ("second", "patch"):
            second = int(at - found.starts[held][-1])
            one = one[:, second : second + 1]
        features = one
    return Query(vector=features.mean(axis=(0, 1, 2)))
