"""One thread for each model's forward passes: windows of all questions that wait, in common batches

Whoever waits longest decides how long the windows of a batch are, and others with windows of about that length join it,
a window each in turn, where their questions and options are of about one length, too. So a short question is answered
beside a long one, and none fills a batch with padding.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch

from neurolm.ask.prompt import PLACES, Prompt, require_finite, said_of_each
from neurolm.batches.loader import Sample
from neurolm.core.errors import CheckpointError
from neurolm.model.neurolm import NeuroLM

Result = TypeVar("Result")
SECONDS = 0.4
"""How long a batch is meant to take: nobody waits longer for his turn, and whoever leaves is left soon."""
FEWEST = 400
"""Places of a batch that are no fewer, however slow the model is."""
ALIKE = 2.0
"""By how many times windows of one batch may differ in length, without and with the text of their questions."""
_ENDING = "the service is ending"
_AHEAD = 64  # windows of a line, which may differ in length, that are looked at


class Line:
    """Windows of one question that wait for the model.

    Parameters
    ----------
    prompt
        The question.
    said
        Is told the language model's log-likelihoods, float64 (windows, options), of the next windows in their order; in
        the batcher's thread.
    failed
        Is told what went wrong with them.
    """

    def __init__(self, prompt: Prompt, said: Callable[[np.ndarray], None], failed: Callable[[Exception], None]) -> None:
        self.prompt, self.said, self.failed = prompt, said, failed
        self.waiting: deque[Sample] = deque()


class Batcher:
    """Puts windows through a model.

    Parameters
    ----------
    model
        Nobody else may use it meanwhile.
    counted
        Is told of every batch how many windows it had, of how many questions.
    """

    def __init__(
        self, model: NeuroLM, *, device: torch.device, counted: Callable[[int, int], None] = lambda _w, _q: None
    ) -> None:
        self._model, self._device, self._counted = model, device, counted
        self._changed = threading.Condition()
        self._lines: deque[Line] = deque()
        self._steps: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._places = float(min(PLACES[device.type], 2 * FEWEST))
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def put(self, line: Line, samples: Iterable[Sample]) -> None:
        """Let windows join a line."""
        with self._changed:
            if not self._closed:
                if not line.waiting:
                    self._lines.append(line)
                line.waiting.extend(samples)
                self._changed.notify()
                return
        line.failed(CheckpointError(_ENDING))

    def drop(self, line: Line) -> None:
        """Forget the windows of a line."""
        with self._changed:
            line.waiting.clear()
            self._lines = deque(one for one in self._lines if one is not line)

    def score(self, prompt: Prompt, samples: Sequence[Sample]) -> np.ndarray:
        """Return the language model's log-likelihoods of windows, float64 (windows, options), when they had their turn.

        Raises
        ------
        CheckpointError
            If one is NaN or infinite, or the service ends.
        """
        parts: list[np.ndarray] = []
        done: Future[None] = Future()

        def said(found: np.ndarray) -> None:
            parts.append(found)
            if sum(map(len, parts)) == len(samples):
                done.set_result(None)

        line = Line(prompt, said, done.set_exception)
        try:
            self.put(line, samples)
            done.result()
        finally:
            self.drop(line)
        return np.concatenate(parts)

    def step(self, function: Callable[[], Result]) -> Result:
        """Call what uses the model between two batches, and return what it returns."""
        done: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise CheckpointError(_ENDING)
            self._steps.append((function, done))
            self._changed.notify()
        return done.result()

    def close(self) -> None:
        """Let the batch at hand be the last."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not (self._lines or self._steps or self._closed):
                    self._changed.wait()
                if self._closed:
                    break
                step = self._steps.popleft() if self._steps else None
                batch = self._next()
            if step is not None:
                _call(*step)
            if batch:
                self._answer(batch)
        ending = CheckpointError(_ENDING)
        for line in self._lines:
            line.failed(ending)
        for _, done in self._steps:
            done.set_exception(ending)

    def _next(self) -> list[tuple[Line, Sample]]:
        """The windows of the next batch; those who had a turn go to the end of the line."""
        if not self._lines:
            return []
        length = max(len(sample.second) for sample in islice(self._lines[0].waiting, _AHEAD))
        width = length + self._lines[0].prompt.places
        turn = deque(
            one for one in self._lines
            if length / ALIKE <= len(one.waiting[0].second) <= length
            and 1 / ALIKE <= (length + one.prompt.places) / width <= ALIKE
        )  # fmt: skip
        others = [one for one in self._lines if one not in turn]
        batch: list[tuple[Line, Sample]] = []
        text = max(one.prompt.places for one in turn)
        most = max(1, int(self._places) // (length + text))
        while turn and len(batch) < most:
            line = turn.popleft()
            batch.append((line, line.waiting.popleft()))
            if line.waiting and len(line.waiting[0].second) <= length:
                turn.append(line)
            elif line.waiting:
                others.append(line)
        # those who did not get a turn come first, then who had one longest ago
        self._lines = deque([*others, *turn])
        return batch

    def _answer(self, batch: Sequence[tuple[Line, Sample]]) -> None:
        began = time.monotonic()
        try:
            found = said_of_each(self._model, [(line.prompt, sample) for line, sample in batch], device=self._device)
        except Exception as error:
            self._one_by_one(batch, error)
            return
        self._adapt(batch, time.monotonic() - began)
        own: dict[Line, list[np.ndarray]] = {}
        for (line, _), said in zip(batch, found, strict=True):
            own.setdefault(line, []).append(said)
        self._counted(len(batch), len(own))
        for line, parts in own.items():
            said = np.stack(parts)
            try:
                require_finite(said, "log-likelihoods")
                line.said(said)
            except Exception as error:
                line.failed(error)

    def _one_by_one(self, batch: Sequence[tuple[Line, Sample]], error: Exception) -> None:
        """What goes wrong in a batch of several questions is the fault of one of them."""
        lines = list(dict.fromkeys(line for line, _ in batch))
        if len(lines) == 1:
            self.drop(lines[0])
            lines[0].failed(error)
            return
        for line in lines:
            self._answer([(one, sample) for one, sample in batch if one is line])

    def _adapt(self, batch: Sequence[tuple[Line, Sample]], seconds: float) -> None:
        """Let the next batch take about `SECONDS`."""
        width = max(len(sample.second) + line.prompt.places for line, sample in batch)
        rate = len(batch) * width / max(seconds, 1e-4)
        aim = min(max(SECONDS * rate, FEWEST), PLACES[self._device.type])
        if len(batch) * width * 2 >= self._places or aim < self._places:  # small ones say little
            self._places += (aim - self._places) / 2


def _call(function: Callable[[], Any], done: Future[Any]) -> None:
    try:
        done.set_result(function())
    except BaseException as error:
        done.set_exception(error)
