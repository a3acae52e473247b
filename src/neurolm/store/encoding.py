"""From microvolts to what a store keeps: int16 counts with a scale per channel, block by block."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from neurolm.core.errors import RecordingError, WriteError
from neurolm.store.manifest import SAMPLE

SCALES = (0.1, 0.2, 0.5, 1.0)
"""Microvolts per count to choose from: the finest that holds a channel's range. The coarsest still resolves EEG and
reaches ±32.8 mV; what lies beyond is an artefact, clipped and counted."""
HELD_BYTES = 256 << 20
"""Microvolts kept in memory while a recording's range is not known yet; more go to a temporary file."""
_BLOCK = 1 << 20
"""Values converted at a time."""


@dataclass(frozen=True)
class Encoded:
    """What became of a signal."""

    samples: int
    scale: tuple[float, ...]
    """Microvolts per count, per channel."""
    clipped: int
    """Samples outside the range of their channel's scale."""
    sha256: str
    """Hash of the counts' bytes."""


def encode(signal: np.ndarray) -> tuple[np.ndarray, Encoded]:
    """Turn microvolts that are in memory into counts.

    Parameters
    ----------
    signal
        Float (samples, channels) in µV.

    Returns
    -------
    counts, encoded
        int16 (samples, channels), and what is to be known about them.
    """
    parts: list[bytes] = []
    encoded = encode_blocks([signal], signal.shape[1], write=lambda part: parts.append(bytes(part)))
    return np.frombuffer(b"".join(parts), SAMPLE).reshape(signal.shape).copy(), encoded


def encode_blocks(
    blocks: Iterable[np.ndarray],
    channels: int,
    *,
    write: Callable[[memoryview], object],
    folder: Path | None = None,
    held: int = HELD_BYTES,
) -> Encoded:
    """Turn blocks of microvolts into counts, with memory for some of them only.

    A channel's scale depends on its whole range, so the blocks are kept until all have been seen.

    Parameters
    ----------
    blocks
        Float (samples, channels) in µV, one after the other.
    write
        Takes the counts' bytes, one part after the other.
    folder
        For a temporary file.
    held
        Bytes of blocks to keep in memory.

    Raises
    ------
    RecordingError
        If a value is NaN or infinite.
    WriteError
        If the temporary file cannot be written.
    """
    peak = np.zeros(channels)
    samples = 0
    with _Kept(channels, folder, held) as kept:
        for block in blocks:
            if not len(block):
                continue
            peak = np.maximum(peak, np.maximum(block.max(axis=0), -block.min(axis=0)))  # NaN stays NaN
            if not np.isfinite(peak).all():
                channel = int(np.flatnonzero(~np.isfinite(peak))[0])
                raise RecordingError(f"the signal is NaN or infinite in channel {channel}")
            kept.add(block)
            samples += len(block)
        info = np.iinfo(SAMPLE)
        scale = tuple(next((s for s in SCALES if p <= s * info.max), SCALES[-1]) for p in peak.tolist())
        digest, clipped = hashlib.sha256(), 0
        for block in kept:
            rounded = np.rint(block / np.array(scale))
            clipped += int(np.count_nonzero(np.abs(rounded) > info.max))
            counts = np.clip(rounded, -info.max, info.max).astype(SAMPLE)
            part = counts.data.cast("B")
            digest.update(part)
            write(part)
    return Encoded(samples=samples, scale=scale, clipped=clipped, sha256=digest.hexdigest())


class _Kept:
    """Blocks in their order: the first in memory, the rest in a temporary file that nobody else sees."""

    def __init__(self, channels: int, folder: Path | None, held: int) -> None:
        self.channels, self.folder, self.room = channels, folder, held
        self.blocks: list[np.ndarray] = []
        self.file: IO[bytes] | None = None

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file is not None:
            self.file.close()

    def add(self, block: np.ndarray) -> None:
        if self.file is None and block.nbytes <= self.room:
            self.room -= block.nbytes
            self.blocks.append(block.copy())  # the giver may use its buffer again
            return
        try:
            if self.file is None:
                self.file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 (closed with this object)
            self.file.write(np.ascontiguousarray(block, np.float32).data)
        except OSError as error:
            raise WriteError(
                f"{self.folder}: a temporary file cannot be written ({error.strerror}); free space there"
            ) from error

    def __iter__(self) -> Iterator[np.ndarray]:
        samples = max(1, _BLOCK // self.channels)
        for block in self.blocks:
            yield from (block[start : start + samples] for start in range(0, len(block), samples))
        self.blocks = []
        if self.file is None:
            return
        self.file.seek(0)
        while data := self.file.read(samples * self.channels * np.dtype(np.float32).itemsize):
            yield np.frombuffer(data, np.float32).reshape(-1, self.channels)
