"""What a live session has received, as a BrainVision recording that is whole at every moment

BrainVision keeps a header, plain float32 samples and a list of markers in three files: each is only ever appended to,
so that a process that is killed loses nothing but what was on its way, and MNE, EEGLAB and ``neurolm ask`` open what is
there. Gaps are filled up with zeros, and marked as ``BAD_ACQ_SKIP``, MNE's word for time in which nothing was recorded.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from itertools import count
from pathlib import Path

import numpy as np

from neurolm.core.errors import ConfigError, WriteError, argument
from neurolm.core.files import append_text, require_writable, write_text
from neurolm.live.source import Chunk, Layout, Notice

SUFFIX = ".vhdr"
LONGEST_GAP = 3600.0
"""Seconds of a gap that are filled up; a longer one is marked as a seam alone."""
LONGEST_NAME = 180
"""Bytes of a recording's name: file systems take 255, with a number and what marks a file that is being written."""
_NO_LINE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of line breaks and other control characters, and of bytes that are no text."""
_SKIP, _SEAM = "Comment,BAD_ACQ_SKIP", "New Segment,"


class Recorder:
    """Writes a recording while it is made.

    Parameters
    ----------
    path
        Header of the recording, ``NAME.vhdr``; the others lie beside it. When channels or rate change, what follows
        goes into ``NAME-2.vhdr``, and so on, past the numbers that are taken.

    Raises
    ------
    ConfigError
        If the name is none that a header can hold, or one of its files is there already.
    WriteError
        If nothing can be written there.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        _require_name(path)
        for file in _files(path):
            if file.exists() or file.is_symlink():
                raise ConfigError(f"{argument(record=str(path))}: {file.name} is there already; choose another name")
            require_writable(file)
        self.path, self.parts = path, [path]
        self._seam, self._jumped = False, False
        self._begin(layout)

    def write(self, chunk: Chunk) -> None:
        """Append a chunk, and what was marked meanwhile.

        Raises
        ------
        WriteError
            If the disk is full, say.
        """
        if not len(chunk.times) or self._file.closed:
            return
        rate, first = self.layout.rate, float(chunk.times[0])
        if self._seam:
            self._skip(first)
        self._append(np.ascontiguousarray(chunk.samples.T, "<f4").tobytes())
        for when, text in chunk.markers:
            self._mark(f"Stimulus,{_written(text)}", self.samples + max(0, round((when - first) * rate)))
        self.samples += len(chunk.times)
        self._next = float(chunk.times[-1]) + 1 / rate

    def interrupt(self, notice: Notice) -> None:
        """What follows does not continue what came before."""
        if notice.layout is not None:
            self.close()
            numbered = (self.path.with_name(f"{self.path.stem}-{number}{SUFFIX}") for number in count(2))
            self.parts.append(next(one for one in numbered if not any(file.exists() for file in _files(one))))
            self._begin(notice.layout)
        elif self.samples:
            self._seam = True
            self._jumped |= notice.kind == "clock-jump"

    def close(self) -> None:
        """End it; closing twice does nothing."""
        self._file.close()

    def _begin(self, layout: Layout) -> None:
        self.layout, self.samples, self._marks = layout, 0, 0
        self._seam = False
        self._jumped = False
        self._next = 0.0
        header, self._data, self._markers = _files(self.parts[-1])
        with self._writing():
            header.parent.mkdir(parents=True, exist_ok=True)
            self._file: FileIO = self._data.open("xb", buffering=0)  # never in the place of another's
        write_text(self._markers, _markers_head(self._data.name))
        write_text(header, _header(layout, self._data.name, self._markers.name))

    def _append(self, data: bytes) -> None:
        """Write samples, all of them; what a full disk or Ctrl-C leaves of them is cut off again."""
        left = memoryview(data)
        with self._writing():
            try:
                while left:
                    left = left[self._file.write(left) :]
            except BaseException:
                with suppress(OSError):
                    self._file.truncate(self.samples * len(self.layout.channels) * 4)
                    self._file.seek(0, 2)
                raise

    def _skip(self, time: float) -> None:
        """Fill up a gap that ends now, or mark the seam."""
        rate = self.layout.rate
        missing = round((time - self._next) * rate)
        if self._jumped or not 0 < missing <= LONGEST_GAP * rate:
            self._mark(_SEAM, self.samples)
        else:
            self._mark(_SKIP, self.samples, missing)
            with self._writing():  # a hole in the file, which takes no room
                self._file.truncate((self.samples + missing) * len(self.layout.channels) * 4)
                self._file.seek(0, 2)
            self.samples += missing
        self._seam = self._jumped = False

    def _mark(self, what: str, sample: int, length: int = 0) -> None:
        self._marks += 1
        append_text(self._markers, f"Mk{self._marks}={what},{sample + 1},{length},0\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteError(f"{self._data}: cannot be written ({error.strerror}); free space") from error


def _files(header: Path) -> tuple[Path, Path, Path]:
    """Header, samples and markers."""
    return header, header.with_suffix(".eeg"), header.with_suffix(".vmrk")


def _require_name(path: Path) -> None:
    """Refuse names that are not in a header as they are, or that no file system takes."""
    said = argument(record=str(path))
    if path.suffix != SUFFIX:
        raise ConfigError(f"{said}: recordings are written as BrainVision, NAME{SUFFIX}")
    if path.name != path.name.strip() or any(unicodedata.category(one) in _NO_LINE for one in path.name):
        raise ConfigError(
            f"{argument(record=repr(str(path)))}: the header names the other files in a line each, and this name has "
            "line breaks, other characters that are no text, or a space in front; choose another name"
        )
    if (length := len(path.name.encode())) > LONGEST_NAME:
        raise ConfigError(
            f"{argument(record=path.name[:40])}…: a name of {length} bytes, and {LONGEST_NAME} are the most; "
            "choose a shorter one"
        )


def _header(layout: Layout, data: str, markers: str) -> str:
    channels = (f"Ch{number}={_written(name)},,1,µV" for number, name in enumerate(layout.channels, start=1))
    return "\n".join(
        (
            "Brain Vision Data Exchange Header File Version 1.0",
            "; Recorded by neurolm live",
            "",
            "[Common Infos]",
            "Codepage=UTF-8",
            f"DataFile={data}",
            f"MarkerFile={markers}",
            "DataFormat=BINARY",
            "DataOrientation=MULTIPLEXED",
            f"NumberOfChannels={len(layout.channels)}",
            f"SamplingInterval={1e6 / layout.rate!r}",
            "",
            "[Binary Infos]",
            "BinaryFormat=IEEE_FLOAT_32",
            "",
            "[Channel Infos]",
            *channels,
            "",
        )
    )


def _markers_head(data: str) -> str:
    return "\n".join(
        (
            "Brain Vision Data Exchange Marker File, Version 1.0",
            "",
            "[Common Infos]",
            "Codepage=UTF-8",
            f"DataFile={data}",
            "",
            "[Marker Infos]",
            "",
        )
    )


def _written(text: str) -> str:
    """A name or text within a line whose fields commas part: as the format has it."""
    return " ".join(text.split()).replace(",", r"\1")
