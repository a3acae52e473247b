"""Strict decoding: what a file says becomes a dataclass, or an error says what is wrong, and where.

The one way in for JSON, TOML and YAML. Pydantic compares names and types with those of the dataclass; a dataclass
checks values, and fields against each other, in its ``__post_init__``, and the ``ValueError`` it raises gets file and
place too. Nothing is converted but whole numbers where a fraction may stand, and lists to tuples.
"""

from __future__ import annotations

import codecs
import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from neurolm.core.errors import ConfigError, NeuroLMError
from neurolm.core.names import near_names
from neurolm.core.small_files import LARGE, read_small

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "names with values",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "text",
    "tuple_type": "a list",
}
"""What is allowed, by pydantic's names of errors."""
_LONGEST = 200
"""Characters of a wrong value that a message shows."""


def decode(kind: type[T], content: Any, *, source: str = "", error: type[NeuroLMError] = ConfigError) -> T:
    """Make a dataclass of what a file says.

    Parameters
    ----------
    kind
        The dataclass; fields may be dataclasses, tuples, dicts of texts, literals, numbers, texts, or None.
    content
        JSON as text or bytes; anything else is what a parser made of TOML or YAML.
    source
        Where the content is from, with which every message begins.
    error
        Kind of the error to raise.

    Raises
    ------
    NeuroLMError
        Of kind ``error``, if a field is unknown, missing or of another type, or a number is not finite; the message
        names the place in the content, the value found and what is allowed.
    """
    if not isinstance(content, bytes):
        try:
            text = content if isinstance(content, str) else json.dumps(content, default=str)
        except RecursionError:
            raise error(f"{source}: nested too deeply".removeprefix(": ")) from None
        content = text.encode(errors="surrogatepass")  # half a character is no JSON, and said to be none
    try:
        return _adapter(kind).validate_json(content)  # type: ignore[arg-type]
    except ValueError as found:
        raise error(f"{source}: {_worded(kind, found)}" if source else _worded(kind, found)) from None


def load_json(kind: type[T], path: Path | str, *, error: type[NeuroLMError] = ConfigError, most: int = LARGE) -> T:
    """Make a dataclass of a JSON file, which has at most so many bytes; see `decode`."""
    try:
        content = read_small(path, most=most)
    except OSError as failed:
        raise error(f"{path}: cannot be read ({failed})") from failed
    return decode(kind, content.removeprefix(codecs.BOM_UTF8), source=str(path), error=error)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter  # takes a tenth of a second

    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    # A dataclass hands these settings on to those within it, but takes none itself; a new name for it does.
    renamed: Any = typing.NewType(kind.__name__, kind)  # type: ignore[misc]
    return TypeAdapter(renamed, config=strict)


def _worded(kind: type, found: Any) -> str:
    """Say the first thing that is wrong; before all others an unknown name, which may be the one that is missing."""
    errors = found.errors(include_url=False)
    first = min(errors, key=lambda one: one["type"] != "unexpected_keyword_argument")
    place, what, value = first["loc"], first["type"], first["input"]
    if what == "json_invalid":
        reason = first["ctx"]["error"].replace("recursion limit exceeded", "nested too deeply")
        return f"not valid JSON ({reason})"
    if what == "unexpected_keyword_argument":
        return _join(place[:-1], _unknown(place[-1], list(_fields(kind, place[:-1]))))
    if what == "missing" and isinstance(value, dict):
        missing = [one["loc"][-1] for one in errors if one["type"] == what and one["loc"][:-1] == place[:-1]]
        return _join(place[:-1], f"lacks {', '.join(missing)}: add it")
    if what in ("missing", "too_long"):
        place = place[:-1] if what == "missing" else place
        return _join(place, f"expected {len(typing.get_args(_at(kind, place)))} values, found {shown(value)}")
    if what == "value_error":
        text = str(first["ctx"]["error"])
        return _join(place, text, joint="." if text.split(" ")[0] in _fields(kind, place) else ": ")
    if what == "literal_error":
        return _join(place, f"expected {first['ctx']['expected']}, found {shown(value)}")
    if what == "dataclass_type":
        return _join(place, f"expected the fields {', '.join(_fields(kind, place))}; found {shown(value)}")
    return _join(place, f"expected {_EXPECTED[what]}, found {shown(value)}" if what in _EXPECTED else first["msg"])


def _unknown(name: str, known: Sequence[str]) -> str:
    near = near_names(name, known, most=1)
    hint = f", did you mean {near[0]}? Known" if near else "; known"
    return f"unknown field {name}{hint}: {', '.join(known)}"


def _join(place: Sequence[str | int], text: str, *, joint: str = ": ") -> str:
    """Put the place before a message: names with dots, entries of lists counted from 1."""
    where = "".join(f".{step}" if isinstance(step, str) else f" {step + 1}" for step in place).removeprefix(".")
    return f"{where}{joint}{text}" if where else text


def shown(value: Any) -> str:
    """Write a wrong value for a message, cut where it is long."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _fields(kind: Any, place: Sequence[str | int]) -> dict[str, Any]:
    """Types of the fields of the dataclass at a place."""
    within = _at(kind, place)
    hints = typing.get_type_hints(within)
    return {field.name: hints[field.name] for field in dataclasses.fields(within)}


def _at(kind: Any, place: Sequence[str | int]) -> Any:
    """Type at a place, without the None that may stand instead."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(one for one in typing.get_args(kind) if one is not type(None))
    if not place:
        return kind
    step, arguments = place[0], typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        within = _fields(kind, ())[str(step)]
    elif isinstance(step, str):  # a dict's value
        within = arguments[1]
    else:
        within = arguments[0 if Ellipsis in arguments else step]
    return _at(within, place[1:])
