"""The pictures of a report: each takes plain arrays and returns a matplotlib Figure.

Nothing is read or written.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.tasks.metrics import BINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Inches; at ``DPI`` the width of a laptop's page."""
DPI = 110
# Okabe and Ito's colours, which people with colour blindness can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#666666",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "axes.titlepad": 9,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
}
SMOOTHED = 0.03
"""Share of the steps over which a training curve is averaged."""
STEP_FIGURES = ("step", "kind", "loss", "lr", "gradient_norm", "codes_used", "dead_codes", "code_perplexity",
                "text_perplexity", "eeg_perplexity", "eeg_accuracy", "score")  # fmt: skip
"""Keys of a log row that are no loss of their own."""
_LINE: dict[str, Any] = {"linewidth": 1.2}
_DOTS: dict[str, Any] = {"linewidth": 0.7, "marker": "o", "markersize": 3.5}
CHANNELS_SHOWN, SECONDS_SHOWN = 6, 5


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a function draw in the style of all pictures."""

    @wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        import matplotlib  # takes nearly a second

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def canvas(height: float) -> Figure:
    """An empty figure of the pictures' width; height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), dpi=DPI)


def png(figure: Figure) -> str:
    """Return a figure as base64 of a PNG; the same figure gives the same text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode("ascii")


@styled
def loss_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw every loss of every stage over its steps: training as a line, validation as dots.

    Parameters
    ----------
    logs
        Rows of each stage's log: ``step``, ``kind`` (training or validation), and figures by name.
    """
    columns = 2 if len(logs) > 1 else 1
    figure = canvas(2.6 * math.ceil(len(logs) / columns))
    for place, (stage, rows) in enumerate(logs.items()):
        axes = figure.add_subplot(math.ceil(len(logs) / columns), columns, place + 1)
        axes.set(title=stage, xlabel="step", ylabel="loss")
        _losses(axes, rows)
    return figure


def _losses(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    names = dict.fromkeys(n for row in rows for n in row if n not in STEP_FIGURES and _is_loss(n))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    for name in names:
        for kind, style in (("training", _LINE), ("validation", _DOTS)):
            points = [(r["step"], r[name]) for r in rows if r["kind"] == kind and math.isfinite(r.get(name, math.nan))]
            if not points:
                continue
            steps, values = np.array(points, float).T
            if kind == "training":
                values = smooth(values)
            only = kind == "validation" and not any(r["kind"] == "training" and name in r for r in rows)
            label = name.removesuffix("/nll") if kind == "training" or only else None
            axes.plot(steps, values, color=colour[name], label=label, **style)
    axes.locator_params(axis="x", integer=True)
    if names:
        axes.legend(ncols=2, fontsize=8)


def _is_loss(name: str) -> bool:
    return "/" not in name or name.endswith("/nll")


def smooth(values: np.ndarray, share: float = SMOOTHED) -> np.ndarray:
    """Average a curve over neighbouring points; windows are cut at the ends, so its length stays."""
    width = max(1, round(len(values) * share))
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


@styled
def codebook(rows: Sequence[Mapping[str, Any]], counts: np.ndarray) -> Figure:
    """Draw how many codes are in use over the tokenizer's training, and how often each is used at the end.

    Parameters
    ----------
    rows
        Rows of the tokenizer's log, with ``codes_used`` and, of validation, ``code_perplexity``.
    counts
        How often each code is used on held-out EEG, shape (codes,).
    """
    figure = canvas(3.0)
    left, right = figure.subplots(1, 2)
    for kind, key, label, style in (
        ("training", "codes_used", "used in a training batch", _LINE | {"color": "#bbbbbb"}),
        ("validation", "codes_used", "used (validation)", _DOTS | {"color": BLUE}),
        ("validation", "code_perplexity", "perplexity (validation)", _DOTS | {"color": RED}),
    ):
        points = [(r["step"], r[key]) for r in rows if r["kind"] == kind and key in r]
        if points:
            left.plot(*zip(*points, strict=True), label=label, **style)
    left.axhline(len(counts), color=GREY, linestyle="--", linewidth=1)
    left.annotate(f"codebook: {len(counts)} codes", (0, len(counts)), (4, -11), textcoords="offset points", color=GREY)
    left.locator_params(axis="x", integer=True)
    left.set(title="codes in use", xlabel="step", ylabel="codes", ylim=(0, 1.06 * len(counts)))
    left.legend(fontsize=8)
    share = np.sort(counts)[::-1] / max(1, counts.sum())
    right.bar(np.arange(1, len(share) + 1), 100 * share, width=1.0, color=SKY)
    right.axhline(100 / len(share), color=GREY, linestyle="--", linewidth=1, label="all codes equally often")
    right.set(title="how often each code is used on held-out EEG", xlabel="codes, the most frequent first")
    right.set(ylabel="share of patches (%)", xlim=(0.5, len(share) + 0.5))
    right.legend(fontsize=8)
    return figure


@styled
def reconstruction(
    raw: np.ndarray, decoded: np.ndarray, electrodes: Sequence[str], spectrum: np.ndarray, decoded_spectrum: np.ndarray,
    *, rate: int,
) -> Figure:  # fmt: skip
    """Draw EEG and what the tokenizer's decoders make of its codes.

    Parameters
    ----------
    raw, decoded
        µV, shape (samples, channels).
    electrodes
        Name of each column.
    spectrum, decoded_spectrum
        Mean amplitude of the patches at 0, 1, 2 … Hz in µV, shape (bins,).
    rate
        Samples per second.
    """
    chosen = np.unique(np.linspace(0, len(electrodes) - 1, min(CHANNELS_SHOWN, len(electrodes))).round().astype(int))
    count = min(len(raw), SECONDS_SHOWN * rate)
    figure = canvas(0.6 * len(chosen) + 1.1)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    seconds = np.arange(count) / rate
    low, high = np.percentile(raw[:count, chosen], (0.5, 99.5), axis=0)
    gap = 1.2 * float((high - low).max())
    for place, column in enumerate(chosen):
        centre = raw[:count, column].mean() + gap * place
        left.plot(seconds, raw[:count, column] - centre, color=GREY, linewidth=0.8, label="EEG")
        left.plot(seconds, decoded[:count, column] - centre, color=RED, linewidth=1.0, label="from codes")
    left.set_yticks([-gap * place for place in range(len(chosen))], [electrodes[c] for c in chosen])
    left.set(title=f"µV, electrodes {gap:.0f} µV apart", xlabel="seconds", xlim=(0, count / rate))
    left.grid(axis="y", visible=False)
    handles, labels = left.get_legend_handles_labels()
    left.legend(handles[:2], labels[:2], ncols=2, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1))
    hertz = np.arange(1, len(spectrum))
    right.plot(hertz, spectrum[1:], color=GREY, label="EEG")
    right.plot(hertz, np.maximum(decoded_spectrum[1:], 1e-3), color=RED, label="from codes")
    right.set_yscale("log")
    right.set_ylim(0.5 * spectrum[1:75].min(), 2 * spectrum[1:].max())
    right.set(title="spectrum", xlabel="Hz", ylabel="amplitude (µV)", xlim=(1, 75))
    right.legend(fontsize=8)
    return figure


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
