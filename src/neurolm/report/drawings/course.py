"""An answer over a recording as a picture that stands by itself, with its question and verdict"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from neurolm.ask.answer import UNDECIDED, Answer, WindowAnswer
from neurolm.export.stretches import Stretch, stretches_of
from neurolm.export.words import stages
from neurolm.report.drawings.style import COLOURS, GREY, canvas, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = ("W", "R", "N1", "N2", "N3")
"""Of a hypnogram, from the top."""
_COLUMNS = 118  # characters of a line of the verdict
_LONG = 2 * 3600  # seconds from which the axis counts hours


@styled
def draw_course(answer: Answer, verdict: str, name: str) -> Figure:
    """Draw the probabilities of the options over time; for sleep the hypnogram above them.

    Parameters
    ----------
    verdict
        The answer over the whole recording, in words.
    name
        What the recording is called.
    """
    known = stages(answer)
    said = textwrap.wrap(verdict, _COLUMNS)[:5]
    heights = [2.1] * (known is not None) + [0.28, 2.2]
    top = 0.75 + 0.17 * len(said)
    figure = canvas(sum(heights) + top + 0.9)
    figure.set_layout_engine("none")
    high = figure.get_figheight()
    grid = figure.add_gridspec(
        len(heights),
        1,
        height_ratios=heights,
        left=0.07,
        right=0.87,
        top=1 - top / high,
        bottom=0.55 / high,
        hspace=0.12,
    )
    figure.text(0.012, 1 - 0.14 / high, answer.question, fontsize=11.5, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.38 / high, name, fontsize=9, color=GREY, va="top")
    figure.text(0.012, 1 - 0.58 / high, "\n".join(said), fontsize=9, va="top", linespacing=1.35)
    panels = [figure.add_subplot(grid[row]) for row in range(len(heights))]
    every = stretches_of(answer)
    if known is not None:
        _hypnogram(panels[0], every, known)
    _marks(panels[-2], every, answer)
    _bands(panels[-1], answer)
    first, last = answer.timeline[0].start, answer.timeline[-1].stop
    for axes in panels:
        axes.set_xlim(first, last)
    for axes in panels[:-1]:
        axes.tick_params(bottom=False, labelbottom=False)
        axes.spines["bottom"].set_visible(False)
    _clock(panels[-1], last)
    return figure


def _hypnogram(axes: Axes, every: tuple[Stretch, ...], known: dict[str, str]) -> None:
    place = {stage: -number for number, stage in enumerate(LEVELS)}
    before: Stretch | None = None
    for one in every:
        if one.answer == UNDECIDED:
            axes.axvspan(one.start, one.stop, facecolor="none", edgecolor=GREY, hatch="///", linewidth=0, alpha=0.5)
            before = None
            continue
        level = place[known[one.answer]]
        if before is not None and one.start - before.stop < 1:
            levels = (place[known[before.answer]], level)
            axes.vlines(one.start, min(levels), max(levels), color="#1f2937", linewidth=0.8)
        thick = 3.2 if known[one.answer] == "R" else 1.5
        axes.hlines(level, one.start, one.stop, color="#1f2937", linewidth=thick)
        before = one
    axes.set_yticks([place[stage] for stage in LEVELS], LEVELS)
    axes.set_ylim(-len(LEVELS) + 0.5, 0.5)
    axes.set_ylabel("stage")


def _marks(axes: Axes, every: tuple[Stretch, ...], answer: Answer) -> None:
    """A strip that says what is answered when: hatched where undecided, dotted where unlike the training data."""
    colour = dict(zip(answer.options, COLOURS * len(answer.options), strict=False))
    for one in every:
        length = one.stop - one.start
        if one.answer == UNDECIDED:
            axes.broken_barh(
                [(one.start, length)], (0, 1), facecolor="white", edgecolor=GREY, hatch="////", linewidth=0
            )
        else:
            axes.broken_barh([(one.start, length)], (0, 1), facecolor=colour[one.answer], linewidth=0)
    strange = [window for window in answer.timeline if window.unlike]
    for window in strange:
        axes.plot((window.start + window.stop) / 2, 1.25, marker="x", color="black", markersize=3.5, clip_on=False)
    axes.set(ylim=(0, 1), yticks=[])
    axes.set_ylabel("answer", rotation=0, ha="right", va="center")
    axes.spines["left"].set_visible(False)
    if strange:
        axes.text(1.01, 1.25, "× unlike the\n   training data", transform=axes.transAxes, fontsize=7.5, va="center")


def _bands(axes: Axes, answer: Answer) -> None:
    from matplotlib.patches import Patch

    colour = dict(zip(answer.options, COLOURS * len(answer.options), strict=False))
    for run in answer.runs:
        borders = _borders(run)
        shares = np.array([window.probabilities for window in run])
        upper = np.cumsum(shares, axis=1)
        for place, option in enumerate(answer.options):
            low, high = upper[:, place] - shares[:, place], upper[:, place]
            axes.fill_between(
                borders, np.append(low, low[-1]), np.append(high, high[-1]), step="post", color=colour[option],
                alpha=0.8, linewidth=0,
            )  # fmt: skip
    axes.set(ylim=(0, 1), ylabel="probability")
    axes.grid(visible=False)
    handles = [Patch(color=colour[option], alpha=0.8, label=option) for option in reversed(answer.options)]
    if any(not window.decided for window in answer.timeline):
        handles.append(Patch(facecolor="white", edgecolor=GREY, hatch="////", label=UNDECIDED))
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.005, 1.02), fontsize=8.5, handlelength=1.2)


def _borders(run: tuple[WindowAnswer, ...]) -> list[float]:
    """A moment belongs to the window whose centre is nearest."""
    centres = np.array([(window.start + window.stop) / 2 for window in run])
    return [run[0].start, *((centres[1:] + centres[:-1]) / 2).tolist(), run[-1].stop]


def _clock(axes: Axes, last: float) -> None:
    """Minutes and seconds, or hours and minutes, from the start of the recording."""
    from matplotlib.ticker import MultipleLocator

    step = next(
        s for s in (5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400) if last / s <= 10 or s == 14400
    )
    axes.xaxis.set_major_locator(MultipleLocator(step))
    if last >= _LONG:
        axes.xaxis.set_major_formatter(lambda t, _: f"{int(t) // 3600}:{int(t) % 3600 // 60:02}")
        axes.set_xlabel("h:min from the start of the recording")
    else:
        axes.xaxis.set_major_formatter(lambda t, _: f"{int(t) // 60}:{int(t) % 60:02}")
        axes.set_xlabel("min:s from the start of the recording")
