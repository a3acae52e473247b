"""neurolm embed recording.edf --out features.npz"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurolm.ask import FREE_SECONDS
from neurolm.cli.ask import NEAREST, open_model
from neurolm.cli.values import Answering, Machine
from neurolm.core.amounts import many
from neurolm.core.errors import WriteError
from neurolm.core.files import require_writable
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen


def embed(
    file: Path,
    *,
    out: Path,
    model: Path | None = None,
    seconds: int = FREE_SECONDS,
    stride: float = FREE_SECONDS,
    evidence: bool = False,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    precision: Literal["float32", "bfloat16"] = "float32",
    machine: Machine,
) -> None:
    """Write features of a recording, for models of your own.

    The file holds NumPy arrays: features, float32 (windows, seconds, electrodes, width); codes, int64 (windows,
    seconds, electrodes); starts, float64 (windows), in seconds; and the names of the electrodes. With --evidence, too:
    evidence, float32 (windows, columns), in nats; and evidence_columns, their names, as "workload: Yes".

    Parameters
    ----------
    out
        File to write, ending in .npz.
    seconds
        Length of a window.
    stride
        Seconds from the start of a window to the next.
    evidence
        Write, too, what the evidence beside the language model says for each option of each task.
    unseen
        What to do with electrodes that the model never saw.
    precision
        Of the encoder's matrix products; in bfloat16 some two codes in a hundred are others.
    """
    if out.suffix != ".npz":
        raise WriteError(f"{out}: choose another --out, ending in .npz: it holds several NumPy arrays")
    require_writable(out)
    answering = Answering(device=machine.device, threads=machine.threads, precision=precision)
    found = open_model(file, model, answering).embed_parts(
        file, seconds=seconds, stride=stride, evidence=evidence, reading=reading, unseen=unseen
    )
    windows, length, electrodes, width = found.shape
    beside = f", evidence for {', '.join(found.evidence_columns) or 'nothing'}" if evidence else ""
    made = f"{many(windows, 'window')} of {length} s, {many(electrodes, 'electrode')}, {width} features each second"
    say(f"{found.save(out)}: {made}{beside}")
    say(*(f"note: {note}" for note in found.notes))
