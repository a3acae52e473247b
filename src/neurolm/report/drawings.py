"""Pictures of an evaluation: what sureness is worth, and how answers get worse as the input does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neurolm.report.figures import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, RED, canvas, styled

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from neurolm.evaluation.results import RobustnessCurve

COLUMNS = 5
"""Disturbances side by side."""


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
