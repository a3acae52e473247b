"""Task cards: TOML files read strictly, so that a mistyped key is an error and no default."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NoReturn

from neurolm.batches.text import END_OF_TEXT
from neurolm.core.errors import ConfigError
from neurolm.tasks.metrics import BINARY_METRICS, METRICS
from neurolm.tasks.task import Option, Task, normalise_question

CARDS = Path(__file__).parent / "cards"
"""The cards that ship with neurolm."""
SUFFIX = ".toml"

_TEXTS = ("name", "description", "question", "licence", "citation")
_NEEDED = (*_TEXTS, "seconds", "stride", "split", "metrics")
_ANSWERS = ("options", "bins")
"""How a card says the permitted answers: one of these."""
_WORDINGS = ("phrasings", "held_out_phrasings")
_KEYS = (*_NEEDED, *_ANSWERS, *_WORDINGS)
_OPTION_KEYS = ("letter", "text", "label")
_SPLIT_KEYS = ("counts", "fractions", "rule", "unit")
_UNITS = ("subject", "trial")
"""What a split keeps in one part."""


def shipped_cards() -> list[Path]:
    """Return the paths of the cards that ship with neurolm, sorted by name."""
    return sorted(CARDS.glob(f"*{SUFFIX}"))


def find_card(source: str | Path) -> Path:
    """Return the path of a card by the name of a shipped task or by its own path.

    Raises
    ------
    ConfigError
        If there is none.
    """
    names = [path.stem for path in shipped_cards()]
    if str(source) in names:
        return CARDS / f"{source}{SUFFIX}"
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"{source}: no such task card: give the path of a {SUFFIX} file, or one of {', '.join(names)}"
        )
    return path


def load_task(source: str | Path) -> Task:
    """Load a task by the name of its card, or by the path of a card of your own.

    Raises
    ------
    ConfigError
        If there is no such card or it is not valid.
    """
    return read_card(find_card(source))


def all_tasks() -> dict[str, Task]:
    """Return the tasks whose cards ship with neurolm, by name."""
    return {path.stem: read_card(path) for path in shipped_cards()}


def read_card(path: Path) -> Task:
    """Read and check a card.

    Raises
    ------
    ConfigError
        If the file is not TOML or the card is not valid; the message names the file, the value and the remedy.
    """
    try:
        card = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path}: not a task card ({error}): a card is a TOML file with {', '.join(_KEYS)}"
        ) from error
    return _Reader(path).task(card)


def ranges(bins: Sequence[float]) -> tuple[Option, ...]:
    """Return the lettered options of a number that lies between some bounds, lowest range first."""
    texts = [f"{low:g} to {high:g}" for low, high in pairwise(bins)]
    return tuple(Option(label=t, text=t, letter=letter) for t, letter in zip(texts, ascii_uppercase, strict=False))


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads the card of a path, which every error names."""

    path: Path

    def fail(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.path}: {message}")

    def keys(self, table: dict[str, Any], known: tuple[str, ...], required: tuple[str, ...], where: str) -> None:
        unknown = [key for key in table if key not in known]
        if unknown:
            self.fail(f"unknown key {', '.join(map(repr, unknown))} in {where}: known are {', '.join(known)}")
        missing = [key for key in required if key not in table]
        if missing:
            self.fail(f"{where} lacks {', '.join(map(repr, missing))}: add it")

    def text(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or not value.strip():
            self.fail(f"{where} must be text in quotes, not {value!r}")
        if value != value.strip() or "\n" in value or END_OF_TEXT in value:
            self.fail(f"{where} must be one line without spaces around it or {END_OF_TEXT}, not {value!r}")
        return value

    def number(self, value: Any, where: str, *, whole: bool) -> float:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < float("inf"):
            self.fail(f"{where} must be a positive {'whole ' if whole else ''}number of seconds, not {value!r}")
        return value

    def task(self, card: dict[str, Any]) -> Task:
        self.keys(card, _KEYS, _NEEDED, "the card")
        texts: dict[str, Any] = {key: self.text(card[key], key) for key in _TEXTS}
        seconds = int(self.number(card["seconds"], "seconds", whole=True))
        stride = float(self.number(card["stride"], "stride", whole=False))
        if len(set(_ANSWERS) & set(card)) != 1:
            self.fail("the card must have [[options]], or bins where the labels are numbers: give one of the two")
        bins = self.bins(card["bins"]) if "bins" in card else None
        options = self.options(card["options"]) if bins is None else ranges(bins)
        metrics = self.metrics(card["metrics"], len(options))
        split = self.split(card["split"])
        phrasings, held_out = self.wordings(card, texts["question"])
        return Task(
            **texts, options=options, seconds=seconds, stride=stride, metrics=metrics, **split,
            phrasings=phrasings, held_out_phrasings=held_out, bins=bins,
        )  # fmt: skip

    def bins(self, bounds: Any) -> tuple[float, ...]:
        numbers = isinstance(bounds, list) and all(type(b) in (int, float) and math.isfinite(b) for b in bounds)
        if not numbers or not 3 <= len(bounds) <= len(ascii_uppercase) + 1 or any(a >= b for a, b in pairwise(bounds)):
            self.fail(
                f"bins must be 3 to {len(ascii_uppercase) + 1} rising numbers, the bounds of the ranges that a number "
                f"may lie in, as [20, 30, 40], not {bounds!r}"
            )
        return tuple(float(bound) for bound in bounds)

    def wordings(self, card: dict[str, Any], question: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read the phrasings for training and those held out: each another question."""
        found, seen = [], {normalise_question(question): "question"}
        for key in _WORDINGS:
            texts = card.get(key, [])
            if not isinstance(texts, list):
                self.fail(f"{key} must be a list of questions in quotes, not {texts!r}")
            for number, text in enumerate(texts, 1):
                where = f"{key} {number}"
                same = seen.setdefault(normalise_question(self.text(text, where)), where)
                if same != where:
                    self.fail(f"{where} asks the same as {same}, {text!r}: give each phrasing words of its own")
            found.append(tuple(texts))
        return found[0], found[1]

    def options(self, tables: Any) -> tuple[Option, ...]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.fail(f"options must be [[options]] tables, not {tables!r}")
        if len(tables) < 2:
            self.fail(f"a question needs at least two [[options]], found {len(tables)}")
        options = tuple(self.option(table, f"option {number}") for number, table in enumerate(tables, 1))
        letters = [option.letter for option in options if option.letter is not None]
        if letters and letters != list(ascii_uppercase[: len(options)]):
            self.fail(
                f"the letters of the {len(options)} options are {', '.join(letters)}: "
                "letter them A, B, C … in order, or give none of them a letter"
            )
        for field in ("label", "text"):
            values = [getattr(option, field) for option in options]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                self.fail(f"two options have the {field} {twice[0]!r}: each needs its own")
        return options

    def option(self, table: dict[str, Any], where: str) -> Option:
        self.keys(table, _OPTION_KEYS, ("text",), where)
        text = self.text(table["text"], f"text of {where}")
        letter = table.get("letter")
        if letter is not None and letter not in tuple(ascii_uppercase):
            self.fail(f"letter of {where} must be one of A to Z, not {letter!r}")
        if letter is not None and text.endswith("."):
            self.fail(f"text of {where} must not end in a full stop, which the prompt adds: {text!r}")
        return Option(label=self.text(table.get("label", text), f"label of {where}"), text=text, letter=letter)

    def metrics(self, names: Any, options: int) -> tuple[str, ...]:
        possible = [name for name in METRICS if options == 2 or name not in BINARY_METRICS]
        if not isinstance(names, list) or not names:
            self.fail(f"metrics must be a list of names out of {', '.join(possible)}, not {names!r}")
        for name in names:
            if name not in possible:
                self.fail(f"no metric {name!r} for {options} options: choose out of {', '.join(possible)}")
        return tuple(names)

    def split(self, table: Any) -> dict[str, Any]:
        if isinstance(table, dict):
            self.keys(table, _SPLIT_KEYS, (), "[split]")
        if not isinstance(table, dict) or not {"counts", "fractions", "rule"} & set(table):
            self.fail(f"[split] must have one of counts, fractions, rule, not {table!r}")
        unit = table.get("unit", "subject")
        if unit not in _UNITS:
            self.fail(f"unit of [split] must be one of {', '.join(_UNITS)}, not {unit!r}")
        shares = [key for key in ("counts", "fractions") if key in table]
        if "rule" not in table:
            if len(shares) > 1 or unit == "trial":
                self.fail(
                    f"[split] must have counts or fractions alone, or a rule by which the labels say the test set, "
                    f"not {table!r}"
                )
            return {f"split_{shares[0]}": self.shares(shares[0], table[shares[0]], 3)}
        if "counts" in table or (unit == "trial" and shares):
            self.fail(
                "[split] with a rule may have fractions for train and validation where the unit is the subject, "
                f"not {', '.join(shares)} of the unit {unit!r}"
            )
        found: dict[str, Any] = {"split_rule": self.text(table["rule"], "rule of [split]")}
        if shares:
            found["split_fractions"] = (*self.shares("fractions", table["fractions"], 2), 0.0)
        return found | {"split_by_trial": unit == "trial"}

    def shares(self, key: str, value: Any, parts: int) -> tuple[float, ...]:
        """Read counts or fractions: three, or two beside a rule, which names the test set."""
        kinds = (int,) if key == "counts" else (int, float)
        names = "train, validation, test" if parts == 3 else "train, validation"
        fits = isinstance(value, list) and len(value) == parts and all(type(v) in kinds and v > 0 for v in value)
        if not fits:
            number = {2: "two", 3: "three"}[parts]
            self.fail(f"{key} of [split] must be {number} positive numbers ({names}), not {value!r}")
        if key == "fractions" and abs(sum(value) - 1) > 1e-6:
            self.fail(f"fractions of [split] must sum to 1, not {sum(value):g}: {value}")
        return tuple(value)
