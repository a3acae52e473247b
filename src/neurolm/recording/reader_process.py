"""The process that serves one file at a time to ``isolation.py``.

python -m neurolm.recording.reader_process     # internal; reads requests, one JSON object a line
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from neurolm.core.errors import RecordingError
from neurolm.recording.channels import Source
from neurolm.recording.faults import reading
from neurolm.recording.readers import open_here

MEMORY, TIMES = 512 << 20, 100
"""Bytes that a reader may take to open a file: so many, and so many times the size of the file."""


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """The other side: open files, describe them, and send samples of the last one."""
    source: Source | None = None
    for line in requests:
        wanted = json.loads(line)
        if "path" in wanted:
            source = None  # before another one takes memory
            source = _open(wanted, answers)
        elif source is not None:
            _send_samples(source, wanted, answers)


def _open(request: dict[str, Any], answers: IO[bytes]) -> Source | None:
    import mne  # noqa: F401 - what is loaded once is no file's
    import pyxdf  # noqa: F401
    import scipy.io  # noqa: F401

    path = Path(request["path"])
    try:
        with reading(path, "cannot be understood"), _limited(path.stat().st_size if path.is_file() else None):
            source = open_here(path, request["reader"], request["options"], truncated=request["truncated"])
            signal = source.load(range(len(source.channels)))
    except RecordingError as error:
        _send(answers, {"error": str(error)})
        return None
    channels = [asdict(channel) for channel in source.channels]
    _send(
        answers,
        {"channels": channels, "notes": source.notes, "marks": signal.marks, "volts": signal.volts}
        | {"rate": signal.rate, "samples": signal.samples},
    )
    return source


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


def _send_samples(source: Source, wanted: dict[str, Any], answers: IO[bytes]) -> None:
    try:
        with reading(source.path, "cannot be read any more"):
            data = source.load(wanted["indices"]).read(wanted["first"], wanted["last"])
    except RecordingError as error:
        _send(answers, {"error": str(error)})
        return
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
