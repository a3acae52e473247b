"""Readers that may crash the interpreter, in a process of their own.

A wrong file costs a message, not the run.

All readers but those of EDF, BDF and WFDB are others' (MNE, pyxdf, HDF5, SciPy …) and trust what a file says: they take
the memory that it declares, follow a chain of tags that has no end, or crash. A process opens the file, with limits of
memory and time, says what it found, and serves its samples as long as somebody wants them. It holds one file at a time;
one that is free waits for the next file, since starting (most of a second) takes longer than reading.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from neurolm.core.errors import FLAGS, RecordingError
from neurolm.core.small_files import SMALL, require_regular
from neurolm.core.workers import Died, Worker
from neurolm.recording.channels import Channel, RawRecording, Signal
from neurolm.recording.faults import as_recording_error

PATIENCE, PACE = 60.0, 4 << 20
"""Seconds after which a reader that does not answer is stopped, and bytes of the file that give it one second more."""
SPARE = 1
"""Processes that wait for the next file."""
MEMORY, TIMES = 512 << 20, 100
"""Bytes that a reader may take: so many, and so many times the size of the file, as far as the machine has them."""
_DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")
"""What is no file and may be opened by a library."""

Result = TypeVar("Result")

_waiting: list[Worker] = []
_source: RawRecording | None = None
"""In such a process: the file."""
_bytes = 0
"""In such a process: what `size_of` says of the file."""
_guarded = False
"""In such a process: whether it opens nothing but files."""
_apart = False
"""Whether all of this process is apart, as `run_apart` has it."""
_within: Path | None = None
"""In such a process: the only folder of which a recording may be read, beside what Python itself needs."""
CONFINED = "NEUROLM_CONFINED"
"""Environment variable by which processes that this one starts know what `confine` was told."""
_confined = tuple(map(Path, filter(None, os.environ.get(CONFINED, "").split(os.pathsep))))
"""Folders of recordings of strangers, as `confine` has it."""


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
    if _apart:
        return opener(path, reader, options or {}, truncated=truncated)
    process = _Process(path, reader)
    channels, notes, start, signal = process.call(_open, opener, path, reader, options or {}, truncated)

    def load(indices: Sequence[int]) -> Signal:
        volts = tuple(signal.volts[i] for i in indices)
        return replace(signal, volts=volts, read=lambda first, last: process.call(_read, first, last, indices))

    return RawRecording(path, channels, load, notes, start)


class _Process:
    """A process that a file is open in; when nobody holds the file any more, it waits for the next one."""

    def __init__(self, path: Path, reader: str) -> None:
        self._path, self._reader = path, reader
        self._patience = patience(path)
        self._worker = next(_usable(), None) or Worker(silent=True)
        weakref.finalize(self, _give_back, self._worker)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            here = os.environ.get(FLAGS), None if self._path.is_absolute() else Path.cwd(), _confined
            return self._worker.call(_as_here, *here, function, *arguments, patience=self._patience)
        except Died as death:
            why = (
                f"did not answer within {self._patience:g} s"
                if death.late
                else f"crashed (exit status {death.exit_code})"
            )
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


def confine(folder: Path) -> None:
    """From now on, whatever is read of a recording in a folder below this one must lie beside it, whatever it names.

    For files of strangers: a header, or a file of MATLAB or FIF, may name any other that this user can read. EDF, BDF
    and WFDB, which are read in this process, name none elsewhere.
    """
    global _confined
    if (real := folder.resolve()) not in _confined:
        _confined = (*_confined, real)
        os.environ[CONFINED] = os.pathsep.join(map(str, _confined))


def confined() -> tuple[Path, ...]:
    """Return the folders that `confine` was told."""
    return _confined


def _as_here(
    flags: str | None, folder: Path | None, roots: tuple[Path, ...], function: Callable[..., Any], *arguments: Any
) -> Any:
    """Call a function as where it was called: messages spell arguments alike, and paths start from the same folder."""
    global _confined
    _confined = roots
    os.environ.pop(FLAGS, None)
    if flags is not None:
        os.environ[FLAGS] = flags
    if folder is not None:
        os.chdir(folder)
    return function(*arguments)


def _open(
    opener: Callable[..., RawRecording], path: Path, reader: str, options: dict[str, Any], truncated: str
) -> tuple[tuple[Channel, ...], list[str], datetime | None, Signal]:
    """Open a file; runs in the process."""
    import mne  # noqa: F401 - what is loaded once is no file's
    import pyxdf  # noqa: F401
    import scipy.io  # noqa: F401

    global _source, _bytes
    _source, _bytes = None, size_of(path)  # before another one takes memory
    _guard(path)
    with as_recording_error(path, "cannot be understood"), limited_memory(_bytes):
        source = opener(path, reader, options, truncated=truncated)
        signal = source.load(range(len(source.channels)))
    _source = source
    return source.channels, source.notes, source.start, replace(signal, read=_read)  # its own does not travel


def run_apart(path: Path, roots: tuple[Path, ...], function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function that opens a recording in a process that does nothing else, with the limits that readers have.

    Whatever it opens is read in this process, also by neurolm's own readers.

    Parameters
    ----------
    path
        The recording.
    roots
        What `confined` returns in the process that asks.
    function, arguments
        What is called.

    Raises
    ------
    RecordingError
        If that takes more memory than files of this size need, or goes wrong in a reader.
    """
    import mne  # noqa: F401 - what is loaded once is no file's
    import pyxdf  # noqa: F401
    import scipy.io  # noqa: F401

    global _apart, _confined
    _apart, _confined = True, roots
    _guard(path)
    with as_recording_error(path, "cannot be understood"), limited_memory(size_of(path)):
        return function(*arguments)


def _guard(path: Path) -> None:
    """From now on, open nothing but files, and of a confined recording nothing elsewhere."""
    global _guarded, _within
    # Found once, by opening a file under a lock that the hook would wait for; the libraries are found so, too.
    tempfile.gettempdir()
    _libraries()
    real = path.resolve()
    _within = real.parent if any(real.is_relative_to(folder) for folder in _confined) else None
    if not _guarded:
        _guarded = True
        sys.addaudithook(_refuse_endless)


def _read(first: int, last: int, indices: Sequence[int] = ()) -> np.ndarray:
    """Read samples of the file that is open; runs in the process."""
    assert _source is not None
    path, what = _source.path, f"samples {first:,} to {last:,} cannot be read: the file is damaged"
    with as_recording_error(path, what), limited_memory(_bytes):
        try:
            return _source.load(indices).read(first, last)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read any more: {error}; is it still there?") from error


def patience(path: Path) -> float:
    """Seconds that reading a recording may take at a time."""
    return round(PATIENCE + size_of(path) / PACE, 2)


def size_of(path: Path) -> int:
    """Bytes of a recording: of a folder's files, and of what lies beside a small file by its name."""
    files = [path]
    if path.is_dir():
        files = list(path.rglob("*"))
    elif path.is_file() and path.stat().st_size < SMALL:  # perhaps a header
        with os.scandir(path.parent) as beside:
            files = [Path(entry.path) for entry in beside if entry.name.startswith(path.stem)]
    return sum(file.stat().st_size for file in files if file.is_file())


def _refuse_endless(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise where Python is about to open a pipe or a device, which a header may name as well as a file."""
    path = arguments[0] if event == "open" else None
    if not isinstance(path, str | bytes | os.PathLike):
        return
    file = Path(os.fsdecode(path))
    with suppress(FileNotFoundError, PermissionError, ValueError):  # whoever opens it says so
        if str(file) not in _DEVICES and not file.is_dir():
            require_regular(file)
    if _within is not None and not _is_ours(file):
        raise PermissionError(errno.EACCES, "the recording names a file that is none of its own")


def _is_ours(file: Path) -> bool:
    """Whether a file is the confined recording's, or of a kind that Python and libraries open by themselves."""
    assert _within is not None
    found = Path(os.path.realpath(file))
    if found.is_relative_to(_within) or any(found.is_relative_to(folder) for folder in _libraries()):
        return True
    temporary = Path(os.path.realpath(tempfile.gettempdir()))  # where headers are copied for the time of reading
    below = found.relative_to(temporary).parts[:1] if found.is_relative_to(temporary) else ()
    return below[:1] > () and below[0].startswith(_COPIES) and not any(map(found.is_relative_to, _confined))


_COPIES = "neurolm-"
"""How folders of such copies begin."""


@cache
def _libraries() -> tuple[Path, ...]:
    """Where files lie that are nobody's recordings."""
    import site

    import mne

    given = (sys.prefix, sys.base_prefix, Path(__file__).parents[2], Path(mne.__file__).parents[1],
             site.getusersitepackages(), "/proc", "/sys", "/usr/share", "/usr/lib", Path.home() / ".mne")  # fmt: skip
    return tuple(Path(os.path.realpath(folder)) for folder in given)


@contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """Let this process have no more memory than it has, a file of a size may need, and the machine has (on Linux)."""
    taken, there = Path("/proc/self/statm"), Path("/proc/meminfo")
    if not taken.exists():
        yield
        return
    import resource

    free = re.search(r"MemAvailable:\s+(\d+) kB", there.read_text()) if there.exists() else None
    allowed = MEMORY + TIMES * size
    if free is not None:
        allowed = min(allowed, max(MEMORY, int(free[1]) << 10))
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = int(taken.read_text().split()[0]) * resource.getpagesize() + allowed
    resource.setrlimit(resource.RLIMIT_AS, (most if before[0] < 0 else min(most, before[0]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
