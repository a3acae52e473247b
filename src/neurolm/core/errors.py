"""Errors meant for users: each says what was found and what to do about it.

The command line prints the message of a :class:`NeuroLMError` without a traceback and exits with status 2. Messages
spell arguments by `argument`, so that whoever reads them can give them: in Python, or as flags of the command.
"""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

FLAGS = "NEUROLM_FLAGS"
"""Environment variable with the flags of the verb that runs, for its worker processes too; in Python it is not set."""


_OF_PREPARE = {"unit", "unknown", "mains", "truncated", "channels", "cap", "stream", "rate", "bad_segments",
               "filters"}  # fmt: skip
"""Flags about reading, for verbs that read recordings and have no such flags: ``neurolm demo``."""


@contextmanager
def flags_in_messages(names: Collection[str]) -> Iterator[None]:
    """Let messages spell arguments as flags, of which there are those of some names."""
    before = os.environ.get(FLAGS)
    os.environ[FLAGS] = " ".join(names)
    try:
        yield
    finally:
        os.environ.pop(FLAGS, None)  # a service takes it away while it runs
        if before is not None:
            os.environ[FLAGS] = before


def takes(name: str) -> bool:
    """Return whether there is an argument to advise: always in Python, where the verb has the flag in a command."""
    return FLAGS not in os.environ or name in os.environ[FLAGS].split()


def argument(name: str = "", /, **values: object) -> str:
    """Spell an argument by its name, or with its value: ``unit='mV'`` in Python, ``--unit mV`` in a command.

    Parameters
    ----------
    values
        A mapping among them is an example of entries.
    """
    known = {*values, name} - {""}
    if FLAGS not in os.environ:
        return ", ".join(f"{one}={_in_python(value)}" for one, value in values.items()) or f"{name}="
    spelt = ", ".join(f"{flag_of(one)} {_in_command(value)}" for one, value in values.items()) or flag_of(name)
    elsewhere = known <= _OF_PREPARE and not any(map(takes, known))
    return f"{spelt} (of neurolm prepare)" if elsewhere else spelt


def flag_of(name: str) -> str:
    """Return the flag of an argument: ``--accept-licence``, ``-n``; a setting keeps its underscores, as in files."""
    if len(name) == 1:
        return f"-{name}"
    return f"--{name if '.' in name else name.replace('_', '-')}"


def _in_python(value: object) -> str:
    if isinstance(value, dict):
        return f"{str(value)[:-1]}, …}}"
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _in_command(value: object) -> str:
    if isinstance(value, dict):
        return shlex.quote(f"{','.join(f'{_with_commas(name)}={entry}' for name, entry in value.items())},…")
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_commas(name: str) -> str:
    """Write a name so that the command takes its commas for part of it: those after an equals sign are marked."""
    before, equals, after = name.partition("=")
    return before + equals + after.replace(",", "\\,")


class NeuroLMError(Exception):
    """Something the user can fix. The message names the file or argument, the value found and the remedy."""


class RecordingError(NeuroLMError):
    """A recording that cannot be read, or whose content cannot be EEG as declared."""


class StoreError(NeuroLMError):
    """A store or a folder of recordings that is missing, empty, damaged or of another kind."""


class WriteError(StoreError):
    """A file that cannot be written: no space, no permission. Not the fault of a recording."""


class ConfigError(NeuroLMError, ValueError):
    """A configuration value, recipe or task card that is not valid.

    A ``ValueError`` too: where a dataclass refuses its values, decoding adds the file and the place.
    """


class CheckpointError(NeuroLMError):
    """A checkpoint that is missing, damaged, or of another recipe or stage than needed."""


class TextError(NeuroLMError):
    """A text tokenizer or text folder that is missing, empty or of the wrong size."""


class QuestionError(NeuroLMError):
    """A question that cannot be put to this model or this recording."""


class DownloadError(NeuroLMError):
    """A data set that cannot be fetched: no network, no access, or files that are not what the site promises."""


class Stopped(NeuroLMError):
    """Long work was asked to stop and has saved where it is.

    Attributes
    ----------
    signal
        Number of the signal that asked.
    """

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
