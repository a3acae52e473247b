"""All comparisons of a folder of proof data, in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from neurolm.core.errors import CheckpointError, NeuroLMError
from neurolm.official.verify.comparison import Comparison
from neurolm.official.verify.language import check_language
from neurolm.official.verify.proof import REMEDY, Proof
from neurolm.official.verify.text import check_prompts, find_gpt2
from neurolm.official.verify.tokenizer import check_channels, check_codebook, check_loader, check_losses, check_padded

_MALFORMED = (KeyError, IndexError, TypeError, ValueError, RuntimeError)
"""What comparing raises where the proof's arrays or tables are of other shapes than they should be."""


def verify(
    folder: Path | str, *, gpt2: Path | str | None = None, progress: Callable[[Comparison], None] | None = None
) -> tuple[Comparison, ...]:
    """Compare this implementation with a folder of proof data.

    Parameters
    ----------
    folder
        The proof data. ``channels.json`` and ``prompts.json`` lie in the folder above.
    gpt2
        Folder or hub id of GPT-2's text tokenizer; by default looked for beside the folder.
    progress
        Called with each comparison as soon as it is known.

    Returns
    -------
    tuple of Comparison
        One for each quantity; all hold if this implementation gives the authors' numbers.

    Raises
    ------
    CheckpointError
        If the folder holds no proof data at all. Files that are missing or damaged are comparisons that do not hold.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; {REMEDY}")
    if not list(folder.glob("*.npz")):
        raise CheckpointError(f"{folder}: no proof data in it (no .npz files); {REMEDY}")
    comparisons = []
    for comparison in _comparisons(Proof(folder=folder), gpt2):
        comparisons.append(comparison)
        if progress is not None:
            progress(comparison)
    return tuple(comparisons)


def _comparisons(proof: Proof, gpt2: Path | str | None) -> Iterator[Comparison]:
    yield from _part("channels", lambda: check_channels(proof))
    yield from _part("prompts", lambda: check_prompts(proof, find_gpt2(proof.folder) if gpt2 is None else gpt2))
    yield from _part("loader", lambda: check_loader(proof))
    yield from _part("vq", lambda: check_padded(proof))
    yield from _part("vq_unpadded", lambda: check_losses(proof))
    yield from _part("quantizer_ema", lambda: check_codebook(proof))
    yield from _part("neurolm", lambda: check_language(proof))


def _part(name: str, check: Callable[[], Iterator[Comparison]]) -> Iterator[Comparison]:
    """Compare a part; where it cannot be read, one comparison says so, and the others are compared all the same."""
    try:
        yield from check()
    except (NeuroLMError, *_MALFORMED) as error:
        detail = str(error) if isinstance(error, NeuroLMError) else f"not of the form of proof data ({error!r})"
        yield Comparison(name=f"{name}: cannot be compared", exact=False, error=math.inf, detail=detail)
