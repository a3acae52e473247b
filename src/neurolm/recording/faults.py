"""Whatever goes wrong in a reader comes out as an error of the recording, with the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurolm.core.errors import NeuroLMError, RecordingError

DAMAGED = "copy or export it again"
"""The remedy for a file that a reader stumbles over."""
_EXTRAS = {"antio": "formats", "curryreader": "formats", "mffpy": "formats", "h5py": "formats",
           "pyarrow": "parquet"}  # fmt: skip
"""Module that a reader needs → our extra that brings it."""


@contextmanager
def as_recording_error(path: Path | None, what: str, remedy: str = DAMAGED) -> Iterator[None]:
    """Turn every exception of a reader into an error that names the file; readers of damaged files fail in all ways.

    Parameters
    ----------
    path
        The file, None for an MNE object that comes from none.
    what
        What cannot be done, to be followed by the reader's own words: ``MNE (read_raw_edf) cannot read it``.
    remedy
        What to do about it, unless the error says otherwise.

    Raises
    ------
    RecordingError
        For any other exception than a NeuroLMError, which passes.
    """
    try:
        yield
    except NeuroLMError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ImportError):
            extra = next((extra for module, extra in _EXTRAS.items() if module in said), None)
            remedy = f"pip install 'neurolm[{extra}]'" if extra else "install what it asks for"
        elif isinstance(error, MemoryError):
            said = f"it takes more memory than there is ({said})"
            remedy = "if it is a small file, its header is damaged: copy or export it again; else use a larger machine"
        raise RecordingError(f"{path or 'the MNE object'}: {what}: {said[:300]}; {remedy}") from error
