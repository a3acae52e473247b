"""What people see in a terminal: the progress of long work, and an answer with its timeline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

if TYPE_CHECKING:
    from neurolm.api import Answer
    from neurolm.ask.explanation import Explanation
    from neurolm.prepare.report import PrepareProgress
    from neurolm.train.loop import TrainingProgress

NOT_LOSSES = ("lr", "gradient_norm", "codes_used", "code_perplexity", "dead_codes")
"""Figures of a training step that a line of progress has no room for."""
QUIET_SECONDS, LOG_SHARE = 5.0, 0.05
"""Without a terminal: least seconds between two lines, and share of the elapsed time, so that days are not a flood."""
TIMELINE_LINES = 40
BAR = 24
"""Characters of a bar of probability."""


class Display:
    """Progress bars in a terminal, else now and then a plain line. Use it in a ``with`` statement."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = console.is_terminal
        self.bars = Progress(
            TextColumn("{task.description:<9}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=console,
            transient=True,
            expand=True,
        )
        self.shown: dict[str, TaskID] = {}
        self.begun: dict[str, float] = {}
        self.last: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> Display:
        if self.live:
            self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.bars.stop()

    def training(self, progress: TrainingProgress) -> None:
        """Show a training step: step, rate, time left, losses."""
        figures = (
            f"step {progress.step}/{progress.steps}  {duration(progress.seconds_left)} left  "
            f"{progress.tokens_per_second:,.0f} tokens/s  {losses(progress.parts)}"
        )
        self._show(progress.stage, progress.step, progress.steps, figures)

    def preparing(self, progress: PrepareProgress) -> None:
        """Show how far a preparation is: recordings, hours of EEG per second, time left, failures."""
        failures = f"  {progress.failures} could not be read" if progress.failures else ""
        figures = (
            f"{progress.done}/{progress.total}  {duration(progress.seconds_left)} left  "
            f"{progress.rate:.2g} h of EEG per second{failures}"
        )
        self._show("preparing recordings", progress.done, progress.total, figures)

    def count(self, what: str) -> Callable[..., None]:
        """Return a callback for the number of things done and of all things."""
        began = time.monotonic()

        def show(done: int, total: int, _name: str = "") -> None:
            left = (time.monotonic() - began) * (total - done) / done if done else math.nan
            rest = "" if math.isnan(left) else f"  {duration(left)} left"
            self._show(what, done, total, f"{done}/{total}{rest}")

        return show

    def _show(self, name: str, done: int, total: int, figures: str) -> None:
        if not self.live:
            if self._due(name, done, total):
                self.console.print(f"{name}: {figures}", markup=False, highlight=False, soft_wrap=True)
            return
        if name not in self.shown:
            self.shown[name] = self.bars.add_task(name, figures="")
        self.bars.update(self.shown[name], completed=done, total=total, figures=figures)
        if done == total:
            self.bars.update(self.shown[name], visible=False)

    def _due(self, name: str, done: int, total: int) -> bool:
        """Whether a plain line is due: every 10 %, or after some seconds, and at the end."""
        now = time.monotonic()
        begun = self.begun.setdefault(name, now)
        when, share = self.last.get(name, (-math.inf, 0.0))
        wait = max(QUIET_SECONDS, LOG_SHARE * (now - begun))
        due = done == total or now - when >= wait or (done / total - share >= 0.1 and now - when >= 1)
        if due:
            self.last[name] = (now, done / total)
        return due


def losses(parts: Mapping[str, float]) -> str:
    """Write the losses of a step: their sum first, where there are several."""
    shown = {name: value for name, value in parts.items() if name not in NOT_LOSSES}
    total = shown.pop("loss", None)
    if total is not None and len(shown) != 1:
        shown = {"loss": total} | shown
    return "  ".join(f"{name} {value:.3g}" for name, value in shown.items())


def many(count: int, noun: str) -> str:
    """Count things: ``1 file``, ``1,024 files``."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def duration(seconds: float) -> str:
    """Write a time as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar_characters(encoding: str | None) -> str:
    """Characters of the full and the empty part of a bar that an encoding has."""
    try:
        "█░".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#."
    return "█░"


def answer_lines(answer: Answer, *, characters: str = "█░", lines: int = TIMELINE_LINES) -> list[str]:
    """Write an answer for a terminal: the answer, every option, the timeline, the notes.

    Parameters
    ----------
    characters
        For the full and the empty part of a bar.
    lines
        Most lines of the timeline: neighbouring windows of a long recording share one.
    """
    width = max(len(option) for option in answer.options)

    def row(label: str, probability: float) -> str:
        filled = round(BAR * probability)
        return f"{label:<{width}}  {characters[0] * filled}{characters[1] * (BAR - filled)}  {probability:.2f}"

    windows = len(answer.timeline)
    out = [
        answer.question,
        _verdict(answer),
        f"{answer.recording}: {windows} window{'s' if windows > 1 else ''}, {len(answer.electrodes)} electrodes",
        "",
        *(f"  {row(o, p)}" for o, p in zip(answer.options, answer.probabilities, strict=True)),
    ]
    spans = condense(answer, lines)
    share = math.ceil(windows / lines)
    out += ["", "timeline" + (f", each line the mean of up to {share} windows" if share > 1 else "")]
    for start, stop, probabilities in spans:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        shown = row(answer.options[best], probabilities[best])
        out.append(f"  {duration(start):>7} – {duration(stop):<7}  {shown}{_sure(answer, start, stop)}")
    return [*out, *([""] if answer.notes else []), *(f"note: {note}" for note in answer.notes)]


def explanation_lines(explanation: Explanation, *, most: int = 8) -> list[str]:
    """Write an explanation for a terminal: the electrodes and seconds with the largest effects, and the notes."""
    out = [
        explanation.question,
        f"{explanation.option}, log-odds {explanation.log_odds:+.2f} {explanation.extent}",
        explanation.recording,
    ]
    electrodes = list(zip(explanation.electrodes, explanation.electrode_effects, strict=False))
    moments = [
        (f"{duration(second)}", effect)
        for second, effect in zip(explanation.seconds, explanation.second_effects, strict=True)
    ]
    for what, effects in (("electrode", electrodes), ("second", moments)):
        if effects:
            out += [
                "",
                f"fall of the log-odds without each {what}, largest first: + spoke for {explanation.option}, − against "
                "it (± SD over windows)",
            ]
        for name, effect in sorted(effects, key=lambda pair: -abs(pair[1].mean))[:most]:
            spread = f" ± {effect.spread:.2f}" if effect.windows > 1 else ""
            out.append(f"  {name:>7}  {effect.mean:+.2f}{spread}")
    return [*out, *([""] if explanation.notes else []), *(f"note: {note}" for note in explanation.notes)]


def _sure(answer: Answer, start: float, stop: float) -> str:
    """What is said of a stretch of the timeline of which too little is decided."""
    part = [window.decided for window in answer.timeline if window.start >= start and window.stop <= stop]
    return "" if sum(part) * 2 >= len(part) else "  undecided"


def _verdict(answer: Answer) -> str:
    """The answer with its probability, its interval and, where a risk was stated, what it takes to answer.

    Of a question that the model was not tuned on, the windows' likelihoods agree on nothing: no interval is shown.
    """
    best = answer.options[answer.probabilities.index(max(answer.probabilities))]
    leaning = "" if answer.answer in answer.options else f" (likeliest: {best})"
    low, high = answer.interval or (0.0, 0.0)
    interval = f" ({low:.2f} to {high:.2f})" if answer.interval and answer.trained else ""
    guess = "" if answer.trained else "; a guess: the model was not tuned on this question"
    needed = "" if answer.threshold is None else f"; {answer.threshold:.2f} needed for a risk of {answer.risk:g}"
    return f"{answer.answer}{leaning}, probability {answer.probability:.2f}{interval}{needed}{guess}"


def condense(answer: Answer, lines: int) -> list[tuple[float, float, list[float]]]:
    """Return at most so many stretches of a timeline: start, stop (seconds) and mean probability of each option."""
    share = math.ceil(len(answer.timeline) / lines)
    spans = []
    for first in range(0, len(answer.timeline), share):
        part = answer.timeline[first : first + share]
        mean = [sum(column) / len(part) for column in zip(*(w.probabilities for w in part), strict=True)]
        spans.append((part[0].start, part[-1].stop, mean))
    return spans
