"""The picture of ``neurolm inspect --plot``: traces, and spectra with mains and band."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.recording.checks import readable
from neurolm.recording.excerpt import Excerpt, excerpt
from neurolm.recording.inspect import Inspection
from neurolm.report.drawings.style import BLUE, GREEN, GREY, ORANGE, PALE, RED, canvas, styled, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIGHEST = 110.0
"""Hz to which spectra are drawn, where the recording has them: the band, both mains frequencies and what follows."""
_ROW, _SMALLEST, _SPECTRA = 0.2, 2.4, 2.5  # inches: of a channel, least height of the traces, height of the spectra
_BAR = 0.12  # inches: width of the scale of shades
_DENSE, _DENSE_ROW = 32, 0.14  # channels from which rows are closer
_SPREAD = 5.0  # robust standard deviations between neighbouring traces
_CUT = 2.5  # rows over which a trace may reach
_POINTS = 4000  # samples drawn of a trace; more are not seen


def write_picture(found: Inspection, path: Path) -> Path:
    """Draw an inspected recording into a PNG file; returns its path.

    Raises
    ------
    RecordingError
        If the file can no longer be read.
    ValueError
        If none of its signal could be read.
    """
    if found.recording is None:
        raise ValueError(f"{found.file}: there is no signal to draw")
    return write_png(draw(found, excerpt(found.recording)), path)


@styled
def draw(found: Inspection, shown: Excerpt) -> Figure:
    """Draw traces, the spectrum of each channel beside them as shades, and all spectra below as lines."""
    count = len(shown.channels)
    top = max(_SMALLEST, count * (_DENSE_ROW if count >= _DENSE else _ROW) + 0.5)
    title = _title(found)
    picture = canvas(top + _SPECTRA + 0.17 * (title.count("\n") + 1) + 0.2)
    picture.suptitle(title, x=0.01, ha="left", fontsize=10, color="black" if found.usable else RED)
    grid = picture.add_gridspec(2, 2, height_ratios=(top, _SPECTRA), width_ratios=(2.1, 1))
    traces = picture.add_subplot(grid[0, 0])
    shades = picture.add_subplot(grid[0, 1])
    lines = picture.add_subplot(grid[1, :])
    size = 8.0 if count < _DENSE else 6.0
    _traces(traces, shown, size)
    _shades(shades, shown, found, bar=top)
    _lines(lines, shown, found)
    return picture


def _title(found: Inspection) -> str:
    state = "usable"
    if not found.usable:
        more = len(found.problems) - 1
        state = f"refused: {found.problems[0].split('; ')[0]}" + (f" (and {more} more)" if more else "")
    text = f"{found.file.name} – {state}"
    return "\n".join(textwrap.wrap(text, 135, max_lines=3, placeholder=" …"))


def _traces(axes: Axes, shown: Excerpt, size: float) -> None:
    count, samples = shown.traces.shape
    spread = np.nanmedian(np.abs(shown.traces), axis=1) / 0.6745
    alive = spread[np.isfinite(spread) & (spread > 0)]
    gap = _rounded(_SPREAD * float(np.median(alive))) if alive.size else 1.0
    step = max(1, samples // _POINTS)
    seconds = shown.start + np.arange(0, samples, step) / shown.rate
    for place, trace in enumerate(shown.traces[:, ::step]):
        seen = np.where(np.abs(trace) <= _CUT * gap, trace, np.nan)
        axes.plot(seconds, seen / gap - place, color=(BLUE, "#333333")[place % 2], linewidth=0.6)
    axes.set_yticks(-np.arange(count), shown.channels, fontsize=size)
    end = shown.start + samples / shown.rate
    axes.set(xlim=(shown.start, end), ylim=(-count + 0.3, 0.7), xlabel="seconds")
    axes.set_title(f"as in the file, without drift; rows are {readable(gap)} µV apart")
    axes.grid(axis="y", visible=False)


def _shades(axes: Axes, shown: Excerpt, found: Inspection, *, bar: float) -> None:
    hertz, decibel = _decibel(shown)
    low, high = np.percentile(decibel[:, hertz >= 1], (2, 98)) if (hertz >= 1).any() else (-1.0, 1.0)
    edges = np.append(hertz, 2 * hertz[-1] - hertz[-2]) - (hertz[1] - hertz[0]) / 2
    rows = np.arange(len(shown.channels) + 1) - 0.5
    image = axes.pcolormesh(edges, -rows, decibel, cmap="viridis", vmin=low, vmax=high, rasterized=True)
    scale = axes.figure.colorbar(image, ax=axes, pad=0.02, aspect=bar / _BAR)
    scale.set_label("dB (µV²/Hz)", fontsize=8)
    scale.outline.set_visible(False)
    axes.set_yticks([])
    axes.set(xlim=(0, hertz[-1]), ylim=(-len(shown.channels) + 0.3, 0.7), xlabel="Hz", title="spectrum of each")
    axes.grid(visible=False)
    _mark(axes, found, label=False)


def _lines(axes: Axes, shown: Excerpt, found: Inspection) -> None:
    hertz, decibel = _decibel(shown)
    axes.plot(hertz, decibel.T, color=PALE, linewidth=0.5)
    axes.plot(hertz, np.median(decibel, axis=0), color=BLUE, linewidth=1.4, label="median of the channels")
    seen = decibel[:, hertz >= 0.5] if (hertz >= 0.5).any() else decibel
    low, high = np.percentile(seen, 0.5), seen.max()
    axes.set(xlim=(0, hertz[-1]), ylim=(low - 3, high + 3), xlabel="Hz", ylabel="dB (µV²/Hz)")
    axes.set_title("spectra of all channels, before any filter")
    _mark(axes, found, label=True)
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1))


def _mark(axes: Axes, found: Inspection, *, label: bool) -> None:
    """Mark the mains and the edges of the band that is kept."""
    right = axes.get_xlim()[1]
    if found.band is not None:
        low, high = found.band
        said = f"kept: {low:g} to {high:g} Hz" if label else None
        axes.axvline(high, color=GREEN, linewidth=1.2, linestyle="--", label=said)
        if label and right > high:
            axes.axvspan(high, right, color=GREY, alpha=0.12, linewidth=0)
    if found.mains is not None and found.mains < right:
        assumed = " (assumed)" if "taken as" in found.mains_how else ""
        said = f"mains {found.mains:g} Hz{assumed}" if label else None
        axes.axvline(found.mains, color=ORANGE, linewidth=1.2, linestyle=":", label=said)


def _decibel(shown: Excerpt) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and decibels up to ``HIGHEST``."""
    kept = shown.frequencies <= HIGHEST
    power = shown.spectra[:, kept]
    floor = power[power > 0].min() if (power > 0).any() else 1.0
    return shown.frequencies[kept], 10 * np.log10(np.maximum(power, floor))


def _rounded(value: float) -> float:
    """The nearest 1, 2 or 5 times a power of ten."""
    power = 10 ** np.floor(np.log10(value))
    return float(power * min((1, 2, 5, 10), key=lambda digit: abs(np.log(digit * power / value))))
