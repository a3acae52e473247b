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
    "on people whom the model never saw (EEGMAT), its spectra came nearer to what was recorded than those of splines "
    "(3.4 dB off, not 3.7), and its waveforms correlated less (0.74, not 0.77); splines halfway to the mean spectrum "
    "of the other electrodes, which need no model, came nearer still (3.2 dB)"
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
        FIF file of the recording as the model reads it, 0.1–75 Hz at 200 Hz, with these electrodes; without it they
        are compared and not kept.
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
    written = []
    if out is not None:
        path = write_recording(recording, found, out)
        written = [f"{path}: the recording with them, filtered to 0.1–75 Hz, at 200 Hz"]
    if json:
        print_json(as_values(found))
        return
    say(
        f"{found.recording}: {', '.join(found.electrodes)} from {many(len(found.sources), 'other electrode')} by "
        f"{'splines' if method == 'splines' else 'splines and the model'}"
    )
    if found.scores:
        print_table(table(found))
    notes = [*uncompared(found, kept=out is not None), *([VERDICT] if method == "model" else []), *found.notes]
    say(*(f"note: {note}" for note in notes), *written)


def uncompared(found: Imputed, *, kept: bool) -> list[str]:
    """What is said where nobody sees what was made: the recording lacks electrodes, or nothing was written."""
    compared = {one.electrode for one in found.scores}
    notes = [
        f"{electrode} was not recorded, so that there is nothing to compare it with"
        for electrode in found.electrodes
        if electrode not in compared
    ]
    return notes if kept else [*notes, "nothing was written: --out whole_eeg.fif keeps what was made"]


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
