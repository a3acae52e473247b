"""The neural tokenizer as pictures: how its codes are used, and EEG beside what they keep of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.core.physics import RATE
from neurolm.report.drawings.style import BLUE, GREY, PALE, RED, SKY, canvas, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neurolm.signals.decoded import Decoded
    from neurolm.signals.reconstruct import Reconstructed

CHANNELS_SHOWN, SECONDS_SHOWN = 6, 5
MANY = 24
"""Electrodes whose names no longer fit beside each other."""


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
    dots = {"linewidth": 0.7, "marker": "o", "markersize": 3.5}
    for kind, key, label, style in (
        ("training", "codes_used", "used in a training batch", {"color": PALE, "linewidth": 1.2}),
        ("validation", "codes_used", "used (validation)", dots | {"color": BLUE}),
        ("validation", "code_perplexity", "perplexity (validation)", dots | {"color": RED}),
    ):
        points = [(r["step"], r[key]) for r in rows if r["kind"] == kind and key in r]
        if points:
            left.plot(*zip(*points, strict=True), label=label, **style)
    left.axhline(len(counts), color=GREY, linestyle="--", linewidth=1)
    left.annotate(f"codebook: {len(counts)} codes", (0, len(counts)), (4, -11), textcoords="offset points", color=GREY)
    left.locator_params(integer=True)
    left.set(title="codes in use", xlabel="step", ylabel="codes", ylim=(0, 1.06 * len(counts)))
    left.legend()
    share = np.sort(counts)[::-1] / max(1, counts.sum())
    right.bar(np.arange(1, len(share) + 1), 100 * share, width=1.0, color=SKY)
    right.axhline(100 / len(share), color=GREY, linestyle="--", linewidth=1, label="all codes equally often")
    right.set(title="how often each code is used on held-out EEG", xlabel="codes, the most frequent first")
    right.set(ylabel="share of patches (%)", xlim=(0.5, len(share) + 0.5))
    right.legend()
    return figure


@styled
def reconstruction(decoded: Decoded, electrodes: Sequence[str]) -> Figure:
    """Draw EEG and what the tokenizer's decoders make of its codes.

    Parameters
    ----------
    electrodes
        Name of each column.
    """
    chosen = _chosen(electrodes)
    figure = canvas(0.6 * len(chosen) + 1.1)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    _traces(left, decoded, electrodes, chosen)
    _spectra(right, decoded)
    return figure


@styled
def round_trip(found: Reconstructed) -> Figure:
    """Draw a recording's round trip: traces and spectrum of a window, then errors by band and electrode."""
    chosen, bands = _chosen(found.electrodes), list(dict.fromkeys(error.band for error in found.errors))
    figure = canvas(0.6 * len(chosen) + 2 * (0.25 * len(bands) + 1.0) + 1.1)
    heights = (0.6 * len(chosen) + 1.1, *2 * [0.25 * len(bands) + 1.0])
    grid = figure.add_gridspec(3, 2, height_ratios=heights, width_ratios=(2.2, 1))
    traces = figure.add_subplot(grid[0, 0])
    _traces(traces, found.example, found.electrodes, chosen, start=found.example_start)
    _spectra(figure.add_subplot(grid[0, 1]), found.example)
    maps = (
        ("spectrum_db", "difference of the log spectra (dB, root mean square)", "Oranges", (0, None)),
        ("variance", "share of the variance that the waveform explains", "RdBu", (-1, 1)),
    )
    for row, (key, title, colours, (low, high)) in enumerate(maps, start=1):
        axes = figure.add_subplot(grid[row, :])
        given = [getattr(error, key) for error in found.errors]
        values = np.array([np.nan if value is None else value for value in given]).reshape(-1, len(bands)).T
        image = axes.imshow(values, aspect="auto", cmap=colours, vmin=low, vmax=high)
        axes.set_yticks(range(len(bands)), bands)
        axes.set_xticks(range(len(found.electrodes)), found.electrodes, rotation=90 * (len(found.electrodes) > MANY))
        axes.tick_params(labelsize=7 if len(found.electrodes) > MANY else 8)
        axes.grid(visible=False)
        axes.set_title(title)
        figure.colorbar(image, ax=axes, pad=0.01)
    return figure


def _chosen(electrodes: Sequence[str]) -> np.ndarray:
    """Columns of the electrodes that are shown."""
    shown = min(CHANNELS_SHOWN, len(electrodes))
    return np.unique(np.linspace(0, len(electrodes) - 1, shown).round().astype(int))


def _traces(
    axes: Axes, decoded: Decoded, electrodes: Sequence[str], chosen: np.ndarray, *, start: float | None = None
) -> None:
    """``start``: seconds of the recording at which the window begins, where it is of one that is named."""
    raw, waveform = decoded.raw, decoded.waveform
    count = min(len(raw), SECONDS_SHOWN * RATE)
    begin = start or 0.0
    seconds = begin + np.arange(count) / RATE
    low, high = np.percentile(raw[:count, chosen], (0.5, 99.5), axis=0)
    gap = 1.2 * float((high - low).max())
    for place, column in enumerate(chosen):
        centre = raw[:count, column].mean() + gap * place
        axes.plot(seconds, raw[:count, column] - centre, color=GREY, linewidth=0.8, label="EEG")
        axes.plot(seconds, waveform[:count, column] - centre, color=RED, linewidth=1.0, label="from codes")
    axes.set_yticks([-gap * place for place in range(len(chosen))], [electrodes[c] for c in chosen])
    end = begin + count / RATE
    where = "" if start is None else f"{begin:g}–{end:g} s of the recording, "
    axes.set(title=f"{where}lines {gap:.0f} µV apart", xlabel="seconds", xlim=(begin, end))
    axes.grid(axis="y", visible=False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[:2], labels[:2], ncols=2, loc="lower right", bbox_to_anchor=(1, 1))


def _spectra(axes: Axes, decoded: Decoded) -> None:
    hertz = np.arange(1, len(decoded.spectrum))
    axes.plot(hertz, decoded.spectrum[1:], color=GREY, label="EEG")
    axes.plot(hertz, np.maximum(decoded.decoded_spectrum[1:], 1e-3), color=RED, label="from codes")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_ylim(0.5 * decoded.spectrum[1:75].min(), 2 * decoded.spectrum[1:].max())
    axes.set(title="spectrum", xlabel="Hz", ylabel="amplitude (µV)", xlim=(1, 75))
    axes.legend()
