"""neurolm prepare corpus --out store"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from neurolm.cli.show import Display
from neurolm.cli.values import with_arguments_of
from neurolm.core.amounts import many
from neurolm.core.terminal import say


@with_arguments_of("neurolm.prepare.prepare:prepare")
def prepare(data: Path, *, out: Path, **how: Any) -> None:
    """Turn a folder of recordings into a store to train on.

    Parameters
    ----------
    data
        Folder of recordings.
    out
        The folder for the store. It may hold other corpora already.
    """
    from neurolm.prepare.prepare import prepare

    with Display() as display:
        report = prepare(data, out, **how, progress=display.preparing)
    what = many(report.recordings, "recording")
    say(f"{out}: {what}, {report.hours:.2f} h of EEG; {report.skipped} were there already")
    if report.excluded:
        say(f"{report.excluded} are excluded: {out / 'excluded.jsonl'}")
    if report.quarantined:
        say(f"{report.quarantined} could not be read: the reasons are in {out / 'quarantine.jsonl'}")
    for note in report.notes:
        say(f"note: {note}")
    say(*(f"next: {line}" for line in following(data, out, report.tasks)))


def following(data: Path, out: Path, tasks: Sequence[str]) -> Iterator[str]:
    """What to do with a store of recordings with labels of some tasks: labels without a card that ships need one."""
    from neurolm.corpora.table import table_of
    from neurolm.tasks.card import all_tasks

    if not tasks:
        yield (
            "these recordings have no labels, and training ends with questions about some: label them (neurolm tasks "
            f"table {data} lists their events), or prepare labelled ones into {out} too"
        )
        return
    own = [task for task in tasks if task not in all_tasks()]
    table = table_of(data)
    for task in own:
        yield f'neurolm tasks new {task}{f" --table {table}" if table else ""} --question "…"'
    cards = ",".join(f"{task}.toml" if task in own else task for task in tasks)
    yield f"neurolm train language --store {out} --out RUN{f' --tasks {cards}' if own else ''}"
