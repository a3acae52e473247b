"""Readers that may crash the interpreter, in a process of their own.

A wrong file costs a message, not the run.

Some formats are read by libraries in C (ANT's, HDF5, MEF, SciPy's for MATLAB) that trust what a file says. A process
opens the file, says what it found, and serves its samples as long as somebody wants them. It holds one file at a time;
one that is free waits for the next file, since starting takes longer than reading.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.core.workers import Died, Worker
from neurolm.recording.channels import Channel, RawRecording, Signal
from neurolm.recording.faults import as_recording_error

PATIENCE = 300.0
"""Seconds after which a reader that does not answer is stopped."""
SPARE = 1
"""Processes that wait for the next file."""
MEMORY, TIMES = 512 << 20, 100
"""Bytes that a reader may take to open a file: so many, and so many times the size of the file."""

_waiting: list[Worker] = []
_source: RawRecording | None = None
"""In such a process: the file."""


def open_isolated(
    opener: Callable[..., RawRecording],
    path: Path,
    reader: str,
    options: dict[str, Any] | None = None,
    *,
    truncated: str = "refuse",
) -> RawRecording:
    """Open a file by a reader in a process of its own.

    Parameters
    ----------
    opener
        What opens it there, given what follows: ``readers.open_here``.
    path
        The file.
    reader
        Name of the function in ``mne.io``, or ``readers.XDF``.
    options
        Arguments for it.
    truncated
        One of ``options.Truncated``.

    Raises
    ------
    RecordingError
        If the reader cannot read the file, crashes, hangs, or takes more memory than files of this size need.
    """
    process = _Process(path, reader)
    channels, notes, signal = process.call(_open, opener, path, reader, options or {}, truncated)

    def load(indices: Sequence[int]) -> Signal:
        volts = tuple(signal.volts[i] for i in indices)
        return replace(signal, volts=volts, read=lambda first, last: process.call(_read, first, last, indices))

    return RawRecording(path, channels, load, notes)


class _Process:
    """A process that a file is open in; when nobody holds the file any more, it waits for the next one."""

    def __init__(self, path: Path, reader: str) -> None:
        self._path, self._reader = path, reader
        self._worker = next(_usable(), None) or Worker(silent=True)
        weakref.finalize(self, _give_back, self._worker)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return self._worker.call(function, *arguments, patience=PATIENCE)
        except Died as death:
            why = f"did not answer within {PATIENCE:g} s" if death.late else f"crashed (exit status {death.exit_code})"
            raise RecordingError(
                f"{self._path}: its reader ({self._reader}) {why}: the file is damaged, or of another format than its "
                f"suffix says; copy or export it again"
            ) from death


def _usable() -> Iterator[Worker]:
    while _waiting:
        worker = _waiting.pop()
        if worker.usable:
            yield worker


def _give_back(worker: Worker) -> None:
    if worker.usable and len(_waiting) < SPARE:
        _waiting.append(worker)
    else:
        worker.stop()


def _open(
    opener: Callable[..., RawRecording], path: Path, reader: str, options: dict[str, Any], truncated: str
) -> tuple[tuple[Channel, ...], list[str], Signal]:
    """Open a file; runs in the process."""
    import mne  # noqa: F401 - what is loaded once is no file's
    import pyxdf  # noqa: F401
    import scipy.io  # noqa: F401

    global _source
    _source = None  # before another one takes memory
    with as_recording_error(path, "cannot be understood"), _limited(path.stat().st_size if path.is_file() else None):
        source = opener(path, reader, options, truncated=truncated)
        signal = source.load(range(len(source.channels)))
    _source = source
    return source.channels, source.notes, replace(signal, read=_read)  # its own does not travel


def _read(first: int, last: int, indices: Sequence[int] = ()) -> np.ndarray:
    """Read samples of the file that is open; runs in the process."""
    assert _source is not None
    with as_recording_error(_source.path, "cannot be read any more"):
        return _source.load(indices).read(first, last)


@contextmanager
def _limited(size: int | None) -> Iterator[None]:
    """Let this process have no more memory than it has and a file of a size may need (on Linux)."""
    taken = Path("/proc/self/statm")
    if size is None or not taken.exists():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    most = int(taken.read_text().split()[0]) * resource.getpagesize() + MEMORY + TIMES * size
    resource.setrlimit(resource.RLIMIT_AS, (most if before[0] < 0 else min(most, before[0]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
