"""A question put to a recording: its task, what the model knows of it, and the windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurolm.ask import FREE_SECONDS
from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.novelty import Novelty, Ranges, TrainingRange, compare
from neurolm.core.errors import QuestionError, argument
from neurolm.core.names import near_names
from neurolm.tasks.task import Option, Task, find_questions

NOT_TUNED = "the model was not tuned on this question: expect guesses, however likely it finds them"
SIMULATED = "the model was trained on simulated EEG only: what it says of real EEG, and how sure it is, means nothing"
NOT_CALIBRATED = (
    "not calibrated: this checkpoint was made without validation answers; `neurolm calibrate` with the store it was "
    "trained on adds them"
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, and what the model knows of it."""

    task: Task
    trained: bool
    """Whether the model was tuned on it."""
    fitted: TaskCalibration | None
    ranges: tuple[TrainingRange, ...]
    """Ranges of the training windows of its task, or of all tasks where it belongs to none."""
    precision: str | None = None
    """What is said where answers are in another precision than the calibration's."""
    simulated: bool = False
    """Whether the model knows simulated EEG only."""
    person: str | None = None
    """For whom calibration and evidence were adapted; None: for nobody."""
    personal: str = ""
    """What is said of that."""

    @property
    def calibration(self) -> TaskCalibration:
        """The task's, or one that changes nothing."""
        return self.fitted or TaskCalibration(task=self.task.name)

    @property
    def overlap(self) -> float:
        """Windows that a moment is in."""
        return max(1.0, self.task.seconds / self.task.stride)

    def novelty(self, features: np.ndarray) -> Novelty | None:
        """How unlike the training windows some windows are (features of ``novelty.describe``): the task they are least
        unlike decides. None where no range is known."""
        found = [compare(known, features) for known in self.ranges]
        return min(found, key=lambda novelty: novelty.outside, default=None)

    def unlike(self, features: np.ndarray) -> np.ndarray | None:
        """Whether each window is unlike the training windows of every task that it may belong to, bool (windows,).

        Parameters
        ----------
        features
            Of ``novelty.describe``, (windows, features).

        Returns
        -------
        np.ndarray or None
            None where no range is known.
        """
        found = [known.unlike(features) for known in self.ranges]
        return np.logical_and.reduce(found) if found else None

    def caveats(self, novelty: Novelty | None) -> tuple[str, ...]:
        """What limits an answer, the worst first."""
        limit = NOT_TUNED if not self.trained else NOT_CALIBRATED if self.fitted is None else self.precision
        limits = ((self.personal,) if self.personal else ()) + ((SIMULATED,) if self.simulated else ())
        limits += (limit,) if limit else ()
        return limits + ((novelty.warning,) if novelty is not None and novelty.warning else ())


def find_question(
    question: str,
    options: Sequence[str] | None,
    tasks: Sequence[Task],
    *,
    calibration: Calibration | None,
    ranges: Ranges | None,
) -> Question:
    """Find the task of a model that asks a question, or make one of the user's options.

    Parameters
    ----------
    question, options
        As for ``Model.ask``.
    tasks, calibration, ranges
        What the model was tuned on, and what was kept with it.

    Raises
    ------
    QuestionError
        If no task asks it and there are no options.
    """
    known = () if ranges is None else ranges.tasks
    found = find_questions(question, tasks)
    if found and (options is None or set(options) == set(found[0].labels)):
        task = found[0]
        fitted = None if calibration is None else calibration.of(task.name)
        return Question(
            task=task, trained=True, fitted=fitted, ranges=tuple(each for each in known if each.task == task.name)
        )
    if options is None:
        questions = "; ".join(dict.fromkeys(task.question for task in tasks))
        raise QuestionError(
            f"the model was not tuned on the question {question!r}{_nearest(question, tasks)}. It knows: {questions}. "
            f"Ask one of these, or give the permitted answers of your own question ({argument('options')})"
        )
    if len(set(options)) < 2:
        raise QuestionError(f"{argument(options=list(options))}: give at least two different answers")
    task = Task(
        name="question", description="", question=question, seconds=FREE_SECONDS, stride=FREE_SECONDS, metrics=(),
        options=tuple(Option(label=o, text=o) for o in options), licence="", citation="",
    )  # fmt: skip
    return Question(task=task, trained=False, fitted=None, ranges=known)


def _nearest(question: str, tasks: Sequence[Task]) -> str:
    """Name the questions that may be meant: by their own words, by a phrasing, or by the name of their task."""
    said = {
        words.rstrip(" .?!"): task.question
        for task in tasks
        for words in (task.name, *task.phrasings, *task.held_out_phrasings, task.question)
    }
    near = dict.fromkeys(said[words] for words in near_names(question.rstrip(" .?!"), said))
    return f"; the nearest that it knows is {' or '.join(map(repr, near))}" if near else ""
