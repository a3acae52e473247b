"""The session that turns chunks of a source into answers, one state a second

>>> for state in Session(model, card, asked, source, device=device):
...     print(state.time, state.status, state.answer)
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from neurolm.ask import ALLOWED
from neurolm.ask.answer import UNDECIDED, WindowAnswer
from neurolm.ask.answering import Asked
from neurolm.checkpoint import Card
from neurolm.core.errors import QuestionError, argument, takes
from neurolm.core.physics import RATE
from neurolm.live.context import CONTEXT, Context
from neurolm.live.outlet import Outlet
from neurolm.live.recorder import Recorder
from neurolm.live.source import Chunk, Layout, Notice, Source
from neurolm.live.state import State, Status
from neurolm.live.stream import Stream
from neurolm.live.windows import Finished, Windows
from neurolm.model.neurolm import NeuroLM
from neurolm.recording.options import BELIEVED, ReadingOptions, Unseen

WHOLE = "the model's encoder looks at whole windows (full attention): an answer comes when a window is complete"
ZERO_PHASE = (
    "the model was trained on EEG that was filtered from both sides (zero-phase), and live filters see the past alone: "
    "what it is shown is a little unlike what it knows (`neurolm prepare --filters causal` avoids that)"
)
LONGEST_STRIDE = 3600.0
"""Most seconds from the start of a window to that of the next."""
LSL = "lsl:"
"""How the names of sources begin whose times are on LSL's clock."""
_BREAKS: dict[str, Status] = {
    "gap": "gap", "clock-jump": "clock jump", "reconnected": "gap", "channels-changed": "channels changed",
    "rate-changed": "rate changed",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a session answers.

    Parameters
    ----------
    stride
        Seconds from the start of a window to that of the next; by default the task's own.
    context
        Seconds up to now that an answer is about.
    risk
        Largest share of wrong answers, such as 0.1; else the answer is undecided.
    seconds
        Seconds of EEG after which it ends; by default when the source does.

    Raises
    ------
    QuestionError
        If a value is none that can be.
    """

    stride: float | None = None
    context: float = CONTEXT
    risk: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.stride is not None and not 1 / RATE <= self.stride <= LONGEST_STRIDE:
            raise QuestionError(
                f"{argument(stride=self.stride)}: give {1 / RATE:g} to {LONGEST_STRIDE:,.0f} s, as 1 or 0.5"
            )
        if not 0 < self.context < math.inf:
            raise QuestionError(f"{argument(context=self.context)}: give the seconds that an answer is about, as 60")
        if self.risk is not None and not 0 < self.risk < 1:
            raise QuestionError(
                f"{argument(risk=self.risk)}: give a share of wrong answers between 0 and 1, such as 0.1"
            )
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            name = "seconds" if takes("seconds") else "for"  # as the verb calls it
            raise QuestionError(f"{argument(**{name: self.seconds})}: give the seconds after which to end, as 60")


class Session:
    """A question that is asked of a source as long as it gives something.

    Parameters
    ----------
    model, card, asked, device
        Who is asked what.
    source
        Where EEG comes from; closed at the end.
    policy
        Windows, context, risk and end.
    reading
        The mains frequency, and what becomes of channels without contact, as for a file.
    unseen
        What to do with electrodes that the model never saw.
    record
        Where to write all that is received, ``NAME.vhdr``.
    outlet
        Name of the streams of the Lab Streaming Layer that send states on.

    Raises
    ------
    RecordingError
        If the source has no electrode that the model knows.
    ConfigError
        If there is such a recording already, or MNE-LSL is needed and missing.
    """

    def __init__(
        self,
        model: NeuroLM,
        card: Card,
        asked: Asked,
        source: Source,
        *,
        device: torch.device,
        policy: Policy | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
        record: Path | None = None,
        outlet: str | None = None,
    ) -> None:
        self.card, self.asked, self.source = card, asked, source
        self.policy, self.reading, self.unseen = policy or Policy(), reading, unseen
        task = asked.question.task
        step = max(1, round((self.policy.stride or task.stride) * RATE))
        self.windows = Windows(model, asked.prompt, device, seconds=task.seconds, step=step)
        self.context = Context(asked.question, seconds=self.policy.context, risk=self.policy.risk)
        self.received = 0.0
        """Seconds of EEG that have come."""
        self._notes: list[str] = list(asked.question.caveats(None))
        if not self.windows.causal:
            self._notes.append(WHOLE)
        if card.filters != "causal":
            self._notes.append(ZERO_PHASE)
        self._window: WindowAnswer | None = None
        self._finished: list[WindowAnswer] = []
        self._markers: list[tuple[float, str]] = []
        self._arrival = self._began = time.monotonic()
        self._stream = self._opened(source.layout)
        self.outlet = None if outlet is None else Outlet(outlet, asked.question.task.question, task.labels)
        self.recorder = None if record is None else Recorder(record, source.layout)

    def _opened(self, layout: Layout) -> Stream:
        return Stream(
            layout, self.card, self.windows, mains=self.reading.mains, unknown=self.reading.unknown or "nearest",
            unseen=self.unseen,
        )  # fmt: skip

    def close(self) -> None:
        """Close the source, what is recorded and what is sent; closing twice does nothing."""
        self.source.close()
        if self.recorder is not None:
            self.recorder.close()
        if self.outlet is not None:
            self.outlet.close()
            self.outlet = None

    def __iter__(self) -> Iterator[State]:
        """Yield a state for each second of EEG, and for each thing that happens to the source; then one at its end."""
        try:
            for state in self._said():
                self._send(state)
                yield state
        finally:
            self.close()

    def _send(self, state: State) -> None:
        outlet = self.outlet
        if outlet is not None:
            when = state.time if self._stream.layout.name.startswith(LSL) else None
            outlet.push(state.probabilities, state.age, state.latency, state.status, when)

    def _said(self) -> Iterator[State]:
        try:
            for event in self.source:
                self._began = time.monotonic()
                if isinstance(event, Chunk):
                    yield from self._chunk(event)
                elif event.kind == "ended":
                    self._notes.append(event.text)
                    break
                else:
                    yield from self._notice(event)
                half = 0.5 / self._stream.layout.rate  # of a sample, since seconds are sums of fractions
                if self.policy.seconds is not None and self.received > self.policy.seconds - half:
                    break
            yield from self._states(self._stream.flush())
        finally:
            self.source.close()
        yield self._state("ended")

    def _chunk(self, chunk: Chunk) -> Iterator[State]:
        rate = self._stream.layout.rate
        if self.policy.seconds is not None:
            chunk = chunk.first(round((self.policy.seconds - self.received) * rate))
        if self.recorder is not None:
            self.recorder.write(chunk)
        self.received += len(chunk.times) / rate
        self._markers += chunk.markers
        self._arrival = chunk.received
        yield from self._states(self._stream.take(chunk.samples, chunk.times))

    def _notice(self, notice: Notice) -> Iterator[State]:
        yield from self._states(self._stream.flush())
        self._notes.append(notice.text)
        if notice.kind == "reconnecting":
            yield self._state("reconnecting", at=notice.time)
        elif notice.kind in _BREAKS:
            if notice.kind == "clock-jump":  # times before it and after it are not the same clock's
                self.context.clear()
            if notice.layout is not None:
                self._stream = self._opened(notice.layout)
            else:
                self._stream.restart()
            if self.recorder is not None:
                self.recorder.interrupt(notice)
            yield self._state(_BREAKS[notice.kind], at=notice.time)

    def _states(self, seconds: Iterator[Sequence[tuple[float, Finished]]]) -> Iterator[State]:
        for windows in seconds:
            for start, window in windows:
                self.context.silence = self.asked.silence(window.channels)
                self._window = self.context.add(window, start=start, stop=start + self.windows.seconds)
                self._finished.append(self._window)
            yield self._state()
            self._began = time.monotonic()

    def _state(self, status: Status | None = None, *, at: float | None = None) -> State:
        stream, question = self._stream, self.asked.question
        self.context.forget(stream.time)
        pooled = self.context.pooled
        answer, novelty = pooled if pooled is not None else (None, None)
        outside = None if novelty is None else novelty.outside
        montage = stream.electrodes.montage
        self._notes += stream.notes
        now = time.monotonic()
        state = State(
            time=stream.time if at is None else at,
            status=status or self._status(None if answer is None else answer.answer, outside),
            question=question.task.question,
            options=question.task.labels,
            electrodes=() if montage is None else montage.electrodes,
            faults=stream.electrodes.faults,
            finished=tuple(self._finished),
            window=self._window if self.windows.finished else None,
            outside=outside,
            age=now - self._arrival,
            latency=1000 * (now - self._began),
            delay=0.0 if stream.filter is None else stream.filter.delay,
            markers=tuple(self._markers),
            notes=tuple(dict.fromkeys(self._notes)),
        )
        self._finished, self._markers, self._notes, stream.notes = [], [], [], []
        if answer is None:
            return state
        return replace(
            state, answer=answer.answer, probabilities=answer.probabilities, interval=answer.interval,
            windows=len(answer.timeline), since=answer.timeline[0].start,
        )  # fmt: skip

    def _status(self, answer: str | None, outside: float | None) -> Status:
        if self._stream.electrodes.faults:
            return "bad contact"
        if not self.windows.finished or answer is None:
            return "warming up"
        if outside is not None and outside > ALLOWED:
            return "unlike the training"
        return "undecided" if answer == UNDECIDED or not self.asked.question.trained else "answer"
