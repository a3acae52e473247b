"""Answers as streams of the Lab Streaming Layer: probabilities, and words for the rest

>>> outlet = Outlet("neurolm", "Are the eyes open?", ("yes", "no"))
>>> outlet.push((0.8, 0.2), age=0.1, latency=12.0, status="answer", time=None)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurolm.core.errors import ConfigError, QuestionError
from neurolm.live.sources.lsl_streams import lsl

AGE, LATENCY = "age of the newest sample", "latency"
"""Channels after those of the options: seconds, and milliseconds."""


class Outlet:
    """Two streams: ``NAME`` with a probability for each option, ``NAME-status`` with a word whenever it is another.

    Both are irregular. The first has the type ``Probabilities``, and two channels more: the age of the newest sample in
    seconds, and the latency in milliseconds. What is not known is NaN. The question stands in both descriptions.

    Parameters
    ----------
    name
        Of the streams.
    question
        What is asked.
    options
        Its options, in the order of the channels.

    Raises
    ------
    ConfigError
        If MNE-LSL is not installed, or the name is empty.
    QuestionError
        If there are no options.
    """

    def __init__(self, name: str, question: str, options: Sequence[str]) -> None:
        if not name:
            raise ConfigError("an outlet needs a name, as neurolm")
        if not options:
            raise QuestionError(f"{question}: without options there are no probabilities to send")
        self.options = tuple(options)
        labels = [*self.options, AGE, LATENCY]
        units = [*["probability"] * len(self.options), "s", "ms"]
        self._numbers = _begin(name, "Probabilities", "float64", labels, units, question)
        self._words = _begin(f"{name}-status", "Markers", "string", ["status"], ["none"], question)
        self._status: str | None = None

    def push(
        self,
        probabilities: Sequence[float] | None,
        age: float | None,
        latency: float | None,
        status: str,
        time: float | None = None,
    ) -> None:
        """Send a state.

        Parameters
        ----------
        probabilities
            Of each option; None where there is no answer.
        age
            Seconds from the newest sample to the answer; None where nobody knows.
        latency
            Milliseconds from the arrival of that sample to the answer; None where nobody knows.
        status
            In a word, such as ``answer`` or ``gap``; sent when it is another than before.
        time
            When the newest sample was taken, on LSL's clock; None for now.
        """
        numbers = probabilities if probabilities is not None else [math.nan] * len(self.options)
        if len(numbers) != len(self.options):
            raise ValueError(f"{len(numbers)} probabilities for {len(self.options)} options")
        stamp = float(lsl().local_clock()) if time is None else time
        rest = (math.nan if one is None else one for one in (age, latency))
        self._numbers.push_sample(np.array([*numbers, *rest], np.float64), stamp)
        if status != self._status:
            self._status = status
            self._words.push_sample([status], stamp)

    def close(self) -> None:
        """End the streams; those who listen lose them."""
        self._numbers = self._words = None


def _begin(name: str, kind: str, numbers: str, labels: list[str], units: list[str], question: str) -> Any:
    """Begin a stream whose description says what its channels are."""
    info = lsl().StreamInfo(name, kind, len(labels), 0.0, numbers, f"neurolm-{name}")
    info.set_channel_names(labels)
    info.set_channel_units(units)
    info.set_channel_types(kind.lower())
    info.desc.append_child_value("question", question)
    info.desc.append_child_value("manufacturer", "neurolm")
    return lsl().StreamOutlet(info)
