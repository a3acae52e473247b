"""All comparisons of a folder of proof data, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from neurolm.errors import CheckpointError
from neurolm.verify.language import Setting, check_eeg, check_instruction, check_text
from neurolm.verify.line import Line
from neurolm.verify.proof import REMEDY, Proof
from neurolm.verify.text import check_prompts, find_gpt2
from neurolm.verify.tokenizer import check_channels, check_codebook, check_loader, check_losses, check_padded


def verify(
    folder: Path | str, *, gpt2: Path | str | None = None, progress: Callable[[Line], None] | None = None
) -> tuple[Line, ...]:
    """Compare this implementation with a folder of proof data.

    Parameters
    ----------
    folder
        The proof data. ``channels.json`` and ``prompts.json`` lie in the folder above.
    gpt2
        Folder or hub id of GPT-2's text tokenizer; by default looked for beside the folder.
    progress
        Called with each line as soon as it is known.

    Returns
    -------
    tuple of Line
        One for each quantity; all hold if this implementation gives the authors' numbers.

    Raises
    ------
    CheckpointError
        If the folder lacks files, or they cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; {REMEDY}")
    proof = Proof(folder=folder)
    lines = []
    for line in _lines(proof, find_gpt2(folder) if gpt2 is None else gpt2):
        lines.append(line)
        if progress is not None:
            progress(line)
    return tuple(lines)


def _lines(proof: Proof, gpt2: Path | str) -> Iterator[Line]:
    yield from check_channels(proof)
    yield from check_prompts(proof, gpt2)
    yield from check_loader(proof)
    yield from check_padded(proof)
    yield from check_losses(proof)
    yield from check_codebook(proof)
    setting = Setting.of(proof)
    yield from check_eeg(proof, setting)
    yield from check_text(setting)
    yield from check_instruction(setting)
