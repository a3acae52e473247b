"""Answers as pictures: confusion, reliability, risk against coverage, robustness, the timeline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neurolm.report.drawings.style import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, RED, canvas, styled
from neurolm.tasks.metrics import BINS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from neurolm.evaluation.results import RobustnessCurve

COLUMNS = 5
"""Disturbances side by side."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Windows by label (row) and answer (column)."""

    title: str
    options: tuple[str, ...]
    counts: np.ndarray


@styled
def confusion_matrices(tasks: Sequence[Confusion]) -> Figure:
    """Draw confusion matrices side by side: shade and percentage of the label's windows, and the number of windows."""
    columns = min(3, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = canvas(3.4 * rows)
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(rows, columns, place + 1)
        share = task.counts / np.maximum(task.counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (label, answer), value in np.ndenumerate(share):
            text = f"{100 * value:.0f} %\n{task.counts[label, answer]}"
            colour = "white" if value > 0.55 else "black"
            axes.text(answer, label, text, ha="center", va="center", fontsize=8, color=colour)
        ticks = range(len(task.options))
        axes.set_xticks(ticks, task.options, rotation=30 if len(task.options) > 2 else 0)
        axes.set_yticks(ticks, task.options)
        axes.set(title=task.title, xlabel="answer", ylabel="label")
        axes.grid(visible=False)
    return figure


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Top answers of a task's windows: their probability, and whether they were right."""

    title: str
    confidence: np.ndarray
    right: np.ndarray
    options: int


@styled
def reliability_diagrams(tasks: Sequence[Reliability]) -> Figure:
    """Draw how often answers of a given probability were right, and how many windows had such a probability."""
    columns = min(3, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = canvas(3.4 * rows)
    edges = np.linspace(0, 1, BINS + 1)
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(rows, columns, place + 1)
        confidence, accuracy, count = reliability_bins(task.confidence, task.right)
        share = count / max(1, count.sum())
        axes.bar(edges[:-1], share, width=1 / BINS, align="edge", color="#d9e7f2", label="share of windows")
        axes.plot((0, 1), (0, 1), color=GREY, linestyle="--", linewidth=1)
        some = count > 0
        size = 10 + 90 * share[some]
        axes.scatter(confidence[some], accuracy[some], size, BLUE, zorder=3, clip_on=False, label="right")
        axes.axvline(1 / task.options, color=ORANGE, linewidth=1, linestyle=":", label="guessing")
        axes.set(title=task.title, xlabel="probability of the answer", ylabel="share that was right")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        if place == 0:
            axes.legend(fontsize=8, loc="upper left")
    return figure


def reliability_bins(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean confidence, share right and count in the bins of the calibration error, each of shape (bins,)."""
    place = np.clip(np.ceil(np.asarray(confidence) * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    divisor = np.maximum(count, 1)
    mean = np.bincount(place, weights=confidence, minlength=BINS) / divisor
    return mean, np.bincount(place, weights=np.asarray(right, float), minlength=BINS) / divisor, count


@dataclass(frozen=True, kw_only=True)
class Risks:
    """Share of wrong answers at every coverage, of the model and of baselines."""

    title: str
    coverages: tuple[float, ...]
    model: tuple[float, ...]
    others: Mapping[str, tuple[float, ...]]
    order: tuple[str, ...]
    """All baselines, so that each keeps its colour in tasks that lack another."""


@styled
def risk_coverage(tasks: Sequence[Risks]) -> Figure:
    """Draw the share of wrong answers against the share of windows that are answered, the surest first."""
    columns = min(3, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = canvas(2.9 * rows + 0.3)
    handles: dict[str, Artist] = {}
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(rows, columns, place + 1)
        for number, name in enumerate(task.order):
            if name in task.others:
                colour = (ORANGE, GREEN, PURPLE, RED)[number % 4]
                (handles[name],) = axes.plot(task.coverages, task.others[name], color=colour, linewidth=1)
        (handles["neurolm"],) = axes.plot(task.coverages, task.model, color=BLUE, linewidth=2)
        axes.set(title=task.title, xlabel="share of windows answered", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        if place % columns == 0:
            axes.set_ylabel("share that was wrong")
    names = sorted(handles, key=lambda name: name != "neurolm")
    figure.legend([handles[n] for n in names], names, loc="outside lower center", ncols=len(names), fontsize=8)
    return figure


@styled
def robustness(curves: Mapping[str, Sequence[RobustnessCurve]], chance: Mapping[str, float]) -> Figure:
    """Draw balanced accuracy at every severity, a panel for each disturbance and a line for each task."""
    names = list(dict.fromkeys((curve.disturbance, curve.unit) for found in curves.values() for curve in found))
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = canvas(2.3 * rows + 0.3)
    handles: dict[str, Artist] = {}
    for place, (name, unit) in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        for colour, (task, found) in zip(COLOURS * len(curves), curves.items(), strict=False):
            for curve in (c for c in found if c.disturbance == name):
                places = range(len(curve.points))
                values = [point.balanced_accuracy for point in curve.points]
                line = "-" if unit else ""  # what has no unit has no order
                (dots,) = axes.plot(
                    places, values, color=colour, marker="o", markersize=3, linewidth=1.2, linestyle=line
                )
                handles.setdefault(task, dots)
                axes.set_xticks(places, [point.severity.replace(" ", "\n") for point in curve.points], fontsize=7)
            axes.axhline(chance[task], color=colour, linewidth=0.8, linestyle=":")
        axes.set(title=name, ylim=(0, 1.02))
        axes.set_xlabel(unit, fontsize=8, color=GREY)
        if place % columns:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("balanced accuracy")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), fontsize=8)
    return figure


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A labelled stretch of a recording, in seconds."""

    start: float
    stop: float
    label: str


@styled
def timeline(
    starts: np.ndarray,
    stops: np.ndarray,
    probabilities: np.ndarray,
    options: Sequence[str],
    truth: Sequence[Stretch] = (),
) -> Figure:
    """Draw the probability of every option over a recording, and above it the true labels where they are known.

    Parameters
    ----------
    starts, stops
        Of the windows in seconds, shape (windows,); neighbouring windows may overlap.
    probabilities
        Shape (windows, options).
    """
    figure = canvas(2.9)
    heights = (1, 9) if truth else (9,)
    axes = figure.subplots(len(heights), 1, height_ratios=heights, sharex=True, squeeze=False)[:, 0]
    bottom = axes[-1]
    colour = {option: COLOURS[i % len(COLOURS)] for i, option in enumerate(options)}
    centres = (starts + stops) / 2
    borders = np.concatenate((starts[:1], (centres[1:] + centres[:-1]) / 2, stops[-1:]))
    upper = np.cumsum(probabilities, axis=1)
    lower = upper - probabilities
    for place, option in enumerate(options):
        bottom.fill_between(
            borders, np.append(lower[:, place], lower[-1, place]), np.append(upper[:, place], upper[-1, place]),
            step="post", color=colour[option], alpha=0.75, linewidth=0, label=option,
        )  # fmt: skip
    bottom.set(xlabel="seconds", ylabel="probability", xlim=(borders[0], borders[-1]), ylim=(0, 1))
    figure.legend(*bottom.get_legend_handles_labels(), loc="outside right center", fontsize=8, title="answer")
    if truth:
        for stretch in truth:
            axes[0].axvspan(stretch.start, stretch.stop, color=colour.get(stretch.label, GREY), alpha=0.75, linewidth=0)
        axes[0].set_yticks([0.5], ["label"])
        axes[0].tick_params(bottom=False, left=False)
        axes[0].grid(visible=False)
        axes[0].spines[:].set_visible(False)
    return figure
