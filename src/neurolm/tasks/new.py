"""A commented card for a task of one's own, as a table of labels suggests it."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase

from neurolm.core.errors import ConfigError
from neurolm.core.names import nearly_same
from neurolm.corpora.side_files import whole_seconds
from neurolm.corpora.table import LabelLine, read_table

WINDOW = 10
"""Longest window in seconds that is suggested."""
NUMBERS = 10
"""Different numbers among the labels above which they are taken for measurements and not for names."""
RANGES = 4
"""Ranges that are suggested for measurements."""
_POSITIVE = "# The first of two options is the positive one of AUROC and AUC-PR; label is the word in the table.\n"
_NEGATIVE = (
    "no",
    "none",
    "rest",
    "normal",
    "background",
    "control",
    "open",
    "low",
    "false",
    "0",
    "absent",
    "negative",
    "non-target",
    "nontarget",
    "healthy",
)
"""Labels that are the second of two: the first is the positive one."""


def new_card(
    name: str,
    *,
    table: Path | None = None,
    question: str | None = None,
    seconds: int | None = None,
    stride: float | None = None,
) -> str:
    """Return the text of a card.

    Parameters
    ----------
    name
        Name of the task, as in the labels.
    table
        Table of labels (``labels.csv``) from which options, window and split are suggested.
    question
        The question as the model reads it; by default one to be changed.
    seconds
        Length of a window; by default what the shortest labelled stretch allows, at most 10.
    stride
        Seconds from one window to the next; by default as long as a window.

    Raises
    ------
    ConfigError
        If the table has no labels of the task, only one, or more than there are letters.
    """
    lines = [] if table is None else _lines(name, table)
    labels = sorted({line.label for line in lines}, key=_order) or ["Yes", "No"]
    bins = _bins(labels, lines)
    asked, options = _answers(name, labels)
    if bins:
        asked, options = f"What is the {name} in this EEG segment?", ""
    ranked = ["kappa", "weighted_f1"] if len(labels) > 2 else ["auroc", "auc_pr"]
    metrics = ["balanced_accuracy", *ranked, "ece"]
    seconds = seconds or _suggested(lines)
    return f"""\
# A task: a question about a window of EEG and its permitted answers. docs/tasks.md explains it.
# The name is that of the task in the table of labels.
name = {_text(name)}
description = {_text(f"The task {name}.")}
# As the model reads it.
question = {_text(question or asked)}
# The same in other words, for training with --instruct.wordings true; and words to test it with.
phrasings = []
held_out_phrasings = []
# A window, in whole seconds; labelled stretches that are shorter are not used.
seconds = {seconds}
# From the start of a window to the start of the next; less than seconds makes windows overlap.
stride = {stride or seconds:g}
{bins}# Figures to report, the leading one first.
metrics = {json.dumps(metrics)}
# Terms of the recordings, and what to cite for them.
licence = "not stated"
citation = "not stated"

[split]
{_split(lines)}{options}"""


def _lines(name: str, table: Path) -> list[LabelLine]:
    lines = [line for line in read_table(table) if line.task == name]
    if not lines:
        known = sorted({line.task for line in read_table(table) if line.task})
        raise ConfigError(
            f"{table}: no labels of the task {name!r}; "
            + (f"its labels are of {', '.join(known)}: name the card so" if known else "it has no labels at all")
        )
    labels = {line.label for line in lines}
    if alike := nearly_same(labels):
        raise ConfigError(
            f"{table}: the labels {' and '.join(map(repr, alike[0]))} of task {name} differ in capitals or zeros "
            "alone: write them in one way"
        )
    if len(labels) < 2:
        raise ConfigError(f"{table}: the only label of task {name} is {labels.pop()!r}; a question needs two answers")
    if len(labels) > len(ascii_uppercase) and not _measured(sorted(labels)):
        raise ConfigError(
            f"{table}: {len(labels)} labels of task {name}, and a question has at most {len(ascii_uppercase)} options: "
            "join some of them in the table"
        )
    return lines


def _order(label: str) -> tuple[bool, float, str]:
    """Numbers by size, words by the alphabet, and what is the absence of something last."""
    number = _number(label)
    return label.casefold() in _NEGATIVE, math.inf if number is None else number, label


def _number(label: str) -> float | None:
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _measured(labels: Sequence[str]) -> bool:
    return len(labels) > NUMBERS and all(_number(label) is not None for label in labels)


def _bins(labels: Sequence[str], lines: Sequence[LabelLine]) -> str:
    """Ranges with about as many labels each, where the labels are measurements; else nothing."""
    if not _measured(labels):
        return ""
    values = sorted(float(line.label) for line in lines)
    inner = [float(f"{cut:.3g}") for cut in statistics.quantiles(values, n=RANGES)]
    bounds = sorted({float(math.floor(values[0])), *inner, float(math.ceil(values[-1]))})
    return f"# The labels are numbers; the answers are the ranges between these bounds.\nbins = {json.dumps(bounds)}\n"


def _answers(name: str, labels: Sequence[str]) -> tuple[str, str]:
    """The question and the options."""
    if len(labels) == 2 and (absent := [label for label in labels if label.casefold() in _NEGATIVE]):
        second = absent[-1]
        first = next(label for label in labels if label != second)
        plain = {label.casefold() for label in labels} == {"yes", "no"}
        asked = f"Is this EEG segment {name}?" if plain else f"Does this EEG segment show {first}?"
        return asked, _POSITIVE + _option("Yes", first) + "\n" + _option("No", second)
    if len(labels) == 2:  # two of a kind, such as two frequencies: neither is the absence of the other
        options = [_option(label, label) for label in labels]
        return f"Which of these does this EEG segment show, {labels[0]} or {labels[1]}?", _POSITIVE + "\n".join(options)
    options = [
        _option(label.rstrip("."), label, letter) for label, letter in zip(labels, ascii_uppercase, strict=False)
    ]
    comment = "\n# The letters are the answers; text is what the model reads, label is the word in the table.\n"
    return "Which of these does this EEG segment show?", comment + "\n".join(options)


def _option(text: str, label: str, letter: str | None = None) -> str:
    lines = ["[[options]]", *([f'letter = "{letter}"'] if letter else []), f"text = {_text(text)}"]
    return "\n".join([*lines, *([f"label = {_text(label)}"] if label != text else [])]) + "\n"


def _suggested(lines: Sequence[LabelLine]) -> int:
    lengths = [
        whole_seconds(line.start, line.stop) for line in lines if line.start is not None and line.stop is not None
    ]
    return max(1, min(WINDOW, *lengths)) if lengths else WINDOW


def _split(lines: Sequence[LabelLine]) -> str:
    said: dict[str, set[str | None]] = defaultdict(set)
    for line in lines:
        said[line.subject].add(line.split)
    if all(parts == {None} for parts in said.values()):
        return (
            "# Shares of the people, in the order of their ids, that train, validate and test.\n"
            "fractions = [0.6, 0.2, 0.2]\n"
        )
    if any(len(parts) > 1 for parts in said.values()):
        return (
            "# The table's column split says which trials train, validate and test. People are in several parts:\n"
            "# the figures hold for them alone.\n"
            'rule = "the trials of every person are divided in the order of time"\nunit = "trial"\n'
        )
    shares = "" if all(None not in parts for parts in said.values()) else "fractions = [0.8, 0.2]\n"
    return f'# The table\'s column split says who is tested.\nrule = "as the table of labels says"\n{shares}'


def _text(value: str) -> str:
    """Write text as TOML does, which shares JSON's escapes."""
    return json.dumps(value, ensure_ascii=False)
