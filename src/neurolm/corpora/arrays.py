"""Recordings kept as MATLAB variables or as tables: their numbers as an MNE object in volts.

Such files have no header to read lazily: a recording is in memory while it is prepared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.core.errors import RecordingError

if TYPE_CHECKING:
    import mne

_VOLTS = 1e-6
"""Volts in a microvolt."""


def as_raw(
    microvolts: np.ndarray,
    names: Sequence[str],
    rate: float,
    *,
    marks: Sequence[tuple[float, float, str]] = (),
    said: str | None = None,
) -> mne.io.RawArray:
    """Make an MNE object of a signal.

    Parameters
    ----------
    microvolts
        Shape (channels, samples), µV; taken over and changed.
    names
        Channel names.
    rate
        Samples per second.
    marks
        Onset and duration in seconds and text of annotations.
    said
        What must be known about the reading: ``RecordingSource.open_recording`` puts it into the recording's notes.
    """
    import mne

    raw = mne.io.RawArray(
        np.multiply(microvolts, _VOLTS, dtype=np.float64),
        mne.create_info(list(names), rate, "eeg"),
        verbose="error",
    )
    if said:
        raw.info["description"] = said
    if marks:
        onsets, durations, texts = zip(*marks, strict=True)
        raw.set_annotations(mne.Annotations(onsets, durations, texts), verbose="error")
    return raw


def read_matlab(path: Path, *needed: str) -> dict[str, Any]:
    """Read the variables of a MATLAB file of any version, structures as dictionaries.

    Raises
    ------
    RecordingError
        If it is no MATLAB file or lacks a variable that is needed.
    """
    from pymatreader import read_mat

    try:
        variables: dict[str, Any] = read_mat(path)
    except Exception as error:  # scipy and h5py fail in many ways on damaged files
        raise RecordingError(
            f"{path}: cannot be read as a MATLAB file ({type(error).__name__}: {error}); download it again"
        ) from error
    if missing := [name for name in needed if name not in variables]:
        here = ", ".join(name for name in variables if not name.startswith("__")) or "none"
        raise RecordingError(f"{path}: no variable {', '.join(missing)}; found: {here}; download it again")
    return variables


def matrix(path: Path, name: str, value: Any, *, columns: int) -> np.ndarray:
    """Return a variable as numbers of shape (samples, columns).

    Raises
    ------
    RecordingError
        If it has another shape or holds no numbers.
    """
    numbers = np.asarray(value)
    if numbers.ndim != 2 or not np.issubdtype(numbers.dtype, np.number) or columns not in numbers.shape:
        raise RecordingError(
            f"{path}: {name} should be a table of numbers with {columns} columns, it is {numbers.dtype} of shape "
            f"{numbers.shape}; download it again"
        )
    return numbers if numbers.shape[1] == columns else numbers.T


def csv_header(path: Path) -> list[str]:
    """Return the first line of a table as names.

    Raises
    ------
    RecordingError
        If the file is no text.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return [name.strip() for name in stream.readline(1 << 16).split(",")]
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read as a table ({error}); download it again") from error


def csv_numbers(path: Path, columns: Sequence[int], *, header: bool) -> np.ndarray:
    """Return columns of a table as float64 of shape (columns, lines).

    Raises
    ------
    RecordingError
        If there is something else than numbers in them.
    """
    try:
        numbers = np.loadtxt(path, delimiter=",", skiprows=int(header), usecols=list(columns), ndmin=2)
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path}: not a table of numbers ({error}); download it again") from error
    if not numbers.size:
        raise RecordingError(f"{path}: the table is empty; download it again")
    return numbers.T
