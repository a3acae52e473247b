"""Pictures of an answer: lanes, hypnogram or probability over time, and what carried it"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from neurolm.ask.answer import Answer, WindowAnswer
from neurolm.ask.explanation import Explanation
from neurolm.report.drawings.style import BLUE, COLOURS, GREY, RED, canvas
from neurolm.report.recording.figures import LEAST_PLACED, WIDE, drawn, scalp_map, seconds_axis
from neurolm.report.recording.scalp import placed, spelt
from neurolm.tasks.stages import are_stages, drawn_order, stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS = 240
"""Parts of a long timeline that a picture has room for."""
LANE, BESIDE = 0.17, 3.9
"""Inches: height of an option's lane, and width of all of them beside the bars."""
LONGEST = 24
"""Characters of an option that are written beside its lane."""
_NAMED = 6  # electrodes whose names stand on a map: those with the largest effects
_RANKED = 16  # electrodes in the list beside it


def parts(answer: Answer, most: int = STEPS) -> Iterator[list[tuple[float, float, list[float], bool]]]:
    """Yield the runs of a timeline in few enough parts: start, stop, mean probabilities, whether mostly decided."""
    share = math.ceil(len(answer.timeline) / most)
    for run in answer.runs:
        found, edges = [], borders(run)
        for first in range(0, len(run), share):
            some = run[first : first + share]
            mean = np.mean([window.probabilities for window in some], axis=0)
            sure = sum(window.decided for window in some) * 2 >= len(some)
            found.append((edges[first], edges[min(first + share, len(run))], mean.tolist(), sure))
        yield found


def borders(run: Sequence[WindowAnswer]) -> list[float]:
    """Where each window's part of the time ends: halfway to the next, since windows may overlap."""
    middles = [(window.start + window.stop) / 2 for window in run]
    between = [(one + other) / 2 for one, other in pairwise(middles)]
    return [run[0].start, *between, run[-1].stop]


def colours_of(options: Sequence[str]) -> list[str]:
    """Return a colour for each option."""
    return [COLOURS[place % len(COLOURS)] for place in range(len(options))]


def _labels(answer: Answer, order: Sequence[int]) -> list[str]:
    return [textwrap.shorten(answer.options[place], LONGEST, placeholder="…") for place in order]


@drawn
def strip(answer: Answer, seconds: float) -> Figure:
    """Draw the likeliest option over the recording, a lane for each option; hatched and pale where undecided."""
    order = drawn_order(answer.options)
    figure = canvas(LANE * len(order) + 0.5, BESIDE)
    axes = figure.add_subplot()
    _lanes(axes, answer, order)
    seconds_axis(axes, 0.0, max(seconds, answer.timeline[-1].stop))
    return figure


def _lanes(axes: Axes, answer: Answer, order: Sequence[int]) -> None:
    colours = colours_of(answer.options)
    lane = {place: number for number, place in enumerate(order)}
    for run in parts(answer):
        for start, stop, mean, sure in run:
            best = max(range(len(mean)), key=mean.__getitem__)
            decided = sure and answer.trained
            axes.broken_barh(
                [(start, stop - start)], (-lane[best] - 0.42, 0.84), facecolor=colours[best],
                alpha=0.9 if decided else 0.35, hatch=None if decided else "/////", linewidth=0,
            )  # fmt: skip
    axes.set_yticks([-number for number in range(len(order))], _labels(answer, order))
    axes.set_ylim(-len(order) + 0.45, 0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")


@drawn
def over_time(answer: Answer, seconds: float) -> Figure:
    """Draw an answer over a recording: hypnogram and hypnodensity of sleep, the probability of others."""
    if are_stages(answer.options):
        return _sleep(answer, seconds)
    if len(answer.options) == 2:
        return _two(answer, seconds)
    figure = canvas(2.1, WIDE)
    axes = figure.add_subplot()
    _stacked(axes, answer)
    seconds_axis(axes, 0.0, seconds)
    figure.legend(loc="outside lower center", ncols=min(5, len(answer.options)), fontsize=7)
    return figure


def _sleep(answer: Answer, seconds: float) -> Figure:
    figure = canvas(3.2, WIDE)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.1, 1))
    order = drawn_order(answer.options)
    lane = {place: -number for number, place in enumerate(order)}
    for run in parts(answer, most=4 * STEPS):
        best = [max(range(len(mean)), key=mean.__getitem__) for _, _, mean, _ in run]
        edges = [run[0][0], *(stop for _, stop, _, _ in run)]
        top.stairs([lane[place] for place in best], edges, baseline=None, color="black", linewidth=1.1)
        for (start, stop, _, sure), place in zip(run, best, strict=True):
            if stage(answer.options[place]) == "R":
                top.plot([start, stop], [lane[place]] * 2, color=RED, linewidth=3.5, solid_capstyle="butt")
            if not sure:
                top.axvspan(start, stop, facecolor="none", edgecolor=GREY, hatch="/////", alpha=0.4, linewidth=0)
    top.set_yticks(list(lane.values()), _labels(answer, list(lane)))
    top.set_ylim(-len(order) + 0.4, 0.6)
    top.set_title("hypnogram: the likeliest stage of each window; REM as a bar")
    _stacked(bottom, answer, order=order[::-1])
    bottom.set_title("hypnodensity: the probability of every stage")
    seconds_axis(bottom, 0.0, seconds)
    figure.legend(*_reversed(bottom), loc="outside right center", fontsize=7)
    return figure


def _reversed(axes: Axes) -> tuple[list, list[str]]:  # type: ignore[type-arg]
    handles, labels = axes.get_legend_handles_labels()
    return handles[::-1], labels[::-1]


def _stacked(axes: Axes, answer: Answer, order: Sequence[int] | None = None) -> None:
    colours = colours_of(answer.options)
    order = range(len(answer.options)) if order is None else order
    for number, run in enumerate(parts(answer, most=4 * STEPS)):
        edges = [run[0][0], *(stop for _, stop, _, _ in run)]
        lower = np.zeros(len(run))
        for place in order:
            upper = lower + [mean[place] for _, _, mean, _ in run]
            axes.stairs(upper, edges, baseline=lower, fill=True, color=colours[place], alpha=0.85, linewidth=0,
                        label=None if number else textwrap.shorten(answer.options[place], 40))  # fmt: skip
            lower = upper
        _hatch_undecided(axes, run, answer)
    axes.set(ylim=(0, 1), ylabel="probability")


def _two(answer: Answer, seconds: float) -> Figure:
    figure = canvas(1.9, WIDE)
    axes = figure.add_subplot()
    for run in parts(answer, most=4 * STEPS):
        edges = [run[0][0], *(stop for _, stop, _, _ in run)]
        values = np.array([mean[0] for _, _, mean, _ in run])
        axes.stairs(np.maximum(values, 0.5), edges, baseline=0.5, fill=True, color=BLUE, alpha=0.45)
        axes.stairs(np.minimum(values, 0.5), edges, baseline=0.5, fill=True, color=RED, alpha=0.45)
        axes.stairs(values, edges, baseline=None, color="black", linewidth=0.9)
        _hatch_undecided(axes, run, answer)
    axes.axhline(0.5, color=GREY, linewidth=0.7)
    first, second = (textwrap.shorten(option, LONGEST, placeholder="…") for option in answer.options)
    axes.set(ylim=(0, 1), ylabel=f"probability of {first}")
    for height, text, colour in ((0.97, f"{first} ↑", BLUE), (0.03, f"{second} ↓", RED)):
        axes.text(1.008, height, text, transform=axes.transAxes, color=colour,
                  va="top" if height > 0.5 else "bottom")  # fmt: skip
    seconds_axis(axes, 0.0, seconds)
    return figure


def _hatch_undecided(axes: Axes, run: Sequence[tuple[float, float, list[float], bool]], answer: Answer) -> None:
    if answer.trained:
        for start, stop, _, sure in run:
            if not sure:
                axes.axvspan(start, stop, facecolor="none", edgecolor="#333333", hatch="////", alpha=0.4, linewidth=0)


@drawn
def carried(explanation: Explanation) -> Figure:
    """Draw what carried an answer: electrodes as a map and a ranking, seconds below, as far as there are effects."""
    electrodes, moments = explanation.electrode_effects, explanation.second_effects
    heights = [2.2] * bool(electrodes) + [1.05] * bool(moments)
    figure = canvas(sum(heights) + 0.25, WIDE)
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=(1, 1.35))
    if electrodes:
        _on_the_head(figure.add_subplot(grid[0, 0]), explanation)
        _ranking(figure.add_subplot(grid[0, 1]), explanation)
    if moments:
        _moments(figure.add_subplot(grid[-1, :]), explanation)
    return figure


def _on_the_head(axes: Axes, explanation: Explanation) -> None:
    where = placed(explanation.electrodes)
    if len(where) < LEAST_PLACED:
        axes.text(0.5, 0.5, "too few electrodes for a map", ha="center", color=GREY)
        axes.axis("off")
        return
    names = [explanation.electrodes[i] for i in where]
    values = np.array([explanation.electrode_effects[i].mean for i in where])
    largest = [names[i] for i in np.argsort(-np.abs(values))[:_NAMED]]
    axes.set_title("what each electrode said")
    scalp_map(axes, names, values, unit="nats", signed=True, named=largest)


def _ranking(axes: Axes, explanation: Explanation) -> None:
    effects = dict(zip(explanation.electrodes, explanation.electrode_effects, strict=True))
    ranked = sorted(effects, key=lambda name: -abs(effects[name].mean))[:_RANKED]
    shown = sorted(ranked, key=lambda name: -effects[name].mean)
    means = [effects[name].mean for name in shown]
    axes.barh(
        range(len(shown)), means, xerr=[effects[name].spread for name in shown], height=0.7,
        color=[RED if value > 0 else BLUE for value in means], error_kw={"linewidth": 0.6, "ecolor": GREY},
    )  # fmt: skip
    axes.set_yticks(range(len(shown)), [spelt(name) for name in shown], fontsize=7)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.6)
    option = textwrap.shorten(explanation.option, LONGEST, placeholder="…")
    axes.set_title(f"right: spoke for {option}; left: against it")
    axes.set_xlabel("nats; lines: standard deviation over windows", fontsize=7)


def _moments(axes: Axes, explanation: Explanation) -> None:
    means = np.array([effect.mean for effect in explanation.second_effects])
    axes.bar(explanation.seconds, means, width=1.0, align="edge", color=np.where(means > 0, RED, BLUE).tolist())
    axes.axhline(0, color="black", linewidth=0.6)
    gaps = " (where there is no bar, none was looked at)" if max(np.diff(explanation.seconds), default=1) > 1.5 else ""
    axes.set_title(f"what each second said{gaps}")
    axes.set_ylabel("nats", fontsize=7)
    seconds_axis(axes, min(explanation.seconds), max(explanation.seconds) + 1)
