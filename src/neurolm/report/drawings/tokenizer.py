"""The neural tokenizer as pictures: how its codes are used, and EEG beside what they keep of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.core.physics import RATE
from neurolm.report.drawings.style import BLUE, GREY, PALE, RED, SKY, canvas, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neurolm.report.reconstruction import Decoded

CHANNELS_SHOWN, SECONDS_SHOWN = 6, 5


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
    raw, waveform = decoded.raw, decoded.waveform
    chosen = np.unique(np.linspace(0, len(electrodes) - 1, min(CHANNELS_SHOWN, len(electrodes))).round().astype(int))
    count = min(len(raw), SECONDS_SHOWN * RATE)
    figure = canvas(0.6 * len(chosen) + 1.1)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    seconds = np.arange(count) / RATE
    low, high = np.percentile(raw[:count, chosen], (0.5, 99.5), axis=0)
    gap = 1.2 * float((high - low).max())
    for place, column in enumerate(chosen):
        centre = raw[:count, column].mean() + gap * place
        left.plot(seconds, raw[:count, column] - centre, color=GREY, linewidth=0.8, label="EEG")
        left.plot(seconds, waveform[:count, column] - centre, color=RED, linewidth=1.0, label="from codes")
    left.set_yticks([-gap * place for place in range(len(chosen))], [electrodes[c] for c in chosen])
    left.set(title=f"µV, electrodes {gap:.0f} µV apart", xlabel="seconds", xlim=(0, count / RATE))
    left.grid(axis="y", visible=False)
    handles, labels = left.get_legend_handles_labels()
    left.legend(handles[:2], labels[:2], ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    hertz = np.arange(1, len(decoded.spectrum))
    right.plot(hertz, decoded.spectrum[1:], color=GREY, label="EEG")
    right.plot(hertz, np.maximum(decoded.decoded_spectrum[1:], 1e-3), color=RED, label="from codes")
    right.set_yscale("log")
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter("")
    right.set_ylim(0.5 * decoded.spectrum[1:75].min(), 2 * decoded.spectrum[1:].max())
    right.set(title="spectrum", xlabel="Hz", ylabel="amplitude (µV)", xlim=(1, 75))
    right.legend()
    return figure
