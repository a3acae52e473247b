"""neurolm prepare corpus --out store"""

from pathlib import Path
from typing import Any

from neurolm.cli.show import Display, many
from neurolm.cli.values import with_arguments_of
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
    say(f"next: neurolm train language --store {out} --out RUN")
