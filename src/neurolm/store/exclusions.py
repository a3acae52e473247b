"""Lists of recordings to leave out: ``overlap`` writes them, ``prepare --exclude`` takes them.

A JSON object per line: ``recording``, ``subject``, ``content`` (hash of the stored signal), ``reason``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError
from neurolm.core.files import dump_json, write_text
from neurolm.core.small_files import LARGE, read_text


@dataclass(frozen=True)
class Exclusion:
    """A recording to be left out."""

    recording: str
    """Its id in the store: ``corpus/path``."""
    subject: str
    content: str
    """Hash of the stored signal's bytes (``Row.sha256``)."""
    reason: str


def write_exclusions(path: Path | str, exclusions: Sequence[Exclusion]) -> None:
    """Write an exclusion list: a JSON object per line.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    write_text(Path(path), "".join(dump_json(asdict(e), ensure_ascii=False) + "\n" for e in exclusions))


def read_exclusions(path: Path | str) -> tuple[Exclusion, ...]:
    """Read an exclusion list.

    Raises
    ------
    ConfigError
        If the file is missing or a line is not an exclusion; the message names the line.
    """
    try:
        lines = read_text(path, most=LARGE).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as an exclusion list ({error}); `neurolm overlap` writes one") from (
            error
        )
    return tuple(
        decode(Exclusion, line, source=f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
