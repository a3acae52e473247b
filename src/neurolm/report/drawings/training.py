"""Training as pictures: the losses of one run, and several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.core.config import STAGES
from neurolm.core.errors import CheckpointError
from neurolm.report.drawings.style import COLOURS, GREY, WIDTH, canvas, panels, styled, write_png
from neurolm.train.figures.history import SPEED, TRAINING, VALIDATION, read_log, read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTHED = 0.03
"""Share of the steps over which a training curve is averaged."""
STEP_FIGURES = ("step", "kind", "loss", "lr", "gradient_norm", "codes_used", "dead_codes", "code_perplexity",
                "text_perplexity", "eeg_perplexity", "eeg_accuracy", "score")  # fmt: skip
"""Keys of a log row that are no loss of their own."""
PANELS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "language": (("text", "text", "loss (nats per token)"),),
    "tokenizer": (
        ("frequency", "spectrum", "mean squared error (SD²)"),
        ("raw", "waveform", "mean squared error (SD²)"),
        ("code_perplexity", "codebook", "perplexity (codes)"),
    ),
    "pretrain": (
        ("eeg", "next second's codes", "loss (nats per code)"),
        ("text", "text", "loss (nats per token)"),
        ("eeg_accuracy", "next second's codes", "accuracy"),
    ),
    "instruct": (
        ("answer", "answers", "loss (nats)"),
        ("text", "text", "loss (nats per token)"),
        ("balanced_accuracy", "answers, mean over the tasks", "balanced accuracy"),
    ),
}
"""What is drawn of each stage, before the speed: figure of the log, title, axis with its unit."""
Rows = Sequence[Mapping[str, Any]]
"""Rows of a log."""
RATE = ("tokens_per_second", "speed", "real tokens a second")
COLUMNS = 4
VALIDATED_AS = {"answer": "score"}
"""Figures that have another name in validation."""


@styled
def loss_curves(logs: Mapping[str, Rows]) -> Figure:
    """Draw every loss of every stage over its steps: training as a line, validation as dots.

    Parameters
    ----------
    logs
        Rows of each stage's log: ``step``, ``kind`` (training or validation), and figures by name.
    """
    figure, found = panels(list(logs), most=2, height=2.6)
    for axes, rows in zip(found, logs.values(), strict=True):
        axes.set(xlabel="step", ylabel="loss")
        _losses(axes, rows)
    return figure


def _losses(axes: Axes, rows: Rows) -> None:
    names = dict.fromkeys(n for row in rows for n in row if n not in STEP_FIGURES and _is_loss(n))
    for number, name in enumerate(names):
        _draw(axes, rows, name, name, colour=COLOURS[number % len(COLOURS)], label=name.removesuffix("/nll"))
    axes.locator_params(axis="x", integer=True)
    if names:
        axes.legend(ncols=2)


def _is_loss(name: str) -> bool:
    return "/" not in name or name.endswith("/nll")


def smooth(values: np.ndarray, share: float = SMOOTHED) -> np.ndarray:
    """Average a curve over neighbouring points; windows are cut at the ends, so its length stays."""
    width = max(1, round(len(values) * share))
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def write_curves(runs: Mapping[str, Path], out: Path) -> Path:
    """Write the curves of runs, by name, as a PNG.

    Raises
    ------
    CheckpointError
        If none of them has a curve.
    """
    logs = {
        name: {stage: (read_log(run / stage), read_rows(run / stage / SPEED)) for stage in STAGES}
        for name, run in runs.items()
    }
    if not any(log for stages in logs.values() for log, _ in stages.values()):
        raise CheckpointError(f"{', '.join(map(str, runs.values()))}: no step was logged in any stage: nothing to draw")
    return write_png(compared_curves(logs), out)


@styled
def compared_curves(logs: Mapping[str, Mapping[str, tuple[Rows, Rows]]]) -> Figure:
    """Draw training as lines, averaged over neighbouring steps, and validation as dots.

    Parameters
    ----------
    logs
        For each run by name and each stage, the rows of its log and of its speed.
    """
    from matplotlib.lines import Line2D

    stages = [stage for stage in STAGES if any(log[stage][0] for log in logs.values())]
    figure = canvas(2.5 * len(stages) + 0.5, 1.4 * WIDTH)
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(logs))]
    grid = figure.subplots(len(stages), COLUMNS, squeeze=False)
    for row, stage in zip(grid, stages, strict=True):
        drawn = [*PANELS[stage], RATE]
        for axes, (name, title, unit) in zip(row, drawn, strict=False):
            axes.set(title=f"{stage}: {title}", xlabel="step", ylabel=unit)
            axes.margins(y=0.08)
            for place, (colour, log) in enumerate(zip(colours, logs.values(), strict=True)):
                rows, speed = log[stage]
                wide = 1 + 1.2 * (len(logs) - 1 - place) / len(logs)  # so that curves that are the same all show
                if name == RATE[0]:
                    axes.plot(*_points(speed, name), color=colour, linewidth=wide, marker=".", markersize=4)
                    axes.set_ylim(bottom=0)
                else:
                    _draw(axes, rows, name, VALIDATED_AS.get(name, name), colour=colour, width=wide)
            axes.locator_params(axis="x", integer=True)
            axes.set_xlim(left=0)
        for axes in row[len(drawn) :]:
            axes.set_axis_off()
    handles = [Line2D([], [], color=c, label=n) for c, n in zip(colours, logs, strict=True)]
    handles += [Line2D([], [], color=GREY, label="training"), Line2D([], [], color=GREY, marker="o", linewidth=0.7,
                label="validation")]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


def _draw(
    axes: Axes, rows: Rows, name: str, validated: str, *, colour: str, width: float = 1.2, label: str | None = None
) -> None:
    """Draw a figure of training, and under its name in validation; the label goes to the first that there is."""
    steps, values = _points(rows, name, TRAINING)
    if len(steps):
        axes.plot(steps, smooth(values), color=colour, linewidth=width, label=label)
        label = None
    steps, values = _points(rows, validated, VALIDATION)
    if len(steps):
        size = 2.5 + width
        axes.plot(steps, values, color=colour, linewidth=0.6 * width, marker="o", markersize=size, label=label)


def _points(rows: Rows, name: str, kind: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a figure, out of one kind of row; the mean over tasks where each task has its own."""
    found = []
    for row in rows:
        own = [row[key] for key in row if key == name or key.endswith(f"/{name}")]
        numbers = [v for v in own if isinstance(v, int | float) and math.isfinite(v)]
        if numbers and kind in (None, row.get("kind")):
            found.append((row["step"], sum(numbers) / len(numbers)))
    steps, values = np.array(found, float).reshape(-1, 2).T
    return steps, values
