"""Reading what should be small: settings, headers, cards, tables; whatever a stranger makes of them.

A pipe or a device is no file, no header or card has gigabytes, and no few bytes stand for any number of values: so no
such file takes much time or memory. Whatever is read whole is read by `read_small`.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

SMALL, LARGE = 16 << 20, 512 << 20
"""Most bytes of a file of settings, a header or a card; and of a table or results, which grow with a corpus."""
_KINDS = {stat.S_IFIFO: "a pipe (FIFO)", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
          stat.S_IFDIR: "a folder"}  # fmt: skip
_DEPTH = 100
"""Most levels of YAML, whose scanner takes time by their square."""
_PARTS = 32
"""Most names in a dotted key of TOML, whose parser takes time by the square of them."""
_NAME = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DOTTED = re.compile(rf"(?<![\w-]){_NAME}(?:[ \t]*+\.[ \t]*+{_NAME}){{{_PARTS}}}")


class UnfitFile(OSError):
    """What is no file, or too large for what it should be."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.strerror = reason


def require_regular(path: Path) -> int:
    """Return the size of a file in bytes, following links.

    Raises
    ------
    UnfitFile
        If it is a pipe, a socket or a device: reading one may never end.
    OSError
        If it is not there.
    """
    return _regular(path.stat())


def read_small(path: Path | str, *, most: int = SMALL) -> bytes:
    """Read a file that should be small.

    Parameters
    ----------
    most
        Most bytes that it may have, such as ``SMALL`` or ``LARGE``.

    Raises
    ------
    UnfitFile
        If it is no regular file (links are followed), or is larger.
    OSError
        If it cannot be read.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        size = _regular(os.fstat(descriptor))
        if size > most:
            raise UnfitFile(f"{size:,} bytes, and such a file has at most {most:,}")
        return file.read(size)


def read_text(path: Path | str, *, encoding: str = "utf-8", most: int = SMALL) -> str:
    """Read a text file that should be small; line ends become ``\\n``, as in ``Path.read_text``.

    Raises
    ------
    UnicodeDecodeError
        If it is in another encoding.
    OSError
        As `read_small`.
    """
    return io.IncrementalNewlineDecoder(None, translate=True).decode(read_small(path, most=most).decode(encoding))


def require_plain(parts: ZipFile, size: int, *, pickled: bool = False) -> None:
    """Refuse a zip file whose parts are compressed, as those of NumPy and PyTorch are not, or larger than the file.

    A thousandth of a gigabyte can stand for a gigabyte of zeros.

    Parameters
    ----------
    parts
        The zip file.
    size
        Its bytes.
    pickled
        Whether it is one of PyTorch's, whose description of the tensors is read into memory.

    Raises
    ------
    ValueError
        Naming the part.
    """
    for part in parts.infolist():
        most = SMALL if pickled and part.filename.endswith(".pkl") else size
        if part.compress_type != ZIP_STORED or part.file_size > most:
            raise ValueError(f"its part {part.filename} of {part.file_size:,} bytes is compressed, or too large")
    if sum(part.file_size for part in parts.infolist()) > size:
        raise ValueError("its parts are larger than the file")


def _regular(status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise UnfitFile(f"{kind}, not a file")
    return status.st_size


def parse_json(text: str | bytes) -> Any:
    """Read JSON as ``json.loads`` does, whose every failure is a ValueError here."""
    with _parsing():
        return json.loads(text)


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML as ``tomllib.loads`` does, whose every failure is a ValueError here."""
    import tomllib

    if found := _DOTTED.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"line {line}: more than {_PARTS} names in a row with dots between them")
    with _parsing():
        return tomllib.loads(text)


def parse_yaml(text: str) -> Any:
    """Read YAML as ``yaml.safe_load`` does, whose every failure is a ValueError here.

    Aliases are refused: with a few of them, a small file stands for any number of values.
    """
    import yaml

    depth = 0
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            name = type(token).__name__
            depth += name.endswith(("SequenceStartToken", "MappingStartToken"))
            depth -= name.endswith(("SequenceEndToken", "MappingEndToken", "BlockEndToken"))
            if depth > _DEPTH:
                raise ValueError("nested too deeply")
            if isinstance(token, yaml.AliasToken):
                raise ValueError("aliases (*name) are not read here: write out what they stand for")
        with _parsing():
            return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


@contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        if "int_max_str_digits" not in str(error):
            raise
        raise ValueError("a number of thousands of digits") from error
