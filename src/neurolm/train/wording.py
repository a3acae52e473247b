"""Questions in other words and options in another order, drawn for each sample of a step.

``StageConfig.wordings`` and ``StageConfig.shuffle_options`` switch them on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurolm.ask.prompt import Prompt
from neurolm.batches.text import TextTokenizer
from neurolm.tasks.task import Task

_STREAM = 6
"""Tells these draws from the others of a step, which have numbers of their own."""


class Wordings:
    """Prompts of some tasks: their cards' own, or any of their wordings, or with lettered options in any order.

    What a sample is asked is a pure function of seed, step and the sample's number within the step. Phrasings that a
    card holds out are never asked.

    Parameters
    ----------
    separator
        Token id between EEG and text.
    vary
        Whether to draw the wording; otherwise it is the card's own.
    shuffle
        Whether to draw the order of lettered options; otherwise it is the card's own.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        text: TextTokenizer,
        separator: int,
        *,
        seed: int = 0,
        vary: bool = False,
        shuffle: bool = False,
    ) -> None:
        self.tasks, self.text, self.separator = tasks, text, separator
        self.seed, self.vary, self.shuffle = seed, vary, shuffle
        self.own = [self._encode(task) for task in tasks]
        """The cards' own prompts, in the order of the tasks."""
        self._made: dict[str, Prompt] = {}

    def prompt(self, task: int, step: int, sample: int) -> Prompt:
        """Return what a sample of a step is asked.

        Parameters
        ----------
        task
            Index among the tasks.
        sample
            The sample's number among all of the step.
        """
        if not (self.vary or self.shuffle):
            return self.own[task]
        rng = np.random.default_rng([self.seed, _STREAM, step, sample])
        asked = self.tasks[task]
        number = int(rng.integers(len(asked.wordings)))
        asked = asked.reworded(number) if self.vary else asked
        asked = asked.shuffled(rng) if self.shuffle else asked
        key = f"{task} {asked.prompt}"
        if key not in self._made:
            self._made[key] = self._encode(asked)
        return self._made[key]

    def longest(self, task: int) -> int:
        """Return the tokens of a task's longest question and answer."""
        wordings = self.tasks[task].wordings if self.vary else self.tasks[task].wordings[:1]
        prompts = [self._encode(self.tasks[task].reworded(number)) for number in range(len(wordings))]
        return max(len(prompt.question) + max(map(len, prompt.answers)) for prompt in prompts)

    def _encode(self, task: Task) -> Prompt:
        return Prompt.of(task, self.text, self.separator)
