"""neurolm reconstruct recording.edf --plot picture.png"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.cli.ask import NEAREST
from neurolm.cli.show import print_json, print_table
from neurolm.cli.signals import open_stage, require_outputs
from neurolm.cli.values import Machine
from neurolm.core.amounts import many
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    from neurolm.core.table import Table
    from neurolm.signals.reconstruct import Reconstructed


def reconstruct(
    file: Path,
    *,
    model: Path | None = None,
    seconds: int | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    out: Path | None = None,
    plot: Path | None = None,
    json: bool = False,
    machine: Machine,
) -> None:
    """Send a recording through the codebook and back, and measure what is lost.

    Of each band: the root mean square difference of the log spectra in dB, the correlation of the decoded waveform with
    the EEG, and the share of its variance that the waveform explains. The means over electrodes are printed; the table
    of --out has each.

    Parameters
    ----------
    seconds
        Length of a window; by default that of the tokenizer's training.
    unseen
        What to do with electrodes that the model never saw.
    out
        Table of the errors, ending in .parquet, .csv, .tsv or .jsonl.
    plot
        PNG of a window beside what its codes keep, and of the errors.
    """
    require_outputs(out, plot)
    opened = open_stage(file, model, machine, language=False)

    from neurolm.ask.recording import read_recording
    from neurolm.signals.reconstruct import longest_window, write_errors
    from neurolm.signals.reconstruct import reconstruct as measure

    recording = read_recording(file, opened.card, reading=reading, unseen=unseen)
    length = longest_window(*opened.seconds, len(recording.channels)) if seconds is None else seconds
    found = measure(opened.tokenizer, recording, seconds=length)
    written = [] if out is None else [f"{write_errors(found, out)}: a row for each electrode and band"]
    if plot is not None:
        from neurolm.report.drawings.style import write_png
        from neurolm.report.drawings.tokenizer import round_trip

        written.append(f"{write_png(round_trip(found), plot)}: a window and its codes, and the errors")
    if json:
        print_json(as_values(found))
        return
    say(
        f"{found.recording}: {many(found.windows, 'window')} of {found.seconds} s, {found.patches:,} seconds of single "
        f"electrodes, each written as one of {found.codebook:,} codes; {found.codes:,} of these were used"
    )
    print_table(table(found))
    say(*(f"note: {note}" for note in found.notes), *written)


def as_values(found: Reconstructed) -> dict[str, object]:
    """What is printed as JSON: all but the window for the picture."""
    from dataclasses import asdict

    values = asdict(found)
    del values["example"], values["example_start"]
    return values


def table(found: Reconstructed) -> Table:
    """All electrodes together, a row for each band."""
    from neurolm.core.table import Column, Table

    rows = [(error.band, error.spectrum_db, error.correlation, error.variance) for error in found.overall]
    heads = (
        Column(head="band"),
        Column(head="log spectrum, dB", form=".1f", narrow="spectrum,\ndB"),
        Column(head="correlation of the waveform", form="z.2f", narrow="corr. of\nwaveform"),
        Column(head="share of variance", form="z.2f", narrow="share of\nvariance"),
    )
    return Table(columns=heads, groups=[rows[:-1], rows[-1:]])
