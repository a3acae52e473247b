"""The settings of a run on the command line: recipe < YAML file (``--config``) < dotted flags."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from neurolm.core.config import RunConfig, to_json
from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError
from neurolm.core.recipes import RECIPES, recipe

FOR_ALL_STAGES = ("seed", "precision", "compile")
"""Settings of stages that may be given once for all of them."""
NOT_KEPT = ("stage", "config", "print_config", "resume")
"""Arguments that are not among the settings that are printed."""


def add_settings(parser: ArgumentParser, given: Sequence[str]) -> None:
    """Let a parser take every setting, with the values of the recipe, or of the run, as defaults."""
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_argument("--print_config", action="store_true")
    parser.add_class_arguments(RunConfig)
    parser.set_defaults(dict(_flat(dataclasses.asdict(_base(given)))))


def describe_settings(parser: ArgumentParser) -> None:
    """Say how settings are changed, instead of listing the hundred of them."""
    parser.add_argument("--recipe", help=f"start from one of {', '.join(RECIPES)} (tiny)")
    parser.add_argument("--config", help="YAML file of settings, as --print-config prints them")
    parser.add_argument("--print-config", action="store_true", help="print all settings as YAML and stop")
    parser.add_argument("--STAGE.SETTING", metavar="VALUE", help="change a setting, say --tokenizer.learning_rate 1e-3")


def run_config(arguments: Namespace) -> RunConfig:
    """Return the configuration among the arguments, validated.

    Raises
    ------
    ConfigError
        Naming the flag whose value is not valid.
    """
    values = {f.name: arguments[f.name] for f in dataclasses.fields(RunConfig)}
    plain = {name: v.as_dict() if isinstance(v, Namespace) else v for name, v in values.items()}
    try:
        return decode(RunConfig, plain)
    except ConfigError as error:
        raise ConfigError(f"--{error}") from error


def settings_text(arguments: Namespace, config: RunConfig) -> str:
    """Write everything that a command was given, and the whole configuration, as YAML that ``--config`` reads."""
    fields = {f.name for f in dataclasses.fields(RunConfig)}
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
        if name not in (*fields, *NOT_KEPT, *FOR_ALL_STAGES) and value is not None
    }
    return yaml.safe_dump(given | json.loads(to_json(config)), sort_keys=False)


def begun_config(out: Path) -> RunConfig | None:
    """Return the configuration that a run folder was begun with, if it was."""
    path = out / "run.json"
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not the file of a run ({error!r}); choose another --out") from error
    return decode(RunConfig, value, source=str(path))


def _base(given: Sequence[str]) -> RunConfig:
    """Return what dotted flags and a YAML file change: the run's own configuration where it has begun."""
    found = _first(given)
    settings: dict[str, Any] = {}
    for path in found.config:
        settings |= _read_yaml(path)
    name, out = found.recipe or settings.get("recipe"), found.out or settings.get("out")
    begun = begun_config(Path(out)) if out else None
    if begun is not None and name in (None, begun.recipe):
        return begun
    return recipe(str(name or "tiny"))


def _first(given: Sequence[str]) -> argparse.Namespace:
    """What has to be known before the settings can be read."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--recipe")
    first.add_argument("--out", type=Path)
    first.add_argument("--config", action="append", default=[], type=Path)
    try:
        return first.parse_known_args(list(given))[0]
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from error


def check_files(parser: ArgumentParser, given: Sequence[str]) -> None:
    """Look through the files of settings that are given.

    Raises
    ------
    ConfigError
        Naming a setting that there is not.
    """
    for path in _first(given).config:
        _check_file(parser, path, _read_yaml(path))


def _check_file(parser: ArgumentParser, path: Path, values: dict[str, Any], within: str = "") -> None:
    """Name what a file of settings has that there is not."""
    known = [name[2:] for action in parser._actions for name in action.option_strings if name.startswith("--")]
    for name, value in values.items():
        full = f"{within}{name}"
        if any(other.startswith(f"{full}.") for other in known):
            if not isinstance(value, dict):
                raise ConfigError(f"--config {path}: {full}: expected settings such as {{…: …}}, found {value!r}")
            _check_file(parser, path, value, f"{full}.")
        elif full not in known:
            near = difflib.get_close_matches(full, known, n=2, cutoff=0.7)
            raise ConfigError(
                f"--config {path}: unknown setting {full}"
                + (f": did you mean {' or '.join(near)}?" if near else "; --print-config shows all")
            )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        raise ConfigError(f"--config {path}: expected settings such as 'tokenizer: {{steps: 800}}', found {value!r}")
    return value


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
