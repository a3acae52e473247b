"""Pictures of a recording's signal: traces, spectra, maps of band power"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.core.amounts import duration, many
from neurolm.core.montage import template_positions
from neurolm.core.physics import RATE
from neurolm.report.drawings.style import BLUE, GREY, ORANGE, PALE, RED, canvas, styled
from neurolm.report.recording.rhythm import Rhythm, posterior
from neurolm.report.recording.scalp import REGIONS, head_sphere, in_order, placed, region, spelt
from neurolm.report.recording.spectra import BANDS, HIGHPASS, Spectra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 7.1
"""Inches: the width of a printed page without its margins."""
TRACES = 40
"""Traces that a picture has room for."""
LEAST_PLACED = 4
"""Electrodes with a known place that a map needs."""
TINTS = ("#e8eef7", "#eaf5ee", "#fff3d6", "#f7e8ef", "#eeeeee")
"""Of the bands, behind spectra."""
_STEPS = (10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000)  # µV between traces, as amplifiers have sensitivities
_ROW = 0.19  # inches of a trace
_SPREAD = 6.0  # robust standard deviations between neighbouring traces
_SHORT = 120.0  # seconds up to which a time axis counts seconds


_SMALL: Any = {"font.size": 7.5, "axes.titlesize": 8, "legend.fontsize": 7, "axes.titlepad": 6, "hatch.linewidth": 0.6}


def drawn(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a function draw in the style of all pictures, as small as print takes it."""

    @wraps(draw)
    def smaller(*args: Any, **kwargs: Any) -> Figure:
        import matplotlib

        with matplotlib.rc_context(_SMALL):
            return draw(*args, **kwargs)

    return styled(smaller)


def seconds_axis(axes: Axes, first: float, last: float) -> None:
    """Let an axis count seconds, or minutes and hours where there are many."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(first, last)
    if last - first <= _SHORT:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
        axes.set_xlabel("seconds")
        return
    unit = next(u for u in (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 1e9) if (last - first) / u <= 10)
    axes.set_xticks(np.arange(np.ceil(first / unit), last / unit + 1e-9) * unit)
    long = last >= 3600
    axes.xaxis.set_major_formatter(
        lambda t, _: f"{int(t) // 3600}:{int(t) // 60 % 60:02}" if long else f"{int(t) // 60}:{int(t) % 60:02}"
    )
    axes.set_xlabel("hours:minutes from the start" if long else "minutes:seconds from the start")


def shown_traces(electrodes: Sequence[str]) -> list[int]:
    """Return the places of the electrodes that are drawn, in the order of a page; of many, evenly spread ones."""
    order = in_order(electrodes)
    if len(order) <= TRACES:
        return order
    return [order[i] for i in np.unique(np.linspace(0, len(order) - 1, TRACES).astype(int))]


def sensitivity(spectra: Spectra, places: Sequence[int]) -> float:
    """Return the µV between traces that suits their amplitude."""
    spread = np.median(np.abs(spectra.excerpt[list(places)]), axis=1) / 0.6745
    wanted = _SPREAD * float(np.median(spread))
    return float(next((step for step in _STEPS if step >= wanted), _STEPS[-1]))


@drawn
def traces(spectra: Spectra) -> Figure:
    """Draw the excerpt as a page of EEG: negative up, left before right, a line every second, a bar of µV."""
    places = shown_traces(spectra.electrodes)
    apart = sensitivity(spectra, places)
    signal = spectra.excerpt[places]
    count, samples = signal.shape
    figure = canvas(max(1.8, _ROW * count + 0.75), WIDE)
    axes = figure.add_subplot()
    time = spectra.start + np.arange(samples) / RATE
    names = [spelt(spectra.electrodes[i]) for i in places]
    for row, trace in enumerate(signal):
        cut = np.clip(-trace / apart, -2.5, 2.5)  # negative up
        axes.plot(time, cut - row, color="#1a1a1a", linewidth=0.55, solid_joinstyle="round")
    axes.set_yticks(-np.arange(count), names, fontsize=7 if count <= 24 else 6)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(-count + 0.2, 0.9))
    end = spectra.start + samples / RATE
    axes.set_xticks(np.arange(np.ceil(spectra.start), end + 1e-6))
    late = end > _SHORT
    axes.xaxis.set_major_formatter(lambda t, _: duration(t) if late else f"{t:g}")
    axes.set_xlim(spectra.start, end)
    axes.grid(visible=True, axis="x", color="#d7d7d7", linewidth=0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("time from the start" if late else "seconds from the start")
    bar, x = next(one for one in (100, 50, 20, 10, 5) if one <= apart or one == 5), end + 0.012 * (end - spectra.start)
    low = -count + 1
    axes.plot([x, x], [low, low + bar / apart], color="black", linewidth=1.5, clip_on=False)
    axes.text(x + 0.006 * (end - spectra.start), low + bar / apart / 2, f"{bar:g} µV", fontsize=7, rotation=90,
              va="center", ha="left")  # fmt: skip
    return figure


@drawn
def spectra_lines(spectra: Spectra, rhythm: Rhythm | None, mains: float | None) -> Figure:
    """Draw the spectra of all electrodes, and the mean of each region, over shaded bands."""
    figure = canvas(2.75, WIDE)
    axes, regions = figure.subplots(1, 2, sharey=True)
    hertz, kept = spectra.frequencies, (spectra.frequencies >= 0.5) & (spectra.frequencies <= min(70, spectra.band[1]))
    decibels = 10 * np.log10(np.maximum(spectra.power, 1e-9))
    axes.plot(hertz[kept], decibels[:, kept].T, color=PALE, linewidth=0.5)
    axes.plot(hertz[kept], np.median(decibels, axis=0)[kept], color=BLUE, linewidth=1.4)
    axes.set(title=f"{many(len(decibels), 'electrode')} and the median", ylabel="dB (µV²/Hz)")
    lines = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
    colours = (BLUE, ORANGE, "#009E73", RED, "#CC79A7")
    for name, line, colour in zip(REGIONS, lines, colours, strict=True):
        members = [i for i, electrode in enumerate(spectra.electrodes) if region(electrode) == name]
        if members:
            mean = decibels[members].mean(axis=0)[kept]
            regions.plot(
                hertz[kept], mean, color=colour, linestyle=line, linewidth=1.2, label=f"{name} ({len(members)})"
            )
    regions.set(title="mean of each region")
    for panel in (axes, regions):
        panel.set_xscale("log")
        panel.set_xlim(0.5, hertz[kept][-1])
        ticks = [tick for tick in (0.5, 1, 2, 4, 8, 13, 30, 45, 70) if tick <= hertz[kept][-1]]
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel("Hz")
        _shade(panel, hertz[kept][-1])
        if mains is not None and mains < hertz[kept][-1]:
            panel.axvline(mains, color=GREY, linewidth=0.8, linestyle=":")
    _limit(axes, spectra, decibels)
    if rhythm is not None:
        members = posterior(spectra.electrodes)
        height = float(decibels[members].mean(axis=0)[np.abs(hertz - rhythm.frequency).argmin()])
        regions.annotate(
            f"{rhythm.frequency:.1f} Hz", (rhythm.frequency, height), xytext=(12, 6), textcoords="offset points",
            ha="left", fontsize=8, arrowprops={"arrowstyle": "-|>", "linewidth": 0.8},
        )  # fmt: skip
    if regions.get_legend_handles_labels()[0]:
        regions.legend(loc="lower left", fontsize=7)
    return figure


def _limit(axes: Axes, spectra: Spectra, decibels: np.ndarray) -> None:
    """Let an axis hold the spectra, but for the notch that took the mains."""
    hertz = spectra.frequencies
    seen = decibels[:, (hertz >= 0.5) & (hertz <= min(45.0, spectra.band[1]))]
    low, high = np.percentile(seen, (0.5, 99.9))
    axes.set_ylim(low - 0.2 * (high - low) - 2, high + 0.1 * (high - low) + 3)


def _shade(axes: Axes, highest: float) -> None:
    for (name, (low, high)), tint in zip(BANDS.items(), TINTS, strict=True):
        if low < highest:
            axes.axvspan(low, min(high, highest), color=tint, linewidth=0, zorder=0)
            axes.text(np.sqrt(low * min(high, highest)), 0.985, _GREEK[name], transform=axes.get_xaxis_transform(),
                      ha="center", va="top", fontsize=8, color="#444444")  # fmt: skip


_GREEK = {"delta": "δ", "theta": "θ", "alpha": "α", "beta": "β", "gamma": "γ"}


@drawn
def glance(spectra: Spectra, rhythm: Rhythm | None) -> Figure:
    """Draw the median spectrum, and the share of each band over the scalp, in a row."""
    figure = canvas(1.8, WIDE)
    where = placed(spectra.electrodes)
    mapped = len(where) >= LEAST_PLACED
    shown = [name for name, (low, _) in BANDS.items() if low < spectra.band[1]] if mapped else []
    grid = figure.add_gridspec(1, 1 + len(shown), width_ratios=[2.2, *[1] * len(shown)])
    axes = figure.add_subplot(grid[0, 0])
    hertz, kept = spectra.frequencies, (spectra.frequencies >= 0.5) & (spectra.frequencies <= min(40, spectra.band[1]))
    decibels = 10 * np.log10(np.maximum(spectra.power, 1e-9))
    axes.plot(hertz[kept], decibels[:, kept].T, color=PALE, linewidth=0.4)
    axes.plot(hertz[kept], np.median(decibels, axis=0)[kept], color=BLUE, linewidth=1.2)
    if rhythm is not None:
        axes.axvline(rhythm.frequency, color=RED, linewidth=0.8, linestyle="--")
        axes.text(rhythm.frequency + 0.6, 0.97, f"{rhythm.frequency:.1f} Hz", transform=axes.get_xaxis_transform(),
                  va="top", color=RED)  # fmt: skip
    _limit(axes, spectra, decibels)
    axes.set(xlim=(0, hertz[kept][-1]), xlabel="Hz", ylabel="dB (µV²/Hz)")
    power = {name: values[where] for name, values in spectra.bands().items()}
    total = np.maximum(sum(power.values()), 1e-12)
    for column, name in enumerate(shown, start=1):
        panel = figure.add_subplot(grid[0, column])
        scalp_map(panel, [spectra.electrodes[i] for i in where], 100 * power[name] / total, unit="%")
        panel.set_title(name, loc="center")
    return figure


@drawn
def spectrogram(spectra: Spectra, highest: float = 35.0) -> Figure:
    """Draw the mean spectrum of all electrodes over the recording as shades."""
    figure = canvas(1.75, WIDE)
    axes = figure.add_subplot()
    kept = (spectra.frequencies <= min(highest, spectra.band[1])) & (spectra.frequencies >= 0.5)
    decibels = 10 * np.log10(np.maximum(spectra.spectrogram[:, kept], 1e-9)).T
    low, high = np.nanpercentile(decibels, (3, 99))
    hertz = spectra.frequencies[kept]
    columns = np.flatnonzero(np.isfinite(decibels[0]))
    first, last = columns[0] * spectra.step, (columns[-1] + 1) * spectra.step
    edges = np.arange(decibels.shape[1] + 1) * spectra.step
    lines = np.append(hertz, 2 * hertz[-1] - hertz[-2]) - (hertz[1] - hertz[0]) / 2
    image = axes.pcolormesh(edges, lines, decibels, cmap="viridis", vmin=low, vmax=high, rasterized=True)
    scale = figure.colorbar(image, ax=axes, pad=0.01, aspect=12)
    scale.set_label("dB (µV²/Hz)", fontsize=7)
    scale.outline.set_visible(False)
    axes.grid(visible=False)
    axes.set(ylabel="Hz")
    axes.set_yticks([tick for tick in (1, 4, 8, 13, 20, 30) if tick <= hertz[-1]])
    seconds_axis(axes, first, last)
    return figure


def can_map(electrodes: Sequence[str]) -> bool:
    """Whether enough electrodes have a known place."""
    return len(placed(electrodes)) >= LEAST_PLACED


@drawn
def band_maps(spectra: Spectra) -> Figure:
    """Draw maps of the bands' power, absolute above and as a share below; `can_map` says whether it can be done."""
    where = placed(spectra.electrodes)
    power = {name: values[where] for name, values in spectra.bands().items()}
    total = np.maximum(sum(power.values()), 1e-12)
    names = [spectra.electrodes[i] for i in where]
    shown = [name for name, (low, _) in BANDS.items() if low < spectra.band[1]]
    figure = canvas(3.5, WIDE)
    panels: Any = figure.subplots(2, len(shown), squeeze=False)
    for column, name in enumerate(shown):
        low, high = BANDS[name]
        decibels = 10 * np.log10(np.maximum(power[name], 1e-9))
        for row, (values, unit) in enumerate(((decibels, "dB"), (100 * power[name] / total, "%"))):
            axes = panels[row, column]
            scalp_map(axes, names, values, unit=unit)
            if row == 0:
                axes.set_title(f"{name} {low}–{min(high, spectra.band[1]):g} Hz", loc="center")
    for row, text in enumerate(("power, dB (µV²)", "share of 1–45 Hz")):
        panels[row, 0].text(-0.16, 0.5, text, transform=panels[row, 0].transAxes, rotation=90, va="center", fontsize=8)
    return figure


def scalp_map(
    axes: Axes, electrodes: Sequence[str], values: np.ndarray, *, unit: str, signed: bool = False,
    named: Sequence[str] = (),
) -> None:  # fmt: skip
    """Draw values of electrodes on a head seen from above, every electrode a dot, with the scale below.

    Parameters
    ----------
    signed
        Whether 0 stands in the middle of the scale.
    named
        Electrodes whose names are written.
    """
    import mne

    where = template_positions()
    info = mne.create_info(list(electrodes), 200.0, "eeg", verbose="error")
    cap = mne.channels.make_dig_montage({name: where[name] for name in electrodes}, coord_frame="head")
    info.set_montage(cap, verbose="error")
    low, high = float(values.min()), float(values.max())
    if signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    image, _ = mne.viz.plot_topomap(
        values, info, axes=axes, show=False, cmap="RdBu_r" if signed else "viridis", vlim=(low, high), contours=0,
        sphere=head_sphere(), extrapolate="local", border="mean", sensors="k.", res=56,
        names=[spelt(name) if name in named else "" for name in electrodes],
    )  # fmt: skip
    for text in axes.texts:
        text.set(va="bottom", fontsize=7, y=text.get_position()[1] + 0.003)
    for dots in axes.collections:
        dots.set_sizes([5])  # type: ignore[attr-defined]
    axes.grid(visible=False)
    scale = axes.figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.75, pad=0.02, aspect=14)
    scale.outline.set_visible(False)
    ticks = [low, 0.0, high] if signed else [low, high]
    digits = 0 if high - low >= 3 else 1 if high - low >= 0.3 else 2
    scale.set_ticks(ticks, labels=[f"{tick:+.{digits}f}" if signed else f"{tick:.{digits}f}" for tick in ticks])
    scale.ax.tick_params(labelsize=7, length=2)
    scale.ax.text(1.06, 0.5, unit, transform=scale.ax.transAxes, fontsize=7, va="center")


def filtered_words(spectra: Spectra) -> str:
    """How the excerpt is filtered, in words."""
    return f"{HIGHPASS:g}–{spectra.band[1]:g} Hz"
