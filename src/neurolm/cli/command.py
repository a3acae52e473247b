"""A verb is a function in the module of its name: its signature makes the flags, its docstring help.

Parameters before the ``*`` are words, those after it flags; without a default they must be given. A dataclass stands
for its fields, a flag each; `Settings` for all settings of a run; ``**how`` for what a function of the library takes
besides (see `values.with_arguments_of`). Types say what is allowed: ``Literal`` lists the choices, a text in
``Annotated`` says where they stand (``neurolm.core.config:STAGES``), and a function there reads what is given, as
`values.READERS` do for common types. The first line of the module is an example.

A function ``VERB_ACTION`` beside that of the verb is what ``neurolm VERB ACTION`` does, and ``VERB_list`` what
``neurolm VERB`` does without an action.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from neurolm.cli.settings import Settings, add_settings, check_files, describe_settings, for_both, read_settings
from neurolm.cli.values import COMMON, READERS, missing, place
from neurolm.core.config import STAGES
from neurolm.core.errors import ConfigError, flag_of, flags_in_messages
from neurolm.core.names import choose, did_you_mean

EMPTY = inspect.Parameter.empty
METAVARS: dict[Any, str] = {int: "N", float: "X", Path: "PATH", Path | str: "PATH", Sequence[str]: "NAMES"}
"""What stands for a value in the help; else the name of the flag."""
Verb = Callable[..., object]


class Argument:
    """A word or a flag of a verb."""

    def __init__(
        self, name: str, hint: Any, default: Any, *, word: bool, help: str, whole: Argument | None = None
    ) -> None:
        self.name, self.default, self.word, self.help = name, default, word, help
        self.whole = whole
        """The dataclass whose field it is."""
        self.dest = name.rstrip("_")
        self.flag = self.dest if word else flag_of(self.dest)
        """As it is shown; the parser takes underscores, as they may be written too."""
        self.kind, said = _unwrapped(hint)
        self.choices = get_args(self.kind) if get_origin(self.kind) is Literal else None
        for path in (one for one in said if isinstance(one, str)):
            self.choices = tuple(resolve_name(path))
        self.read = next((one for one in said if callable(one)), None if word else READERS.get(self.kind))
        """Makes a value of the text after parsing: the text itself is what ``--print-config`` prints."""
        several = get_origin(self.kind) is Sequence and self.read is None
        self.item = get_args(self.kind)[0] if several else None
        """The type of each of several words."""

    @property
    def missing(self) -> bool:
        """Whether it is missing where it is not given."""
        return self.default is EMPTY and self.kind is not Settings

    def add(self, parser: ArgumentParser, *, in_help: bool) -> None:
        """Let a parser take it. No default is set: what was parsed is what was given."""
        help = self.help
        if self.choices and self.read:
            help = f"{help.removesuffix('.')}: {', '.join(self.choices)}."
        if self.kind is not bool and self.default not in (EMPTY, None, ()):
            help = re.sub(r" By default [^.]*\.", "", help)  # a sentence of what it is for some other verb
            shown = ",".join(map(str, self.default)) if isinstance(self.default, tuple) else self.default
            help += f" (default: {shown})"
        how: dict[str, Any] = {"help": help.replace("%", "%%")}
        kind = self.item or self.kind
        if kind is bool:
            how["action"] = "store_true"
        elif self.choices and not self.read:
            how["choices"] = self.choices
        else:
            name = self.dest.upper()
            how["metavar"] = name.removesuffix("S") if self.word else METAVARS.get(kind, name)
            how["type"] = place if kind == Path | str else kind if kind in (int, float, Path) else str
        if self.item or (self.word and not self.missing):
            how["nargs"] = "?" if not self.item else "*" if self.word and not self.missing else "+"
        if self.item and not self.word:
            how["action"] = "extend"  # given once with several values, or several times
        action = parser.add_argument(self.flag if in_help else _with_underscores(self.flag), **how)
        action.required = in_help and self.missing  # else what is missing is said in words of our own

    def value(self, parsed: Namespace) -> Any:
        """Return what was given, as the function takes it."""
        if self.kind is Settings:
            return read_settings(parsed)
        given = parsed[self.dest]
        if given is None or given == []:
            return self.default
        try:
            return self.read(given) if self.read and isinstance(given, str) else given
        except ConfigError as error:
            raise ConfigError(f"{self.flag} {given}: {error}") from error


def run(verb: str, given: Sequence[str]) -> bool:
    """Run a verb with what follows it on the command line; returns whether what it checks holds.

    Raises
    ------
    ConfigError
        If a flag or value is not valid; the message names the valid ones.
    SystemExit
        After ``--help``.
    """
    prog, function, given = _find(verb, given)
    taken = list(_arguments(function))
    parsed = _parse(prog, function, taken, given)
    with flags_in_messages([one.dest for one in taken]):
        values = {one.name: one.value(parsed) for one in taken if not one.whole}
        for whole in {one.whole for one in taken if one.whole}:
            values[whole.name] = whole.kind(**{one.name: one.value(parsed) for one in taken if one.whole is whole})
        return function(**values) is not False


def parse(verb: str, given: Sequence[str]) -> Namespace:
    """Parse what follows a verb; raises as `run`. Values are as they are written."""
    prog, function, given = _find(verb, given)
    return _parse(prog, function, list(_arguments(function)), given)


def _find(verb: str, given: Sequence[str]) -> tuple[str, Verb, list[str]]:
    """What is asked for is called, the function that does it, and the rest of the command line."""
    function, actions, given = resolve_name(f"neurolm.cli.{verb}:{verb}"), _actions(verb), list(given)
    if not actions or {"-h", "--help"} & set(given[:1]):
        return f"neurolm {verb}", function, given
    place = next((place for place, word in enumerate(given) if word in actions), None)  # flags may come before it
    if place is not None:
        return f"neurolm {verb} {given[place]}", actions[given[place]], given[:place] + given[place + 1 :]
    word = next((word for word in given[:1] if not word.startswith("-") and not Path(word).exists()), None)
    near = did_you_mean(word, actions) if word else ""
    if near or "list" not in actions:
        found = f"{word!r} is none of its actions{near or ':'} " if word else ""
        raise ConfigError(f"neurolm {verb}: {found}{'Give' if near else 'give'} one of {', '.join(actions)}")
    return f"neurolm {verb} list", actions["list"], given


def _actions(verb: str) -> dict[str, Verb]:
    """What the first word after a verb may be, and what it does."""
    functions = vars(resolve_name(f"neurolm.cli.{verb}")).items()
    return {n.removeprefix(f"{verb}_").replace("_", "-"): f for n, f in functions if n.startswith(f"{verb}_")}


def _arguments(function: Verb, *, without: Sequence[str] = ()) -> Iterator[Argument]:
    """What a function takes, the fields of dataclasses and the library's arguments among it."""
    hints, helps = get_type_hints(function, include_extras=True), _helps(function)
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            library = resolve_name(function.library)  # type: ignore[attr-defined]
            yield from _arguments(library, without=(*without, *parameters))
            continue
        word = parameter.kind is not parameter.KEYWORD_ONLY
        found = Argument(name, hints[name], parameter.default, word=word, help=helps.get(name, ""))
        if name in without or get_origin(found.kind) is Callable:  # which no text gives
            continue
        if not dataclasses.is_dataclass(found.kind) or found.kind is Settings:
            yield found
            continue
        inner, helps_inner = get_type_hints(found.kind, include_extras=True), _helps(found.kind)
        for field in dataclasses.fields(found.kind):
            if field.name in parameters:  # which means something else in this verb
                continue
            default = field.default if found.default is EMPTY else getattr(found.default, field.name)
            help = helps_inner.get(field.name, "")
            yield Argument(field.name, inner[field.name], default, word=False, help=help, whole=found)


def _unwrapped(hint: Any) -> tuple[Any, list[Any]]:
    """A type without ``| None``, and what ``Annotated`` says of it."""
    if get_origin(hint) is Annotated:
        kind, *said = get_args(hint)
        return _unwrapped(kind)[0], said
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        return _unwrapped(Union[tuple(part for part in get_args(hint) if part is not NoneType)])  # noqa: UP007
    return hint, []


def _helps(documented: Any) -> dict[str, str]:
    """What the docstring says of each parameter, and of those that mean the same everywhere."""
    found = {
        name.strip(): " ".join((one.description or "").replace("``", "").split())
        for part in (getattr(documented, "__mro__", None) or (documented,))  # a dataclass's bases say of their fields
        for one in docstring_parser.parse(part.__doc__ or "").params
        for name in one.arg_name.split(",")
    }
    return COMMON | found


def _parse(prog: str, function: Verb, taken: Sequence[Argument], given: Sequence[str]) -> Namespace:
    given = [_with_underscores(word) for word in given]
    settable, in_help = any(one.kind is Settings for one in taken), bool({"-h", "--help"} & set(given))
    given = for_both(given) if settable else given
    parser = ArgumentParser(
        prog=prog,
        description=_description(prog, function),
        exit_on_error=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        print_config=None,  # prints what was not validated; see Settings.shown
    )
    for argument in taken:
        if argument.kind is not Settings:
            argument.add(parser, in_help=in_help)
    if settable:
        describe_settings(parser) if in_help else add_settings(parser, given)
    if in_help:
        parser.print_help()
        raise SystemExit(0)
    _check_flags(parser, given)
    if settable:
        check_files(parser, given)
    try:
        parsed = parser.parse_args(given)
    except (ArgumentError, argparse.ArgumentError) as error:
        raise ConfigError(f"{prog}: {_plain(str(error))} (see {prog} --help)") from error
    for argument in taken:
        if argument.missing and not parsed[argument.dest]:
            what = re.split(r"[.;] ", argument.help.removesuffix("."))[0]
            what = what[:1].lower() + what[1:]
            if argument.word:
                choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
                raise ConfigError(f"{prog}: {argument.dest.upper()} is missing: {what}{choices} (see {prog} --help)")
            missing(argument.flag, what)
    return parsed


def _description(prog: str, function: Verb) -> str:
    """What it does and how; of a verb, an example and its actions."""
    verb, *action = prog.split()[1:]
    said, width = docstring_parser.parse(function.__doc__ or ""), shutil.get_terminal_size().columns - 2
    text = [textwrap.fill(part, width) for part in (said.short_description, said.long_description) if part]
    if not action:
        text.append(f"  {(resolve_name(f'neurolm.cli.{verb}').__doc__ or '').splitlines()[0]}")
        lines = [f"  {prog} {name}: {(one.__doc__ or '').splitlines()[0]}" for name, one in _actions(verb).items()]
        text += ["\n".join(textwrap.fill(line, width, subsequent_indent=" " * 6) for line in lines)] if lines else []
    return "\n\n".join(text)


def _with_underscores(word: str) -> str:
    """Flags are shown with hyphens, and may be written with underscores too, as the parser has them."""
    name, equals, value = word.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value if name.startswith("--") else word


def _plain(message: str) -> str:
    """Write an error of the parser without Python's names of types: ``--tokenizer.steps: expected int, not 1.5``."""
    message = re.sub(r'Parser key "([\w.]+)": ?', r"--\1: ", " ".join(message.split()))
    message = re.sub(r"<class '(\w+)'>", r"\1", message)
    message = re.sub(r"typing\.Literal\[(.*?)\]", lambda m: "one of " + m.group(1).replace("'", ""), message)
    message = re.sub(r"Expected an? (.*?)\. Got value: ", r"expected \1, not ", message)
    wrong = re.search(r": invalid choice: '(.*)' \(choose from (.*)\)$", message)
    if wrong:
        message = message[: wrong.start()] + f" {wrong[1]}{choose(wrong[1], wrong[2].replace(chr(39), '').split(', '))}"
    return message.removeprefix("argument ")


def _check_flags(parser: ArgumentParser, given: Sequence[str]) -> None:
    known = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    stages = [word for word in given if word in STAGES][:1]
    for word in given:
        name = word.split("=")[0]
        if word.startswith("--") and len(word) > 2 and name not in known:
            groups = {flag.partition(".")[0] for flag in known if "." in flag}
            plain = [_shown(flag) for flag in known if flag not in groups and "." not in flag and flag != "--help"]
            more = ", and settings such as --tokenizer.steps (--print-config shows all)" if groups else ""
            of_stage = [flag for flag in known if flag.startswith(tuple(f"--{stage}." for stage in stages))]
            meant = [flag for flag in (*plain, *(of_stage or known)) if flag not in groups]
            if near := did_you_mean(name, meant):
                raise ConfigError(
                    f"{parser.prog}: unknown flag {_shown(name)}{near} Valid are {', '.join(plain)}{more}"
                )
            raise ConfigError(f"{parser.prog} takes no {_shown(name)}: it takes {', '.join(plain) or 'no flags'}{more}")


def _shown(flag: str) -> str:
    """A flag as it is written, with hyphens; settings have underscores."""
    return flag if "." in flag else flag.replace("_", "-")
