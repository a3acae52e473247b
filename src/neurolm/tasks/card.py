"""Task cards: TOML files read strictly, so that a mistyped key is an error and no default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from neurolm.batches.text import END_OF_TEXT
from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError
from neurolm.core.names import choose, did_you_mean, one_spelling
from neurolm.core.small_files import parse_toml, read_text
from neurolm.tasks.metrics import BINARY_METRICS, METRICS
from neurolm.tasks.task import MOST_OPTIONS, Option, Task, normalise_question

CARDS = Path(__file__).parent / "cards"
"""The cards that ship with neurolm."""
SUFFIX = ".toml"


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
            f"{source}: no such task card{did_you_mean(str(source), names) or ':'} Give the path of a {SUFFIX} file "
            f"(neurolm tasks new writes one), or one of {', '.join(names)}"
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
        card = parse_toml(read_text(path))
    except (OSError, ValueError) as error:
        keys = ", ".join(field.name for field in fields(CardFile))
        raise ConfigError(f"{path}: not a task card ({error}): a card is a TOML file with {keys}") from error
    return decode(CardFile, card, source=str(path)).task()


def ranges(bins: Sequence[float]) -> tuple[Option, ...]:
    """Return the lettered options of a number that lies between some bounds, lowest range first."""
    texts = [f"{low:g} to {high:g}" for low, high in pairwise(bins)]
    return tuple(Option(label=t, text=t, letter=letter) for t, letter in zip(texts, ascii_uppercase, strict=False))


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_line(name: str, text: str) -> None:
    _require(text.strip(), f"{name} must be text in quotes, not {text!r}")
    plain = text == text.strip() and "\n" not in text and END_OF_TEXT not in text
    _require(plain, f"{name} must be one line without spaces around it or {END_OF_TEXT}, not {text!r}")


@dataclass(frozen=True, kw_only=True)
class OptionTable:
    """A table ``[[options]]``."""

    text: str
    label: str | None = None
    letter: str | None = None

    def __post_init__(self) -> None:
        _require_line("text", self.text)
        if self.label is not None:
            _require_line("label", self.label)
        if self.letter is not None:
            _require(self.letter in tuple(ascii_uppercase), f"letter must be one of A to Z, not {self.letter!r}")
            ended = self.text.endswith(".")
            _require(not ended, f"text must not end in a full stop, which the prompt adds: {self.text!r}")

    def option(self) -> Option:
        """Return the option, whose label is its text where it has none of its own."""
        label = one_spelling(self.text if self.label is None else self.label)  # as in tables of labels
        return Option(label=label, text=self.text, letter=self.letter)


@dataclass(frozen=True, kw_only=True)
class SplitTable:
    """The table ``[split]``."""

    counts: tuple[int, ...] | None = None
    fractions: tuple[float, ...] | None = None
    rule: str | None = None
    unit: Literal["subject", "trial"] = "subject"
    """What a split keeps in one part."""

    def __post_init__(self) -> None:
        shares = {name: found for name in ("counts", "fractions") if (found := getattr(self, name)) is not None}
        given = f"{', '.join(shares) or 'none'} of the unit {self.unit!r}"
        if self.rule is None:
            _require(shares, "give one of counts, fractions, rule")
            alone = len(shares) == 1 and self.unit == "subject"
            _require(
                alone, f"give counts or fractions alone, or a rule by which the labels say the test set, not {given}"
            )
        else:
            _require_line("rule", self.rule)
            fits = self.counts is None and not (self.unit == "trial" and shares)
            _require(
                fits, f"a rule may have fractions for train and validation where the unit is the subject, not {given}"
            )
        number, names = ("three", "train, validation, test") if self.rule is None else ("two", "train, validation")
        for name, values in shares.items():
            fits = len(values) == len(names.split()) and min(values) > 0
            _require(fits, f"{name} must be {number} positive numbers ({names}), not {list(values)}")
        if self.fractions is not None:
            total = sum(self.fractions)
            _require(abs(total - 1) < 1e-6, f"fractions must sum to 1, not {total:g}: {list(self.fractions)}")

    def fields(self) -> dict[str, Any]:
        """Return the fields of a task that say how it is split."""
        tested = () if self.rule is None else (0.0,)  # the rule says who is tested
        return {
            "split_counts": self.counts,
            "split_fractions": None if self.fractions is None else (*self.fractions, *tested),
            "split_rule": self.rule,
            "split_by_trial": self.unit == "trial",
        }


@dataclass(frozen=True, kw_only=True)
class CardFile:
    """A card, key by key."""

    name: str
    description: str
    question: str
    licence: str
    citation: str
    seconds: int
    stride: float
    split: SplitTable
    metrics: tuple[str, ...]
    options: tuple[OptionTable, ...] | None = None
    bins: tuple[float, ...] | None = None
    phrasings: tuple[str, ...] = ()
    held_out_phrasings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("name", "description", "question", "licence", "citation"):
            _require_line(name, getattr(self, name))
        for name, number in (("seconds", "whole number"), ("stride", "number")):
            value = getattr(self, name)
            _require(value > 0, f"{name} must be a positive {number} of seconds, not {value:g}")
        one = (self.options is None) != (self.bins is None)
        _require(one, "a card has [[options]], or bins where the labels are numbers: give one of the two")
        self._check_bins()
        self._check_options()
        self._check_phrasings()
        possible = [name for name in METRICS if len(self.answers) == 2 or name not in BINARY_METRICS]
        _require(self.metrics, f"metrics must be a list of names out of {', '.join(possible)}, not []")
        for name in self.metrics:
            says = f"no metric {name!r} for {len(self.answers)} options{choose(name, possible)}"
            _require(name in possible, says)

    @property
    def answers(self) -> tuple[Option, ...]:
        """The permitted answers."""
        return ranges(self.bins) if self.bins is not None else tuple(table.option() for table in self.options or ())

    def _check_bins(self) -> None:
        bounds, most = self.bins or (), len(ascii_uppercase) + 1
        _require(
            self.bins is None or (3 <= len(bounds) <= most and all(a < b for a, b in pairwise(bounds))),
            f"bins must be 3 to {most} rising numbers, the bounds of the ranges that a number may lie in, as "
            f"[20, 30, 40], not {list(bounds)}",
        )

    def _check_options(self) -> None:
        options = self.answers
        _require(len(options) >= 2, f"a question needs at least two [[options]], found {len(options)}")
        for key, given in (("options", options), ("phrasings", (*self.phrasings, *self.held_out_phrasings))):
            _require(
                len(given) <= MOST_OPTIONS, f"a question may have at most {MOST_OPTIONS:,} {key}, not {len(given):,}"
            )
        letters = [option.letter for option in options if option.letter is not None]
        _require(
            letters in ([], list(ascii_uppercase[: len(options)])),
            f"the letters of the {len(options)} options are {', '.join(letters)}: letter them A, B, C … in order, or "
            "give none of them a letter",
        )
        for field in ("label", "text"):
            counted = Counter(getattr(option, field) for option in options)
            twice = sorted(value for value, count in counted.items() if count > 1)
            _require(not twice, f"two options have the {field} {''.join(map(repr, twice[:1]))}: each needs its own")

    def _check_phrasings(self) -> None:
        """Make sure that each phrasing, for training or held out, is another question."""
        seen = {normalise_question(self.question): "question"}
        for key in ("phrasings", "held_out_phrasings"):
            for number, text in enumerate(getattr(self, key), 1):
                where = f"{key} {number}"
                _require_line(where, text)
                same = seen.setdefault(normalise_question(text), where)
                _require(
                    same == where, f"{where} asks the same as {same}, {text!r}: give each phrasing words of its own"
                )

    def task(self) -> Task:
        """Return the task."""
        kept = {name: value for name, value in vars(self).items() if name not in ("split", "options")}
        return Task(**kept, options=self.answers, **self.split.fields())
