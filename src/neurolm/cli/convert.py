"""neurolm convert official VQ.pt NeuroLM-B.pt --out official-b --gpt2 gpt2"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.core.terminal import say
from neurolm.official import PADDED_TO

if TYPE_CHECKING:
    from neurolm.official.convert import Conversion


def convert() -> None:
    """Turn the authors' weights into a checkpoint folder, or back; merge adapters."""


def convert_official(
    tokenizer: Path | str, language: Path | str, *, out: Path, gpt2: str | None = None, padded_to: int = PADDED_TO
) -> None:
    """Turn the authors' files into a checkpoint folder.

    Parameters
    ----------
    tokenizer
        The file VQ.pt, or hf://Weibang/NeuroLM/VQ.pt.
    language
        The file NeuroLM-B.pt (or -L, -XL), or hf://Weibang/NeuroLM/NeuroLM-B.pt.
    out
        The folder to write.
    gpt2
        Folder or hub id of GPT-2's text tokenizer, to keep with them.
    padded_to
        Patches to which the encoder takes samples as padded: 1024 as in the authors' pretraining, 276 as in their
        instruction tuning, 0 not at all.
    """
    from neurolm.official.convert import from_official

    _print(from_official(tokenizer, language, out, gpt2=gpt2, padded_to=padded_to), out)


def convert_to_official(folder: Path, *, out: Path) -> None:
    """Turn a checkpoint folder into the authors' files.

    Parameters
    ----------
    folder
        The folder of a checkpoint.
    out
        The folder to write.
    """
    from neurolm.official.convert import to_official

    _print(to_official(folder, out), out)


def convert_merged(model: Path | str, *, out: Path, base: Path | None = None) -> None:
    """Turn a checkpoint with adapters into one without, which needs no base.

    Parameters
    ----------
    model
        The folder of a run or of a checkpoint.
    out
        The folder to write.
    base
        Where the checkpoint is that the adapters were trained on, if it was moved.
    """
    from neurolm.hub.publish import merged

    say(merged(model, out, base=base))


def _print(done: Conversion, out: Path) -> None:
    from neurolm.official.convert import report

    say(*report(done))
    say(out)
