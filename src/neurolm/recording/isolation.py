"""Readers that may crash the interpreter, in a process of their own.

A wrong file costs a message, not the run.

Some formats are read by libraries in C (ANT's, HDF5, MEF, SciPy's for MATLAB) that trust what a file says. The process
opens the file, says what it found as a line of JSON, and then serves samples, until it is given another file or its
standard input ends. A process holds one file at a time; one that is free waits for the next file, since starting takes
longer than reading. What such a process does is in ``reader_process.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.recording.channels import Channel, Signal, Source

PATIENCE = 300.0
"""Seconds after which a reader that does not answer is stopped."""
SPARE = 1
"""Processes that wait for the next file."""


def open_isolated(
    path: Path, reader: str, options: dict[str, Any] | None = None, *, truncated: str = "refuse"
) -> Source:
    """Open a file by a reader in a process of its own.

    Parameters
    ----------
    path
        The file.
    reader
        Name of the function in ``mne.io``, or ``readers.XDF``.
    options
        Arguments for it that can be written as JSON.
    truncated
        One of ``wholeness.TRUNCATED_POLICIES``.

    Raises
    ------
    RecordingError
        If the reader cannot read the file, crashes, hangs, or takes more memory than files of this size need.
    """
    opened = _Opened(path, reader)
    answer = opened.ask({"path": str(path), "reader": reader, "options": options or {}, "truncated": truncated})
    if "error" in answer:
        raise RecordingError(answer["error"])
    channels = tuple(
        Channel(**{**entry, "position": None if entry["position"] is None else tuple(entry["position"])})
        for entry in answer["channels"]
    )
    marks = tuple((float(onset), float(duration), str(text)) for onset, duration, text in answer["marks"])
    volts = answer["volts"]

    def load(indices: Sequence[int]) -> Signal:
        return Signal(
            rate=answer["rate"],
            samples=answer["samples"],
            volts=tuple(volts[i] for i in indices),
            marks=marks,
            read=lambda first, last: opened.samples(list(indices), first, last),
        )

    return Source(path, channels, load, list(answer["notes"]))


class _Process:
    """A process that reads; it ends with this one at the latest."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner = os.getpid()
        self.running = subprocess.Popen(
            [sys.executable, "-m", "neurolm.recording.reader_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        )
        self.end = weakref.finalize(self, _end, self.running, self.owner)

    @property
    def usable(self) -> bool:
        """Whether it is there, and this process's own: a forked one has the same pipes."""
        return self.end.alive and self.owner == os.getpid() and self.running.poll() is None


_waiting: list[_Process] = []


def _free() -> _Process:
    while _waiting:
        process = _waiting.pop()
        if process.usable:
            return process
    return _Process()


def _give_back(process: _Process) -> None:
    if process.usable and len(_waiting) < SPARE:
        _waiting.append(process)
    else:
        process.end()


class _Opened:
    """A file that is open in a process; when nobody holds it any more, the process is free again."""

    def __init__(self, path: Path, reader: str) -> None:
        self._path, self._reader = path, reader
        self._process = _free()
        self._lock = self._process.lock
        weakref.finalize(self, _give_back, self._process)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            return self._exchange(request, lambda stream: json.loads(_line(stream)))

    def samples(self, indices: list[int], first: int, last: int) -> np.ndarray:
        """Samples of channels: float64 of shape (channels, samples)."""

        def receive(stream: IO[bytes]) -> np.ndarray:
            head = json.loads(_line(stream))
            if "error" in head:
                raise RecordingError(head["error"])
            shape = tuple(head["shape"])
            data = stream.read(8 * int(np.prod(shape)))
            return np.frombuffer(data, np.float64).reshape(shape).copy()

        with self._lock:
            return self._exchange({"indices": indices, "first": first, "last": last}, receive)

    def _exchange(self, request: dict[str, Any], receive: Callable[[IO[bytes]], Any]) -> Any:
        process = self._process.running
        assert process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(PATIENCE, stop)
        watch.start()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            return receive(process.stdout)
        except (OSError, EOFError, ValueError) as error:
            process.kill()
            code = process.wait()
            self._process.end()
            why = f"did not answer within {PATIENCE:g} s" if late.is_set() else f"crashed (exit status {code})"
            raise RecordingError(
                f"{self._path}: its reader ({self._reader}) {why}: the file is damaged, or of another format than its "
                f"suffix says; copy or export it again"
            ) from error
        finally:
            watch.cancel()


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the reader has ended")
    return line


def _end(process: subprocess.Popen, owner: int) -> None:
    if owner != os.getpid():  # a forked process has a copy of what is not its own
        return
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue  # what was to be written to a process that is gone does not matter
    process.wait()
