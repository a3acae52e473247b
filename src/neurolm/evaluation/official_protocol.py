"""The authors' way to read answers, beside ours for comparison only (``evaluate --protocol official``).

The model writes five tokens after the prompt, greedily. Prompt and answer are split at spaces, and the word at the
answer's place is looked up among the permitted ones (official ``train_instruction.py``, ``get_pred``). The hard label
that comes out goes into every metric, AUROC too. In the official script a word that is no permitted answer becomes
−1, which counts as the last class where there are more than two, and as less than "No" where there are two. Here it is
counted and reported, and is wrong; ``as_published`` holds what the official script would have printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurolm.batches.text import END_OF_TEXT
from neurolm.core.errors import ConfigError
from neurolm.tasks.task import Task

WRITTEN_TOKENS = 5
"""Tokens that the model writes."""
UNPARSED = -1
"""Answer of a window whose text is no permitted answer."""
UNDECIDED = 0.5
"""Rank of an unparsed answer between the hard labels 1 ("Yes") and 0 ("No"): it says nothing for either."""


@dataclass(frozen=True, kw_only=True)
class HardScores:
    """Scores of hard labels. AUROC and AUC-PR of hard labels have one operating point: do not compare with others'."""

    accuracy: float
    balanced_accuracy: float
    """Mean recall over the classes that occur in the labels."""
    auroc: float | None
    """Two options only, of hard labels."""
    auc_pr: float | None
    """Two options only, of hard labels."""
    kappa: float | None
    weighted_f1: float


@dataclass(frozen=True, kw_only=True)
class OfficialScores:
    """What the authors' protocol makes of a task."""

    n: int
    """Windows."""
    parse_failures: int
    """Windows whose answer is none of the permitted ones."""
    scores: HardScores
    """With parse failures as wrong answers of no class."""
    as_published: HardScores
    """As the official script scores: parse failures are the last class, or below "No" where there are two."""
    answers: tuple[int, ...]
    """Class of every window, or ``UNPARSED``."""


def answer_words(task: Task) -> dict[str, int]:
    """Return the permitted words at the answer's place, and their classes.

    Raises
    ------
    ConfigError
        If two options start with the same word, so that this protocol cannot tell them apart.
    """
    lettered = task.options[0].letter is not None
    found = [f"({o.letter})" if lettered else o.text.split(" ")[0] for o in task.options]
    if len(set(found)) < len(found):
        raise ConfigError(
            f"task {task.name}: the official protocol reads one word, and the options begin with {', '.join(found)}; "
            "give the options letters, or evaluate by likelihood"
        )
    return {word: index for index, word in enumerate(found)}


def answer_place(task: Task) -> int:
    """Return which word of prompt and answer is the answer (``result_idx`` in the official script)."""
    return len(task.prompt.split(" ")) - (task.options[0].letter is not None)


def parse(task: Task, written: str, *, ended: bool) -> int:
    """Return the class of what a model wrote after the prompt, or ``UNPARSED``.

    Parameters
    ----------
    written
        The text after the prompt, without ``<|endoftext|>``.
    ended
        Whether ``<|endoftext|>`` followed it. The official script keeps it as a part of the word before, if no space
        stands between.
    """
    pieces = (task.prompt + written + (END_OF_TEXT if ended else "")).split(" ")
    if answer_place(task) >= len(pieces):
        return UNPARSED
    word = pieces[answer_place(task)]
    return answer_words(task).get(word[:3] if word.startswith("(") else word, UNPARSED)


def score_hard(labels: Sequence[int], answers: Sequence[int], *, options: int) -> OfficialScores:
    """Score the answers of the protocol.

    Parameters
    ----------
    labels
        Class of every window.
    answers
        Class of every window's answer, or ``UNPARSED``.
    options
        Number of classes; with two, class 0 is the positive one.
    """
    truth, given = np.asarray(labels), np.asarray(answers)
    failed = given == UNPARSED
    rank = np.where(failed, UNDECIDED, given == 0)
    if options == 2:
        # The official metrics call an answer positive from .5 on; −1 is below both labels.
        published = _hard(truth, np.where(failed, 1, given), np.where(failed, -1.0, given == 0), options)
    else:
        published = _hard(truth, np.where(failed, options - 1, given), None, options)
    return OfficialScores(
        n=len(truth),
        parse_failures=int(failed.sum()),
        scores=_hard(truth, np.where(failed, options, given), rank if options == 2 else None, options),
        as_published=published,
        answers=tuple(int(a) for a in given),
    )


def _hard(truth: np.ndarray, answers: np.ndarray, rank: np.ndarray | None, options: int) -> HardScores:
    from sklearn import metrics

    present, classes = np.unique(truth), np.arange(options + 1)
    ranked = rank is not None and len(present) == 2
    constant = len(present) == 1 and np.array_equal(np.unique(answers), present)
    return HardScores(
        accuracy=float((truth == answers).mean()),
        balanced_accuracy=float(metrics.recall_score(truth, answers, labels=present, average="macro", zero_division=0)),
        auroc=float(metrics.roc_auc_score(truth == 0, rank)) if ranked else None,
        auc_pr=float(metrics.average_precision_score(truth == 0, rank)) if ranked else None,
        kappa=None if constant else float(metrics.cohen_kappa_score(truth, answers, labels=classes)),
        weighted_f1=float(
            metrics.f1_score(truth, answers, labels=classes[:options], average="weighted", zero_division=0)
        ),
    )
