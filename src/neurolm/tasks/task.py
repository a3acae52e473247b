"""A task is data: one TOML card says the question, the permitted answers, the windows and how subjects are split.

The cards of the paper and of the simulated corpus lie in ``neurolm/tasks/cards``; a card of your own is loaded by its
path. The text that the model sees is made here and nowhere else (the prompts are those of the
official implementation)::

    Question: Is this EEG segment abnormal? Answer: Yes <|endoftext|>
    Question: Which type …? Options: (A) background. (B) seizure. Answer: (A) <|endoftext|>
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neurolm.data.splits import Split, split_task
from neurolm.data.store import Store
from neurolm.data.text import END_OF_TEXT
from neurolm.data.windows import Window, labelled_windows
from neurolm.errors import ConfigError

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
    metrics: tuple[str, ...]
    """Fields of ``neurolm.metrics.Scores`` to report, the leading one first."""
    licence: str
    """Terms of the data set."""
    citation: str
    """What to cite for the data set."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the options; an option's index is its class in every metric."""
        return tuple(option.label for option in self.options)

    @property
    def prompt(self) -> str:
        """The text between the separator and the answer."""
        if self.options[0].letter is None:
            return f"Question: {self.question} Answer:"
        options = " ".join(f"({option.letter}) {option.text}." for option in self.options)
        return f"Question: {self.question} Options: {options} Answer: ("

    @property
    def answers(self) -> tuple[str, ...]:
        """The text after the prompt for every option, in order, closed by ``<|endoftext|>``."""
        return tuple(
            f" {option.text} {END_OF_TEXT}" if option.letter is None else f"{option.letter}) {END_OF_TEXT}"
            for option in self.options
        )

    def index(self, label: str) -> int:
        """Return the class of a label.

        Raises
        ------
        ConfigError
            If the task has no such label.
        """
        if label not in self.labels:
            raise ConfigError(f"task {self.name} has no label {label!r}: its labels are {', '.join(self.labels)}")
        return self.labels.index(label)

    def answer(self, label: str) -> str:
        """Return the text after the prompt for a label; prompt + answer is the text as the model learns it."""
        return self.answers[self.index(label)]

    def short(self, label: str) -> str:
        """Return what a user is shown for a label."""
        return self.options[self.index(label)].label

    def split(self, store: Store) -> Split:
        """Split the subjects of a store into those that train, validate and test, as the data set and the card say.

        Raises
        ------
        StoreError
            If the store has no labels of the task.
        ConfigError
            If the store's labels or subjects do not fit the card, or a subject would train and test.
        """
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


def normalise_question(question: str) -> str:
    """Return a question without what does not tell questions apart: case, extra spaces, final punctuation."""
    return _SPACES.sub(" ", question).strip(_CLOSING).casefold()


def find_questions(question: str, tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that ask a question, whatever its case, spaces and final punctuation.

    Several tasks of one model may share a question (``workload`` and ``eegmat`` do); they come in the order given.
    """
    wanted = normalise_question(question)
    return [task for task in tasks if normalise_question(task.question) == wanted]


def load_task(source: str | Path) -> Task:
    """Load a task by the name of its card, or by the path of a card of your own.

    Raises
    ------
    ConfigError
        If there is no such card or it is not valid.
    """
    from neurolm.tasks.card import find_card, read_card

    return read_card(find_card(source))


def all_tasks() -> dict[str, Task]:
    """Return the tasks whose cards ship with neurolm, by name."""
    from neurolm.tasks.card import read_card, shipped_cards

    return {path.stem: read_card(path) for path in shipped_cards()}
