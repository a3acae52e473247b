"""The settings of a run on the command line: recipe < YAML file (``--config``) < dotted flags."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.cli.values import place
from neurolm.core.config import STAGES, RunConfig, flat, to_json
from neurolm.core.decode import decode, shown
from neurolm.core.errors import ConfigError
from neurolm.core.names import did_you_mean
from neurolm.core.recipes import RECIPES, recipe
from neurolm.core.small_files import parse_json, parse_yaml, read_small, read_text
from neurolm.core.terminal import say

if TYPE_CHECKING:  # train and demo import this module, and are imported for `neurolm --help`
    from jsonargparse import ArgumentParser, Namespace

NOT_KEPT = ("stage", "config", "print_config", "resume")
"""Arguments that are not among the settings that are printed."""
COMMAND = "command.json"
"""What the stage under way was begun with, in a run's folder."""


def add_settings(parser: ArgumentParser, given: Sequence[str]) -> None:
    """Let a parser take every setting, with the values of the recipe, or of the run, as defaults."""
    from jsonargparse import ActionConfigFile

    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_argument("--print_config", action="store_true")
    parser.add_class_arguments(RunConfig)
    parser.set_defaults(dict(flat(dataclasses.asdict(_base(given)))))
    if (resumed := _first(given).resume) is not None:
        parser.set_defaults(_begun_command(resumed))


def for_both(given: Sequence[str]) -> list[str]:
    """Spell out what is short for the settings of the two stages that can have adapters: ``--lora.rank 16``."""
    spelt: list[str] = []
    words = list(given)
    while words:
        word = words.pop(0)
        if not word.startswith("--lora."):
            spelt.append(word)
            continue
        value = [] if "=" in word or not words else [words.pop(0)]
        for stage in ("pretrain", "instruct"):
            spelt += [f"--{stage}.{word.removeprefix('--')}", *value]
    return spelt


def describe_settings(parser: ArgumentParser) -> None:
    """Say how settings are changed, instead of listing the hundred of them."""
    parser.add_argument("--recipe", help=f"Start from one of {', '.join(RECIPES)}. (default: tiny)")
    parser.add_argument("--config", metavar="PATH", help="YAML file of settings, as --print-config prints them.")
    parser.add_argument("--print-config", action="store_true", help="Print all settings as YAML and stop.")
    parser.add_argument(
        "--STAGE.SETTING", metavar="VALUE", help="Change a setting, say --tokenizer.learning_rate 1e-3."
    )
    parser.add_argument(
        "--lora.SETTING", metavar="VALUE", help="The same of pretrain and instruct: --lora.rank 16 trains adapters."
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of a run, as a verb takes them."""

    config: RunConfig
    given: dict[str, Any]
    """The other arguments of the verb, as they are written."""
    only_shown: bool
    """Whether ``--print-config`` was given."""

    def in_all_stages(self, **values: Any) -> Settings:
        """Set what was given once for all stages; None leaves a setting as it is."""
        given = {name: value for name, value in values.items() if value is not None}
        stages: dict[str, Any] = {name: dataclasses.replace(self.config.stage(name), **given) for name in STAGES}
        kept = {name: value for name, value in self.given.items() if name not in values}
        return Settings(dataclasses.replace(self.config, **stages), kept, self.only_shown)

    def shown(self) -> bool:
        """Print everything as YAML that ``--config`` reads, if that is what was asked for; returns whether it was."""
        if self.only_shown:
            import yaml

            text = yaml.safe_dump(self.given | json.loads(to_json(self.config)), sort_keys=False)
            say(*text.removesuffix("\n").split("\n"))
        return self.only_shown


def read_settings(arguments: Namespace) -> Settings:
    """Return the settings among the arguments, validated.

    Raises
    ------
    ConfigError
        Naming the flag whose value is not valid.
    """
    config = {field.name: arguments[field.name] for field in dataclasses.fields(RunConfig)}
    plain = {name: value if isinstance(value, str) else value.as_dict() for name, value in config.items()}
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
        if name not in (*config, *NOT_KEPT) and value is not None
    }
    try:
        read = decode(RunConfig, plain)
    except ConfigError as error:
        raise ConfigError(f"--{error}") from error
    return Settings(read, given, arguments.print_config)


def begun_config(out: Path) -> RunConfig | None:
    """Return the configuration that a run folder was begun with, if it was."""
    path = out / "run.json"
    if not path.is_file():
        return None
    try:
        value = parse_json(read_small(path))["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not the file of a run ({error!r}); choose another --out") from error
    return decode(RunConfig, value, source=str(path))


def begun_store(run: Path) -> Path | str | None:
    """Return the store that a run was trained on, if it is still where it lay: in the run, or where a stage took it."""
    try:
        given = parse_json(read_small(run / COMMAND)).get("store")
    except (OSError, ValueError, AttributeError):  # the run of a demo, of another machine, or damaged
        given = None
    places = [run / "store", *([place(given)] if isinstance(given, str) else [])]
    return next((one for one in places if isinstance(one, str) or one.is_dir()), None)


def _begun_command(run: Path) -> dict[str, Any]:
    """Return what the stage under way in a run was begun with."""
    path = run / COMMAND
    if not (run / "run.json").is_file() or not path.is_file():
        raise ConfigError(f"{run}: no training was begun there; give the stage, --store and --out")
    try:
        begun = dict(parse_json(read_small(path)))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: damaged ({error}); give the stage, --store and --out again") from error
    paths = {name: place(begun[name]) for name in ("store", "text") if begun.get(name)}
    return {name: value for name, value in begun.items() if value is not None} | paths


def _base(given: Sequence[str]) -> RunConfig:
    """Return what dotted flags and a YAML file change: the run's own configuration where it has begun."""
    found = _first(given)
    settings: dict[str, Any] = {}
    for path in found.config:
        settings |= _read_yaml(path)
    name, out = found.recipe or settings.get("recipe"), found.resume or found.out or settings.get("out")
    begun = begun_config(Path(out)) if out else None
    if begun is not None and name in (None, begun.recipe):
        return begun
    return recipe(str(name or "tiny"))


def _first(given: Sequence[str]) -> argparse.Namespace:
    """What has to be known before the settings can be read."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--recipe")
    first.add_argument("--out", type=Path)
    first.add_argument("--resume", type=Path)
    first.add_argument("--config", action="append", default=[], type=Path)
    try:
        return first.parse_known_args(list(given))[0]
    except argparse.ArgumentError as error:
        raise ConfigError(str(error).removeprefix("argument ")) from error


def check_files(parser: ArgumentParser, given: Sequence[str]) -> None:
    """Look through the files of settings that are given.

    Raises
    ------
    ConfigError
        Naming a setting that there is not.
    """
    known = [name[2:] for action in parser._actions for name in action.option_strings if name.startswith("--")]
    for path in _first(given).config:
        for name, value in flat(_read_yaml(path)):
            if any(other.startswith(f"{name}.") for other in known):
                raise ConfigError(f"--config {path}: {name}: expected settings such as {{…: …}}, found {shown(value)}")
            if name not in known:
                near = did_you_mean(name, known) or "; --print-config shows all"
                raise ConfigError(f"--config {path}: unknown setting {name}{near}")


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ConfigError(
            f"--config {path}: no such file; check the path (--print-config prints what such a file holds)"
        )
    try:
        value = parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        raise ConfigError(
            f"--config {path}: expected settings such as 'tokenizer: {{steps: 800}}', found {shown(value)}"
        )
    for name, one in flat(value):
        if isinstance(one, int) and abs(one) >= 2**63:
            raise ConfigError(
                f"--config {path}: {name}: a number of {len(str(abs(one)))} digits, which nothing has here"
            )
    return value
