"""Traces of some seconds by the conventions of clinical EEG, as a picture"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.montage import template_positions
from neurolm.recording.recording import Annotation, Recording
from neurolm.report.drawings.style import BLUE, GREY, ORANGE, RED, canvas, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = (0.5, 40.0)
"""Hz: what is shown, without drift, mains and most of the muscles."""
_ORDER, _AROUND = 2, 4.0  # of the Butterworth filter, run forwards and backwards; seconds that it reads on either side
_ROW, _DENSE_ROW, _DENSE = 0.24, 0.15, 32  # inches of a trace, and of one among many
_SPREAD, _CUT = 6.0, 1.8  # robust standard deviations between traces; rows over which a trace may reach
_NAMED, _MARKS = 60, 12  # characters of an annotation's text, and how many are shown
_DPI = 90  # traces make large files
_STEPS = (10, 20, 50, 100, 200, 500, 1_000, 2_000)


@dataclass(frozen=True, kw_only=True)
class Page:
    """A stretch of a recording as it is drawn."""

    start: float
    """Seconds from the start of the recording."""
    rate: float
    electrodes: tuple[str, ...]
    """Left, right, then the middle; from the front to the back."""
    signal: np.ndarray
    """float64 (electrodes, samples), µV, filtered; NaN where nothing was recorded."""
    annotations: tuple[Annotation, ...]
    """Those that reach into it."""


def read_page(recording: Recording, start: float, seconds: float) -> Page:
    """Read a stretch for a picture.

    Raises
    ------
    ValueError
        If it does not lie in the recording.
    RecordingError
        If the file can no longer be read.
    """
    from scipy.signal import butter, sosfiltfilt

    stop = min(start + seconds, recording.seconds)
    if not 0 <= start < stop:
        raise ValueError(f"start={start:g}: not inside the recording's {recording.seconds:g} s")
    first, last = max(0.0, start - _AROUND), min(recording.seconds, stop + _AROUND)
    signal = recording.read(first, last)
    missing = ~np.isfinite(signal)
    filled = np.where(missing, np.nanmedian(np.where(missing, np.nan, signal), axis=1, keepdims=True), signal)
    edges = BAND if recording.rate > 2.5 * BAND[1] else BAND[0]
    sos = butter(_ORDER, edges, "bandpass" if isinstance(edges, tuple) else "highpass", fs=recording.rate, output="sos")
    filtered = sosfiltfilt(sos, np.nan_to_num(filled), axis=1, padlen=min(filled.shape[1] - 1, round(recording.rate)))
    filtered[missing] = np.nan
    begin, end = round((start - first) * recording.rate), round((stop - first) * recording.rate)
    order = by_custom(recording.channels)
    return Page(
        start=start,
        rate=recording.rate,
        electrodes=tuple(recording.channels[i] for i in order),
        signal=filtered[order, begin:end],
        annotations=tuple(a for a in recording.annotations if a.onset <= stop and a.onset + a.duration >= start),
    )


def by_custom(electrodes: Sequence[str]) -> list[int]:
    """Return the places of electrodes in the order of a montage: left, right, middle, each from front to back."""
    where = template_positions()

    def key(place: int) -> tuple[int, float]:
        name = electrodes[place]
        digits = "".join(c for c in name if c.isdigit())
        side = 2 if not digits else 0 if int(digits) % 2 else 1
        return (side, -where[name][1]) if name in where else (3, float(place))

    return sorted(range(len(electrodes)), key=key)


@styled
def draw_traces(page: Page, title: str) -> Figure:
    """Draw a page: a trace for each electrode, negative up, a scale in µV, seconds, annotations."""
    count, samples = page.signal.shape
    row = _ROW if count < _DENSE else _DENSE_ROW
    figure = canvas(max(2.6, row * (count + 2) + 1.0), 10)
    figure.set_dpi(_DPI)
    axes = figure.add_subplot()
    gap = _gap(page.signal)
    seconds = page.start + np.arange(samples) / page.rate
    sides = [_side(electrode) for electrode in page.electrodes]
    # Left, right and middle stand apart a little.
    rows = np.arange(count) + 0.4 * np.cumsum(np.diff(sides, prepend=sides[:1]) != 0)
    for electrode, place, trace in zip(page.electrodes, rows, page.signal, strict=True):
        colour = ("#1f2937", BLUE)[_side(electrode) == 1]
        height = np.where(np.abs(trace) <= _CUT * gap, -trace / gap, np.nan)
        axes.plot(seconds, height - place, color=colour, linewidth=0.7, clip_on=False)
    stop = page.start + samples / page.rate
    axes.set_yticks(-rows, page.electrodes, fontsize=9 if count < _DENSE else 6)
    axes.set(xlim=(page.start, stop), ylim=(-rows[-1] - 0.8, 1.1), xlabel="seconds from the start of the recording")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _annotate(axes, page, stop)
    _scale(axes, gap)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    axes.set_title(
        f"negative up · {BAND[0]:g} to {BAND[1]:g} Hz · as referenced in the file", fontsize=8.5, color=GREY, pad=16
    )
    return figure


def _side(electrode: str) -> int:
    digits = "".join(c for c in electrode if c.isdigit())
    return 2 if not digits else 0 if int(digits) % 2 else 1


def _gap(signal: np.ndarray) -> float:
    """Microvolts between neighbouring traces: a round number that fits the typical one."""
    spread = np.nanmedian(np.abs(signal), axis=1) / 0.6745
    alive = spread[np.isfinite(spread) & (spread > 0)]
    wanted = _SPREAD * float(np.median(alive)) if alive.size else 100.0
    return float(min(_STEPS, key=lambda step: abs(np.log(step / wanted))))


def _scale(axes: Axes, gap: float) -> None:
    """A bar right of the traces as high as what it says."""
    bottom = -0.5
    place = axes.get_yaxis_transform()
    axes.plot((1.012, 1.012), (bottom, bottom + 1), color="black", linewidth=1.6, transform=place, clip_on=False)
    axes.text(1.02, bottom + 0.5, f"{gap:g} µV", transform=place, va="center", fontsize=8.5)


def _annotate(axes: Axes, page: Page, stop: float) -> None:
    for mark in page.annotations[:_MARKS]:
        bad = mark.text.upper().startswith("BAD")
        colour = RED if bad else ORANGE
        begin, end = max(mark.onset, page.start), min(mark.onset + mark.duration, stop)
        if end > begin:
            axes.axvspan(begin, end, color=colour, alpha=0.10, linewidth=0)
        axes.axvline(begin, color=colour, linewidth=0.9, linestyle="--")
        text = mark.text if len(mark.text) <= _NAMED else f"{mark.text[: _NAMED - 1]}…"
        axes.annotate(
            text, (begin, 1.1), xytext=(2, 2), textcoords="offset points", fontsize=7.5, color=colour,
            annotation_clip=True,
        )  # fmt: skip
