"""Which electrodes and which seconds carried an answer: by leaving each out in turn.

A sample is a set of patches, and training leaves electrodes out, so a window without an electrode or a second is
something the model can read; nothing is made up in its place. The effect of an electrode is by how much the log-odds
of the option fall without it (occlusion, Zeiler and Fergus 2014): positive where it spoke for the option, negative
where it spoke against. What two electrodes both show needs neither of them: effects do not add up to the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from neurolm.ask.answering import Asked
from neurolm.ask.calibration import TaskCalibration
from neurolm.ask.novelty import describe
from neurolm.ask.prompt import Prompt, likelihoods
from neurolm.ask.recording import ModelInput, Windows
from neurolm.batches.loader import Sample
from neurolm.core.amounts import many
from neurolm.core.errors import argument
from neurolm.core.physics import RATE
from neurolm.model.neurolm import NeuroLM

Score = Callable[[Iterable[Sample]], np.ndarray]
"""Windows → log-likelihoods of the options, (windows, options), as `prompt.likelihoods` returns them."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """By how much the log-odds of an option fall without something."""

    mean: float
    """Over the windows that have it, in nats."""
    spread: float
    """Standard deviation over those windows; 0 with one."""
    windows: int


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What an answer rests on."""

    recording: str
    question: str
    option: str
    """The option that is explained."""
    log_odds: float
    """Log-odds of the option against the others, mean over the explained windows, in nats."""
    electrodes: tuple[str, ...]
    electrode_effects: tuple[Effect, ...]
    """One per electrode; none where there is a single one."""
    seconds: tuple[float, ...]
    """Where each explained second starts, from the start of the recording, in order."""
    second_effects: tuple[Effect, ...]
    """One per second; none where windows last one second."""
    starts: tuple[float, ...]
    """Where the explained windows start, seconds."""
    notes: tuple[str, ...] = ()

    @property
    def leading(self) -> tuple[str, ...]:
        """Electrodes by their effect, the one that spoke most for the option first."""
        order = sorted(range(len(self.electrode_effects)), key=lambda i: -self.electrode_effects[i].mean)
        return tuple(self.electrodes[i] for i in order)

    @property
    def extent(self) -> str:
        """What was looked at, in words."""
        return f"over {len(self.starts)} window{'s' if len(self.starts) > 1 else ''}"


def log_odds(log_likelihoods: np.ndarray, option: int) -> np.ndarray:
    """Log-odds of an option against all others: (…, options) to (…,)."""
    others = np.delete(log_likelihoods, option, axis=-1)
    return log_likelihoods[..., option] - np.logaddexp.reduce(others, axis=-1)


def without_electrode(sample: Sample, channel: int) -> Sample:
    """Return a window without the patches of an electrode."""
    return _kept(sample, sample.channel != channel)


def without_second(sample: Sample, second: int) -> Sample:
    """Return a window without the patches of a second; the others, and the question, keep their place in time."""
    return replace(_kept(sample, sample.second != second), length=sample.seconds)


def _kept(sample: Sample, mask: np.ndarray) -> Sample:
    return replace(sample, patches=sample.patches[mask], channel=sample.channel[mask], second=sample.second[mask])


def explain(
    model: NeuroLM,
    recording: ModelInput,
    asked: Asked,
    *,
    option: str | None,
    most: int,
    start: float,
    stop: float | None,
    device: torch.device,
) -> Explanation:
    """Explain an answer about a recording.

    Parameters
    ----------
    option
        One of the question's; None takes the likeliest over the windows that are looked at.
    most
        Most windows to look at, spread evenly over those between ``start`` and ``stop``, in seconds.

    Raises
    ------
    QuestionError
        If no window lies there.
    RecordingError
        If the recording is too short, or can no longer be read.
    """
    task = asked.question.task
    windows = Windows.of(recording, seconds=task.seconds, stride=task.stride)
    starts = windows.between(start, stop, most=most)
    samples = list(recording.samples(starts, windows.seconds))

    def score(given: Iterable[Sample]) -> np.ndarray:
        return likelihoods(model, asked.prompt, given, device=device)

    return explain_windows(asked, windows, starts, samples, option=option, score=score)


def explain_windows(
    asked: Asked,
    windows: Windows,
    starts: Sequence[int],
    samples: Sequence[Sample],
    *,
    option: str | None,
    score: Score,
) -> Explanation:
    """Explain an answer by windows that were read.

    Parameters
    ----------
    windows
        All of the recording.
    starts, samples
        Those that are looked at: where they begin, and what they are.
    option
        As for `explain`.
    score
        Asks the model.
    """
    question, labels, recording = asked.question, asked.question.task.labels, windows.recording
    notes = question.caveats(question.novelty(describe(samples))) + windows.notes
    if option is None:
        option = labels[int(question.calibration.pool(score(samples)).argmax())]
        if len(starts) < len(windows.starts):
            notes = (
                f"{option} is the likeliest over {many(len(starts), 'window')} of the recording; the answer about the "
                f"whole recording may be another, which {argument('option')} explains",
                *notes,
            )
    found = _occlude(score, samples, option=labels.index(option), calibration=question.fitted)
    moments = by_second(found.seconds, [first / RATE for first in starts])
    return Explanation(
        recording=recording.name,
        question=question.task.question,
        option=option,
        log_odds=float(found.whole.mean()),
        electrodes=recording.electrodes,
        electrode_effects=tuple(effect(column) for column in found.electrodes.T),
        seconds=tuple(moments),
        second_effects=tuple(moments.values()),
        starts=tuple(first / RATE for first in starts),
        notes=notes,
    )


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """Effects in every window."""

    whole: np.ndarray
    """Log-odds with everything, (windows,)."""
    electrodes: np.ndarray
    """Fall without each electrode, (windows, electrodes); no columns where there is a single one."""
    seconds: np.ndarray
    """Fall without each second, (windows, seconds); no columns where there is a single one."""


def occlude(
    model: NeuroLM,
    prompt: Prompt,
    samples: Sequence[Sample],
    *,
    option: int,
    device: torch.device,
    calibration: TaskCalibration | None = None,
) -> Occlusion:
    """Leave out every electrode and every second of some windows, one at a time.

    Parameters
    ----------
    samples
        Windows of the same electrodes and length.
    option
        Index of the option that is explained.
    calibration
        Calibration of the task: its temperature divides the log-odds.
    """

    def score(given: Iterable[Sample]) -> np.ndarray:
        return likelihoods(model, prompt, given, device=device)

    return _occlude(score, samples, option=option, calibration=calibration)


def _occlude(score: Score, samples: Sequence[Sample], *, option: int, calibration: TaskCalibration | None) -> Occlusion:
    """As `occlude`, whoever asks the model."""
    channels = samples[0].channel[samples[0].second == 0]
    seconds = samples[0].seconds
    electrodes = len(channels) if len(channels) > 1 else 0
    moments = seconds if seconds > 1 else 0
    variants = (
        variant
        for sample in samples
        for variant in (
            sample,
            *(without_electrode(sample, channel) for channel in channels[:electrodes]),
            *(without_second(sample, second) for second in range(moments)),
        )
    )
    found = score(variants)
    temperature = 1.0 if calibration is None else calibration.temperature
    odds = log_odds(found / temperature, option).reshape(len(samples), 1 + electrodes + moments)
    falls = odds[:, :1] - odds[:, 1:]
    return Occlusion(whole=odds[:, 0], electrodes=falls[:, :electrodes], seconds=falls[:, electrodes:])


def effect(values: np.ndarray) -> Effect:
    """Summarise the falls of several windows."""
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Effect(mean=float(values.mean()), spread=spread, windows=len(values))


def by_second(falls: np.ndarray, starts: Sequence[float]) -> dict[float, Effect]:
    """Effects of the seconds of a recording, over the windows that hold each: (windows, seconds) and window starts."""
    gathered: dict[float, list[float]] = {}
    for start, row in zip(starts, falls, strict=True):
        for second, fall in enumerate(row):
            gathered.setdefault(round(start + second, 3), []).append(float(fall))
    return {moment: effect(np.array(values)) for moment, values in sorted(gathered.items())}
