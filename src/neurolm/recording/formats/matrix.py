"""Numbers of a file that is no EEG file, and what it says about them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.recording.formats.edf import UNSTATED

_IN_MEMORY = 1 << 24  # bytes of numbers that need no temporary file


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Samples, and what is known of them."""

    numbers: np.ndarray
    """Shape (samples, columns); mapped from a file where it is large."""
    what: str
    """What was found, for messages: ``8 columns × 1,000 lines``."""
    names: tuple[str, ...]
    """A name for each channel; ``ch1`` … where the file has none."""
    named: bool
    """Whether these are the file's and say something."""
    columns: tuple[int, ...]
    """Which of the columns each channel is."""
    units: tuple[str | None, ...] = ()
    """As in ``Channel``; empty: none is stated."""
    kinds: tuple[str, ...] = ()
    """As in ``Channel``; empty: all may be EEG."""
    rate: float | None = None
    """Samples per second, where the file says them."""
    scale: float = 1.0
    """What to multiply the numbers by."""
    counts: bool = False
    """Whether they are whole numbers, of which nobody said what one is worth."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Sample before which something is missing, and how many samples; 0 where nobody knows how many."""
    marks: tuple[tuple[int, str], ...] = ()
    """Sample at which something happened, and what."""
    notes: list[str] = field(default_factory=list)

    @property
    def units_stated(self) -> bool:
        """Whether the file says the unit of every channel that may be EEG."""
        kinds = self.kinds or ("eeg",) * len(self.names)
        return bool(self.units) and all(
            unit != UNSTATED for unit, kind in zip(self.units, kinds, strict=True) if kind == "eeg"
        )


def spooled(path: Path, blocks: Iterable[np.ndarray], columns: int) -> np.ndarray:
    """Put blocks of shape (rows, columns) one below the other, as float64: in memory, or mapped from a temporary file.

    The file has no name: it is gone when nobody needs the array any more, or the process is killed.

    Raises
    ------
    RecordingError
        If there is no space for it.
    """
    small: list[np.ndarray] = []
    size = rows = 0
    file = None
    try:
        for block in blocks:
            block = np.ascontiguousarray(block, np.float64)
            rows, size = rows + len(block), size + block.nbytes
            if file is None and size > _IN_MEMORY:
                file = tempfile.TemporaryFile()  # noqa: SIM115 - the array needs it after this
                file.writelines(one.data for one in small)
                small.clear()
            if file is None:
                small.append(block)
            else:
                file.write(block.data)
        if file is None:
            return np.concatenate(small) if small else np.empty((0, columns))
        file.flush()
        return np.memmap(file, np.float64, "r", shape=(rows, columns))
    except OSError as error:
        if file is None:
            raise
        raise RecordingError(
            f"{path}: its numbers need {size / 1e6:,.0f} MB or more in {tempfile.gettempdir()} while they are read "
            f"({error.strerror}); make room there, or name another folder with TMPDIR"
        ) from error
    finally:
        if file is not None:
            file.close()
