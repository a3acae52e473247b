"""Readers that may crash the interpreter, in a process of their own: a wrong file costs a message, not the run.

Some formats are read by libraries in C (ANT's, HDF5, MEF) that trust what a file says. The process opens the file, says
what it found as a line of JSON, and then serves samples until its standard input ends:

    python -m neurolm.data.isolated     # internal; reads requests, one JSON object a line
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from neurolm.data.channels import Channel, Signal, Source
from neurolm.errors import RecordingError

PATIENCE = 300.0
"""Seconds after which a reader that does not answer is stopped."""


def open_isolated(path: Path, reader: str, options: dict[str, Any] | None = None) -> Source:
    """Open a file by one of MNE's readers in a process of its own.

    Parameters
    ----------
    path
        The file.
    reader
        Name of the function in ``mne.io``.
    options
        Arguments for it that can be written as JSON.

    Raises
    ------
    RecordingError
        If the reader cannot read the file, crashes, or hangs.
    """
    process = _Process(path, reader)
    answer = process.ask({"path": str(path), "reader": reader, "options": options or {}})
    if "error" in answer:
        process.close()
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
            read=lambda first, last: process.samples(list(indices), first, last),
        )

    return Source(path, channels, load, list(answer["notes"]))


class _Process:
    """A reader at work; it ends when nobody holds it any more."""

    def __init__(self, path: Path, reader: str) -> None:
        self._path, self._reader = path, reader
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "neurolm.data.isolated"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        )
        self.close = weakref.finalize(self, _end, self._process)

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
        process = self._process
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


def _end(process: subprocess.Popen) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue  # what was to be written to a process that is gone does not matter
    process.wait()


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """The other side: open a file, describe it, and send samples."""
    from neurolm.data.readers import open_here

    request = json.loads(requests.readline())
    try:
        source = open_here(Path(request["path"]), request["reader"], request["options"])
        signal = source.load(range(len(source.channels)))
    except RecordingError as error:
        _send(answers, {"error": str(error)})
        return
    channels = [asdict(channel) for channel in source.channels]
    notes, marks = source.notes, signal.marks
    _send(
        answers,
        {"channels": channels, "notes": notes, "marks": marks, "volts": signal.volts}
        | {"rate": signal.rate, "samples": signal.samples},
    )
    for line in requests:
        wanted = json.loads(line)
        try:
            data = source.load(wanted["indices"]).read(wanted["first"], wanted["last"])
        except Exception as error:  # readers of damaged files fail in every way there is
            what = " ".join(str(error).split()) or type(error).__name__
            _send(answers, {"error": f"{request['path']}: cannot be read any more: {what[:300]}; copy it again"})
            continue
        _send(answers, {"shape": data.shape})
        answers.write(np.ascontiguousarray(data, np.float64).tobytes())
        answers.flush()


def _send(answers: IO[bytes], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    _answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # what readers print must not get between the answers
    _serve(sys.stdin.buffer, _answers)
