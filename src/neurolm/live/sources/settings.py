"""Settings in the name of a source: ``speed=8`` of ``file:night.edf?speed=8``"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from neurolm.core.errors import ConfigError
from neurolm.core.names import choose

UNLIMITED = ("max", "0")
"""Words for a speed without a limit."""
SLOWEST = 1e-3
"""Least speed: no clock waits for the next samples of any."""


def split_settings(rest: str, settings: Mapping[str, Callable[[str], Any]], source: str) -> tuple[str, dict[str, Any]]:
    """Take the settings off a source's name.

    Parameters
    ----------
    rest
        What follows the kind of source and the colon.
    settings
        Each setting that there is → what makes its value of a text, or raises ValueError that says what it wants.
    source
        The kind of source, for messages.

    Returns
    -------
    tuple
        The name without settings, and the values of those that are given.

    Raises
    ------
    ConfigError
        For a setting that does not exist, or a value that cannot be.
    """
    found = re.fullmatch(r"(.*?)\?((?:\w+=[^&]*)(?:&\w+=[^&]*)*)?", rest, re.DOTALL)
    if found is None:  # a question mark that no settings follow is part of a file's name
        return rest, {}
    values = {}
    for one in (found[2] or "").split("&") if found[2] else []:
        key, _, text = one.partition("=")
        if key not in settings:
            raise ConfigError(f"{source}:{rest}: there is no setting {key!r}{choose(key, list(settings))}")
        try:
            values[key] = settings[key](unquote(text))
        except ValueError as error:
            raise ConfigError(f"{source}:{rest}: {key}={text}: {error}") from error
    return found[1], values


def number(least: float, what: str, *, most: float = math.inf, whole: bool = False) -> Callable[[str], Any]:
    """Return what reads a number between two others."""
    limits = f"{least:g} or more" if math.isinf(most) else f"{least:g} to {most:,.0f}"

    def read(text: str) -> float | int:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or math.isinf(value):
            raise ValueError(f"give {what}, {limits}")
        return value

    return read


def speed(text: str) -> float:
    """Read how many times faster than real time; infinite for ``max`` and ``0``, as fast as chunks are taken."""
    if text in UNLIMITED:
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SLOWEST <= value < math.inf:
        raise ValueError(
            f"give how many times faster than real time, {SLOWEST:g} or more, as 8, or max for as fast as it goes"
        )
    return value
