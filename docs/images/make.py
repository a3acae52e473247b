"""The README's picture: an answer of the demo over the EEG that it is about, with the truth.

    make demo && .venv/bin/python docs/images/make.py runs/demo

The recording is the last one, in the order of the names, of the people whom the model never saw. The picture stands on
a light card of its own, so that it is read on light and on dark pages alike.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib
import mne
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

import neurolm
from neurolm.ask.answer import Answer
from neurolm.evaluation.results import RESULTS, load_evaluation

OUT = Path(__file__).with_name("demo.png")
TASK = "events"
START, STOP = 0.0, 80.0
"""Seconds that are drawn."""
ELECTRODES = ("FP1", "F4", "T4", "C3", "P3", "T5", "O2")
"""Some from all over the head; this person's discharges are at P3 and T5."""
BAND = (0.5, 35.0)
"""Hz: what is drawn of the EEG, as most people look at it."""
APART = 135.0
"""µV from one trace to the next."""
COLOURS = ("#56B4E9", "#D55E00", "#009E73")
"""Of the options: three of Okabe and Ito's colours."""
INK, CARD, EDGE = "#1f2937", "#f8fafc", "#cbd5e1"


def main(run: Path) -> None:
    """Ask the demo's model about the last test person's recording, and draw the answer."""
    result = next(r for r in load_evaluation(run / RESULTS).results if r.task == TASK)
    person = Path(max(result.predictions.subjects)).name
    file = run / "corpus" / f"{person}_{TASK}.edf"
    answer = neurolm.load(run).ask(file, result.question)
    figure(file, answer, truth(run / "corpus" / "labels.csv", file.name))
    print(f"{OUT}: {answer.question} {file.name}: {len(answer.timeline)} windows")


def truth(table: Path, file: str) -> list[tuple[float, float, str]]:
    """Start, stop and label of the stretches of a recording."""
    with table.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["file"] == file and row["task"] == TASK]
    return [(float(row["start"]), float(row["stop"]), row["label"]) for row in rows]


def figure(file: Path, answer: Answer, labels: list[tuple[float, float, str]]) -> None:
    """Draw truth, EEG and answer below each other on a card."""
    colours = dict(zip(answer.options, COLOURS, strict=True))
    with matplotlib.rc_context({"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK}):
        whole = Figure(figsize=(10, 4.8), dpi=160, facecolor="none")
        card = FancyBboxPatch(
            (0.012, 0.02), 0.976, 0.96, boxstyle="round,pad=0,rounding_size=.02", mutation_aspect=10 / 4.8,
            transform=whole.transFigure, facecolor=CARD, edgecolor=EDGE, zorder=-1,
        )  # fmt: skip
        whole.patches.append(card)
        bar, traces, below = whole.subplots(
            3, 1, sharex=True, height_ratios=(0.3, 4, 1.6),
            gridspec_kw={"left": 0.1, "right": 0.965, "top": 0.85, "bottom": 0.13, "hspace": 0.09},
        )  # fmt: skip
        for start, stop, label in labels:
            bar.axvspan(start, stop, color=colours[label], linewidth=0)
        bar.set_yticks([0.5], ["truth"])
        draw_traces(traces, file)
        draw_answer(below, answer, colours)
        for axes in (bar, traces, below):
            axes.tick_params(length=0)
            axes.set(xlim=(START, STOP), facecolor="none")
            axes.spines[:].set_visible(False)
            for start, *_ in labels:
                axes.axvline(start, color="white", linewidth=1.2)
        below.set_xlabel("seconds")
        whole.text(0.1, 0.925, f"“{answer.question}”", fontsize=11.5, fontweight="bold", va="center")
        whole.legend(
            handles=[Patch(color=colour, label=option) for option, colour in colours.items()],
            loc="center right", bbox_to_anchor=(0.972, 0.925), ncols=3, frameon=False, handlelength=1, handleheight=1,
        )  # fmt: skip
        with OUT.open("wb") as out:
            FigureCanvasAgg(whole).print_png(out, metadata={"Software": None})


def draw_traces(axes: Axes, file: Path) -> None:
    """EEG of some electrodes, negative down, with a bar of 100 µV."""
    raw = mne.io.read_raw_edf(file, preload=True, verbose="error")
    names = {name.upper().split()[-1].split("-")[0]: name for name in raw.ch_names}
    raw.pick([names[electrode] for electrode in ELECTRODES]).filter(*BAND, verbose="error")
    signal = raw.get_data(tmin=START, tmax=min(STOP, raw.times[-1])) * 1e6
    seconds = START + np.arange(signal.shape[1]) / raw.info["sfreq"]
    levels = -APART * np.arange(len(ELECTRODES))
    axes.plot(seconds, signal.T + levels, color=INK, linewidth=0.45)
    axes.set_yticks(levels, ELECTRODES)
    axes.set_ylim(levels[-1] - APART, levels[0] + APART)
    x = STOP + 0.006 * (STOP - START)
    axes.plot([x, x], [levels[-1] - 50, levels[-1] + 50], color=INK, linewidth=1.5, clip_on=False)
    axes.text(x + 0.4, levels[-1], "100 µV", rotation=90, va="center", ha="left", fontsize=7.5)


def draw_answer(axes: Axes, answer: Answer, colours: dict[str, str]) -> None:
    """Probabilities of the options, window by window, stacked to 1."""
    edges = [*(window.start for window in answer.timeline), answer.timeline[-1].stop]
    stacked = np.cumsum([window.probabilities for window in answer.timeline], axis=1)
    lower = np.zeros(len(stacked))
    for place, colour in enumerate(colours.values()):
        axes.stairs(stacked[:, place], edges, baseline=lower, fill=True, color=colour, linewidth=0)
        lower = stacked[:, place]
    axes.set(ylim=(0, 1))
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.set_ylabel("probability", labelpad=12)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
