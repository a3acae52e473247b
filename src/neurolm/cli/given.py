"""What verbs make of what they are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.core.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import Namespace


def needed(arguments: Namespace, name: str, what: str) -> Path:
    """Return an argument that a verb cannot do without.

    Raises
    ------
    ConfigError
        Saying what to give.
    """
    if arguments[name] is None:
        raise ConfigError(f"--{name} is missing: give {what}")
    return arguments[name]


def listed(text: str | None) -> list[str] | None:
    """Read ``a,b`` as a list; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def parse_fold(text: str | None) -> tuple[int, int] | None:
    """Read ``2/6`` as fold 2 of 6; None stays None.

    Raises
    ------
    ConfigError
        If it is not two numbers.
    """
    if text is None:
        return None
    number, slash, folds = text.partition("/")
    if not (slash and number.strip().isdecimal() and folds.strip().isdecimal()):
        raise ConfigError(f"--fold {text}: give which fold tests and how many there are, as in 1/6")
    return int(number), int(folds)


def set_threads(threads: int) -> None:
    """Set the number of CPU threads; 0 leaves it as it is.

    Raises
    ------
    ConfigError
        If the number is negative.
    """
    if threads < 0:
        raise ConfigError(f"--threads {threads}: give the number of CPU threads, or 0 for one per core")
    if threads:
        import torch

        torch.set_num_threads(threads)
