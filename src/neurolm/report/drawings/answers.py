"""Answers as pictures: confusion, reliability, risk against coverage, robustness, the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neurolm.report.drawings.style import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, RED, canvas, panels, styled
from neurolm.tasks.metrics import BINS, COVERAGES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from neurolm.ask.answer import Answer
    from neurolm.evaluation.results import TaskResult
    from neurolm.store.store import Label

SIDE_BY_SIDE, DISTURBANCES = 3, 5
"""Panels of tasks, and of disturbances."""
CROWDED = 3
"""Options above which a confusion matrix is given more room."""
UNSURE = "majority"
"""The baseline that is equally sure of everything."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A task's windows: what they are and what was answered."""

    title: str
    options: tuple[str, ...]
    labels: np.ndarray
    """Places in ``options``, shape (windows,)."""
    probabilities: np.ndarray
    """(windows, options)."""
    error: float | None = None
    """Calibration error, of one run's answers."""

    @classmethod
    def of(cls, results: Sequence[TaskResult]) -> Answers:
        """Put the answers of several runs to one task together."""
        found = [result.predictions for result in results]
        return cls(
            title=results[0].task,
            options=results[0].options,
            labels=np.concatenate([np.array(predictions.labels) for predictions in found]),
            probabilities=np.concatenate([np.array(predictions.probabilities) for predictions in found]),
            error=results[0].scores.ece if len(results) == 1 else None,
        )

    @property
    def counts(self) -> np.ndarray:
        """Windows by label (row) and likeliest answer (column)."""
        counts = np.zeros((len(self.options),) * 2, int)
        np.add.at(counts, (self.labels, self.probabilities.argmax(axis=1)), 1)
        return counts


@styled
def confusion_matrices(tasks: Sequence[Answers]) -> Figure:
    """Draw confusion matrices side by side: shade and percentage of the label's windows, and the number of windows."""
    crowded = max(len(task.options) for task in tasks) > CROWDED
    most, height = (2, 4.4) if crowded else (SIDE_BY_SIDE, 3.4)
    figure, found = panels([task.title for task in tasks], most=most, height=height)
    for axes, task in zip(found, tasks, strict=True):
        share = task.counts / np.maximum(task.counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (label, answer), value in np.ndenumerate(share):
            text = f"{100 * value:.0f} %\n{task.counts[label, answer]}"
            colour = "white" if value > 0.55 else "black"
            axes.text(answer, label, text, ha="center", va="center", fontsize=8, color=colour)
        ticks = range(len(task.options))
        if len(ticks) > 2:
            axes.set_xticks(ticks, task.options, rotation=30, ha="right", rotation_mode="anchor")
        else:
            axes.set_xticks(ticks, task.options)
        axes.set_yticks(ticks, task.options)
        axes.set(xlabel="answer", ylabel="label")
        axes.grid(visible=False)
    return figure


@styled
def reliability_diagrams(tasks: Sequence[Answers]) -> Figure:
    """Draw how often answers of a given probability were right, and how many windows had such a probability."""
    titles = [task.title + ("" if task.error is None else f": calibration error {task.error:.3f}") for task in tasks]
    figure, found = panels(titles, most=SIDE_BY_SIDE, height=3.4, extra=0.3)
    edges = np.linspace(0, 1, BINS + 1)
    for axes, task in zip(found, tasks, strict=True):
        right = task.probabilities.argmax(axis=1) == task.labels
        confidence, accuracy, count = reliability_bins(task.probabilities.max(axis=1), right)
        share = count / max(1, count.sum())
        axes.bar(edges[:-1], share, width=1 / BINS, align="edge", color="#d9e7f2", label="share of windows")
        axes.plot((0, 1), (0, 1), color=GREY, linestyle="--", linewidth=1)
        some = count > 0
        size = 10 + 90 * share[some]
        axes.scatter(confidence[some], accuracy[some], size, BLUE, zorder=3, clip_on=False, label="right")
        axes.axvline(1 / len(task.options), color=ORANGE, linewidth=1, linestyle=":", label="guessing")
        axes.set(xlabel="probability of the answer", ylabel="share that was right")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    figure.legend(*found[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def reliability_bins(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean confidence, share right and count in the bins of the calibration error, each of shape (bins,)."""
    place = np.clip(np.ceil(np.asarray(confidence) * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    divisor = np.maximum(count, 1)
    mean = np.bincount(place, weights=confidence, minlength=BINS) / divisor
    return mean, np.bincount(place, weights=np.asarray(right, float), minlength=BINS) / divisor, count


@styled
def risk_coverage(results: Sequence[TaskResult]) -> Figure:
    """Draw the share of wrong answers against the share of windows that are answered, the surest first.

    Beside the model, the baselines that are surer of some windows than of others.
    """
    figure, found = panels([result.task for result in results], most=SIDE_BY_SIDE, height=2.9, extra=0.3)
    handles: dict[str, Artist] = {}
    for place, (axes, result) in enumerate(zip(found, results, strict=True)):
        others = [baseline for baseline in result.baselines if baseline.name != UNSURE]
        for number, other in enumerate(others):  # a missing one keeps its colour
            if other.scores is not None:
                colour, name = (ORANGE, GREEN, PURPLE, RED)[number % 4], other.name
                (handles[name],) = axes.plot(COVERAGES, other.scores.selective_risk, color=colour, linewidth=1,
                                             linestyle=("-", "--", ":")[number // 4 % 3])  # fmt: skip
        (handles["neurolm"],) = axes.plot(COVERAGES, result.scores.selective_risk, color=BLUE, linewidth=2)
        axes.set(xlabel="share of windows answered", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        if place % SIDE_BY_SIDE == 0:
            axes.set_ylabel("share that was wrong")
    names = sorted(handles, key=lambda name: name != "neurolm")
    figure.legend([handles[n] for n in names], names, loc="outside lower center", ncols=min(4, len(names)))
    return figure


@styled
def robustness(results: Sequence[TaskResult]) -> Figure:
    """Draw balanced accuracy at every severity, a panel for each disturbance and a line for each task."""
    units = {curve.disturbance: curve.unit for result in results for curve in result.robustness}
    figure, found = panels(list(units), most=DISTURBANCES, height=2.3, extra=0.3)
    handles: dict[str, Artist] = {}
    for place, (axes, (name, unit)) in enumerate(zip(found, units.items(), strict=True)):
        for number, result in enumerate(results):
            colour = COLOURS[number % len(COLOURS)]
            for curve in (c for c in result.robustness if c.disturbance == name):
                places = range(len(curve.points))
                values = [point.balanced_accuracy for point in curve.points]
                line = "-" if unit else ""  # what has no unit has no order
                (handles[result.task],) = axes.plot(
                    places, values, color=colour, marker="o", markersize=3, linewidth=1.2, linestyle=line
                )
                axes.set_xticks(places, [point.severity.replace(" ", "\n") for point in curve.points], fontsize=7)
            axes.axhline(result.chance, color=colour, linewidth=0.8, linestyle=":")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(unit, fontsize=8, color=GREY)
        if place % DISTURBANCES:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("balanced accuracy")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(4, len(handles)))
    return figure


@styled
def timeline(answer: Answer, truth: Sequence[Label] = ()) -> Figure:
    """Draw the probability of every option over a recording, and above it the true labels where they are known."""
    figure = canvas(2.9)
    heights = (1, 9) if truth else (9,)
    axes = figure.subplots(len(heights), 1, height_ratios=heights, sharex=True, squeeze=False)[:, 0]
    bottom = axes[-1]
    colour = {option: COLOURS[i % len(COLOURS)] for i, option in enumerate(answer.options)}
    for number, run in enumerate(answer.runs):
        centres = np.array([(window.start + window.stop) / 2 for window in run])  # neighbouring windows may overlap
        borders = [run[0].start, *(centres[1:] + centres[:-1]) / 2, run[-1].stop]
        upper = np.cumsum([window.probabilities for window in run], axis=1)
        lower = upper - np.array([window.probabilities for window in run])
        for place, option in enumerate(answer.options):
            bottom.fill_between(
                borders, np.append(lower[:, place], lower[-1, place]), np.append(upper[:, place], upper[-1, place]),
                step="post", color=colour[option], alpha=0.75, linewidth=0, label=None if number else option,
            )  # fmt: skip
    first, last = answer.timeline[0].start, answer.timeline[-1].stop
    bottom.set(xlabel="seconds", ylabel="probability", xlim=(first, last), ylim=(0, 1))
    figure.legend(*bottom.get_legend_handles_labels(), loc="outside right center", title="answer")
    if truth:
        for label in truth:
            axes[0].axvspan(label.start, label.stop, color=colour.get(label.label, GREY), alpha=0.75, linewidth=0)
        axes[0].set_yticks([0.5], ["label"])
        axes[0].tick_params(bottom=False, left=False)
        axes[0].grid(visible=False)
        axes[0].spines[:].set_visible(False)
    return figure
