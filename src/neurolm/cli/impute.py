"""neurolm impute recording.edf --channels Cz,Pz --out whole_eeg.fif"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.cli.ask import NEAREST
from neurolm.cli.show import print_json, print_table
from neurolm.cli.signals import open_stage
from neurolm.cli.values import Machine
from neurolm.core.amounts import many
from neurolm.core.files import require_writable
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen
from neurolm.signals import Method

if TYPE_CHECKING:
    from neurolm.core.table import Table
    from neurolm.signals.impute import Imputed


VERDICT = (
    "on held-out EEG the model's way had nearer spectra than splines, and waveforms that correlate less; the mean "
    "spectrum of the other electrodes does better than the model's (docs/forecast.md)"
)
"""What `benchmarks/imputing.py` found."""


def impute(
    file: Path,
    *,
    channels: Sequence[str],
    method: Method = "splines",
    model: Path | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    out: Path | None = None,
    json: bool = False,
    machine: Machine,
) -> None:
    """Make missing or bad electrodes from the others.

    Those that the recording has are made as if it had not, and compared with what was recorded.

    Parameters
    ----------
    channels
        The electrodes to make, as Cz,Pz.
    method
        Spherical splines, as MNE interpolates bad channels, or the model's way: splines with amplitudes halfway to what
        the tokenizer makes of them.
    unseen
        What to do with electrodes that the model never saw; splines use them.
    out
        FIF file of the recording as the model reads it, with these electrodes.
    """
    from neurolm.signals.impute import impute as make
    from neurolm.signals.impute import require_fif, write_recording
    from neurolm.signals.models import to_impute

    if out is not None:
        require_fif(out)
        require_writable(out)
    opened = open_stage(file, model, machine, language=False)
    recording, seconds = to_impute(file, channels, opened.card, method=method, reading=reading, unseen=unseen)
    found = make(recording, channels, method=method, tokenizer=opened.tokenizer, seconds=seconds)
    written = [] if out is None else [f"{write_recording(recording, found, out)}: the recording with them, at 200 Hz"]
    if json:
        print_json(as_values(found))
        return
    say(
        f"{found.recording}: {', '.join(found.electrodes)} from {many(len(found.sources), 'other electrode')} by "
        f"{'splines' if method == 'splines' else 'splines and the model'}"
    )
    if found.scores:
        print_table(table(found))
    if method == "model":
        say(f"note: {VERDICT}")
    say(*(f"note: {note}" for note in found.notes), *written)


def as_values(found: Imputed) -> dict[str, Any]:
    """What is printed as JSON: all but the samples."""
    names = ("recording", "electrodes", "sources", "method", "scores", "notes")
    return {name: value for name, value in asdict(found).items() if name in names}


def table(found: Imputed) -> Table:
    """The electrodes that were recorded, beside what was made."""
    from neurolm.core.table import Column, Table

    heads = (
        Column(head="as recorded"),
        Column(head="correlation of the waveform", form=".2f", narrow="corr. of\nwaveform"),
        Column(head="share of variance", form=".2f"),
        Column(head="log spectrum, RMSE in dB", form=".2f"),
    )
    rows = [(one.electrode, one.correlation, one.variance, one.spectrum_db) for one in found.scores]
    return Table(columns=heads, groups=[rows])
