"""A task: question, permitted answers, windows and split, as a TOML card says them.

The cards of the paper and of the simulated corpus lie in ``neurolm/tasks/cards``; a card of your own is loaded by its
path. The text that the model sees is made here and nowhere else (the prompts are those of the
official implementation)::

    Question: Is this EEG segment abnormal? Answer: Yes <|endoftext|>
    Question: Which type …? Options: (A) background. (B) seizure. Answer: (A) <|endoftext|>
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from neurolm.batches.splits import Split, split_folds, split_task, subjects_of
from neurolm.batches.text import END_OF_TEXT
from neurolm.batches.windows import Window, labelled_windows
from neurolm.core.errors import ConfigError
from neurolm.core.names import did_you_mean
from neurolm.store.store import Store

if TYPE_CHECKING:
    import numpy as np

MOST_OPTIONS = 1_000
"""Most answers that a question may have: each is scored in every window."""
_SPACES = re.compile(r"\s+")
_CLOSING = " \t\n.?!:;"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One permitted answer."""

    label: str
    """The label as it stands in a store, and what a user is shown."""
    text: str
    """The words of the answer."""
    letter: str | None = None
    """The letter that stands for it in the prompt; None where the words themselves are the answer."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question about a window of EEG and its permitted answers."""

    name: str
    """Name of the task, as in the labels of a store."""
    description: str
    question: str
    options: tuple[Option, ...]
    """Permitted answers. Where there are two, the first is the positive one of AUROC and AUC-PR."""
    seconds: int
    """Length of a window."""
    stride: float
    """Seconds from the start of a window to the start of the next."""
    split_counts: tuple[int, int, int] | None = None
    """Subjects, in order, that train, validate and test."""
    split_fractions: tuple[float, float, float] | None = None
    """Shares of the subjects, in order, that train, validate and test; with a rule, of those whom the data set does not
    mention, and none of them tests."""
    split_rule: str | None = None
    """Where the data set itself says what the test set is, in the labels of the store: its rule, in words."""
    split_by_trial: bool = False
    """Whether a subject's trials train, validate and test, as the labels of the store say."""
    split_fold: tuple[int, int] | None = None
    """In a cross-validation, which fold tests and how many there are; it takes the place of the card's split."""
    metrics: tuple[str, ...]
    """Fields of ``neurolm.tasks.metrics.Scores`` to report, the leading one first."""
    licence: str
    """Terms of the data set."""
    citation: str
    """What to cite for the data set."""
    phrasings: tuple[str, ...] = ()
    """The question in other words, which training may use (``StageConfig.wordings``)."""
    held_out_phrasings: tuple[str, ...] = ()
    """The question in words that training never uses, to see whether the model understands it."""
    bins: tuple[float, ...] | None = None
    """Where the labels are numbers: the bounds of the ranges that are the options, lowest first. A label on a bound
    belongs to the range above it, the last bound to the last range."""

    def __post_init__(self) -> None:
        if len(self.options) > MOST_OPTIONS:
            raise ConfigError(f"a question may have at most {MOST_OPTIONS:,} options, not {len(self.options):,}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the options; an option's index is its class in every metric."""
        return tuple(option.label for option in self.options)

    @property
    def prompt(self) -> str:
        """The text between the separator and the answer."""
        if self.options[0].letter is None:
            return f"Question: {self.question} Answer:"
        listed = sorted(self.options, key=lambda option: option.letter or "")
        options = " ".join(f"({option.letter}) {option.text}." for option in listed)
        return f"Question: {self.question} Options: {options} Answer: ("

    @property
    def answers(self) -> tuple[str, ...]:
        """The text after the prompt for every option, in order, closed by ``<|endoftext|>``."""
        return tuple(
            f" {option.text} {END_OF_TEXT}" if option.letter is None else f"{option.letter}) {END_OF_TEXT}"
            for option in self.options
        )

    @property
    def wordings(self) -> tuple[str, ...]:
        """The question in all words that training may use, the card's own first."""
        return (self.question, *self.phrasings)

    def reworded(self, number: int, *, held_out: bool = False) -> Task:
        """Return the task asked in other words; classes, answers and windows stay.

        Parameters
        ----------
        number
            Which of ``wordings`` (0: the card's own), or with ``held_out`` which of ``held_out_phrasings``.
        """
        return replace(self, question=(self.held_out_phrasings if held_out else self.wordings)[number])

    def shuffled(self, rng: np.random.Generator) -> Task:
        """Return the task with its lettered options in another order, lettered in that order.

        ``options`` keep their order, so that classes stay; letters, ``prompt`` and ``answers`` change. A task without
        letters, whose prompt does not list the options, stays as it is.
        """
        letters = [option.letter for option in self.options]
        if letters[0] is None:
            return self
        places = rng.permutation(len(letters)).tolist()
        options = tuple(replace(o, letter=letters[i]) for o, i in zip(self.options, places, strict=True))
        return replace(self, options=options)

    def index(self, label: str) -> int:
        """Return the class of a label.

        Raises
        ------
        ConfigError
            If the task has no such label, or its labels are numbers and this is none within its bins.
        """
        if self.bins is not None:
            return self._bin(label)
        if label not in self.labels:
            near = did_you_mean(label, self.labels)
            its = f"{near} Its" if near else ": its"
            raise ConfigError(f"task {self.name} has no label {label!r}{its} labels are {', '.join(self.labels)}")
        return self.labels.index(label)

    def _bin(self, label: str) -> int:
        assert self.bins is not None
        try:
            value = float(label)
        except ValueError:
            value = math.nan
        if not self.bins[0] <= value <= self.bins[-1]:
            raise ConfigError(
                f"task {self.name} has bins from {self.bins[0]:g} to {self.bins[-1]:g}, and a label is {label!r}: "
                "correct the label, or widen the bins of the card"
            )
        return min(bisect_right(self.bins, value), len(self.options)) - 1

    def split(self, store: Store) -> Split:
        """Split the subjects of a store into those that train, validate and test, as the data set and the card say.

        Raises
        ------
        StoreError
            If the store has no labels of the task.
        ConfigError
            If the store's labels or subjects do not fit the card, or a subject would train and test.
        """
        if self.split_fold is not None:
            return split_folds(subjects_of(store, self.name), self.split_fold)
        return split_task(
            store,
            self.name,
            counts=self.split_counts,
            fractions=self.split_fractions,
            given=self.split_rule is not None,
            by_trial=self.split_by_trial,
        )

    def windows(self, store: Store, split: Split, part: str) -> list[Window]:
        """Cut the labelled windows of one part (``train``, ``validation`` or ``test``) of a split."""
        return labelled_windows(
            store,
            task=self.name,
            seconds=self.seconds,
            stride=self.stride,
            subjects=getattr(split, part),
            part=part if split.by_trial else None,
        )


def in_fold(task: Task, fold: tuple[int, int]) -> Task:
    """Return the task with subjects split for a fold of a cross-validation.

    Raises
    ------
    ConfigError
        If the task is split by trials: folds are of subjects.
    """
    if task.split_by_trial:
        raise ConfigError(f"task {task.name}: split by trials, and folds are of subjects; leave it out, or the fold")
    return replace(task, split_fold=fold)


def normalise_question(question: str) -> str:
    """Return a question without what does not tell questions apart: case, extra spaces, final punctuation."""
    return _SPACES.sub(" ", question).strip(_CLOSING).casefold()


def find_questions(question: str, tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that ask a question, whatever its case, spaces and final punctuation.

    Several tasks of one model may share a question (``workload`` and ``eegmat`` do); they come in the order given.
    Where no task asks it in its own words, those that have it among their phrasings are returned.
    """
    wanted, known = normalise_question(question), list(tasks)
    exact = [task for task in known if normalise_question(task.question) == wanted]
    return exact or [
        task for task in known if wanted in map(normalise_question, (*task.phrasings, *task.held_out_phrasings))
    ]
